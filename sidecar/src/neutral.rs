//! The neutral form of a request and of an answer, through which dialects are translated.
//!
//! An answer is a list of events, whole or streamed, in the only legal order:
//! `Start (BlockStart Delta* BlockStop)* Stop End`, with `Usage` and `Ping` anywhere. Only tool blocks may overlap.
//! Text is decoded; JSON (tool arguments, schemas, numbers) keeps its source text.

use std::fmt;

use chaperone_protocol::adapter::Capability;
use chaperone_protocol::units::Tokens;
use serde_json::value::RawValue;

/// JSON as its author wrote it.
pub(crate) type Raw = Box<RawValue>;

/// A request to a chat model, whichever dialect it came in.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    /// `Some(false)`: at most one call in a turn.
    pub(crate) parallel_tools: Option<bool>,
    pub(crate) max_tokens: Option<Tokens>,
    pub(crate) temperature: Option<Raw>,
    pub(crate) top_p: Option<Raw>,
    pub(crate) top_k: Option<Raw>,
    pub(crate) seed: Option<Raw>,
    pub(crate) presence_penalty: Option<Raw>,
    pub(crate) frequency_penalty: Option<Raw>,
    pub(crate) stop: Vec<String>,
    pub(crate) format: Format,
    pub(crate) reasoning: Option<Reasoning>,
    pub(crate) user: Option<String>,
    /// Fields that only their own dialect can carry, by class.
    pub(crate) foreign: Vec<Foreign>,
    /// What a target must be able to carry, each with the first place that needs it.
    pub(crate) needs: Vec<Need>,
}

impl fmt::Debug for Request {
    /// Counts only: a prompt is not printed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, tools, needs, .. } = self;
        write!(formatter, "Request({} turns, {} tools, {needs:?})", turns.len(), tools.len())
    }
}

/// Something that not every model can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) capability: Capability,
    /// Where it stands, as `messages[3].content[1]`.
    pub(crate) path: String,
}

/// A field that the neutral form has no place for.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// Where it stands, as `messages[3].content[1]`.
    pub(crate) path: String,
    pub(crate) weight: Weight,
    /// What a model would need for it, where there is a word for that.
    pub(crate) capability: Option<Capability>,
}

/// What becomes of a field that a target cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Leaving it out would change the meaning: the request is refused, naming it.
    Meaning,
    /// It is dropped, and named in `x-chaperone-adjusted`.
    Hint,
}

pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

pub(crate) enum Part {
    Text(String),
    Image(Media),
    Document(Media),
    /// What is before it may be cached: Anthropic's `cache_control`, as its author wrote it.
    CachePoint(Raw),
    ToolCall {
        id: String,
        name: String,
        arguments: Raw,
    },
    ToolResult {
        id: String,
        parts: Vec<Part>,
        is_error: bool,
    },
    /// Text of a thought, with what its partner needs back to believe it.
    Reasoning {
        text: String,
        slot: Option<String>,
    },
    /// A thought that only its partner can read.
    Opaque {
        slot: String,
    },
}

/// An image or a document.
pub(crate) struct Media {
    /// Where it stands in the client's body.
    pub(crate) path: String,
    /// The name of its file, or its title.
    pub(crate) name: Option<String>,
    pub(crate) source: Source,
}

/// Where an image's or document's content is.
pub(crate) enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Url(String),
    /// A document of plain text.
    Text(String),
}

pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) parameters: Option<Raw>,
    pub(crate) strict: Option<bool>,
}

#[derive(Debug)]
pub(crate) enum ToolChoice {
    Auto,
    Required,
    None,
    Named(String),
}

#[derive(Debug, Default)]
pub(crate) enum Format {
    #[default]
    Text,
    JsonObject,
    JsonSchema {
        name: Option<String>,
        schema: Raw,
        strict: Option<bool>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reasoning {
    Effort(String),
    Budget(Tokens),
    Off,
}

/// One event of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Start {
        id: Option<String>,
        model: Option<String>,
    },
    BlockStart {
        index: usize,
        block: Block,
    },
    Delta {
        index: usize,
        text: String,
    },
    /// Of a reasoning block: what its partner needs back to believe it.
    Signature {
        index: usize,
        signature: String,
    },
    BlockStop {
        index: usize,
    },
    /// Cumulative: set, never add. An absent number leaves the one before.
    Usage(Usage),
    Stop(Stop),
    Ping,
    End,
}

impl Event {
    /// Whether it is a meaningful token, which commits the answer.
    pub(crate) fn is_meaningful(&self) -> bool {
        match self {
            Self::Delta { text, .. } => !text.is_empty(),
            Self::BlockStart { block, .. } => matches!(block, Block::Tool { .. } | Block::Opaque { .. }),
            Self::Start { .. }
            | Self::Signature { .. }
            | Self::BlockStop { .. }
            | Self::Usage(_)
            | Self::Stop(_)
            | Self::Ping
            | Self::End => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Text,
    Reasoning,
    Tool {
        id: String,
        name: String,
    },
    Opaque {
        data: String,
    },
    /// The model's own words for not answering.
    Refusal,
}

/// What an answer cost, in tokens. Reasoning is part of `output`, cached and written cache are part of `prompt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) prompt: Option<Tokens>,
    pub(crate) cached: Option<Tokens>,
    pub(crate) cache_written: Option<Tokens>,
    pub(crate) output: Option<Tokens>,
    pub(crate) reasoning: Option<Tokens>,
}

impl Usage {
    /// Takes over what `later` says, and keeps what it leaves out.
    pub(crate) fn update(&mut self, later: Self) {
        self.prompt = later.prompt.or(self.prompt);
        self.cached = later.cached.or(self.cached);
        self.cache_written = later.cache_written.or(self.cache_written);
        self.output = later.output.or(self.output);
        self.reasoning = later.reasoning.or(self.reasoning);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The model had said what it wanted to say.
    Complete,
    /// A token limit.
    Length,
    /// It waits for the results of tools.
    Tools,
    /// It would not, or a filter would not let it.
    Refused,
    /// A stop sequence of the request.
    Sequence,
    /// Our own cut, because a budget has ended.
    Budget,
}
