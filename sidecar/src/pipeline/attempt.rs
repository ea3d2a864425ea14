//! The loop over targets, up to the commit point: the first meaningful token, or the complete body of a whole answer.
//!
//! Nothing of an abandoned attempt (bytes, headers, usage) reaches the next one or the app.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Partner, Route, Target};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::plan::Plan;
use super::{Tenant, relay};
use crate::adapter;
use crate::adapter::mock::MockScript;
use crate::clock;
use crate::exchange::{self, Answer, Ask, Exchange, Failure, LocalAnswer, Mode, Outgoing, StreamOptions};
use crate::live::World;
use crate::neutral::Event;
use crate::outbound::Segments;
use crate::prompt::Prompt;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::trace::TraceContext;

/// How long a partner may take over the body of an error.
const ERROR_BODY: Duration = Duration::from_secs(5);

/// All that stays the same over the attempts of one request.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    pub(crate) route: &'a Route,
    pub(crate) prompt: &'a Prompt,
    pub(crate) tenant: &'a Tenant,
    pub(crate) headers: &'a HeaderMap,
}

/// How a request will be answered.
pub(crate) enum Outcome {
    Partner(Box<Committed>),
    /// Without a partner; and what was adjusted.
    Local(LocalAnswer, Vec<String>),
}

/// An answer that has passed its commit point.
pub(crate) struct Committed {
    pub(crate) answer: Answer,
    pub(crate) partner: Upstream,
    /// What is ready for the app.
    pub(crate) out: VecDeque<Bytes>,
    /// Whether `out` is all there will be.
    pub(crate) complete: bool,
    pub(crate) idle: Duration,
    pub(crate) total: Instant,
}

/// Where an answer comes from.
pub(crate) enum Upstream {
    Http(Incoming),
    Mock(MockPlayer),
}

/// A Mock's script, on its way.
pub(crate) struct MockPlayer {
    began: Instant,
    moments: VecDeque<(Duration, Piece)>,
}

/// Ends at the first answer that commits.
pub(crate) async fn first_committed(call: &Call<'_>, record: &mut Record) -> Result<Outcome, Refusal> {
    let longest = call.route.deadline;
    let deadline = record.began() + asked_deadline(call.headers).map_or(longest, |own| own.min(longest));
    let mut plan = Plan::new(call.route, record.request_id());
    while let Some(target) = plan.next() {
        if deadline < clock::now() + target.partner.timeouts.connect {
            return Err(past_deadline());
        }
        match timeout_at(deadline, ask(call, target, record)).await {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(Miss::Unfit(refusal))) => plan.skip(refusal), // Another target may carry what this one cannot.
            Ok(Err(Miss::Failed(failure))) => plan.failed(target, failure),
            Err(_) => {
                record.failed(target, &Failure::new(Reason::Deadline), clock::now() - record.began());
                return Err(past_deadline());
            }
        }
    }
    Err(plan.refusal())
}

/// Why a target did not serve.
enum Miss {
    /// It was not asked: it cannot carry the request.
    Unfit(Refusal),
    /// It was asked in vain.
    Failed(Failure),
}

/// Asks one target; twice if it turns out not to know `stream_options`.
async fn ask(call: &Call<'_>, target: &Target, record: &mut Record) -> Result<Outcome, Miss> {
    let link = call.world.outbound.link(&target.partner.name);
    loop {
        let Ready { adjusted, attempt } = match prepare(call, target, record).map_err(Miss::Unfit)? {
            Prepared::Ready(ready) => *ready,
            Prepared::Local(local, adjusted) => return Ok(Outcome::Local(local, adjusted)),
        };
        let began = clock::now();
        let (failure, may_ask_again) = match run(attempt, target, call.prompt.api(), record.began()).await {
            Ok(committed) => {
                record.committed(target, adjusted, clock::now() - began);
                return Ok(Outcome::Partner(Box::new(committed)));
            }
            Err(Ended::Failed(failure)) => (failure, false),
            Err(Ended::RefusesStreamOptions(failure)) => (failure, true),
        };
        record.failed(target, &failure, clock::now() - began);
        match link {
            Some(link) if may_ask_again => link.refuse_stream_options(),
            _ => return Err(Miss::Failed(failure)),
        }
    }
}

/// `x-chaperone-deadline`, in milliseconds.
fn asked_deadline(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("x-chaperone-deadline")?.to_str().ok()?;
    value.parse().ok().map(Duration::from_millis)
}

fn past_deadline() -> Refusal {
    Refusal::new(Reason::Deadline, "the request's deadline passed before an answer began")
}

enum Prepared {
    Ready(Box<Ready>),
    Local(LocalAnswer, Vec<String>),
}

struct Ready {
    adjusted: Vec<String>,
    attempt: Attempt,
}

enum Attempt {
    Http {
        request: Request<Segments>,
        sent: oneshot::Receiver<()>,
        link: std::sync::Arc<crate::outbound::Link>,
        mode: Mode,
        answer: Answer,
    },
    Mock(MockScript, Answer),
}

fn prepare(call: &Call<'_>, target: &Target, record: &Record) -> Result<Prepared, Refusal> {
    let link = call.world.outbound.link(&target.partner.name);
    let ask = Ask {
        prompt: call.prompt,
        target,
        route: call.route,
        tenant_cap: call.tenant.policy.max_tokens_per_request,
        headers: call.headers,
        request_id: record.request_id(),
        correlation_id: record.correlation_id(),
        attempt: u32::try_from(record.attempts() + 1).unwrap_or(u32::MAX),
        stream_options: link.map_or(StreamOptions::Taken, |link| link.stream_options()),
        created: clock::unix_seconds(),
    };
    let exchanged = exchange::exchange(&ask)?;
    let attempt = match exchanged.exchange {
        Exchange::Local(local) => return Ok(Prepared::Local(local, exchanged.adjusted)),
        Exchange::Mock(script, answer) => Attempt::Mock(script, answer),
        Exchange::Partner(outgoing, answer) => address(call, target, record, outgoing, answer)?,
    };
    Ok(Prepared::Ready(Box::new(Ready { adjusted: exchanged.adjusted, attempt })))
}

/// Adds to what the dialect sends: the URL, the key, and the ids that a partner may see.
fn address(
    call: &Call<'_>,
    target: &Target,
    record: &Record,
    outgoing: Outgoing,
    answer: Answer,
) -> Result<Attempt, Refusal> {
    let partner = &target.partner;
    let internal =
        || Refusal::new(Reason::Internal, "the request could not be addressed to the model's provider");
    let link = call.world.outbound.link(&partner.name).ok_or_else(internal)?;
    let (body, sent) = Segments::new(outgoing.body);
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = link.uri(&outgoing.path).ok_or_else(internal)?;
    *request.headers_mut() = outgoing.headers;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    authorize(call, partner, headers)?;
    let parent = record.trace().map(TraceContext::child);
    let ids = [
        ("x-request-id", Some(record.request_id())),
        ("x-correlation-id", Some(record.correlation_id())),
        ("traceparent", parent.as_deref()),
    ];
    for (name, value) in ids {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(Attempt::Http { request, sent, link: std::sync::Arc::clone(link), mode: outgoing.mode, answer })
}

fn authorize(call: &Call<'_>, partner: &Partner, headers: &mut HeaderMap) -> Result<(), Refusal> {
    let Some(name) = &partner.credential else { return Ok(()) };
    let missing = |message| Refusal::new(Reason::CredentialMissing, message);
    let key = call.world.keys.get(name);
    let key = key.ok_or_else(|| missing("the credential for the model's provider is missing"))?;
    let (name, value) = adapter::credential(partner.adapter, key.expose()).map_err(|_| {
        missing("the credential for the model's provider has characters that no header can carry")
    })?;
    headers.insert(name, value);
    Ok(())
}

/// How an attempt ended that brought no answer.
enum Ended {
    Failed(Failure),
    /// The partner does not know `stream_options`, which we added: it may be asked again without.
    RefusesStreamOptions(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

async fn run(
    attempt: Attempt,
    target: &Target,
    api: ClientApi,
    accepted: Instant,
) -> Result<Committed, Ended> {
    let timeouts = &target.partner.timeouts;
    let began = clock::now();
    let limits = Limits {
        accepted,
        first_token: target.model.first_token.unwrap_or(timeouts.first_token),
        whole: timeouts.whole,
        idle: timeouts.idle,
        total: began + timeouts.total,
    };
    match attempt {
        Attempt::Mock(script, answer) => {
            let first = Some((clock::now() + limits.first_token, Reason::FirstTokenTimeout));
            let player = match script {
                MockScript::Failure { after, status } => {
                    tokio::time::sleep(after).await;
                    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                    return Err(Ended::Failed(answer.failure(status, &HeaderMap::new(), b"")));
                }
                MockScript::Events(moments) => {
                    let moments = moments.into_iter().map(|(after, events)| (after, Piece::Events(events)));
                    MockPlayer { began, moments: moments.collect() }
                }
                MockScript::Body { after, body, .. } => {
                    MockPlayer { began, moments: VecDeque::from([(after, Piece::Bytes(body.into()))]) }
                }
            };
            Ok(commit(Upstream::Mock(player), answer, &limits, first).await?)
        }
        Attempt::Http { request, sent, link, mode, mut answer } => {
            let streams = mode == Mode::Stream;
            // Embeddings and counts generate nothing: their head must come as soon as a first token would.
            let generates = !matches!(api, ClientApi::Embeddings | ClientApi::CountTokens);
            let head_limit = if streams || !generates { limits.first_token } else { limits.whole };
            let reason = if streams || !generates { Reason::FirstTokenTimeout } else { Reason::WholeTimeout };
            let (response, was_sent) = head(link.send(request), sent, head_limit, reason, &limits).await?;
            let until = if streams { was_sent + limits.first_token } else { was_sent + limits.whole };
            let (parts, body) = response.into_parts();
            if !parts.status.is_success() {
                let body = error_body(body).await;
                let failure = answer.failure(parts.status, &parts.headers, &body);
                let about_options = answer.refuses_stream_options(parts.status, &body);
                return Err(if about_options { Ended::RefusesStreamOptions } else { Ended::Failed }(failure));
            }
            answer.head(parts.status, &parts.headers)?;
            let reason = if streams { Reason::FirstTokenTimeout } else { Reason::WholeTimeout };
            Ok(commit(Upstream::Http(body), answer, &limits, Some((until, reason))).await?)
        }
    }
}

/// How long the parts of an attempt may take.
struct Limits {
    /// When the request was accepted: some apps are told how long it took.
    accepted: Instant,
    first_token: Duration,
    whole: Duration,
    idle: Duration,
    total: Instant,
}

/// Waits for the answer's head. The limit runs from the last byte of the request, `total` from the beginning.
async fn head(
    response: impl Future<Output = Result<Response<Incoming>, (Reason, String)>>,
    sent: oneshot::Receiver<()>,
    limit: Duration,
    reason: Reason,
    limits: &Limits,
) -> Result<(Response<Incoming>, Instant), Failure> {
    let mut was_sent = None;
    let expired = async {
        if sent.await.is_err() {
            // The connection ended first: `response` says why.
            std::future::pending::<()>().await;
        }
        let now = clock::now();
        was_sent = Some(now);
        sleep_until(now + limit).await;
    };
    let response = tokio::select! {
        biased;
        response = response => response,
        () = expired => return Err(Failure::new(reason)),
        () = sleep_until(limits.total) => return Err(Failure::new(Reason::TotalTimeout)),
    };
    match response {
        Ok(response) => Ok((response, was_sent.unwrap_or_else(clock::now))),
        Err((reason, detail)) => {
            tracing::debug!(reason = reason.code(), detail, "attempt failed");
            Err(Failure::new(reason))
        }
    }
}

async fn error_body(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.into_data().unwrap_or_default();
            let room = limits::ERROR_BODY_BYTES.saturating_sub(bytes.len());
            bytes.extend_from_slice(data.get(..room).unwrap_or(&data));
            if room <= data.len() {
                break;
            }
        }
    };
    // What came in time is enough to classify it.
    let _ = timeout(ERROR_BODY, read).await;
    bytes
}

/// Reads on until the answer commits. `first` limits the time to the first meaningful token, or to the whole body.
async fn commit(
    mut partner: Upstream,
    mut answer: Answer,
    limits: &Limits,
    mut first: Option<(Instant, Reason)>,
) -> Result<Committed, Failure> {
    let mut out = VecDeque::new();
    loop {
        let (until, reason) = first.unwrap_or((clock::now() + limits.idle, Reason::IdleTimeout));
        let (until, reason) =
            if limits.total < until { (limits.total, Reason::TotalTimeout) } else { (until, reason) };
        let piece = timeout_at(until, partner.next()).await.map_err(|_| Failure::new(reason))?;
        answer.elapsed(clock::now() - limits.accepted);
        let more = relay::take(&mut answer, piece, &mut out)?;
        if answer.progress().meaningful > 0 {
            first = None; // From the first token on, silence is what is limited.
        }
        let is_committed = answer.is_stream() && answer.progress().meaningful > 0 && !out.is_empty();
        if is_committed || !more {
            return Ok(Committed {
                answer,
                partner,
                out,
                complete: !more,
                idle: limits.idle,
                total: limits.total,
            });
        }
    }
}

/// A piece of an answer.
pub(crate) enum Piece {
    Bytes(Bytes),
    Events(Vec<Event>),
    End,
    Broken,
}

impl Upstream {
    /// The next piece. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Piece {
        match self {
            Self::Http(body) => loop {
                match body.frame().await {
                    None => return Piece::End,
                    Some(Err(_)) => return Piece::Broken,
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Piece::Bytes(data);
                        }
                    }
                }
            },
            Self::Mock(player) => {
                let Some((after, _)) = player.moments.front() else { return Piece::End };
                sleep_until(player.began + *after).await;
                player.moments.pop_front().map_or(Piece::End, |(_, piece)| piece)
            }
        }
    }
}
