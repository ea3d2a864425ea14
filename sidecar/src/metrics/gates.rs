//! What gates count, and what they are found to be when they are scraped.

use std::sync::Arc;

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::counter;
use crate::breaker::{Phase, Transition};
use crate::gate::{Gate, GateKey};

/// Shared by all gates: prometheus counts behind a handle.
#[derive(Debug, Clone)]
pub(crate) struct GateMetrics {
    transitions: IntCounterVec,
    refused: IntCounterVec,
    stale: IntCounterVec,
    retries: IntCounterVec,
    state: IntGaugeVec,
    waiting: IntGaugeVec,
}

impl GateMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            transitions: counter(
                registry,
                "chaperone_breaker_transitions_total",
                "Changes of breakers, and why",
                &["partner", "from", "to", "cause"],
            )?,
            refused: counter(
                registry,
                "chaperone_breaker_refused_total",
                "Times that a breaker kept a request from its partner",
                &["partner"],
            )?,
            stale: counter(
                registry,
                "chaperone_breaker_stale_verdicts_total",
                "Verdicts on attempts that an earlier state of the breaker had admitted",
                &["partner"],
            )?,
            retries: counter(
                registry,
                "chaperone_retries_total",
                "Attempts at the partner that had failed just before",
                &["partner"],
            )?,
            state: gauge(
                "chaperone_breaker_state",
                "1 for the state that the breaker is in, of three",
                &["partner", "endpoint", "state"],
            )?,
            waiting: gauge("chaperone_queue_waiting", "Requests that wait for a partner", &["partner"])?,
        })
    }

    /// A breaker changed.
    pub(crate) fn changed(&self, key: &GateKey, change: Transition) {
        let Transition { from, to, cause } = change;
        let labels = [key.partner.as_str(), from.code(), to.code(), cause.code()];
        self.transitions.with_label_values(&labels).inc();
    }

    /// A breaker kept a request out.
    pub(crate) fn refused(&self, key: &GateKey) {
        self.refused.with_label_values(&[key.partner.as_str()]).inc();
    }

    /// Verdicts came too late.
    pub(crate) fn stale(&self, key: &GateKey, verdicts: u64) {
        if verdicts > 0 {
            self.stale.with_label_values(&[key.partner.as_str()]).inc_by(verdicts);
        }
    }

    /// The same partner is asked again.
    pub(crate) fn retried(&self, partner: &str) {
        self.retries.with_label_values(&[partner]).inc();
    }

    /// Looks at every gate. Those of drills are not the partner's: a page shows them, a gauge does not.
    pub(crate) fn observe(&self, gates: &[Arc<Gate>]) {
        self.state.reset();
        self.waiting.reset();
        for gate in gates.iter().filter(|gate| gate.key().drill.is_none()) {
            let (phase, waiting) = gate.gauges(crate::clock::now());
            let GateKey { partner, origin, drill: _ } = gate.key();
            for state in Phase::ALL {
                let labels = [partner.as_str(), origin, state.code()];
                self.state.with_label_values(&labels).set((state == phase).into());
            }
            let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
            self.waiting.with_label_values(&[partner.as_str()]).add(waiting);
        }
    }
}
