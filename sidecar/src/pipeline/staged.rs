//! Plays a declared fault between transport and adapter, so that timers, parser and fallback act as for a real one.
//!
//! What a fault is stands in `fault.rs`; here are its waits and its bytes. Until the wait of a fault has passed, and
//! for one that answers by itself at all, nothing is sent: a drill costs nothing.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::FaultKind;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, sleep_until};

use super::upstream::{HttpBody, Moments, Piece, Upstream};
use crate::clock;
use crate::exchange::{Answer, Failure, Mode, Reached};
use crate::fault::stream::{GARBAGE, Harm, Harmed, State};
use crate::fault::{self, usage};
use crate::neutral::Event;
use crate::outbound::{Link, NotSent, Segments};

/// Between two pings of a partner that has no token yet.
const PING: Duration = Duration::from_secs(1);

/// A partner's head, or why there is none; with what happened, for the log.
type Sent = Result<Response<Incoming>, NotSent>;

type Sending = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// How an attempt is played.
#[derive(Clone, Copy)]
pub(super) struct Staging {
    pub(super) fault: FaultKind,
    pub(super) dialect: Dialect,
    pub(super) mode: Mode,
}

/// A partner's body with a fault on it.
pub(crate) enum Stage {
    /// Pings until the real answer begins.
    Stalled { until: Instant, ping: Bytes, next: Instant, sending: Sending },
    /// The real body, harmed.
    Harmed(HttpBody, Harmed),
    /// The real body, at last.
    Real(HttpBody),
    /// Bytes of our own, and then the end.
    Own(Option<Bytes>),
}

/// Sends a request to its partner, with a fault if there is one.
///
/// # Errors
/// As [`Link::send`], or the fault's own.
pub(super) async fn send(
    staging: Option<Staging>,
    link: Arc<Link>,
    request: Request<Segments>,
) -> Result<Response<Upstream>, NotSent> {
    match staging {
        // Boxed: it is rare, and its room would be every request's.
        Some(staging) => {
            let sending = Box::pin(async move { link.send(request).await });
            Box::pin(staging.send(sending)).await
        }
        None => Ok(link.send(request).await?.map(|body| Upstream::Http(body.into()))),
    }
}

impl Staging {
    /// Whether the partner is not asked, or not yet: the request counts as sent then, since its timers must run.
    pub(super) fn withholds(self) -> bool {
        match self.fault {
            FaultKind::StallFirstToken { .. }
            | FaultKind::Status { .. }
            | FaultKind::Delay { .. }
            | FaultKind::Abort => true,
            FaultKind::CutAfterTokens { .. }
            | FaultKind::MalformedSse { .. }
            | FaultKind::WrongUsage { .. } => false,
        }
    }

    async fn send(self, sending: Sending) -> Result<Response<Upstream>, NotSent> {
        let stage = match self.fault {
            FaultKind::Abort => {
                return Err(NotSent {
                    reason: Reason::PartnerUnavailable,
                    reached: Reached::Everything,
                    detail: "a declared fault".to_owned(),
                });
            }
            FaultKind::Status { status, retry_after } => return Ok(self.answered(status, retry_after)),
            FaultKind::Delay { delay } => {
                sleep(delay).await;
                return Ok(sending.await?.map(|body| Upstream::Http(body.into())));
            }
            FaultKind::StallFirstToken { delay } => {
                let now = clock::now();
                let ping = Bytes::from_static(fault::ping(self.dialect));
                let (until, next) = (now + delay, now + PING);
                Stage::Stalled { until, ping, next, sending }
            }
            FaultKind::CutAfterTokens { .. }
            | FaultKind::MalformedSse { .. }
            | FaultKind::WrongUsage { .. } => {
                let response = sending.await?;
                let harm = Harm::of(self.fault).filter(|_| response.status().is_success());
                return Ok(response.map(|body| match harm {
                    Some(harm) => {
                        staged(Stage::Harmed(body.into(), Harmed::new(harm, self.dialect, self.mode)))
                    }
                    None => Upstream::Http(body.into()),
                }));
            }
        };
        Ok(self.response(StatusCode::OK, staged(stage)))
    }

    fn answered(self, status: u16, retry_after: Option<Duration>) -> Response<Upstream> {
        let body = Bytes::from(fault::error_body(self.dialect, status));
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = self.response(status, staged(Stage::Own(Some(body))));
        response.headers_mut().extend(advice(retry_after));
        response
    }

    fn response(self, status: StatusCode, body: Upstream) -> Response<Upstream> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let is_stream = status.is_success() && self.mode == Mode::Stream;
        let media_type = if is_stream { "text/event-stream" } else { "application/json" };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    }
}

/// How an attempt on a Mock fails under a fault that answers by itself.
pub(super) fn refusal(fault: Option<FaultKind>, answer: &Answer) -> Option<Failure> {
    match fault? {
        FaultKind::Abort => Some(Failure::new(Reason::PartnerUnavailable)),
        FaultKind::Status { status, retry_after } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Some(answer.failure(status, &advice(retry_after), b""))
        }
        FaultKind::StallFirstToken { .. }
        | FaultKind::CutAfterTokens { .. }
        | FaultKind::MalformedSse { .. }
        | FaultKind::WrongUsage { .. }
        | FaultKind::Delay { .. } => None,
    }
}

/// `Retry-After` in whole seconds, rounded up.
fn advice(retry_after: Option<Duration>) -> HeaderMap {
    let seconds = retry_after.map(|wait| wait.as_millis().div_ceil(1_000));
    let value = seconds.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok());
    value.map(|value| (header::RETRY_AFTER, value)).into_iter().collect()
}

fn staged(stage: Stage) -> Upstream {
    Upstream::Staged(Box::new(stage))
}

impl Stage {
    /// The next piece. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Piece {
        match self {
            Self::Stalled { until, ping, next, sending } => {
                if *next < *until && !ping.is_empty() {
                    sleep_until(*next).await;
                    *next += PING;
                    return Piece::Bytes(ping.clone());
                }
                sleep_until(*until).await;
                let sent = sending.as_mut().await;
                *self = Self::Own(None);
                let Ok(response) = sent else { return Piece::Broken(Reached::Everything) };
                let (head, body) = response.into_parts();
                *self = Self::Real(body.into());
                Piece::Head(Box::new(head))
            }
            Self::Harmed(body, harmed) => loop {
                if let Some(bytes) = harmed.next() {
                    return Piece::Bytes(bytes);
                }
                match harmed.state() {
                    State::Ended => return Piece::End,
                    State::Reset => return Piece::Broken(Reached::Everything),
                    State::Going => {}
                }
                match body.next().await {
                    Piece::Bytes(bytes) => harmed.push(bytes),
                    Piece::End => harmed.end(),
                    other => return other,
                }
            },
            Self::Real(body) => body.next().await,
            Self::Own(bytes) => bytes.take().map_or(Piece::End, Piece::Bytes),
        }
    }
}

/// What a Mock plays under a fault that has a body. It has no bytes of its own: tokens are counted in its events.
pub(super) fn on_moments(fault: FaultKind, moments: Moments) -> Moments {
    let shifted = |by: Duration, moments: Moments| moments.into_iter().map(move |(at, it)| (at + by, it));
    match fault {
        FaultKind::Delay { delay } => shifted(delay, moments).collect(),
        FaultKind::StallFirstToken { delay } => {
            let pings = (1..).map(|count| PING * count).take_while(|at| *at < delay);
            let pings = pings.map(|at| (at, Piece::Events(vec![Event::Ping])));
            pings.chain(shifted(delay, moments)).collect()
        }
        FaultKind::CutAfterTokens { tokens } => until(tokens, moments, None),
        FaultKind::MalformedSse { tokens } => until(tokens, moments, Some(Bytes::from_static(GARBAGE))),
        FaultKind::WrongUsage { usage: wrong } => {
            let edit = |event| match event {
                Event::Usage(usage) => usage::replace(usage, wrong).map(Event::Usage),
                other => Some(other),
            };
            let edited = |piece| match piece {
                Piece::Events(events) => Piece::Events(events.into_iter().filter_map(edit).collect()),
                Piece::Bytes(body) => {
                    Piece::Bytes(usage::rewrite(&body, wrong).map_or_else(|| body.clone(), Bytes::from))
                }
                other => other,
            };
            moments.into_iter().map(|(at, piece)| (at, edited(piece))).collect()
        }
        FaultKind::Status { .. } | FaultKind::Abort => moments,
    }
}

/// The first `tokens` tokens and what stands before them, then `garbage`.
fn until(tokens: u32, moments: Moments, garbage: Option<Bytes>) -> Moments {
    let mut left = tokens;
    let mut kept = VecDeque::new();
    for (at, piece) in moments {
        let piece = match piece {
            Piece::Events(events) => {
                let mut is_before = |event: &Event| {
                    let goes_on = left > 0;
                    left -= u32::from(goes_on && event.is_meaningful());
                    goes_on
                };
                Piece::Events(events.into_iter().take_while(|event| is_before(event)).collect())
            }
            // A body in one piece is cut in the middle.
            Piece::Bytes(body) => {
                left = 0;
                Piece::Bytes(body.slice(..body.len() / 2))
            }
            other => other,
        };
        kept.push_back((at, piece));
        if left == 0 {
            kept.extend(garbage.map(|garbage| (at, Piece::Bytes(garbage))));
            break;
        }
    }
    kept
}
