//! What analyzers were asked, and how it went: never what about.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{SECONDS, counter, histogram};
use crate::breaker::Transition;

/// Of all analyzers together; changes of their breakers apart.
pub(crate) struct AnalyzerMetrics {
    questions: HistogramVec,
    refused: IntCounter,
    transitions: IntCounterVec,
}

impl AnalyzerMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let questions = HistogramOpts::new(
            "chaperone_pii_analyzer_seconds",
            "Questions to analyzers, by outcome: ok, unreachable, timeout, status, invalid, abandoned (whoever asked is gone) \
             or busy (a request whose questions had not all had their turn)",
        );
        let refused = counter(
            registry,
            "chaperone_pii_analyzer_refused_total",
            "Questions that a breaker kept from its analyzer",
            &[],
        )?;
        Ok(Self {
            questions: histogram(registry, questions.buckets(SECONDS.to_vec()), &["outcome"])?,
            refused: refused.with_label_values::<&str>(&[]),
            transitions: counter(
                registry,
                "chaperone_pii_analyzer_breaker_transitions_total",
                "Changes of breakers of analyzers, and why",
                &["analyzer", "from", "to", "cause"],
            )?,
        })
    }

    /// A question ended.
    pub(crate) fn ended(&self, outcome: &str, took: Duration) {
        self.questions.with_label_values(&[outcome]).observe(took.as_secs_f64());
    }

    /// A breaker kept a question back.
    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// The breaker of the analyzer at `authority` changed.
    pub(crate) fn changed(&self, authority: &str, change: Transition) {
        let Transition { from, to, cause } = change;
        self.transitions.with_label_values(&[authority, from.code(), to.code(), cause.code()]).inc();
    }
}
