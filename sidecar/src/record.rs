//! One record per request: served, refused or client gone. `Drop` sees to it that none is lost.

mod count;
mod ids;
mod line;
pub(crate) mod writer;

use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::name::{PartnerName, TenantId, is_sane_id};
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{FaultKind, Route, Scope, Target};
use chaperone_protocol::units::Tokens;
use chaperone_redact as redact;
use tokio::time::Instant;

pub(crate) use self::ids::Ids;
pub(crate) use self::line::Ending;
use self::line::{AttemptLine, Event, Line, Milliseconds, TokensLine, milliseconds, timestamp};
use crate::clock;
use crate::dialect::Drift;
use crate::exchange::{Failure, Progress};
use crate::pii::{Tally, action_name, identifier};
use crate::prompt::Prompt;
use crate::refusal::Refusal;
use crate::sidecar::Shared;
use crate::trace::TraceContext;

/// The record of a request under way.
pub(crate) struct Record {
    shared: Arc<Shared>,
    line: Line,
    began: Instant,
    first_token: Option<Duration>,
    prompt_estimate: Tokens,
    target: Option<Target>,
    /// The first target that did not serve, and why.
    passed_over: Option<(PartnerName, Reason)>,
    /// The declared fault that is played on the attempt under way.
    injected: Option<FaultKind>,
    /// The attempt under way, and since when.
    attempt: Option<(Target, Instant)>,
    waits_since: Option<Instant>,
    waited: Duration,
    trace: Option<TraceContext>,
    drift: Vec<Drift>,
    tenant_label: String,
    written: bool,
}

impl Record {
    /// Begins at the request's head.
    pub(crate) fn begin(shared: &Arc<Shared>, client_api: &'static str, ids: Ids) -> Self {
        shared.metrics.accepted.inc();
        shared.metrics.gauges.in_flight.inc();
        let line = Line {
            ts: timestamp(clock::wall()),
            request_id: ids.request,
            correlation_id: ids.correlation,
            trace_id: ids.trace.as_ref().map(|trace| trace.trace_id().to_owned()),
            adjusted: ids.adjusted,
            client_api,
            ..Line::default()
        };
        Self {
            shared: Arc::clone(shared),
            line,
            began: clock::now(),
            first_token: None,
            prompt_estimate: Tokens(0),
            target: None,
            passed_over: None,
            injected: None,
            attempt: None,
            waits_since: None,
            waited: Duration::ZERO,
            trace: ids.trace,
            drift: Vec::new(),
            tenant_label: String::new(),
            written: false,
        }
    }

    /// When the request was accepted.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The request's id, ours or the app's.
    pub(crate) fn request_id(&self) -> &str {
        &self.line.request_id
    }

    /// The correlation id.
    pub(crate) fn correlation_id(&self) -> &str {
        &self.line.correlation_id
    }

    /// The app's place in a trace, if it told.
    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// Attempts sent.
    pub(crate) fn attempts(&self) -> usize {
        self.line.attempts.len()
    }

    /// What was dropped or clamped.
    pub(crate) fn adjusted(&self) -> &[String] {
        &self.line.adjusted
    }

    /// Why the first target did not serve.
    pub(crate) fn first_failure(&self) -> Option<&'static str> {
        self.passed_over.as_ref().map(|(_, reason)| reason.code())
    }

    /// Notes that a target is left for the next one, asked in vain or not asked at all.
    pub(crate) fn passed_over(&mut self, target: &Target, reason: Reason) {
        self.passed_over.get_or_insert_with(|| (target.partner.name.clone(), reason));
    }

    /// Partner and model of the answer; empty before the commit point.
    pub(crate) fn served_by(&self) -> (&str, &str) {
        (
            self.line.partner.as_deref().unwrap_or_default(),
            self.line.model_asked.as_deref().unwrap_or_default(),
        )
    }

    /// Notes whose request it is.
    pub(crate) fn identified(&mut self, scope: &Scope, tenant: &TenantId, label: &str) {
        self.line.namespace = Some(scope.namespace.to_string());
        self.line.service_account = Some(scope.service_account.to_string());
        self.line.tenant = Some(tenant.to_string());
        label.clone_into(&mut self.tenant_label);
    }

    /// Notes what was received.
    pub(crate) fn read(&mut self, prompt: &Prompt) {
        self.line.bytes.received = prompt.body().len() as u64;
        self.line.streaming = prompt.is_streaming();
        self.prompt_estimate = prompt.estimate();
        let world = self.shared.live.world();
        let key = world.as_ref().map(|world| &world.pseudonyms);
        if let (Some(id), Some(key)) = (prompt.correlation_id().filter(|id| is_sane_id(id)), key) {
            self.line.correlation_id =
                identifier::local(id, key).unwrap_or_else(|| self.line.request_id.clone());
        }
    }

    /// Notes which route applies.
    pub(crate) fn matched(&mut self, route: &Route, version: &str) {
        self.line.alias = Some(route.alias.to_string());
        self.line.snapshot = Some(version.to_owned());
    }

    /// Notes that the request waits for a partner's rate from now on.
    pub(crate) fn queueing(&mut self, now: Instant) {
        self.waits_since = Some(now);
    }

    /// Notes that it waits no more.
    pub(crate) fn queued(&mut self, now: Instant) {
        if let Some(since) = self.waits_since.take() {
            self.waited += now - since;
        }
    }

    /// How long it has waited for rates of partners.
    pub(crate) fn waited(&self) -> Duration {
        self.waited + self.waits_since.map_or(Duration::ZERO, |since| clock::now() - since)
    }

    /// Notes that an attempt begins, and with which declared fault.
    pub(crate) fn attempting(&mut self, target: &Target, fault: Option<FaultKind>) {
        self.attempt = Some((target.clone(), clock::now()));
        self.injected = fault;
        let Some(fault) = fault else { return };
        self.line.fault = Some(fault.code());
        let labels = [self.alias(), target.partner.name.as_str(), fault.code()];
        self.shared.metrics.faults.with_label_values(&labels).inc();
    }

    /// The declared fault that was played, as `x-chaperone-fault` has it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        self.line.fault
    }

    /// Notes the end of an attempt that did not bring an answer.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.abandoned(failure.reason);
    }

    /// The same, where it was we who gave it up. Nothing if there is none.
    pub(crate) fn abandoned(&mut self, reason: Reason) {
        let Some((target, began)) = self.attempt.take() else { return };
        self.push_attempt(&target, "failed", Some(reason), clock::now() - began);
    }

    /// Notes the commit point, and says how long the attempt took to it.
    pub(crate) fn committed(&mut self, target: &Target, adjusted: Vec<String>) -> Duration {
        let took = self.attempt.take().map_or(Duration::ZERO, |(_, began)| clock::now() - began);
        if let Some((first, reason)) = &self.passed_over {
            let labels = [self.alias(), first.as_str(), target.partner.name.as_str(), reason.code()];
            self.shared.metrics.fallbacks.with_label_values(&labels).inc();
        }
        self.push_attempt(target, "committed", None, took);
        self.line.adjusted.extend(adjusted);
        self.line.partner = Some(target.partner.name.to_string());
        self.line.model_asked = Some(target.model_name.to_string());
        self.line.schema_version.clone_from(&target.partner.schema_version);
        self.line.status = 200;
        self.first_token = Some(clock::now() - self.began);
        self.target = Some(target.clone());
        took
    }

    /// Notes bytes that left for the app.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.line.bytes.out += bytes as u64;
    }

    /// Takes over what an answer has shown of itself so far.
    pub(crate) fn progressed(&mut self, progress: &Progress) {
        let usage = &progress.usage;
        let measured = usage.prompt.is_some() && usage.output.is_some();
        let prompt = usage.prompt.unwrap_or(self.prompt_estimate);
        let cached = usage.cached.unwrap_or_default();
        let output = usage.output.unwrap_or(progress.output_estimate);
        self.line.tokens = TokensLine {
            prompt: prompt.0,
            cached: cached.0,
            output: output.0,
            reasoning: usage.reasoning.unwrap_or_default().0,
            known: if measured { "measured" } else { "estimated" },
        };
        self.line.model_served.clone_from(&progress.model);
        self.drift.clone_from(&progress.drift);
        let price = self.target.as_ref().and_then(|target| target.model.price);
        self.line.cost_micro_usd = price.map(|price| price.cost(prompt, cached, output).0);
    }

    /// The same of an answer that was read to its end after its app had left.
    pub(crate) fn drained(&mut self, progress: &Progress) {
        self.progressed(progress);
        if self.line.tokens.known == "measured" {
            self.line.tokens.known = "drained";
        }
    }

    /// Notes what was found in the request, and how long the search took.
    pub(crate) fn redacted(&mut self, policy: &redact::Policy, found: &redact::Counts, took: Duration) {
        self.shared.metrics.pii.scan.observe(took.as_secs_f64());
        self.found(policy, found, "request");
    }

    /// Takes over what was done to the texts of an answer. Said once, at its end.
    pub(crate) fn rewritten(&mut self, policy: Option<&redact::Policy>, tally: &Tally) {
        let metrics = &self.shared.metrics.pii;
        metrics.restored.inc_by(tally.restored);
        metrics.unrestored.with_label_values(&["url"]).inc_by(tally.kept_in_urls);
        metrics.unrestored.with_label_values(&["not_a_string"]).inc_by(tally.kept_outside_strings);
        metrics.foreign_tags.inc_by(tally.foreign);
        if let Some(policy) = policy {
            self.found(policy, &tally.found, "response");
        }
    }

    /// Notes that a bound of the search was hit.
    pub(crate) fn bound_hit(&self, bound: &str) {
        self.shared.metrics.pii.bound_hits.with_label_values(&[bound]).inc();
    }

    fn found(&mut self, policy: &redact::Policy, found: &redact::Counts, direction: &str) {
        for ((entity, action), count) in found {
            let (label, action) = (policy.label(*entity), action_name(*action));
            let spans = &self.shared.metrics.pii.spans;
            spans.with_label_values(&[label, action, direction]).inc_by(u64::from(*count));
            let pii = self.line.pii.get_or_insert_default();
            *pii.found.entry(label.to_owned()).or_default() += count;
            pii.action.insert(action);
        }
    }

    /// The answer is over.
    pub(crate) fn served(mut self, ending: Ending, reason: Option<Reason>) {
        self.line.ending = Some(ending);
        self.line.reason = reason.map(Reason::code);
        self.finish(Event::Served);
    }

    /// Served by the sidecar itself, without a partner.
    pub(crate) fn served_locally(mut self, bytes: usize) {
        self.line.status = 200;
        self.sent(bytes);
        self.served(Ending::Complete, None);
    }

    /// The request is not served.
    pub(crate) fn refused(mut self, refusal: &Refusal, status: u16) {
        self.line.reason = Some(refusal.reason.code());
        self.line.status = status;
        self.finish(Event::Refused);
    }

    /// Nobody has said how the request ended: the app has left it, or a defect of ours has.
    fn left(&mut self) {
        if !std::thread::panicking() {
            return self.finish(Event::ClientGone);
        }
        self.line.reason = Some(Reason::Internal.code());
        if self.target.is_some() {
            self.line.ending = Some(Ending::Broken);
            return self.finish(Event::Served);
        }
        self.line.status = 500;
        self.finish(Event::Refused);
    }

    fn push_attempt(
        &mut self,
        target: &Target,
        outcome: &'static str,
        reason: Option<Reason>,
        took: Duration,
    ) {
        let label = if self.injected.is_some() { "injected" } else { reason.map_or(outcome, Reason::code) };
        self.shared.metrics.attempts.with_label_values(&[target.partner.name.as_str(), label]).inc();
        self.line.attempts.push(AttemptLine {
            partner: target.partner.name.to_string(),
            model: target.model_name.to_string(),
            outcome,
            reason: reason.map(Reason::code),
            injected: self.injected.is_some(),
            ms: milliseconds(took),
        });
    }

    fn alias(&self) -> &str {
        self.line.alias.as_deref().unwrap_or("_none")
    }

    fn finish(&mut self, event: Event) {
        self.written = true;
        let total = clock::now() - self.began;
        self.line.event = event;
        self.line.ms = Milliseconds {
            total: milliseconds(total),
            queue: milliseconds(self.waited()),
            first_token: self.first_token.map(milliseconds),
        };
        self.count(total);
        if let Ok(line) = serde_json::to_string(&self.line) {
            self.shared.write(line);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.left();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use http::HeaderMap;

    use super::*;

    fn shared() -> (Arc<Shared>, Receiver<String>) {
        let (records, lines) = sync_channel(writer::WAITING);
        (Arc::new(Shared::for_test(records)), lines)
    }

    #[test]
    fn a_request_that_a_panic_ends_was_not_left_by_its_app() {
        let (shared, lines) = shared();
        let begin = || Record::begin(&shared, "/v1/models", Ids::of(&HeaderMap::new(), None));
        drop(begin());
        let record = std::panic::AssertUnwindSafe(begin());
        let caught = std::panic::catch_unwind(move || {
            let _record = record;
            panic!("a defect, for this test");
        });
        assert!(caught.is_err());
        let lines: Vec<serde_json::Value> =
            lines.try_iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
        assert_eq!(lines[0]["event"], "client_gone");
        assert_eq!(
            (&lines[1]["event"], &lines[1]["reason"]),
            (&"request_refused".into(), &"internal".into())
        );
        assert_eq!(shared.metrics.gauges.in_flight.get(), 0);
    }
}
