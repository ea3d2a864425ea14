//! How failures of a partner are contained: its breaker, retries, rate and queue.
//!
//! Every value is within the bounds that the custom resource states; [`crate::wire`] refuses what is not.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::partner::milliseconds;
use crate::invalid::Problems;
use crate::limits;

/// When a failing partner is left alone.
///
/// 50 % and 10 s are opossum's numbers; a run of five is linkerd's trigger. LLM traffic is sparse, hence both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerPolicy {
    /// Trips when more than this, of 100 verdicts in the window, are failures. 100 never does.
    pub error_threshold_percent: u8,
    /// Trips after so many failures in a row.
    pub consecutive_failures: NonZeroU32,
    /// Verdicts in the window below which the percentage does not count.
    pub minimum_requests: NonZeroU32,
    /// What the percentage is taken over.
    #[serde(with = "milliseconds")]
    pub window: Duration,
    /// How long it refuses before a probe.
    #[serde(with = "milliseconds")]
    pub reset_timeout: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            error_threshold_percent: 50,
            consecutive_failures: NonZeroU32::MIN.saturating_add(4),
            minimum_requests: NonZeroU32::MIN.saturating_add(9),
            window: Duration::from_secs(30),
            reset_timeout: Duration::from_secs(10),
        }
    }
}

/// How often a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Attempts of one request.
    pub max_attempts: NonZeroU32,
    /// The longest wait before the first retry.
    #[serde(with = "milliseconds")]
    pub base_delay: Duration,
    /// The longest wait before any retry.
    #[serde(with = "milliseconds")]
    pub max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: NonZeroU32::MIN.saturating_add(2),
            base_delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(8),
        }
    }
}

/// How much may be sent in any 60 s. At least one of the two limits is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens of prompts and expected answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Requests that may leave at once; `None`: a 60th of a minute's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

/// How requests wait for a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuePolicy {
    /// Requests that may wait; 0: none.
    pub max_requests: u32,
    /// How long one may wait.
    #[serde(with = "milliseconds")]
    pub max_wait: Duration,
}

impl Default for QueuePolicy {
    fn default() -> Self {
        Self { max_requests: 256, max_wait: Duration::from_secs(10) }
    }
}

/// What an attempt costs that ended before the partner told its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CancelBilling {
    /// Nothing.
    None,
    /// The prompt, and the tokens that were seen.
    Partial,
    /// All that was reserved for it.
    Full,
    /// Unknown: as `Full`.
    #[default]
    Unknown,
}

/// All of it, as one part of a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Protection {
    /// See [`BreakerPolicy`].
    #[serde(default)]
    pub breaker: BreakerPolicy,
    /// See [`RetryPolicy`].
    #[serde(default)]
    pub retry: RetryPolicy,
    /// See [`RateLimit`]; `None`: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// See [`QueuePolicy`].
    #[serde(default)]
    pub queue: QueuePolicy,
    /// See [`CancelBilling`].
    #[serde(default)]
    pub cancel_billing: CancelBilling,
}

impl Protection {
    /// Notes what is out of bounds.
    pub(crate) fn check(&self, path: &str, problems: &mut Problems) {
        let Self { breaker, retry, rate_limit, queue, cancel_billing: _ } = self;
        let mut must = |holds: bool, field: &str, problem: &str| {
            if !holds {
                problems.add(format!("{path}.{field}"), problem);
            }
        };
        let percent = breaker.error_threshold_percent;
        must((1..=100).contains(&percent), "breaker.errorThresholdPercent", "is not from 1 to 100");
        must(!breaker.window.is_zero(), "breaker.window", "is zero");
        must(!breaker.reset_timeout.is_zero(), "breaker.resetTimeout", "is zero");
        must(breaker.reset_timeout <= limits::BREAKER_RESET, "breaker.resetTimeout", "is above its bound");
        must(retry.max_attempts.get() <= limits::ATTEMPTS, "retry.maxAttempts", "is above its bound");
        must(retry.base_delay <= retry.max_delay, "retry.maxDelay", "is below baseDelay");
        let waiting = usize::try_from(queue.max_requests).unwrap_or(usize::MAX);
        must(waiting <= limits::QUEUE_REQUESTS, "queue.maxRequests", "is above its bound");
        if let Some(RateLimit { requests_per_minute: requests, tokens_per_minute: tokens, burst }) =
            rate_limit
        {
            must(requests.is_some() || tokens.is_some(), "rateLimit", "limits nothing");
            must(
                burst.is_none_or(|burst| requests.is_some_and(|it| burst <= it)),
                "rateLimit.burst",
                "is above the rate",
            );
        }
    }
}
