//! One request as one partner sees it, and that partner's answer as the app sees it. No I/O, no clock.
//!
//! The pipeline knows dialects only through this file: [`exchange`] turns a prompt and a target into what is sent and
//! an [`Answer`], which turns the partner's bytes into the app's.

use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Route, Target};
use chaperone_protocol::units::Tokens;
use http::{HeaderMap, StatusCode};

use crate::neutral::{Stop, Usage};

/// Why an attempt did not bring an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The stable code; [`crate::pipeline`]'s plan decides by it what is tried next.
    pub(crate) reason: Reason,
    /// For the app, where the partner's words help it: only of requests that the partner found at fault.
    pub(crate) message: Option<String>,
    /// How long the partner asks us to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without words or advice of the partner.
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, message: None, retry_after: None }
    }
}

/// What a partner was asked for.
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
