//! A Partner's breaker, retries, rate and queue -> what a sidecar obeys.

use std::num::NonZeroU64;

use chaperone_crds::partner as written;
use chaperone_protocol::snapshot::{BreakerPolicy, CancelBilling, QueuePolicy, RateLimit, RetryPolicy};

use super::convert::out_of_range;
use crate::compile::finding::{Notes, Problem, Reason};

pub(super) fn breaker(written: &written::Breaker, notes: &mut Notes<'_>) -> Option<BreakerPolicy> {
    let written::Breaker {
        error_threshold_percent,
        consecutive_failures,
        minimum_requests,
        window,
        reset_timeout,
    } = written;
    Some(BreakerPolicy {
        error_threshold_percent: number(*error_threshold_percent, "breaker.errorThresholdPercent", notes)?,
        consecutive_failures: positive(*consecutive_failures, "breaker.consecutiveFailures", notes)?,
        minimum_requests: positive(*minimum_requests, "breaker.minimumRequests", notes)?,
        window: window.as_duration(),
        reset_timeout: reset_timeout.as_duration(),
    })
}

pub(super) fn retry(written: &written::Retry, notes: &mut Notes<'_>) -> Option<RetryPolicy> {
    let written::Retry { max_attempts, base_delay, max_delay } = written;
    Some(RetryPolicy {
        max_attempts: positive(*max_attempts, "retry.maxAttempts", notes)?,
        base_delay: base_delay.as_duration(),
        max_delay: max_delay.as_duration(),
    })
}

/// The limit of one sidecar, and the finding that says so.
pub(super) fn rate_limit(written: Option<&written::RateLimit>, notes: &mut Notes<'_>) -> Option<RateLimit> {
    let written::RateLimit { requests_per_minute, tokens_per_minute, burst } = written?;
    let message = "the limit is held by every sidecar for itself, not across all pods";
    let remedy = "divide it by the number of pods that call the partner at the same time";
    notes.add("spec.rateLimit", Problem::new(Reason::RatePerSidecar, message, remedy));
    Some(RateLimit {
        requests_per_minute: requests_per_minute
            .and_then(|written| positive(written, "rateLimit.requestsPerMinute", notes)),
        tokens_per_minute: tokens_per_minute
            .and_then(|written| positive(written, "rateLimit.tokensPerMinute", notes)),
        burst: burst.and_then(|written| positive(written, "rateLimit.burst", notes)),
    })
}

pub(super) fn queue(written: &written::Queue, notes: &mut Notes<'_>) -> Option<QueuePolicy> {
    let written::Queue { max_requests, max_wait } = written;
    Some(QueuePolicy {
        max_requests: number(*max_requests, "queue.maxRequests", notes)?,
        max_wait: max_wait.as_duration(),
    })
}

pub(super) fn cancel_billing(written: written::CancelBilling) -> CancelBilling {
    match written {
        written::CancelBilling::None => CancelBilling::None,
        written::CancelBilling::Partial => CancelBilling::Partial,
        written::CancelBilling::Full => CancelBilling::Full,
        written::CancelBilling::Unknown => CancelBilling::Unknown,
    }
}

/// A number that the schema keeps within bounds; what got past the schema is a finding.
fn number<T: TryFrom<i64>>(written: i32, field: &str, notes: &mut Notes<'_>) -> Option<T> {
    let converted = T::try_from(written.into()).map_err(|_| out_of_range(written));
    notes.keep(format!("spec.{field}"), converted)
}

/// The same above zero.
fn positive<T: TryFrom<NonZeroU64>>(
    written: impl Into<i64>,
    field: &str,
    notes: &mut Notes<'_>,
) -> Option<T> {
    let written = written.into();
    let number = u64::try_from(written).ok().and_then(NonZeroU64::new);
    let converted = number.and_then(|number| T::try_from(number).ok());
    notes.keep(format!("spec.{field}"), converted.ok_or_else(|| out_of_range(written)))
}
