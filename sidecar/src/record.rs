//! One record per request: served, refused or client gone. `Drop` sees to it that none is lost.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, SystemTime};

use chaperone_protocol::limits;
use chaperone_protocol::name::{PartnerName, TenantId};
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Route, Scope, Target};
use chaperone_protocol::units::Tokens;
use serde::Serialize;
use tokio::time::Instant;

use crate::clock;
use crate::dialect::Drift;
use crate::exchange::{Failure, Progress};
use crate::prompt::Prompt;
use crate::refusal::Refusal;
use crate::sidecar::Shared;
use crate::trace::TraceContext;

/// Lines that may wait for the writer; beyond, a record is dropped and counted.
pub(crate) const WAITING: usize = 4_096;

/// How a served answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// As the model wanted.
    Complete,
    /// At a token limit.
    Length,
    /// By a failure after the commit point.
    Broken,
}

impl Ending {
    fn code(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Length => "length",
            Self::Broken => "broken",
        }
    }
}

/// What is written when the request ends. Content is not in it: lengths, counts, names and closed enums are.
#[derive(Debug, Default, Serialize)]
struct Line {
    ts: String,
    event: &'static str,
    request_id: String,
    correlation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    client_api: &'static str,
    streaming: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    partner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_asked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_served: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<String>,
    attempts: Vec<AttemptLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    status: u16,
    tokens: TokensLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micro_usd: Option<u64>,
    ms: Milliseconds,
    bytes: BytesLine,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    adjusted: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
}

#[derive(Debug, Serialize)]
struct AttemptLine {
    partner: String,
    model: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    ms: u64,
}

#[derive(Debug, Default, Serialize)]
struct TokensLine {
    prompt: u64,
    cached: u64,
    output: u64,
    reasoning: u64,
    known: &'static str,
}

#[derive(Debug, Default, Serialize)]
struct Milliseconds {
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
struct BytesLine {
    #[serde(rename = "in")]
    received: u64,
    out: u64,
}

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
    trace: Option<TraceContext>,
    drift: Vec<Drift>,
    tenant_label: String,
    written: bool,
}

impl Record {
    /// Begins at the request's head.
    pub(crate) fn begin(shared: &Arc<Shared>, client_api: &'static str, ids: Ids) -> Self {
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
        if let Some(id) = prompt.correlation_id().and_then(sane_id) {
            id.clone_into(&mut self.line.correlation_id);
        }
    }

    /// Notes which route applies.
    pub(crate) fn matched(&mut self, route: &Route, version: &str) {
        self.line.alias = Some(route.alias.to_string());
        self.line.snapshot = Some(version.to_owned());
    }

    /// Notes the end of an attempt that did not bring an answer.
    pub(crate) fn failed(&mut self, target: &Target, failure: &Failure, took: Duration) {
        self.push_attempt(target, "failed", Some(failure.reason), took);
        self.shared.metrics.attempt(target.partner.name.as_str(), Err(failure.reason));
    }

    /// Notes the commit point.
    pub(crate) fn committed(&mut self, target: &Target, adjusted: Vec<String>, took: Duration) {
        if let Some((first, reason)) = &self.passed_over {
            let labels = [self.alias(), first.as_str(), target.partner.name.as_str(), reason.code()];
            self.shared.metrics.fallbacks.with_label_values(&labels).inc();
        }
        self.push_attempt(target, "committed", None, took);
        self.shared.metrics.attempt(target.partner.name.as_str(), Ok(()));
        self.line.adjusted.extend(adjusted);
        self.line.partner = Some(target.partner.name.to_string());
        self.line.model_asked = Some(target.model_name.to_string());
        self.line.schema_version.clone_from(&target.partner.schema_version);
        self.line.status = 200;
        self.first_token = Some(clock::now() - self.began);
        self.target = Some(target.clone());
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

    /// The answer is over.
    pub(crate) fn served(mut self, ending: Ending, reason: Option<Reason>) {
        self.line.ending = Some(ending);
        self.line.reason = reason.map(Reason::code);
        self.finish("request_served");
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
        self.finish("request_refused");
    }

    fn push_attempt(
        &mut self,
        target: &Target,
        outcome: &'static str,
        reason: Option<Reason>,
        took: Duration,
    ) {
        self.line.attempts.push(AttemptLine {
            partner: target.partner.name.to_string(),
            model: target.model_name.to_string(),
            outcome,
            reason: reason.map(Reason::code),
            ms: milliseconds(took),
        });
    }

    fn alias(&self) -> &str {
        self.line.alias.as_deref().unwrap_or("_none")
    }

    fn finish(&mut self, event: &'static str) {
        self.written = true;
        let total = clock::now() - self.began;
        self.line.event = event;
        self.line.ms =
            Milliseconds { total: milliseconds(total), first_token: self.first_token.map(milliseconds) };
        self.count(total);
        if let Ok(line) = serde_json::to_string(&self.line) {
            self.shared.write(line);
        }
    }

    fn count(&self, total: Duration) {
        let metrics = &self.shared.metrics;
        let partner = self.line.partner.as_deref().unwrap_or("_none");
        let outcome = match self.line.event {
            "request_served" => "served",
            "request_refused" => "refused",
            _ => "client_gone",
        };
        let reason = self.line.reason.unwrap_or("");
        metrics.requests.with_label_values(&[self.alias(), partner, outcome, reason]).inc();
        metrics.gauges.in_flight.dec();
        metrics.took(self.alias(), partner, total, self.first_token);
        let Some(model) = self.line.model_asked.as_deref() else { return };
        if let Some(ending) = self.line.ending {
            metrics.endings.with_label_values(&[self.alias(), partner, ending.code()]).inc();
        }
        for drift in &self.drift {
            metrics.drift.with_label_values(&[partner, drift.as_str()]).inc();
        }
        let tokens = &self.line.tokens;
        let by_type = [
            ("input", tokens.prompt),
            ("output", tokens.output),
            ("cached_input", tokens.cached),
            ("reasoning", tokens.reasoning),
        ];
        for (kind, count) in
            by_type.into_iter().filter(|(kind, count)| *count > 0 || matches!(*kind, "input" | "output"))
        {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a histogram's sum is a float; counts stay below 2^53"
            )]
            metrics
                .histograms
                .tokens
                .with_label_values(&[self.alias(), partner, model, kind])
                .observe(count as f64);
        }
        if let Some(cost) = self.line.cost_micro_usd {
            metrics.cost.with_label_values(&[&self.tenant_label, self.alias(), partner, model]).inc_by(cost);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.finish("client_gone");
        }
    }
}

/// The ids of a request.
pub(crate) struct Ids {
    pub(crate) request: String,
    pub(crate) correlation: String,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) adjusted: Vec<String>,
}

impl Ids {
    /// From the app's headers where they are sane, else minted.
    pub(crate) fn of(headers: &http::HeaderMap) -> Self {
        let mut adjusted = Vec::new();
        let mut take = |name: &str| {
            let value = headers.get(name)?;
            let id = value.to_str().ok().and_then(sane_id).map(str::to_owned);
            if id.is_none() {
                adjusted.push(format!("{name}=minted"));
            }
            id
        };
        let request = take("x-request-id");
        let correlation = take("x-correlation-id");
        let request = request.unwrap_or_else(|| format!("req_{}", clock::random_hex::<12>()));
        let correlation = correlation.unwrap_or_else(|| request.clone());
        Self { request, correlation, trace: TraceContext::of(headers), adjusted }
    }
}

/// An id that may be echoed: visible ASCII, bounded.
fn sane_id(text: &str) -> Option<&str> {
    let sane = !text.is_empty()
        && text.len() <= limits::ID_CHARS
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    sane.then_some(text)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}

/// Hands a line to the writer, or counts it as dropped: a request never waits for its record.
pub(crate) fn offer(records: &SyncSender<String>, line: String, dropped: &prometheus::IntCounter) {
    match records.try_send(line) {
        Ok(()) => {}
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => dropped.inc(),
    }
}
