//! One request as one partner sees it, and that partner's answer as the app sees it. No I/O, no clock.
//!
//! The pipeline knows dialects only through this file: [`exchange`] turns a prompt and a target into what is sent and
//! an [`Answer`], which turns the partner's bytes into the app's.

mod amend;
mod answer;
pub(crate) mod codec;
mod events;
pub(crate) mod forward;
mod progress;
#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::pair::{self, Path};
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{MaxTokens, Route, Target, WholeAnswers};
use chaperone_protocol::units::Tokens;
use http::HeaderMap;

pub(crate) use self::answer::Answer;
pub(crate) use self::progress::Progress;
use crate::adapter::{self, mock::MockScript};
use crate::dialect::recall::Recall;
use crate::dialect::{Hints, Render};
use crate::passthrough;
use crate::pii::Rewrite;
use crate::prompt::Redacted;
use crate::refusal::Refusal;

/// Why an attempt did not bring an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The stable code; [`crate::pipeline`]'s plan decides by it what is tried next.
    pub(crate) reason: Reason,
    /// For the app, where the partner's words help it: only of requests that the partner found at fault.
    pub(crate) message: Option<String>,
    /// How long the partner asks us to wait.
    pub(crate) retry_after: Option<Duration>,
    /// How much of the request the partner has seen.
    pub(crate) reached: Reached,
    /// For whom what it says of the credential holds.
    pub(crate) extent: Extent,
}

/// For whom the refusal of a credential holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Perhaps for this Pod or this request alone.
    Here,
    /// For whoever uses it.
    Everywhere,
}

/// How much of a request its partner has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reached {
    /// Less than all of it: it cannot have begun to work.
    Nothing,
    /// It says itself that it did not begin to work.
    Unprocessed,
    #[default]
    Everything,
}

impl Failure {
    /// A failure without words or advice of the partner.
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, message: None, retry_after: None, reached: Reached::Everything, extent: Extent::Here }
    }
}

/// What a partner was asked for, or an app asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Whole,
    Stream,
}

/// What is sent to a partner, but for its address and its key.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The path and query, the endpoint's path included.
    pub(crate) path: String,
    /// Headers of the dialect. Neither the key nor anything of the app's that is not the dialect's.
    pub(crate) headers: HeaderMap,
    /// The body: slices of the app's own bytes, and edits between them.
    pub(crate) body: Vec<Bytes>,
    /// What is asked for.
    pub(crate) mode: Mode,
}

/// Whether a partner takes `stream_options`. A few compatible servers answer 400 to it: then
/// [`Answer::refuses_stream_options`], and the request is asked once more without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StreamOptions {
    #[default]
    Taken,
    Refused,
}

/// A request for one target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// Only what was redacted for this target can be rendered.
    pub(crate) prompt: &'a Redacted,
    /// What its answer needs.
    pub(crate) rewrite: &'a Rewrite,
    pub(crate) target: &'a Target,
    pub(crate) route: &'a Route,
    /// The longest answer that the tenant may ask for.
    pub(crate) tenant_cap: Option<Tokens>,
    /// The app's: the version and the betas of its dialect are read from it, and how strict it wants us to be.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) request_id: &'a str,
    /// What the app is told it belongs to; `/v1/infer` echoes it.
    pub(crate) correlation_id: &'a str,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// When the request came, in seconds since 1970.
    pub(crate) created: u64,
    /// What is known of the partner since the start of the process.
    pub(crate) stream_options: StreamOptions,
    /// Thoughts of earlier turns that the app did not send back.
    pub(crate) recall: Recall<'a>,
}

/// How one target serves a request.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// By its partner.
    Partner(Outgoing, Answer),
    /// By a script: its events go to [`Answer::events`], its body to [`Answer::push`] and its status to
    /// [`Answer::failure`], each at its time.
    Mock(MockScript, Answer),
    /// By us, at once.
    Local(LocalAnswer),
}

/// An answer that needs no partner.
#[derive(Debug)]
pub(crate) struct LocalAnswer {
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
}

/// An [`Exchange`], and what had to be changed for it.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) exchange: Exchange,
    /// Items of `x-chaperone-adjusted`.
    pub(crate) adjusted: Vec<String>,
}

impl<'a> Ask<'a> {
    /// Bounds of the answer's length: the route's default, and the least of all caps.
    pub(crate) fn max_tokens(&self) -> MaxTokens {
        let MaxTokens { default, cap } = self.route.max_tokens;
        let caps = [cap, self.tenant_cap, self.target.model.max_output_tokens];
        MaxTokens { default, cap: caps.into_iter().flatten().min() }
    }

    /// For whom the request is rendered, in `mode`.
    pub(crate) fn render(&self, mode: Mode) -> Render<'a> {
        let target = self.target;
        let is_strict =
            self.headers.get("x-chaperone-strict-params").is_some_and(|value| value.as_bytes() == b"true");
        Render {
            target,
            facts: adapter::facts(target.partner.adapter, target.model_name.as_str()),
            max_tokens: self.max_tokens(),
            api_version: target.partner.api_version,
            mode,
            hints: if is_strict { Hints::Refused } else { Hints::Named },
        }
    }

    /// Whether whole answers are asked for as streams by the route's wish.
    pub(crate) fn wants_assembly(&self) -> bool {
        self.route.whole_answers == WholeAnswers::Stream
    }
}

/// Turns a request into what its target gets, and into the reader of the answer.
///
/// # Errors
/// The target cannot carry the request: another one might.
pub(crate) fn exchange(ask: &Ask<'_>) -> Result<Exchanged, Refusal> {
    let (api, adapter) = (ask.prompt.api(), ask.target.partner.adapter);
    match pair::path(api, adapter) {
        Some(Path::Passthrough) => passthrough::exchange(ask),
        Some(Path::Translate) => match &ask.target.partner.mock {
            Some(mock) => codec::play(ask, mock),
            None => codec::translate(ask),
        },
        Some(Path::Local) => Ok(count_here(ask)),
        None => Err(Refusal::new(
            Reason::UnsupportedEndpoint,
            format!("{} cannot be served by a partner of kind {}", api.path(), adapter.as_str()),
        )),
    }
}

/// Our own count of a prompt's tokens, where the partner has no endpoint for it.
fn count_here(ask: &Ask<'_>) -> Exchanged {
    let count = ask.prompt.likely_tokens().0;
    let body = Bytes::from(format!("{{\"input_tokens\":{count}}}"));
    Exchanged {
        exchange: Exchange::Local(LocalAnswer { body, content_type: "application/json" }),
        adjusted: vec!["input_tokens=estimated".to_owned()],
    }
}
