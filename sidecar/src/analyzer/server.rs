//! One analyzer: its connections, and one question to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::keys::{CredentialHash, Keys};
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::pii::Analyzer;
use chaperone_protocol::snapshot::{Endpoint, Tls};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::answer;
use super::guard::{Guard, Pass};
use super::question::Finding;
use crate::breaker::Transition;
use crate::clock;
use crate::exchange::Reached;
use crate::metrics::AnalyzerMetrics;
use crate::outbound::network::Network;
use crate::outbound::{NotSent, Pool, Segments};

/// Statuses that say nothing of the text: who is before the analyzer cannot reach it, or it has too much to do.
const ABOUT_ALL: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// From dialling to the end of the TLS handshake: an analyzer is near.
const CONNECT: Duration = Duration::from_secs(2);

/// Silence after which a question counts against its analyzer, though whoever asked is gone: some three times what it
/// takes to read the longest. Callers who wait for less than its `timeout` would else wait for one that hangs for ever.
const SILENCE: Duration = Duration::from_secs(1);

/// Where an analyzer is, and what was learned of it.
pub(super) struct Server {
    endpoint: Endpoint,
    uri: Option<Uri>,
    pool: Pool,
    /// What our certificate and its key were when the pool was made: they may be renewed under the same names.
    shown: Vec<Option<CredentialHash>>,
    guard: Arc<Guard>,
}

/// Why a question has no answer. Never says what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It was left alone, since it failed too often; until then, or until somebody else knows more.
    Breaker { until: Option<Instant> },
    /// No connection, or one that broke.
    Unreachable,
    /// It took too long.
    Timeout,
    /// It answered with something else than 200, which is about this text or about all that it is asked.
    Status { is_about_all: bool },
    /// Its answer cannot be used.
    Invalid,
    /// Other questions took the time.
    Busy,
}

impl Unanswered {
    /// The label of metrics.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Breaker { .. } => "breaker_open",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Status { .. } => "status",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
        }
    }

    /// Whether it counts against the analyzer. An answer that comes in time does not, however bad: it is about a text,
    /// and one tenant's text must not keep all others from their analyzer. One that comes late does: whatever the reason,
    /// a text that holds a worker so long keeps it from the others.
    fn counts(self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout | Self::Status { is_about_all: true } => true,
            Self::Breaker { .. } | Self::Status { is_about_all: false } | Self::Invalid | Self::Busy => false,
        }
    }
}

impl Server {
    pub(super) fn new(
        (endpoint, tls): (&Endpoint, &Tls),
        keys: &Keys,
        guard: Arc<Guard>,
        (network, tasks): (&Network, &TaskTracker),
    ) -> Self {
        Self {
            endpoint: endpoint.clone(),
            uri: format!("{endpoint}/analyze").parse().ok(),
            pool: Pool::near(endpoint, tls, CONNECT, (keys, network), tasks),
            shown: shown(tls, keys),
            guard,
        }
    }

    /// Whether it shows the certificate that `keys` have for it.
    pub(super) fn has(&self, tls: &Tls, keys: &Keys) -> bool {
        self.shown == shown(tls, keys)
    }

    /// Whether it has failed and not answered since.
    pub(super) fn is_on_trial(&self) -> bool {
        self.guard.is_on_trial()
    }

    pub(super) fn guard(&self) -> Arc<Guard> {
        Arc::clone(&self.guard)
    }

    /// Asks about `text`, and hands over what was found.
    ///
    /// # Errors
    /// There is no answer, or `take` cannot use it.
    pub(super) async fn ask(
        &self,
        analyzer: &Analyzer,
        text: &str,
        take: impl FnOnce(&[Finding]) -> Result<(), &'static str>,
        round: &Round<'_>,
    ) -> Result<(), Unanswered> {
        let metrics = round.metrics;
        let entered = self.guard.enter().await;
        let (pass, change) = entered.map_err(|refused| {
            metrics.refused();
            Unanswered::Breaker { until: refused.until }
        })?;
        self.changed(change, metrics);
        let asking = Asking { server: self, round, pass: Some(pass), began: clock::now() };
        let body = Bytes::from(answer::request(analyzer, text));
        let exchanged = timeout(analyzer.timeout, self.exchange(body)).await;
        let answered = exchanged.map_err(|_| (Unanswered::Timeout, "it took too long".to_owned()));
        let result = answered.and_then(|answer| {
            let findings = answer::findings(&answer?).map_err(invalid)?;
            take(&findings).map_err(invalid)
        });
        asking.conclude(&result);
        result.map_err(|(why, _)| why)
    }

    fn changed(&self, change: Option<Transition>, metrics: &AnalyzerMetrics) {
        let Some(change) = change else { return };
        metrics.changed(&self.endpoint.authority(), change);
        let (from, to, cause) = (change.from.code(), change.to.code(), change.cause.code());
        tracing::warn!(analyzer = %self.endpoint, from, to, cause, "breaker changed");
    }

    /// One question on the wire. Where the connection ended under it, once more: a server may close one that was idle
    /// just when it is used.
    async fn exchange(&self, body: Bytes) -> Result<Bytes, (Unanswered, String)> {
        let mut sent = self.send(body.clone()).await;
        if sent.as_ref().is_err_and(|failure| failure.reached != Reached::Nothing) {
            sent = self.send(body).await;
        }
        let response = sent.map_err(|failure| (Unanswered::Unreachable, failure.detail))?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            let is_about_all = ABOUT_ALL.contains(&head.status);
            return Err((Unanswered::Status { is_about_all }, head.status.as_str().to_owned()));
        }
        if head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(invalid("its answer is encoded"));
        }
        match Limited::new(body, limits::PII_FINDINGS_BYTES).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(invalid("its answer is too long"))
            }
            Err(_) => Err((Unanswered::Unreachable, "its answer broke off".to_owned())),
        }
    }

    async fn send(&self, body: Bytes) -> Result<Response<Incoming>, NotSent> {
        let (body, _unsent) = Segments::new(vec![body]);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.pool.send(request).await
    }
}

/// The questions of one request.
pub(super) struct Round<'r> {
    pub(super) metrics: &'r AnalyzerMetrics,
    /// One of them has failed: the others are given up for it, and say nothing more.
    has_failed: AtomicBool,
}

impl<'r> Round<'r> {
    pub(super) fn new(metrics: &'r AnalyzerMetrics) -> Self {
        Self { metrics, has_failed: AtomicBool::new(false) }
    }
}

/// A question that was sent. Dropped without a conclusion it was abandoned.
struct Asking<'a> {
    server: &'a Server,
    round: &'a Round<'a>,
    pass: Option<Pass<'a>>,
    began: Instant,
}

impl Asking<'_> {
    fn conclude(mut self, result: &Result<(), (Unanswered, String)>) {
        let now = clock::now();
        let outcome = result.as_ref().err().map_or("ok", |(why, _)| why.code());
        self.round.metrics.ended(outcome, now - self.began);
        let Some(pass) = self.pass.take() else { return };
        let change = match result {
            Ok(()) => pass.answered(now),
            Err((why, detail)) => {
                // Relaxed: a hint to those that are dropped by the same task.
                self.round.has_failed.store(true, Ordering::Relaxed);
                if self.server.guard.may_warn(now) {
                    tracing::warn!(analyzer = %self.server.endpoint, outcome, detail, "not analyzed");
                }
                if why.counts() { pass.failed(now) } else { None }
            }
        };
        self.server.changed(change, self.round.metrics);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        let now = clock::now();
        self.round.metrics.ended("abandoned", now - self.began);
        let is_silent = now - self.began >= SILENCE && !self.round.has_failed.load(Ordering::Relaxed);
        let change = if is_silent { pass.failed(now) } else { None };
        self.server.changed(change, self.round.metrics);
    }
}

fn shown(tls: &Tls, keys: &Keys) -> Vec<Option<CredentialHash>> {
    tls.credentials().map(|name| keys.get(name).map(|credential| credential.hash())).collect()
}

fn invalid(problem: &str) -> (Unanswered, String) {
    (Unanswered::Invalid, problem.to_owned())
}
