//! Answers in `OpenAI`'s wire formats, recorded from the vendor's reference:
//! chat <https://platform.openai.com/docs/api-reference/chat/object>, its stream
//! <https://platform.openai.com/docs/api-reference/chat-streaming>, completions
//! <https://platform.openai.com/docs/api-reference/completions/object>, embeddings
//! <https://platform.openai.com/docs/api-reference/embeddings/object>, errors
//! <https://platform.openai.com/docs/guides/error-codes>. `reasoning_content` is the field of compatible
//! servers: <https://api-docs.deepseek.com/guides/reasoning_model>.
use serde_json::{Map, Value, json};

use crate::partner::render::{Rendered, argument_pieces};
use crate::partner::script::{Block, ErrorBody, Reply, Stop, Usage};

/// When our models were made and our answers given; constant, so that golden files are.
const CREATED: u64 = 1_790_000_000;

/// Renders `reply` to the request `asked` on `path`.
pub(crate) fn render(path: &str, asked: &Value, reply: &Reply) -> Rendered {
    let streamed = asked["stream"] == Value::Bool(true);
    if path.ends_with("/embeddings") {
        return Rendered::json(200, &embeddings(asked, reply));
    }
    match (path.ends_with("/chat/completions"), streamed) {
        (true, true) => Rendered::events(chat_stream(asked, reply)),
        (true, false) => Rendered::json(200, &chat(asked, reply)),
        (false, true) => Rendered::events(completion_stream(asked, reply)),
        (false, false) => Rendered::json(200, &completion(asked, reply)),
    }
}

/// An error document.
pub(crate) fn error(error: &ErrorBody) -> Value {
    json!({"error": {"message": error.message, "type": error.kind, "param": null, "code": error.code}})
}

/// The list of models.
pub(crate) fn models() -> Value {
    json!({"object": "list", "data": [
        {"id": "gpt-test", "object": "model", "created": CREATED, "owned_by": "openai"},
        {"id": "gpt-other", "object": "model", "created": CREATED, "owned_by": "openai"},
    ]})
}

fn model<'a>(asked: &'a Value, reply: &'a Reply) -> &'a str {
    reply.model.as_deref().or(asked["model"].as_str()).unwrap_or("gpt-test")
}

fn finish(reply: &Reply) -> &'static str {
    let has_tools = reply.blocks.iter().any(|block| matches!(block, Block::Tool { .. }));
    match reply.stop {
        None if has_tools => "tool_calls",
        Some(Stop::Tools) => "tool_calls",
        None | Some(Stop::End | Stop::Sequence) => "stop",
        Some(Stop::Length) => "length",
        Some(Stop::Refusal) => "content_filter",
    }
}

fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

fn chat(asked: &Value, reply: &Reply) -> Value {
    let mut document = json!({
        "id": "chatcmpl-Partner0001", "object": "chat.completion", "created": CREATED, "model": model(asked, reply),
        "choices": [{"index": 0, "message": message(reply), "logprobs": null, "finish_reason": finish(reply)}],
        "service_tier": "default", "system_fingerprint": "fp_partner",
    });
    if let Some(used) = &reply.usage {
        document["usage"] = usage(used);
    }
    document
}

fn message(reply: &Reply) -> Value {
    let (mut text, mut reasoning, mut refusal) = (String::new(), String::new(), None);
    let mut calls = Vec::new();
    for block in &reply.blocks {
        match block {
            Block::Text(words) => text.push_str(words),
            Block::Thinking { text, .. } => reasoning.push_str(text),
            Block::RedactedThinking(_) => {}
            Block::Refusal(words) => refusal = Some(words.clone()),
            Block::Tool { id, name, arguments } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": arguments},
            })),
        }
    }
    let content = if text.is_empty() { Value::Null } else { Value::String(text) };
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal, "annotations": []});
    if !reasoning.is_empty() {
        message["reasoning_content"] = Value::String(reasoning);
    }
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    message
}

/// Frames of a chat stream, `[DONE]` included unless the script breaks it.
fn chat_stream(asked: &Value, reply: &Reply) -> Vec<String> {
    let wants_usage = asked["stream_options"]["include_usage"] == Value::Bool(true);
    let chunk = |choices: Value, used: Value| -> String {
        let mut chunk = json!({
            "id": "chatcmpl-Partner0001", "object": "chat.completion.chunk", "created": CREATED,
            "model": model(asked, reply), "service_tier": "default", "system_fingerprint": "fp_partner",
            "choices": choices,
        });
        if wants_usage {
            chunk["usage"] = used;
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    // The vendor opens text with an empty string, and anything else with null.
    let opens_with_text = matches!(reply.blocks.first(), Some(Block::Text(_)));
    let opening = json!({"role": "assistant", "content": opens_with_text.then_some(""), "refusal": null});
    let mut frames = vec![chunk(choice(opening, Value::Null), Value::Null)];
    for (count, delta) in deltas(reply).into_iter().enumerate() {
        if reply.error_after == Some(count) {
            frames.push(broken_frame());
            return frames;
        }
        frames.push(chunk(choice(delta, Value::Null), Value::Null));
    }
    frames.push(chunk(choice(json!({}), json!(finish(reply))), Value::Null));
    if let (true, Some(used)) = (wants_usage, &reply.usage) {
        frames.push(chunk(json!([]), usage(used)));
    }
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

/// An error in mid-stream, after which nothing follows.
fn broken_frame() -> String {
    let error = json!({"error": {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error", "param": null, "code": null,
    }});
    format!("data: {error}\n\n")
}

fn deltas(reply: &Reply) -> Vec<Value> {
    let mut deltas = Vec::new();
    let mut tool = 0;
    for block in &reply.blocks {
        match block {
            Block::Text(text) => {
                deltas.extend(Block::words(text).into_iter().map(|word| json!({"content": word})))
            }
            Block::Thinking { text, .. } => {
                deltas.extend(Block::words(text).into_iter().map(|word| json!({"reasoning_content": word})));
            }
            Block::RedactedThinking(_) => {}
            Block::Refusal(text) => {
                deltas.extend(Block::words(text).into_iter().map(|word| json!({"refusal": word})))
            }
            Block::Tool { id, name, arguments } => {
                deltas.push(json!({"tool_calls": [
                    {"index": tool, "id": id, "type": "function", "function": {"name": name, "arguments": ""}},
                ]}));
                deltas.extend(
                    argument_pieces(arguments).into_iter().map(
                        |piece| json!({"tool_calls": [{"index": tool, "function": {"arguments": piece}}]}),
                    ),
                );
                tool += 1;
            }
        }
    }
    deltas
}

fn visible_text(reply: &Reply) -> String {
    reply
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            Block::Thinking { .. } | Block::RedactedThinking(_) | Block::Tool { .. } | Block::Refusal(_) => {
                None
            }
        })
        .collect()
}

fn completion(asked: &Value, reply: &Reply) -> Value {
    let mut document = completion_document(asked, reply, &visible_text(reply), json!(finish(reply)));
    if let Some(used) = &reply.usage {
        document.insert("usage".to_owned(), usage(used));
    }
    Value::Object(document)
}

fn completion_document(asked: &Value, reply: &Reply, text: &str, finish: Value) -> Map<String, Value> {
    let document = json!({
        "id": "cmpl-Partner0001", "object": "text_completion", "created": CREATED, "model": model(asked, reply),
        "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}],
    });
    document.as_object().cloned().unwrap_or_default()
}

fn completion_stream(asked: &Value, reply: &Reply) -> Vec<String> {
    let wants_usage = asked["stream_options"]["include_usage"] == Value::Bool(true);
    let frame = |text: &str, finish: Value, used: Option<Value>| {
        let mut document = completion_document(asked, reply, text, finish);
        if wants_usage {
            if used.is_some() {
                document.insert("choices".to_owned(), json!([]));
            }
            document.insert("usage".to_owned(), used.unwrap_or_default());
        }
        format!("data: {}\n\n", Value::Object(document))
    };
    let text = visible_text(reply);
    let mut frames: Vec<String> =
        Block::words(&text).into_iter().map(|word| frame(word, Value::Null, None)).collect();
    frames.push(frame("", json!(finish(reply)), None));
    if let (true, Some(used)) = (wants_usage, &reply.usage) {
        frames.push(frame("", Value::Null, Some(usage(used))));
    }
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

/// One vector per input: `[k + 0.125, 0.5, -0.25]` for the k-th, exact in `f32` and thus in both encodings.
fn embeddings(asked: &Value, reply: &Reply) -> Value {
    let count = asked["input"].as_array().map_or(1, Vec::len);
    let as_base64 = asked["encoding_format"] == "base64";
    let data: Vec<Value> = (0u16..)
        .take(count)
        .map(|index| {
            let vector = [f32::from(index) + 0.125, 0.5, -0.25];
            let embedding = if as_base64 { json!(base64_of(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let input = reply.usage.unwrap_or_default().input;
    json!({"object": "list", "data": data, "model": model(asked, reply),
           "usage": {"prompt_tokens": input, "total_tokens": input}})
}

fn base64_of(vector: &[f32]) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
