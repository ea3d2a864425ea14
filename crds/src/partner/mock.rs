//! What the built-in partner plays: deterministic, without a network.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::explain::explain_values;
use crate::field::{DurationString, duration_within};

/// What adapter Mock answers, how fast, and how often it fails.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.reply == 'Text') == has(self.text)")
    .message("`text` goes with `reply: Text`: set both, or neither"))]
pub struct Mock {
    /// What it answers; default `Echo`.
    #[serde(default)]
    pub reply: MockReply,
    /// The answer, at most 65536 characters. Needed with `reply: Text`, refused without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub text: Option<String>,
    /// Time before the first token, from 0s to 1h; default `0s`. Example: `6s`, to see a fallback.
    #[serde(default = "at_once")]
    #[x_kube(validation = duration_within("0s", "1h"))]
    pub first_token_delay: DurationString,
    /// How many tokens it speaks per second, up to 100000; default 0, which means all at once. Example: `200`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    pub tokens_per_second: i32,
    /// How many of 100 requests fail, drawn by the request's id; default 0. Example: `50`.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub fail_percent: i32,
    /// HTTP status of those that fail, 400 to 599; default 503.
    #[serde(default = "unavailable")]
    #[schemars(range(min = 400, max = 599))]
    pub status: i32,
}

impl Default for Mock {
    fn default() -> Self {
        Self {
            reply: MockReply::default(),
            text: None,
            first_token_delay: at_once(),
            tokens_per_second: 0,
            fail_percent: 0,
            status: unavailable(),
        }
    }
}

fn at_once() -> DurationString {
    DurationString::seconds(0)
}

fn unavailable() -> i32 {
    503
}

/// What adapter Mock answers.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[schemars(transform = explain_values)]
pub enum MockReply {
    /// The last user message, as it arrived: what the sidecar redacted is seen redacted.
    #[default]
    Echo,
    /// What `text` says.
    Text,
}
