//! What is written when a request ends: one JSON line. Content is not in it: lengths, counts, names and closed enums are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::Serialize;

/// The line. Its keys are stable.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line {
    pub(super) ts: String,
    pub(super) event: Event,
    pub(super) request_id: String,
    pub(super) correlation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alias: Option<String>,
    pub(super) client_api: &'static str,
    pub(super) streaming: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_asked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model_served: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema_version: Option<String>,
    pub(super) attempts: Vec<AttemptLine>,
    /// The declared fault that was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    pub(super) status: u16,
    pub(super) tokens: TokensLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_micro_usd: Option<u64>,
    pub(super) ms: Milliseconds,
    pub(super) bytes: BytesLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pii: Option<PiiLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) adjusted: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct AttemptLine {
    pub(super) partner: String,
    pub(super) model: String,
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    /// Whether a declared fault was played on it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) injected: bool,
    pub(super) ms: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct TokensLine {
    pub(super) prompt: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) reasoning: u64,
    pub(super) known: &'static str,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Milliseconds {
    pub(super) total: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) queue: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_token: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct BytesLine {
    #[serde(rename = "in")]
    pub(super) received: u64,
    pub(super) out: u64,
}

/// Personal data that was found, in requests and answers together: counts by label, and what was done; never values.
#[derive(Debug, Default, Serialize)]
pub(super) struct PiiLine {
    pub(super) found: BTreeMap<String, u32>,
    pub(super) action: BTreeSet<&'static str>,
}

/// How a request ended. One that nobody says anything else of was left by its app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) enum Event {
    #[serde(rename = "request_served")]
    Served,
    #[serde(rename = "request_refused")]
    Refused,
    #[default]
    #[serde(rename = "client_gone")]
    ClientGone,
}

impl Event {
    /// The metrics' label.
    pub(super) fn outcome(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Refused => "refused",
            Self::ClientGone => "client_gone",
        }
    }
}

/// How a served answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// As the model wanted.
    Complete,
    /// At a token limit.
    Length,
    /// By a failure after the commit point.
    Broken,
}

impl Ending {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Length => "length",
            Self::Broken => "broken",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}
