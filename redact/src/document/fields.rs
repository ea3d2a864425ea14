//! The field tables: which strings of each dialect are not prose.
//!
//! A table lists exceptions only. Everything else is prose, also what a provider adds tomorrow:
//! strings, keys, and numbers of seven digits or more.

/// A request format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTable {
    /// OpenAI `/chat/completions`.
    OpenAiChat,
    /// OpenAI `/completions`.
    OpenAiCompletions,
    /// OpenAI `/embeddings`.
    OpenAiEmbeddings,
    /// OpenAI `/responses`.
    OpenAiResponses,
    /// Anthropic `/v1/messages` and `/v1/messages/count_tokens`.
    AnthropicMessages,
    /// The neutral `/v1/infer`.
    Infer,
    /// A body or a chunk that answers one of OpenAI's chats or completions, besides its texts: the text, reasoning,
    /// refusal, transcript and arguments of each choice are left to whoever joins them over chunks.
    OpenAiAnswer,
    /// A body or an event that answers Anthropic's messages, besides its texts: likewise.
    AnthropicAnswer,
    /// No exceptions: every string and key is prose.
    Unknown,
    /// JSON inside a string: as [`FieldTable::Unknown`], and its strings may hold JSON in turn.
    Nested,
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Text to redact.
    Prose,
    /// JSON in a string; prose if it does not parse.
    Nested,
    /// Names a user to the partner: a finding becomes a hash.
    Identifier,
    /// Has a closed set of values.
    Skip,
    /// A number that counts or dates something of the partner's; anything else is prose.
    Number,
    /// Bytes in base64 that only the partner can read; anything else is prose.
    Opaque,
    /// Image, audio or file data.
    NonText,
    /// Below here is a JSON schema.
    Schema,
    /// Nothing from here on is anybody's.
    SkipAll,
}

/// A path from the root, `*` for any element, in requests also for any key, and the class of what is there.
type Row = (&'static [&'static str], Class);

use Class::{Identifier, Nested, NonText, Number, Opaque, Schema, Skip, SkipAll};

#[rustfmt::skip]
const COMMON: &[Row] = &[
    (&["model"], Skip), (&["user"], Identifier), (&["safety_identifier"], Identifier), (&["metadata", "*"], Identifier),
    (&["prompt_cache_key"], Identifier), (&["service_tier"], Skip), (&["encoding_format"], Skip), (&["reasoning_effort"], Skip),
    (&["tool_choice"], Skip), (&["tool_choice", "type"], Skip), (&["tool_choice", "name"], Skip), (&["tool_choice", "function", "name"], Skip),
    (&["tools", "*", "type"], Skip), (&["tools", "*", "name"], Skip),
    (&["seed"], Skip), (&["max_tokens"], Skip), (&["max_completion_tokens"], Skip), (&["max_output_tokens"], Skip),
];

#[rustfmt::skip]
const CHAT: &[Row] = &[
    (&["messages", "*", "role"], Skip), (&["messages", "*", "tool_call_id"], Skip),
    (&["messages", "*", "tool_calls", "*", "id"], Skip), (&["messages", "*", "tool_calls", "*", "type"], Skip),
    (&["messages", "*", "tool_calls", "*", "function", "name"], Skip),
    (&["messages", "*", "tool_calls", "*", "function", "arguments"], Nested),
    (&["messages", "*", "function_call", "name"], Skip), (&["messages", "*", "function_call", "arguments"], Nested),
    (&["messages", "*", "content", "*", "type"], Skip), (&["messages", "*", "content"], Nested),
    (&["messages", "*", "content", "*", "image_url", "url"], NonText), (&["messages", "*", "content", "*", "image_url", "detail"], Skip),
    (&["messages", "*", "content", "*", "input_audio", "data"], NonText), (&["messages", "*", "content", "*", "input_audio", "format"], Skip),
    (&["messages", "*", "content", "*", "file", "file_data"], NonText), (&["messages", "*", "content", "*", "file", "file_id"], Skip),
    (&["tools", "*", "function", "name"], Skip), (&["tools", "*", "function", "parameters"], Schema),
    (&["functions", "*", "name"], Skip), (&["functions", "*", "parameters"], Schema),
    (&["response_format", "type"], Skip), (&["response_format", "json_schema", "name"], Skip), (&["response_format", "json_schema", "schema"], Schema),
    (&["modalities", "*"], Skip), (&["audio", "voice"], Skip), (&["audio", "format"], Skip),
];

#[rustfmt::skip]
const RESPONSES: &[Row] = &[
    (&["input", "*", "role"], Skip), (&["input", "*", "type"], Skip), (&["input", "*", "id"], Skip), (&["input", "*", "call_id"], Skip),
    (&["input", "*", "status"], Skip), (&["input", "*", "name"], Skip), (&["input", "*", "arguments"], Nested), (&["input", "*", "output"], Nested),
    (&["input", "*", "encrypted_content"], Skip), (&["input", "*", "content", "*", "type"], Skip), (&["input", "*", "content", "*", "detail"], Skip),
    (&["input", "*", "content", "*", "image_url"], NonText), (&["input", "*", "content", "*", "file_data"], NonText),
    (&["input", "*", "content", "*", "file_id"], Skip), (&["tools", "*", "parameters"], Schema), (&["previous_response_id"], Skip),
    (&["text", "format", "type"], Skip), (&["text", "format", "name"], Skip), (&["text", "format", "schema"], Schema),
    (&["text", "verbosity"], Skip), (&["reasoning", "effort"], Skip), (&["reasoning", "summary"], Skip), (&["include", "*"], Skip), (&["truncation"], Skip),
];

#[rustfmt::skip]
const MESSAGES: &[Row] = &[
    (&["messages", "*", "role"], Skip), (&["messages", "*", "content", "*", "type"], Skip), (&["messages", "*", "content", "*", "id"], Skip),
    (&["messages", "*", "content", "*", "tool_use_id"], Skip), (&["messages", "*", "content", "*", "name"], Skip),
    (&["messages", "*", "content", "*", "signature"], Skip), (&["messages", "*", "content", "*", "data"], Skip),
    (&["messages", "*", "content", "*", "cache_control", "type"], Skip), (&["messages", "*", "content", "*", "cache_control", "ttl"], Skip), (&["messages", "*", "content", "*", "content"], Nested),
    (&["messages", "*", "content", "*", "content", "*", "type"], Skip),
    (&["messages", "*", "content", "*", "source", "type"], Skip), (&["messages", "*", "content", "*", "source", "media_type"], Skip),
    (&["messages", "*", "content", "*", "source", "data"], NonText), (&["messages", "*", "content", "*", "source", "url"], NonText),
    (&["messages", "*", "content", "*", "content", "*", "source", "type"], Skip), (&["messages", "*", "content", "*", "content", "*", "source", "media_type"], Skip),
    (&["messages", "*", "content", "*", "content", "*", "source", "data"], NonText),
    (&["system", "*", "type"], Skip), (&["system", "*", "cache_control", "type"], Skip), (&["system", "*", "cache_control", "ttl"], Skip), (&["tools", "*", "input_schema"], Schema),
    (&["tools", "*", "cache_control", "type"], Skip), (&["tools", "*", "cache_control", "ttl"], Skip), (&["thinking", "type"], Skip),
];

#[rustfmt::skip]
const INFER: &[Row] = &[
    (&["modelId"], Skip), (&["parameters", "seed"], Skip), (&["parameters", "maxTokens"], Skip), (&["parameters", "max_tokens"], Skip),
    (&["parameters", "user"], Identifier), (&["parameters", "reasoningEffort"], Skip), (&["parameters", "reasoning_effort"], Skip),
    (&["metadata", "tenantId"], Skip), (&["metadata", "userId"], Identifier), (&["metadata", "correlationId"], Skip),
    // A prompt may be messages, as a chat has them, and so may the parameters be a chat's.
    (&["prompt", "*", "role"], Skip), (&["prompt", "*", "tool_call_id"], Skip),
    (&["prompt", "*", "tool_calls", "*", "id"], Skip), (&["prompt", "*", "tool_calls", "*", "type"], Skip),
    (&["prompt", "*", "tool_calls", "*", "function", "name"], Skip), (&["prompt", "*", "tool_calls", "*", "function", "arguments"], Nested),
    (&["prompt", "*", "content", "*", "type"], Skip), (&["prompt", "*", "content"], Nested),
    (&["prompt", "*", "content", "*", "image_url", "url"], NonText), (&["prompt", "*", "content", "*", "image_url", "detail"], Skip),
    (&["prompt", "*", "content", "*", "input_audio", "data"], NonText), (&["prompt", "*", "content", "*", "input_audio", "format"], Skip),
    (&["prompt", "*", "content", "*", "file", "file_data"], NonText), (&["prompt", "*", "content", "*", "file", "file_id"], Skip),
    (&["parameters", "tools", "*", "type"], Skip), (&["parameters", "tools", "*", "function", "name"], Skip),
    (&["parameters", "tools", "*", "function", "parameters"], Schema),
    (&["parameters", "toolChoice"], Skip), (&["parameters", "toolChoice", "type"], Skip), (&["parameters", "toolChoice", "function", "name"], Skip),
    (&["parameters", "tool_choice"], Skip), (&["parameters", "tool_choice", "type"], Skip), (&["parameters", "tool_choice", "function", "name"], Skip),
    (&["parameters", "responseFormat", "type"], Skip), (&["parameters", "responseFormat", "json_schema", "name"], Skip),
    (&["parameters", "responseFormat", "json_schema", "schema"], Schema), (&["parameters", "response_format", "type"], Skip),
    (&["parameters", "response_format", "json_schema", "name"], Skip), (&["parameters", "response_format", "json_schema", "schema"], Schema),
];

#[rustfmt::skip]
const OPENAI_ANSWER: &[Row] = &[
    (&["id"], Skip), (&["object"], Skip), (&["created"], Number), (&["model"], Skip), (&["system_fingerprint"], Skip), (&["service_tier"], Skip),
    (&["usage"], SkipAll), (&["choices", "*", "logprobs"], SkipAll), (&["choices", "*", "finish_reason"], Skip), (&["choices", "*", "text"], Skip),
    (&["choices", "*", "message", "role"], Skip), (&["choices", "*", "delta", "role"], Skip),
    (&["choices", "*", "message", "content"], Skip), (&["choices", "*", "delta", "content"], Skip),
    (&["choices", "*", "message", "content", "*", "type"], Skip), (&["choices", "*", "delta", "content", "*", "type"], Skip),
    (&["choices", "*", "message", "content", "*", "text"], Skip), (&["choices", "*", "delta", "content", "*", "text"], Skip),
    (&["choices", "*", "message", "refusal"], Skip), (&["choices", "*", "delta", "refusal"], Skip),
    (&["choices", "*", "message", "reasoning_content"], Skip), (&["choices", "*", "delta", "reasoning_content"], Skip),
    (&["choices", "*", "message", "reasoning"], Skip), (&["choices", "*", "delta", "reasoning"], Skip),
    (&["choices", "*", "message", "tool_calls", "*", "id"], Skip), (&["choices", "*", "delta", "tool_calls", "*", "id"], Skip),
    (&["choices", "*", "message", "tool_calls", "*", "type"], Skip), (&["choices", "*", "delta", "tool_calls", "*", "type"], Skip),
    (&["choices", "*", "message", "tool_calls", "*", "function", "name"], Skip), (&["choices", "*", "delta", "tool_calls", "*", "function", "name"], Skip),
    (&["choices", "*", "message", "tool_calls", "*", "function", "arguments"], Skip), (&["choices", "*", "delta", "tool_calls", "*", "function", "arguments"], Skip),
    (&["choices", "*", "message", "tool_calls", "*", "custom", "name"], Skip), (&["choices", "*", "delta", "tool_calls", "*", "custom", "name"], Skip),
    (&["choices", "*", "message", "tool_calls", "*", "custom", "input"], Skip), (&["choices", "*", "delta", "tool_calls", "*", "custom", "input"], Skip),
    (&["choices", "*", "message", "reasoning_details", "*", "type"], Skip), (&["choices", "*", "delta", "reasoning_details", "*", "type"], Skip),
    (&["choices", "*", "message", "reasoning_details", "*", "text"], Skip), (&["choices", "*", "delta", "reasoning_details", "*", "text"], Skip),
    (&["choices", "*", "message", "reasoning_details", "*", "summary"], Skip), (&["choices", "*", "delta", "reasoning_details", "*", "summary"], Skip),
    (&["choices", "*", "message", "content", "*", "thinking", "*", "type"], Skip), (&["choices", "*", "delta", "content", "*", "thinking", "*", "type"], Skip),
    (&["choices", "*", "message", "content", "*", "thinking", "*", "text"], Skip), (&["choices", "*", "delta", "content", "*", "thinking", "*", "text"], Skip),
    (&["choices", "*", "message", "function_call", "name"], Skip), (&["choices", "*", "delta", "function_call", "name"], Skip),
    (&["choices", "*", "message", "function_call", "arguments"], Skip), (&["choices", "*", "delta", "function_call", "arguments"], Skip),
    (&["choices", "*", "message", "annotations", "*", "type"], Skip), (&["choices", "*", "delta", "annotations", "*", "type"], Skip),
    (&["choices", "*", "message", "audio", "id"], Skip), (&["choices", "*", "delta", "audio", "id"], Skip),
    (&["choices", "*", "message", "audio", "expires_at"], Number), (&["choices", "*", "delta", "audio", "expires_at"], Number),
    (&["choices", "*", "message", "audio", "transcript"], Skip), (&["choices", "*", "delta", "audio", "transcript"], Skip),
    (&["choices", "*", "message", "audio", "data"], NonText), (&["choices", "*", "delta", "audio", "data"], NonText),
];

#[rustfmt::skip]
const ANTHROPIC_ANSWER: &[Row] = &[
    (&["id"], Skip), (&["type"], Skip), (&["role"], Skip), (&["model"], Skip), (&["stop_reason"], Skip), (&["usage"], SkipAll), (&["container", "id"], Skip),
    (&["message", "id"], Skip), (&["message", "type"], Skip), (&["message", "role"], Skip), (&["message", "model"], Skip), (&["message", "usage"], SkipAll),
    (&["delta", "type"], Skip), (&["delta", "text"], Skip), (&["delta", "thinking"], Skip), (&["delta", "partial_json"], Skip),
    (&["delta", "signature"], Opaque), (&["delta", "stop_reason"], Skip), (&["delta", "container", "id"], Skip),
    (&["delta", "citation", "type"], Skip), (&["delta", "citation", "encrypted_index"], Opaque), (&["delta", "citation", "file_id"], Skip),
    (&["content_block", "type"], Skip), (&["content_block", "id"], Skip), (&["content_block", "name"], Skip), (&["content_block", "tool_use_id"], Skip),
    (&["content_block", "text"], Skip), (&["content_block", "thinking"], Skip), (&["content_block", "signature"], Opaque), (&["content_block", "data"], Opaque),
    (&["content_block", "content", "*", "type"], Skip), (&["content_block", "content", "*", "encrypted_content"], Opaque),
    (&["content", "*", "type"], Skip), (&["content", "*", "id"], Skip), (&["content", "*", "name"], Skip), (&["content", "*", "tool_use_id"], Skip),
    (&["content", "*", "text"], Skip), (&["content", "*", "thinking"], Skip), (&["content", "*", "signature"], Opaque), (&["content", "*", "data"], Opaque),
    (&["content", "*", "input"], SkipAll), (&["content", "*", "content", "*", "type"], Skip), (&["content", "*", "content", "*", "encrypted_content"], Opaque),
    (&["content", "*", "citations", "*", "type"], Skip), (&["content", "*", "citations", "*", "encrypted_index"], Opaque), (&["content", "*", "citations", "*", "file_id"], Skip),
];

impl FieldTable {
    const fn is_answer(self) -> bool {
        matches!(self, Self::OpenAiAnswer | Self::AnthropicAnswer)
    }

    const fn rows(self) -> [&'static [Row]; 2] {
        match self {
            Self::OpenAiChat => [CHAT, COMMON],
            Self::OpenAiCompletions | Self::OpenAiEmbeddings => [COMMON, &[]],
            Self::OpenAiResponses => [RESPONSES, COMMON],
            Self::AnthropicMessages => [MESSAGES, COMMON],
            Self::Infer => [INFER, &[]],
            Self::OpenAiAnswer => [OPENAI_ANSWER, &[]],
            Self::AnthropicAnswer => [ANTHROPIC_ANSWER, &[]],
            Self::Unknown | Self::Nested => [&[], &[]],
        }
    }
}

/// One step down.
#[derive(Clone, Copy)]
pub(super) enum Step<'k> {
    Element,
    Key(&'k [u8]),
}

/// Where the walk is: rows that still match, or a mode that a row switched on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    table: FieldTable,
    /// One bit per row of the table.
    rows: u64,
    depth: usize,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Table,
    /// A JSON schema.
    Schema,
    /// Names of properties; their values are schemas.
    Properties,
    /// Strings here belong to the format, not to people.
    Closed,
    /// A default or an example within a schema.
    Prose,
}

impl Place {
    pub(super) const fn root(table: FieldTable) -> Self {
        Self { table, rows: u64::MAX, depth: 0, mode: Mode::Table }
    }

    pub(super) fn step(self, step: Step<'_>) -> Self {
        let mode = match self.mode {
            Mode::Table => return self.step_table(step),
            Mode::Schema => match step {
                Step::Key(b"properties" | b"$defs" | b"definitions" | b"patternProperties") => {
                    Mode::Properties
                }
                Step::Key(
                    b"default" | b"examples" | b"example" | b"description" | b"title" | b"$comment",
                ) => Mode::Prose,
                Step::Key(
                    b"enum" | b"type" | b"required" | b"format" | b"pattern" | b"$ref" | b"$id" | b"$schema"
                    | b"const",
                ) => Mode::Closed,
                Step::Key(_) | Step::Element => Mode::Schema,
            },
            Mode::Properties => Mode::Schema,
            same @ (Mode::Closed | Mode::Prose) => same,
        };
        Self { mode, ..self }
    }

    fn step_table(self, step: Step<'_>) -> Self {
        let mut rows = 0;
        for (at, row) in self.all_rows() {
            let fits = row.0.get(self.depth).is_some_and(|part| match step {
                Step::Element => *part == "*",
                Step::Key(key) => part.as_bytes() == key || (*part == "*" && !self.table.is_answer()),
            });
            rows |= u64::from(fits && self.rows & (1 << at) != 0) << at;
        }
        let next = Self { rows, depth: self.depth + 1, ..self };
        let mode = match next.exact() {
            Some(Schema) => Mode::Schema,
            Some(SkipAll) => Mode::Closed,
            Some(Class::Prose | Nested | Identifier | Skip | Number | Opaque | NonText) | None => Mode::Table,
        };
        Self { mode, ..next }
    }

    fn all_rows(&self) -> impl Iterator<Item = (usize, &'static Row)> + use<> {
        let [first, second] = self.table.rows();
        first.iter().chain(second).enumerate()
    }

    /// The class of the row that ends exactly here.
    fn exact(&self) -> Option<Class> {
        let found = self.all_rows().find(|(at, row)| self.rows & (1 << at) != 0 && row.0.len() == self.depth);
        found.map(|(_, row)| row.1)
    }

    /// What a string here is.
    pub(super) fn class(self) -> Class {
        match self.mode {
            Mode::Table if self.table == FieldTable::Nested => Nested,
            Mode::Table => self.exact().filter(|class| *class != Number).unwrap_or(Class::Prose),
            Mode::Schema | Mode::Prose => Class::Prose,
            Mode::Properties | Mode::Closed => Skip,
        }
    }

    /// What a number here is: the bounds in a schema are nobody's. In an answer, which its partner writes as it likes,
    /// one in the place of a string is prose.
    pub(super) fn number_class(self) -> Class {
        match self.mode {
            Mode::Schema => Skip,
            Mode::Table if self.exact() == Some(Number) => Skip,
            Mode::Table if self.table.is_answer() => Class::Prose,
            Mode::Table | Mode::Properties | Mode::Closed | Mode::Prose => self.class(),
        }
    }

    /// What `key` of an object here is: prose, unless a row names it. A row's `*` names nothing.
    pub(super) fn key_class(self, key: &[u8]) -> Class {
        let names = |(at, row): (usize, &Row)| {
            self.rows & (1 << at) != 0 && row.0.get(self.depth).is_some_and(|part| part.as_bytes() == key)
        };
        match self.mode {
            Mode::Table if self.all_rows().any(names) => Skip,
            Mode::Table | Mode::Prose => Class::Prose,
            Mode::Schema | Mode::Properties | Mode::Closed => Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_fits_its_bit_set() {
        for table in [
            FieldTable::OpenAiChat,
            FieldTable::OpenAiResponses,
            FieldTable::AnthropicMessages,
            FieldTable::Infer,
            FieldTable::OpenAiAnswer,
            FieldTable::AnthropicAnswer,
        ] {
            assert!(table.rows().iter().map(|rows| rows.len()).sum::<usize>() <= 64);
        }
    }
}
