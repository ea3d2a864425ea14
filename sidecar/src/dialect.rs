//! The dialects: a client's request to the neutral form and on to a partner, a partner's answer back to the client.
//!
//! Everything here is sans-IO: bytes or parsed frames in, events or bytes out; no clock, no random source. What is
//! particular to one dialect stands in its own folder; what two of them share stands beside this file.
//!
//! A request is decoded once ([`decode_request`]) and rendered for each target that is tried (`encode_request`), which
//! says what it adjusted and how the answer must be read ([`Reading`]). An answer is the same list of events whether it
//! came whole or as a stream, so each mapping exists once.

pub(crate) mod anthropic;
mod draft;
pub(crate) mod error;
pub(crate) mod fitness;
#[cfg(test)]
mod golden;
mod history;
mod id;
pub(crate) mod infer;
#[cfg(test)]
mod laws;
pub(crate) mod openai;
mod order;
mod read;
pub(crate) mod recall;
#[cfg(test)]
mod regress;
pub(crate) mod slot;
mod tally;

use std::collections::BTreeMap;
use std::time::Duration;

use chaperone_protocol::adapter::{ApiVersion, Capability, Dialect};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::snapshot::{MaxTokens, Target};
use chaperone_protocol::units::Tokens;

use crate::adapter::provider_id;
use crate::exchange::{Failure, Mode};
use crate::neutral::{Event, Request};
use crate::refusal::Refusal;
use crate::sse;

/// A partner's answer, as events in the order of [`crate::neutral`]. An answer out of order is a failure.
pub(crate) trait Decode {
    /// Takes one event of a stream. A declared error is a failure, also as the first event of a 200.
    fn event(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>) -> Result<(), Failure>;

    /// Takes a whole body, and ends.
    fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) -> Result<(), Failure>;

    /// The partner sent its last byte: a failure if its answer was not complete.
    fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Failure>;

    /// What deviated from the dialect without harm, since the last call.
    fn drift(&mut self) -> Vec<Drift>;
}

/// A client's answer: a whole body, written at [`Event::End`], or stream frames, each written at once.
pub(crate) trait Encode {
    /// Writes what `event` means to the client. Events come in the order of [`crate::neutral`].
    ///
    /// # Errors
    /// The partner's tool arguments are not JSON, and the client wants them as such.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), Failure>;

    /// How long the answer took so far. Only `/v1/infer` tells its client; say it before [`Event::End`].
    fn elapsed(&mut self, _elapsed: Duration) {}
}

/// A deviation from a dialect that does no harm by itself: a value of `chaperone_contract_drift_total{kind}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Drift {
    UnknownStopReason,
    UnknownEvent,
    UnknownBlock,
    MissingUsage,
    AbsurdUsage,
    NoTerminator,
    NoStreamOptions,
}

impl Drift {
    /// Its metric label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UnknownStopReason => "unknown_stop_reason",
            Self::UnknownEvent => "unknown_event",
            Self::UnknownBlock => "unknown_block",
            Self::MissingUsage => "missing_usage",
            Self::AbsurdUsage => "absurd_usage",
            Self::NoTerminator => "no_terminator",
            Self::NoStreamOptions => "no_stream_options",
        }
    }
}

/// What an adapter's table says about a model, by its name's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The member that holds the token limit (OpenAI).
    pub(crate) token_limit: TokenLimit,
    /// Who gives instructions (OpenAI).
    pub(crate) instructions: Instructions,
    /// Where instructions after the first turn may stand (Anthropic).
    pub(crate) later_instructions: LaterInstructions,
    /// How it is told to think.
    pub(crate) thinking: Thinking,
    /// The efforts that it knows, from the least. Empty: it takes none.
    pub(crate) efforts: &'static [&'static str],
    /// Whether it takes `temperature` and its like.
    pub(crate) sampling: Sampling,
    /// What it can carry where the Partner does not say.
    pub(crate) capabilities: &'static [Capability],
}

/// The member that holds the token limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenLimit {
    MaxTokens,
    MaxCompletionTokens,
}

/// The role in which instructions are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instructions {
    System,
    Developer,
}

/// What becomes of instructions that do not come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaterInstructions {
    /// They stay where they are.
    InPlace,
    /// They join the first ones.
    Hoisted,
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// It does not think.
    Never,
    /// With a budget of tokens.
    Budget,
    /// By effort; it may also be told not to.
    Adaptive,
    /// As [`Thinking::Adaptive`], and also where nobody asks for it.
    Unasked,
    /// By effort; it cannot be told not to.
    Always,
}

/// Whether a model takes `temperature` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    Rejected,
    /// `temperature` or `top_p`, not both.
    Either,
    Accepted,
}

/// What becomes of a hint that a target cannot carry (`x-chaperone-strict-params`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hints {
    /// It is dropped, and named.
    Named,
    /// The request is refused.
    Refused,
}

/// For whom a request is rendered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Render<'a> {
    pub(crate) target: &'a Target,
    pub(crate) facts: Facts,
    /// `default` is the route's; `cap` the least of the route's, the tenant's and the model's.
    pub(crate) max_tokens: MaxTokens,
    /// The version in which requests to Anthropic are written.
    pub(crate) api_version: ApiVersion,
    /// What the partner is asked for.
    pub(crate) mode: Mode,
    pub(crate) hints: Hints,
}

/// A request in a partner's dialect.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) body: Vec<u8>,
    /// Items of `x-chaperone-adjusted`.
    pub(crate) adjusted: Vec<String>,
    /// For the decoder of the answer.
    pub(crate) reading: Reading,
}

/// How an answer must be read, because of how its request was rendered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Tools that the partner knows by another name: theirs to the client's.
    pub(crate) names: BTreeMap<String, String>,
    /// A tool that stands for the answer's text, because the partner knows no other way to a JSON answer.
    pub(crate) text_tool: Option<String>,
}

/// How an answer is written for its client.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// What the client asked for.
    pub(crate) mode: Mode,
    /// Ids of the answer and of nameless tool calls are made from it.
    pub(crate) request_id: String,
    /// Unix seconds.
    pub(crate) created: u64,
    /// The serving model, where the partner does not name it.
    pub(crate) model: String,
    /// Whether a stream ends with its usage (OpenAI).
    pub(crate) usage: UsageChunk,
    /// Our count of the prompt, until the partner tells its own.
    pub(crate) prompt_estimate: Tokens,
    /// Who alone can read the reasoning of this answer.
    pub(crate) origin: Origin,
    /// Only for `/v1/infer`.
    pub(crate) correlation_id: Option<String>,
    /// How many attempts it took. Only for `/v1/infer`.
    pub(crate) attempts: Option<u32>,
}

/// Whether the client asked for `stream_options.include_usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageChunk {
    Wanted,
    Unwanted,
}

/// Where reasoning comes from, and to whom alone it goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) dialect: Dialect,
    /// The Partner's name.
    pub(crate) partner: String,
}

impl Origin {
    /// Of what `target` answers.
    pub(crate) fn of(target: &Target) -> Self {
        Self {
            dialect: target.partner.adapter.dialect(),
            partner: provider_id(&target.partner).as_str().to_owned(),
        }
    }
}

/// Reads what a client asks a chat model for.
///
/// # Errors
/// `InvalidRequest` for what the dialect does not allow; `UnsupportedEndpoint` for an endpoint that is no chat.
pub(crate) fn decode_request(api: ClientApi, body: &[u8]) -> Result<Request, Refusal> {
    match api {
        ClientApi::ChatCompletions => openai::decode_request(body),
        ClientApi::Completions => openai::completions::decode_request(body),
        ClientApi::Messages => anthropic::decode_request(body),
        ClientApi::Infer => infer::decode_request(body),
        ClientApi::Embeddings | ClientApi::CountTokens => Err(Refusal::new(
            chaperone_protocol::reason::Reason::UnsupportedEndpoint,
            format!("{} is not answered by a chat", api.path()),
        )),
    }
}

/// Writes answers for clients of `api`; embeddings and counts have no events and are written by their own modules.
pub(crate) fn encoder(api: ClientApi, reply: Reply) -> Box<dyn Encode + Send> {
    match api {
        ClientApi::ChatCompletions | ClientApi::Embeddings => Box::new(openai::Encoder::new(reply)),
        ClientApi::Completions => Box::new(openai::completions::Encoder::new(reply)),
        ClientApi::Messages | ClientApi::CountTokens => Box::new(anthropic::Encoder::new(reply)),
        ClientApi::Infer => Box::new(infer::Encoder::new(reply)),
    }
}
