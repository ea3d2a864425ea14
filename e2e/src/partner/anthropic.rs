//! Answers in `Anthropic`'s wire formats, recorded from the vendor's reference:
//! messages <https://platform.claude.com/docs/en/api/messages>, their stream
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>, thinking
//! <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>, errors
//! <https://platform.claude.com/docs/en/api/errors>, models <https://platform.claude.com/docs/en/api/models-list>.
use serde_json::{Value, json};

use crate::partner::render::{Rendered, argument_pieces};
use crate::partner::script::{Block, ErrorBody, Reply, Stop, Usage};

/// Renders `reply` to the request `asked` on `path`.
pub(crate) fn render(path: &str, asked: &Value, reply: &Reply) -> Rendered {
    if path.ends_with("/count_tokens") {
        let input = reply.usage.unwrap_or_default().input;
        return Rendered::json(200, &json!({"input_tokens": input}));
    }
    if asked["stream"] == Value::Bool(true) {
        return Rendered::events(stream(asked, reply));
    }
    let content: Vec<Value> = reply.blocks.iter().map(whole_block).collect();
    Rendered::json(200, &message(asked, reply, &json!(content), &json!(stop_reason(reply)), &usage(reply)))
}

/// An error document.
pub(crate) fn error(error: &ErrorBody) -> Value {
    json!({"type": "error", "error": {"type": error.kind, "message": error.message}, "request_id": "req_partner0001"})
}

/// An error event.
pub(crate) fn error_frame(body: &ErrorBody) -> String {
    frame("error", &error(body))
}

/// The list of models.
pub(crate) fn models() -> Value {
    json!({"data": [{"type": "model", "id": "claude-test", "display_name": "Claude Test", "created_at": "2026-10-21T00:00:00Z"}],
           "has_more": false, "first_id": "claude-test", "last_id": "claude-test"})
}

fn message(asked: &Value, reply: &Reply, content: &Value, stop: &Value, usage: &Value) -> Value {
    let model = reply.model.as_deref().or(asked["model"].as_str()).unwrap_or("claude-test");
    json!({
        "id": "msg_Partner0001", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop, "stop_sequence": null, "usage": usage,
    })
}

fn stop_reason(reply: &Reply) -> &'static str {
    let has_tools = reply.blocks.iter().any(|block| matches!(block, Block::Tool { .. }));
    match reply.stop {
        None if has_tools => "tool_use",
        Some(Stop::Tools) => "tool_use",
        None | Some(Stop::End) => "end_turn",
        Some(Stop::Sequence) => "stop_sequence",
        Some(Stop::Length) => "max_tokens",
        Some(Stop::Refusal) => "refusal",
    }
}

/// The final usage. `input_tokens` leaves out what came from or went to a cache.
fn usage(reply: &Reply) -> Value {
    let Some(used) = &reply.usage else { return json!({}) };
    let mut usage = prompt_usage(used);
    usage["output_tokens"] = json!(used.output);
    if used.reasoning > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": used.reasoning});
    }
    usage
}

fn prompt_usage(used: &Usage) -> Value {
    json!({
        "input_tokens": used.input.saturating_sub(used.cached + used.cache_creation),
        "cache_creation_input_tokens": used.cache_creation,
        "cache_read_input_tokens": used.cached,
        "output_tokens": 1,
        "service_tier": "standard",
    })
}

fn whole_block(block: &Block) -> Value {
    match block {
        Block::Text(text) | Block::Refusal(text) => json!({"type": "text", "text": text}),
        Block::Thinking { text, signature } => {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        Block::RedactedThinking(data) => json!({"type": "redacted_thinking", "data": data}),
        Block::Tool { id, name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    }
}

fn frame(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

/// Frames of a stream: a ping after the start, as the vendor sends it.
fn stream(asked: &Value, reply: &Reply) -> Vec<String> {
    let start = reply.usage.as_ref().map_or_else(|| json!({}), prompt_usage);
    let mut frames = vec![frame(
        "message_start",
        &json!({
            "type": "message_start", "message": message(asked, reply, &json!([]), &Value::Null, &start),
        }),
    )];
    let mut content = 0;
    for (index, block) in reply.blocks.iter().enumerate() {
        frames.push(frame(
            "content_block_start",
            &json!({
                "type": "content_block_start", "index": index, "content_block": block_start(block),
            }),
        ));
        if index == 0 {
            frames.push(frame("ping", &json!({"type": "ping"})));
        }
        for delta in deltas(block) {
            if reply.error_after == Some(content) {
                frames.push(error_frame(&overloaded()));
                return frames;
            }
            content += 1;
            frames.push(frame(
                "content_block_delta",
                &json!({
                    "type": "content_block_delta", "index": index, "delta": delta,
                }),
            ));
        }
        frames.push(frame("content_block_stop", &json!({"type": "content_block_stop", "index": index})));
    }
    frames.push(frame("message_delta", &json!({
        "type": "message_delta", "delta": {"stop_reason": stop_reason(reply), "stop_sequence": null}, "usage": delta_usage(reply),
    })));
    frames.push(frame("message_stop", &json!({"type": "message_stop"})));
    frames
}

/// The cumulative usage of `message_delta`.
fn delta_usage(reply: &Reply) -> Value {
    let mut usage = usage(reply);
    if let Some(members) = usage.as_object_mut() {
        members.remove("service_tier");
    }
    usage
}

fn overloaded() -> ErrorBody {
    ErrorBody {
        kind: "overloaded_error".to_owned(),
        message: "Overloaded".to_owned(),
        ..ErrorBody::default()
    }
}

fn block_start(block: &Block) -> Value {
    match block {
        Block::Text(_) | Block::Refusal(_) => json!({"type": "text", "text": ""}),
        Block::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Block::RedactedThinking(data) => json!({"type": "redacted_thinking", "data": data}),
        Block::Tool { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
    }
}

fn deltas(block: &Block) -> Vec<Value> {
    match block {
        Block::Text(text) | Block::Refusal(text) => {
            Block::words(text).into_iter().map(|word| json!({"type": "text_delta", "text": word})).collect()
        }
        Block::Thinking { text, signature } => Block::words(text)
            .into_iter()
            .map(|word| json!({"type": "thinking_delta", "thinking": word}))
            .chain([json!({"type": "signature_delta", "signature": signature})])
            .collect(),
        Block::RedactedThinking(_) => Vec::new(),
        // The vendor opens every tool input with an empty fragment.
        Block::Tool { arguments, .. } => [String::new()]
            .into_iter()
            .chain(argument_pieces(arguments))
            .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
            .collect(),
    }
}
