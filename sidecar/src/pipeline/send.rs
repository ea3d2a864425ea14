//! Sends one attempt and waits for its commit point, each part within its limit.

use std::collections::VecDeque;
use std::time::Duration;

use chaperone_protocol::limits;
use chaperone_protocol::name::PartnerName;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{FaultKind, Target};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::attempt::Committed;
use super::prepare::Attempt;
use super::relay;
use super::staged::{self, Staging};
use super::upstream::{MockPlayer, Piece, Upstream};
use crate::adapter::mock::MockScript;
use crate::clock;
use crate::exchange::{Answer, Failure, Mode, Reached};
use crate::gate::Permit;
use crate::outbound::NotSent;

/// How long a partner may take over the body of an error.
const ERROR_BODY: Duration = Duration::from_secs(5);

/// How an attempt ended that brought no answer.
pub(super) enum Ended {
    Failed(Failure),
    /// The partner does not know `stream_options`, which we added: it may be asked again without.
    RefusesStreamOptions(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a late first token means: the end of the attempt, or only a bad mark, where nobody else would be asked.
pub(super) struct Lateness<'a> {
    pub(super) permit: &'a mut Permit,
    /// Whether somebody else would be.
    pub(super) others: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Lateness<'_> {
    fn goes_on(&mut self) -> bool {
        let goes_on = !(self.others)();
        if goes_on {
            self.permit.late();
        }
        goes_on
    }
}

/// Sends, with a declared fault if there is one, and ends at the commit point or with a failure. `accepted`: when the
/// request was.
pub(super) async fn run(
    (attempt, fault): (Attempt, Option<FaultKind>),
    target: &Target,
    api: ClientApi,
    accepted: Instant,
    mut lateness: Lateness<'_>,
) -> Result<Committed, Ended> {
    let timeouts = &target.partner.timeouts;
    let began = clock::now();
    let limits = Limits {
        partner: &target.partner.name,
        accepted,
        first_token: target.model.first_token.unwrap_or(timeouts.first_token),
        whole: timeouts.whole,
        idle: timeouts.idle,
        total: began + timeouts.total,
    };
    match attempt {
        Attempt::Mock(script, answer) => {
            if let Some(failure) = staged::refusal(fault, &answer) {
                return Err(failure.into());
            }
            let first = Some((clock::now() + limits.first_token, Reason::FirstTokenTimeout));
            let mut player = match script {
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
            if let Some(fault) = fault {
                player.moments = staged::on_moments(fault, player.moments);
            }
            Ok(commit(Upstream::Mock(player), answer, &limits, (first, &mut lateness)).await?)
        }
        Attempt::Http { request, unsent, link, mode, mut answer } => {
            let streams = mode == Mode::Stream;
            // Embeddings and counts generate nothing: their head must come as soon as a first token would.
            let generates = !matches!(api, ClientApi::Embeddings | ClientApi::CountTokens);
            let head_limit = if streams || !generates { limits.first_token } else { limits.whole };
            let reason = if streams || !generates { Reason::FirstTokenTimeout } else { Reason::WholeTimeout };
            let staging =
                fault.map(|fault| Staging { fault, dialect: target.partner.adapter.dialect(), mode });
            // A request that a fault withholds counts as sent: its timers run.
            let is_withheld = staging.is_some_and(Staging::withholds);
            let unsent = if is_withheld { watch::channel(0).1 } else { unsent };
            let sending = staged::send(staging, link, request);
            let (response, was_sent) =
                head(sending, unsent, (head_limit, reason, &mut lateness), &limits).await?;
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
            Ok(commit(body, answer, &limits, (Some((until, reason)), &mut lateness)).await?)
        }
    }
}

/// How long the parts of an attempt may take.
struct Limits<'a> {
    /// Whose they are.
    partner: &'a PartnerName,
    /// When the request was accepted: some apps are told how long it took.
    accepted: Instant,
    first_token: Duration,
    whole: Duration,
    idle: Duration,
    total: Instant,
}

/// Waits for the answer's head. The limit runs from the last byte of the request, `idle` from each part of it before
/// that, `total` from the beginning.
async fn head(
    response: impl Future<Output = Result<Response<Upstream>, NotSent>>,
    mut unsent: watch::Receiver<u64>,
    (limit, reason, lateness): (Duration, Reason, &mut Lateness<'_>),
    limits: &Limits<'_>,
) -> Result<(Response<Upstream>, Instant), Failure> {
    let mut was_sent = None;
    let left = unsent.clone();
    let expired = async {
        while *unsent.borrow_and_update() > 0 {
            match timeout(limits.idle, unsent.changed()).await {
                Ok(Ok(())) => {}
                // The connection ended first: `response` says why.
                Ok(Err(_)) => std::future::pending::<()>().await,
                Err(_) => return Reason::IdleTimeout, // The partner does not read.
            }
        }
        let now = clock::now();
        was_sent = Some(now);
        sleep_until(now + limit).await;
        if lateness.goes_on() {
            std::future::pending::<()>().await;
        }
        reason
    };
    let response = tokio::select! {
        biased;
        response = response => response,
        reason = expired => return Err(Failure::new(reason)),
        () = sleep_until(limits.total) => return Err(Failure::new(Reason::TotalTimeout)),
    };
    match response {
        Ok(response) => Ok((response, was_sent.unwrap_or_else(clock::now))),
        Err(NotSent { reason, reached, detail }) => {
            tracing::debug!(reason = reason.code(), detail, "attempt failed");
            // What the connection has not taken, the partner has not seen.
            let is_partial = *left.borrow() > 0 && reached == Reached::Everything;
            let reached = if is_partial { Reached::Nothing } else { reached };
            Err(Failure { reached, ..Failure::new(reason) })
        }
    }
}

async fn error_body(mut body: Upstream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        while let Piece::Bytes(data) = body.next().await {
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
    limits: &Limits<'_>,
    (mut first, lateness): (Option<(Instant, Reason)>, &mut Lateness<'_>),
) -> Result<Committed, Failure> {
    let mut out = VecDeque::new();
    let (mut seen, mut idle) = (0, clock::now() + limits.idle);
    loop {
        let (until, reason) = first.unwrap_or((idle, Reason::IdleTimeout));
        let (until, reason) =
            if limits.total < until { (limits.total, Reason::TotalTimeout) } else { (until, reason) };
        let Ok(piece) = timeout_at(until, partner.next()).await else {
            if first.is_some() && reason != Reason::TotalTimeout && lateness.goes_on() {
                first = Some((limits.total, Reason::TotalTimeout));
                continue;
            }
            return Err(Failure::new(reason));
        };
        answer.elapsed(clock::now() - limits.accepted);
        let mut more = relay::take(&mut answer, piece, &mut out).await.map_err(before_commit)?;
        if more && answer.progress().finished {
            // The answer is over, whether or not the partner ends its message.
            answer.end(&mut out).await?;
            more = false;
        }
        let meaningful = answer.progress().meaningful;
        if meaningful > seen {
            first = None; // From the first token on, silence is what is limited. Pings are silence.
            (seen, idle) = (meaningful, clock::now() + limits.idle);
        }
        let is_committed = answer.is_stream() && meaningful > 0 && !out.is_empty();
        if is_committed || !more {
            return Ok(Committed {
                answer,
                partner,
                out,
                complete: !more,
                idle: limits.idle,
                total: limits.total,
                served_by: limits.partner.clone(),
            });
        }
    }
}

/// Nobody has seen anything of the stream that broke: what is left is an answer that is none.
fn before_commit(failure: Failure) -> Failure {
    match (failure.reason, failure.reached) {
        // Our own side has ended the connection, for what another stream did: it is asked again.
        (Reason::StreamBroken, Reached::Unprocessed) => {
            Failure { reason: Reason::PartnerUnavailable, ..failure }
        }
        (Reason::StreamBroken, _) => Failure::new(Reason::PartnerProtocol),
        _ => failure,
    }
}
