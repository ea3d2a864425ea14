//! What a partner is told to answer. The script travels as JSON to `POST /__script`.
//!
//! A [`Reply`] is neutral: the partner renders it in the wire format of the path that was called,
//! whole or streamed as the request asked. One script thus serves every cell of the SDK matrix.
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The whole script: the first step that fits a request and is not used up answers it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Script {
    /// Tried in order.
    pub steps: Vec<Step>,
    /// Whether the log leaves out bodies: for tests with many large prompts.
    #[serde(default)]
    pub drop_bodies: bool,
}

/// One answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Step {
    /// Only for requests whose path ends like this; absent: any POST.
    pub path: Option<String>,
    /// Only for requests whose body contains this; absent: any.
    pub when: Option<String>,
    /// How many requests it answers; absent: all that are left.
    pub times: Option<u32>,
    /// Time before the first byte.
    pub delay_ms: u64,
    /// Status of the answer; absent: 200.
    pub status: Option<u16>,
    /// Further header fields, in order. A `content-type` here replaces ours.
    pub headers: Vec<(String, String)>,
    /// What is said.
    pub body: Body,
    /// How it is put on the wire.
    pub shape: Shape,
}

/// The content of an answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Body {
    /// A model's answer, rendered in the dialect of the path.
    Reply(Reply),
    /// An error in the dialect of the path.
    Error(ErrorBody),
    /// This document.
    Json(Value),
    /// These bytes as UTF-8; the content type is `text/plain` unless a header says otherwise.
    Text(String),
    /// A stream of these frames, each written in one go, verbatim. Content type `text/event-stream`.
    Frames(Vec<String>),
    /// A run of the same frame, `times` over, for floods. Content type `text/event-stream`.
    Flood {
        /// One frame, verbatim.
        frame: String,
        /// How often.
        times: usize,
    },
    /// Zeros, compressed; the `content-encoding` is set.
    Bomb {
        /// Size when unpacked.
        bytes: usize,
    },
    /// Base64 of a body.
    Bytes(String),
    /// Base64 of everything that goes on the wire, head included; then the connection is closed.
    Wire(String),
    /// The connection is closed before the head.
    Abort,
}

impl Default for Body {
    fn default() -> Self {
        Self::Reply(Reply::default())
    }
}

/// An error as a provider reports it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ErrorBody {
    /// The provider's type, such as `overloaded_error`.
    pub kind: String,
    /// The provider's code, such as `insufficient_quota` (`OpenAI` only).
    pub code: Option<String>,
    /// What it says.
    pub message: String,
    /// Sent as the first event of a 200 stream instead of as a status.
    pub as_event: bool,
}

/// How an answer is put on the wire.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shape {
    /// Cuts the content into pieces of this size, each its own chunk and write.
    pub chunk_bytes: Option<usize>,
    /// Time between two pieces.
    pub pause_ms: u64,
    /// Closes the connection after this many bytes of content.
    pub cut_after_bytes: Option<usize>,
    /// Falls silent, with the connection open, after this many pieces.
    pub stall_after: Option<usize>,
    /// Waits after this many pieces for `POST /__release`.
    pub hold_after: Option<usize>,
    /// Overrides how the end of the content is told.
    pub framing: Option<Framing>,
}

/// How the end of the content is told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Framing {
    /// `content-length`.
    Length,
    /// `transfer-encoding: chunked`.
    Chunked,
    /// Neither: the end of the connection.
    Close,
}

/// What a model says, free of any dialect.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Reply {
    /// In order.
    pub blocks: Vec<Block>,
    /// Why it ended; absent: by itself, or for its tools.
    pub stop: Option<Stop>,
    /// Tokens used; `None` is a provider that does not tell.
    pub usage: Option<Usage>,
    /// The model that answered; absent: the one asked for.
    pub model: Option<String>,
    /// Breaks a stream with an error event after this many content events.
    pub error_after: Option<usize>,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            blocks: vec![Block::Text("Hello from the partner.".to_owned())],
            stop: None,
            usage: Some(Usage::default()),
            model: None,
            error_after: None,
        }
    }
}

/// One part of an answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Block {
    /// Visible text.
    Text(String),
    /// Reasoning; `OpenAI`'s format has no place for the signature.
    Thinking {
        /// The visible part.
        text: String,
        /// Opaque; must come back byte for byte.
        signature: String,
    },
    /// Reasoning that only its maker can read.
    RedactedThinking(String),
    /// A call.
    Tool {
        /// Its id, in the provider's own style.
        id: String,
        /// The function.
        name: String,
        /// A JSON object, as text.
        arguments: String,
    },
    /// A refusal in words (`OpenAI`); text elsewhere.
    Refusal(String),
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stop {
    /// By itself.
    End,
    /// For its tools.
    Tools,
    /// At the token limit.
    Length,
    /// At a stop sequence.
    Sequence,
    /// By the provider's policy.
    Refusal,
}

/// Tokens used. `input` and `output` are totals; the others are parts of them.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Usage {
    /// Of the prompt, cached ones included.
    pub input: u64,
    /// Of the answer, reasoning included.
    pub output: u64,
    /// Read from a cache.
    pub cached: u64,
    /// Written to a cache (`Anthropic` only).
    pub cache_creation: u64,
    /// Spent on reasoning.
    pub reasoning: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 17, output: 5, cached: 0, cache_creation: 0, reasoning: 0 }
    }
}

impl Block {
    /// Splits text into the deltas of a stream: words with the space before them.
    #[must_use]
    pub fn words(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.char_indices().skip(1).find(|(_, c)| *c == ' ').map_or(rest.len(), |(at, _)| at);
            let (word, tail) = rest.split_at(end);
            words.push(word);
            rest = tail;
        }
        words
    }
}
