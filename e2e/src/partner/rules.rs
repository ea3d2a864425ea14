//! What real providers refuse. A translation that the vendor would answer with a 400 must not pass here.
//!
//! `OpenAI`: <https://platform.openai.com/docs/api-reference/chat/create>; `Anthropic`, both API versions:
//! <https://platform.claude.com/docs/en/api/messages>, <https://platform.claude.com/docs/en/api/versioning>.
use std::collections::BTreeSet;

use serde_json::Value;

use crate::partner::log::Arrival;

/// The top-level members that the chat endpoint knows.
const CHAT_MEMBERS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// The top-level members that the messages endpoint knows; sampling only before `2026-10-21`.
const MESSAGES_MEMBERS: &[&str] = &[
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "prefill",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
    "workspace_id",
];

const SAMPLING: &[&str] = &["temperature", "top_p", "top_k"];

/// Why the provider would refuse this request, if it would. `signatures` are those that it has issued.
pub(crate) fn refusal(arrival: &Arrival, body: &Value, signatures: &BTreeSet<String>) -> Option<String> {
    let path = arrival.path.split('?').next().unwrap_or_default();
    let verdict = if !body.is_object() {
        Err("We could not parse the JSON body of your request.".to_owned())
    } else if path.ends_with("/chat/completions") {
        chat(body)
    } else if path.ends_with("/messages") || path.ends_with("/messages/count_tokens") {
        messages(arrival, body, signatures)
    } else if path.ends_with("/analyze") {
        // Presidio, as of presidio-analyzer 2.2.366: it refuses both by a 500.
        required(body, "text").and_then(|()| required(body, "language"))
    } else {
        required(body, "model")
    };
    verdict.err()
}

fn required(body: &Value, member: &str) -> Result<(), String> {
    if body[member].is_null() { Err(format!("Missing required parameter: '{member}'.")) } else { Ok(()) }
}

fn only_known(body: &Value, known: &[&str], complaint: impl Fn(&str) -> String) -> Result<(), String> {
    let Some(members) = body.as_object() else { return Ok(()) };
    match members.keys().find(|member| !known.contains(&member.as_str())) {
        Some(stranger) => Err(complaint(stranger)),
        None => Ok(()),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn chat(body: &Value) -> Result<(), String> {
    only_known(body, CHAT_MEMBERS, |member| format!("Unrecognized request argument supplied: {member}"))?;
    required(body, "model")?;
    if body["messages"].as_array().is_none_or(Vec::is_empty) {
        return Err("[] is too short - 'messages'".to_owned());
    }
    if !body["stream_options"].is_null() && body["stream"] != Value::Bool(true) {
        return Err("The 'stream_options' parameter is only allowed when 'stream' is enabled.".to_owned());
    }
    if !body["tool_choice"].is_null() && body["tools"].is_null() {
        return Err("'tool_choice' is only allowed when 'tools' are specified.".to_owned());
    }
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for message in list(&body["messages"]) {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Err(
                    "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                        .to_owned(),
                );
            }
            continue;
        }
        if let Some(id) = open.first() {
            return Err(format!(
                "An assistant message with 'tool_calls' must be followed by tool messages: {id}"
            ));
        }
        open.extend(list(&message["tool_calls"]).filter_map(|call| call["id"].as_str()));
    }
    Ok(())
}

/// The two API versions that are live.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Version {
    /// `2023-06-01`
    Old,
    /// `2026-10-21`
    New,
}

impl Version {
    fn of(header: &str) -> Result<Self, String> {
        match header {
            "2023-06-01" => Ok(Self::Old),
            "2026-10-21" => Ok(Self::New),
            other => Err(format!("anthropic-version: \"{other}\" is not a valid version")),
        }
    }
}

fn messages(arrival: &Arrival, body: &Value, signatures: &BTreeSet<String>) -> Result<(), String> {
    let version = arrival.header("anthropic-version").ok_or("anthropic-version: header is required")?;
    let version = Version::of(version)?;
    let mut known = MESSAGES_MEMBERS.to_vec();
    if version == Version::Old {
        known.extend(SAMPLING);
    }
    only_known(body, &known, |member| format!("{member}: Extra inputs are not permitted"))?;
    required(body, "model")?;
    if !arrival.path.contains("/count_tokens") && body["max_tokens"].as_u64().is_none_or(|tokens| tokens == 0)
    {
        return Err("max_tokens: Field required".to_owned());
    }
    if body["messages"].as_array().is_none_or(Vec::is_empty) {
        return Err("messages: at least one message is required".to_owned());
    }
    if !body["tool_choice"].is_null() && body["tools"].as_array().is_none_or(Vec::is_empty) {
        return Err("tool_choice: may only be specified while providing tools".to_owned());
    }
    turns(body)?;
    for message in list(&body["messages"]) {
        for block in list(&message["content"]) {
            content_block(message, block, version, signatures)?;
        }
    }
    Ok(())
}

/// Every `tool_use` is answered in the very next turn, and nothing else is.
fn turns(body: &Value) -> Result<(), String> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for message in list(&body["messages"]) {
        let role = message["role"].as_str().unwrap_or_default();
        if !["user", "assistant", "system"].contains(&role) {
            return Err(format!("messages: Unexpected role \"{role}\""));
        }
        for result in list(&message["content"]).filter(|block| block["type"] == "tool_result") {
            let id = result["tool_use_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Err(format!(
                    "messages: unexpected `tool_use_id` found in `tool_result` blocks: {id}"
                ));
            }
        }
        if let Some(id) = open.first() {
            return Err(format!(
                "messages: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
            ));
        }
        open.extend(
            list(&message["content"])
                .filter(|block| block["type"] == "tool_use")
                .filter_map(|block| block["id"].as_str()),
        );
    }
    Ok(())
}

fn content_block(
    message: &Value,
    block: &Value,
    version: Version,
    signatures: &BTreeSet<String>,
) -> Result<(), String> {
    match block["type"].as_str().unwrap_or_default() {
        "text" if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) => {
            Err("messages: text content blocks must be non-empty".to_owned())
        }
        "thinking"
            if !block["signature"].as_str().is_some_and(|signature| signatures.contains(signature)) =>
        {
            Err("messages: Invalid `signature` in `thinking` block".to_owned())
        }
        "redacted_thinking" if !block["data"].as_str().is_some_and(|data| signatures.contains(data)) => {
            Err("messages: Invalid `data` in `redacted_thinking` block".to_owned())
        }
        "tool_use" if !block["input"].is_object() => {
            Err("messages: tool_use.input: Input should be a valid dictionary".to_owned())
        }
        "document" if version == Version::New && message["role"] == "assistant" => {
            Err("messages: `document` blocks are not allowed in assistant messages".to_owned())
        }
        "text" | "thinking" | "redacted_thinking" | "tool_use" | "document" | "image" | "tool_result" => {
            Ok(())
        }
        other => Err(format!(
            "messages: Input tag '{other}' found using 'type' does not match any of the expected tags"
        )),
    }
}
