//! What an observer sees of a gate: a row of `/debug/breakers`, and gauges.

use serde::Serialize;
use tokio::time::Instant;

use super::{Gate, GateKey};
use crate::breaker::Phase;

/// One gate. Names and numbers, no content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GateView {
    partner: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    endpoint: String,
    /// The route that is drilled, where the gate is its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    drill: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refuses_for_ms: Option<u64>,
    verdicts: u64,
    failures: u64,
    retry_tokens: String,
    waiting: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_for_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lowered_to_requests_per_minute: Option<u64>,
}

impl Gate {
    /// Which gate it is.
    pub(crate) fn key(&self) -> &GateKey {
        &self.key
    }

    /// What its breaker does with traffic, and how many wait.
    pub(crate) fn gauges(&self, now: Instant) -> (Phase, u64) {
        let core = self.lock();
        (core.breaker.phase(now), core.queue.ahead().requests)
    }

    /// All of it, for a page.
    pub(crate) fn view(&self, now: Instant) -> GateView {
        let mut core = self.lock();
        let policy = core.protection.breaker;
        let (verdicts, failures) = core.breaker.counts(&policy, now);
        let refused = core.breaker.check(now).err().and_then(|refused| refused.until);
        let until = |at: Instant| u64::try_from((at - now).as_millis()).unwrap_or(u64::MAX);
        let tenths = core.budget.tenths();
        GateView {
            partner: self.key.partner.to_string(),
            endpoint: self.key.origin.clone(),
            drill: self.key.drill.as_ref().map(ToString::to_string),
            state: core.breaker.phase(now).code(),
            refuses_for_ms: refused.map(until),
            verdicts,
            failures,
            retry_tokens: format!("{}.{}", tenths / 10, tenths % 10),
            waiting: core.queue.ahead().requests,
            paused_for_ms: core.rate.paused(now).map(until),
            lowered_to_requests_per_minute: core.rate.lowered_to(now).map(|milli| milli * 60 / 1_000),
        }
    }
}
