//! One analyzer: its connections, and one question to it.

use std::sync::Arc;
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

/// From dialling to the end of the TLS handshake: an analyzer is near.
const CONNECT: Duration = Duration::from_secs(2);

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
    /// It answered with something else than 200.
    Status,
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
            Self::Status => "status",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
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
        metrics: &AnalyzerMetrics,
    ) -> Result<(), Unanswered> {
        let entered = self.guard.enter().await;
        let (pass, change) = entered.map_err(|refused| {
            metrics.refused();
            Unanswered::Breaker { until: refused.until }
        })?;
        self.changed(change, metrics);
        let began = clock::now();
        let body = Bytes::from(answer::request(analyzer, text));
        let exchanged = timeout(analyzer.timeout, self.exchange(body)).await;
        let answered = exchanged.map_err(|_| (Unanswered::Timeout, "it took too long".to_owned()));
        let result = answered.and_then(|answer| {
            let findings = answer::findings(&answer?).map_err(invalid)?;
            take(&findings).map_err(invalid)
        });
        let took = clock::now() - began;
        metrics.asked(result.as_ref().err().map_or("ok", |(why, _)| why.code()), took);
        self.conclude(pass, &result, metrics);
        result.map_err(|(why, _)| why)
    }

    fn conclude(&self, pass: Pass<'_>, result: &Result<(), (Unanswered, String)>, metrics: &AnalyzerMetrics) {
        let change = match result {
            Ok(()) => pass.answered(clock::now()),
            Err((why, detail)) => {
                tracing::warn!(analyzer = %self.endpoint, outcome = why.code(), detail, "not analyzed");
                pass.failed(clock::now())
            }
        };
        self.changed(change, metrics);
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
            return Err((Unanswered::Status, head.status.as_str().to_owned()));
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

fn shown(tls: &Tls, keys: &Keys) -> Vec<Option<CredentialHash>> {
    tls.credentials().map(|name| keys.get(name).map(|credential| credential.hash())).collect()
}

fn invalid(problem: &str) -> (Unanswered, String) {
    (Unanswered::Invalid, problem.to_owned())
}
