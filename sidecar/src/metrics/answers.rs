//! What answers of partners were like, and what became of those that nobody waited for.

use prometheus::{IntCounterVec, Registry};

use super::counter;

/// By partner, and for thoughts by what became of them.
pub(crate) struct AnswerMetrics {
    pub(crate) endings: IntCounterVec,
    pub(crate) drift: IntCounterVec,
    pub(crate) abandoned: IntCounterVec,
    pub(crate) thoughts: IntCounterVec,
}

impl AnswerMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            endings: counter(
                registry,
                "chaperone_endings_total",
                "How served answers ended",
                &["alias", "partner", "ending"],
            )?,
            drift: counter(
                registry,
                "chaperone_contract_drift_total",
                "Deviations of partners from their documented API",
                &["partner", "kind"],
            )?,
            abandoned: counter(
                registry,
                "chaperone_abandoned_answers_total",
                "Answers whose app left and whose partner bills them anyway: read to their end, given up, or no_room",
                &["partner", "outcome"],
            )?,
            thoughts: counter(
                registry,
                "chaperone_reasoning_turns_total",
                "Turns whose reasoning is kept for apps that do not send it back: kept, found, missing, expired, evicted or too_large",
                &["outcome"],
            )?,
        })
    }
}
