//! Which members of a request we read or edit: one table for all endpoints.
//!
//! Unknown members pass through unread, wherever they stand.

use crate::json::{ELSEWHERE, Map, Place, ROOT, Rule, Want};

const MESSAGES: Place = Place(1);
/// A message.
pub(crate) const MESSAGE: Place = Place(2);
const PARTS: Place = Place(3);
/// A part of a message's content.
pub(crate) const PART: Place = Place(4);
/// `stream_options`
pub(crate) const STREAM_OPTIONS: Place = Place(5);
const PARAMETERS: Place = Place(6);
/// `metadata`
pub(crate) const METADATA: Place = Place(7);
const TOOLS: Place = Place(8);
const TOOL: Place = Place(9);

/// The names of the token limit.
pub(crate) const LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

/// Types of parts that not every model can carry.
const MEDIA: &[&str] = &["image_url", "image", "document", "file", "input_audio"];

const fn range(at: Place, key: &'static str, then: Place) -> Rule {
    Rule { at, key, then, want: Want::Range }
}

const fn once(at: Place, key: &'static str, then: Place) -> Rule {
    Rule { at, key, then, want: Want::Once }
}

const fn absent(at: Place, key: &'static str) -> Rule {
    Rule { at, key, then: ELSEWHERE, want: Want::Absent }
}

pub(super) const MAP: Map = Map {
    rules: &[
        range(ROOT, "model", ELSEWHERE),
        range(ROOT, "modelId", ELSEWHERE),
        range(ROOT, "messages", MESSAGES),
        range(ROOT, "system", PARTS),
        range(ROOT, "prompt", MESSAGES),
        range(ROOT, "input", MESSAGES),
        range(ROOT, "tools", TOOLS),
        range(ROOT, "stream", ELSEWHERE),
        range(ROOT, "stream_options", STREAM_OPTIONS),
        range(ROOT, "max_tokens", ELSEWHERE),
        range(ROOT, "max_completion_tokens", ELSEWHERE),
        range(ROOT, "n", ELSEWHERE),
        range(ROOT, "best_of", ELSEWHERE),
        range(ROOT, "logprobs", ELSEWHERE),
        range(ROOT, "modalities", ELSEWHERE),
        once(ROOT, "tool_choice", ELSEWHERE),
        once(ROOT, "response_format", ELSEWHERE),
        once(ROOT, "parameters", PARAMETERS),
        once(ROOT, "metadata", METADATA),
        once(ROOT, "user", ELSEWHERE),
        absent(ROOT, "api_base"),
        absent(ROOT, "base_url"),
        absent(PARAMETERS, "api_base"),
        absent(PARAMETERS, "base_url"),
        once(PARAMETERS, "maxTokens", ELSEWHERE),
        once(PARAMETERS, "max_tokens", ELSEWHERE),
        once(PARAMETERS, "tools", TOOLS),
        range(METADATA, "tenantId", ELSEWHERE),
        range(METADATA, "userId", ELSEWHERE),
        range(METADATA, "correlationId", ELSEWHERE),
        range(STREAM_OPTIONS, "include_usage", ELSEWHERE),
        Rule { at: MESSAGE, key: "role", then: ELSEWHERE, want: Want::Among(&["developer"]) },
        once(MESSAGE, "content", PARTS),
        once(MESSAGE, "tool_calls", ELSEWHERE),
        once(MESSAGE, "tool_call_id", ELSEWHERE),
        once(MESSAGE, "name", ELSEWHERE),
        Rule { at: PART, key: "type", then: ELSEWHERE, want: Want::Among(MEDIA) },
        once(PART, "text", ELSEWHERE),
        once(PART, "content", PARTS),
        once(PART, "input", ELSEWHERE),
        once(PART, "thinking", ELSEWHERE),
        once(TOOL, "name", ELSEWHERE),
        once(TOOL, "function", ELSEWHERE),
        once(TOOL, "input_schema", ELSEWHERE),
    ],
    elements: &[(MESSAGES, MESSAGE), (PARTS, PART), (TOOLS, TOOL)],
};
