//! How a partner is protected from us and we from it: rate, queue, retries, breaker.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::explain::explain_values;
use crate::field::{DurationString, duration_within};

/// How much may be sent to the partner in any 60 seconds. What is above it waits in the queue.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.requestsPerMinute) || has(self.tokensPerMinute)")
        .message("name at least one of `requestsPerMinute` and `tokensPerMinute`, or remove `rateLimit`"),
    validation = Rule::new("!has(self.burst) || (has(self.requestsPerMinute) && self.burst <= self.requestsPerMinute)")
        .message("`burst` needs `requestsPerMinute` beside it, and is not above it"),
)]
pub struct RateLimit {
    /// Requests in any 60 seconds, 1 to 1000000; default: not limited. Example: `1000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<i32>,
    /// Tokens in any 60 seconds, prompt and expected answer together, 1 to 1000000000; default: not limited. Example: `2000000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_minute: Option<i64>,
    /// How many requests may leave at once before they are spread evenly over the minute; default a 60th of `requestsPerMinute`, at least 1. Example: `50`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<i32>,
}

/// How often a request is tried, and how long is waited in between.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("duration(self.maxDelay) >= duration(self.baseDelay)")
    .message("`maxDelay` must not be below `baseDelay`"))]
pub struct Retry {
    /// Attempts of one request, fallbacks included, where this partner is asked first; and attempts of one request on this partner. 1 to 10, default 3; 1 means no retry.
    #[serde(default = "max_attempts")]
    #[schemars(range(min = 1, max = 10))]
    pub max_attempts: i32,
    /// Longest wait before the first retry, from 1ms to 1m; default `250ms`. It doubles with each further retry, and each wait is drawn at random from nothing to that.
    #[serde(default = "base_delay")]
    #[x_kube(validation = duration_within("1ms", "1m"))]
    pub base_delay: DurationString,
    /// Longest wait before any retry, from 1ms to 5m; default `8s`. A partner that asks for more by `Retry-After` gets it, up to 5 minutes.
    #[serde(default = "max_delay")]
    #[x_kube(validation = duration_within("1ms", "5m"))]
    pub max_delay: DurationString,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: max_attempts(), base_delay: base_delay(), max_delay: max_delay() }
    }
}

fn max_attempts() -> i32 {
    3
}

fn base_delay() -> DurationString {
    DurationString::milliseconds(250)
}

fn max_delay() -> DurationString {
    DurationString::seconds(8)
}

/// When a failing partner is left alone, and for how long. One breaker per partner and endpoint in every sidecar.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Breaker {
    /// More failures than this, of 100 attempts within `window`, and the breaker refuses; 1 to 100, default 50. With 100 only `consecutiveFailures` decides.
    #[serde(default = "error_threshold_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub error_threshold_percent: i32,
    /// So many failures in a row, and the breaker refuses whatever the percentage; 1 to 1000, default 5. Streams that break after they began count apart.
    #[serde(default = "consecutive_failures")]
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: i32,
    /// Attempts within `window` below which the percentage does not count; 1 to 10000, default 10.
    #[serde(default = "minimum_requests")]
    #[schemars(range(min = 1, max = 10_000))]
    pub minimum_requests: i32,
    /// Over which time the percentage is taken, from 1s to 10m; default `30s`.
    #[serde(default = "window")]
    #[x_kube(validation = duration_within("1s", "10m"))]
    pub window: DurationString,
    /// How long the breaker refuses before one request is let through as a probe, from 100ms to 1m; default `10s`. It doubles with each failed probe, up to 1m.
    #[serde(default = "reset_timeout")]
    #[x_kube(validation = duration_within("100ms", "1m"))]
    pub reset_timeout: DurationString,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            error_threshold_percent: error_threshold_percent(),
            consecutive_failures: consecutive_failures(),
            minimum_requests: minimum_requests(),
            window: window(),
            reset_timeout: reset_timeout(),
        }
    }
}

fn error_threshold_percent() -> i32 {
    50
}

fn consecutive_failures() -> i32 {
    5
}

fn minimum_requests() -> i32 {
    10
}

fn window() -> DurationString {
    DurationString::seconds(30)
}

fn reset_timeout() -> DurationString {
    DurationString::seconds(10)
}

/// How many requests wait for the partner's rate, and how long. Their bodies are bounded apart, at 32 MiB.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// Requests that may wait in one sidecar, 0 to 4096; default 256. Beyond it the next target is tried, else the answer is 429 `queue_full`. 0: none waits.
    #[serde(default = "max_requests")]
    #[schemars(range(min = 0, max = 4096))]
    pub max_requests: i32,
    /// How long a request may wait, from 0s to 5m; default `10s`. Beyond it the next target is tried, else the answer is 429 `queue_wait`.
    #[serde(default = "max_wait")]
    #[x_kube(validation = duration_within("0s", "5m"))]
    pub max_wait: DurationString,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_requests: max_requests(), max_wait: max_wait() }
    }
}

fn max_requests() -> i32 {
    256
}

fn max_wait() -> DurationString {
    DurationString::seconds(10)
}

/// What a partner bills for an answer that was cancelled before it told its usage.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[schemars(transform = explain_values)]
pub enum CancelBilling {
    /// Nothing. Only such a partner is asked again after a connection that ended without a byte of an answer.
    None,
    /// The prompt, and the tokens that were sent.
    Partial,
    /// Everything that it would have answered.
    Full,
    /// Nobody knows: treated as `Full`.
    #[default]
    Unknown,
}
