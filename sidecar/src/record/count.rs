//! A record that has ended, as metrics count it.

use std::time::Duration;

use super::Record;
use super::line::TokensLine;
use crate::metrics::Metrics;

impl Record {
    pub(super) fn count(&self, total: Duration) {
        let metrics = &self.shared.metrics;
        let (alias, partner) = (self.alias(), self.line.partner.as_deref().unwrap_or("_none"));
        let outcome = self.line.event.outcome();
        let reason = self.line.reason.unwrap_or("");
        metrics.requests.with_label_values(&[alias, partner, outcome, reason]).inc();
        metrics.gauges.in_flight.dec();
        metrics.took(alias, partner, total, self.first_token);
        let Some(model) = self.line.model_asked.as_deref() else { return };
        if let Some(ending) = self.line.ending {
            metrics.answers.endings.with_label_values(&[alias, partner, ending.code()]).inc();
        }
        // What a declared fault shows is no deviation of the partner's.
        for drift in self.drift.iter().filter(|_| self.injected.is_none()) {
            metrics.answers.drift.with_label_values(&[partner, drift.as_str()]).inc();
        }
        count_tokens(metrics, [alias, partner, model], &self.line.tokens);
        if let Some(cost) = self.line.cost_micro_usd {
            metrics.cost.with_label_values(&[&self.tenant_label, alias, partner, model]).inc_by(cost);
        }
    }
}

/// Input and output always, what is not everywhere only where it is.
fn count_tokens(metrics: &Metrics, [alias, partner, model]: [&str; 3], tokens: &TokensLine) {
    let always = [("input", tokens.prompt), ("output", tokens.output)];
    let sometimes = [("cached_input", tokens.cached), ("reasoning", tokens.reasoning)];
    for (kind, count) in always.into_iter().chain(sometimes.into_iter().filter(|(_, count)| *count > 0)) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a histogram's sum is a float; counts stay below 2^53"
        )]
        metrics.histograms.tokens.with_label_values(&[alias, partner, model, kind]).observe(count as f64);
    }
}
