//! Accepts streams of sidecars over TLS: bounds them, admits them by their token, ends them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::wire::feed::{GoAwayReason, PATH, Token};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Either;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{self, Frames};
use super::pace::Pace;
use super::session::{Session, go_away};
use crate::certificate::{Leaf, acceptor};
use crate::clock;
use crate::desk::Desk;
use crate::identity::{Identifier, Unidentified};
use crate::pods::Pods;

/// Handshakes at a time. Beyond, connections wait in the kernel's backlog.
const HANDSHAKES: usize = 64;
/// Connections at a time: twice the sidecars that one leader is made for.
const CONNECTIONS: usize = 20_000;
/// A handshake and the request after it must be through in this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long streams may take to end when the process does.
const DRAIN: Duration = Duration::from_secs(5);
/// When a replica that does not lead is to be tried again.
const RETRY_NOT_LEADER: Duration = Duration::from_millis(500);
/// Seconds after which a sidecar is to come again whose namespace the operator does not read: somebody must edit that.
const RETRY_UNREAD: u64 = 60;

type Answer = Response<Either<Frames, Full<Bytes>>>;

/// What streams are served with.
pub(crate) struct Feed {
    pub(crate) desk: Arc<Desk>,
    pub(crate) identifier: Identifier,
    pub(crate) pods: Arc<Pods>,
    /// Sessions: they end with their connection, or by the hub.
    pub(crate) tasks: TaskTracker,
}

/// Serves until `ending`, then ends every stream.
pub(crate) async fn run(feed: Arc<Feed>, listener: TcpListener, leaf: Arc<Leaf>, ending: CancellationToken) {
    let acceptor = acceptor(leaf, b"h2");
    let (handshakes, places) = (Arc::new(Semaphore::new(HANDSHAKES)), Arc::new(Semaphore::new(CONNECTIONS)));
    let cutting = CancellationToken::new();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = ending.cancelled() => break,
            accepted = accept(&listener, &handshakes, &places) => accepted,
        };
        let Some((stream, handshake, place)) = accepted else { continue };
        let (feed, acceptor, cutting) = (Arc::clone(&feed), acceptor.clone(), cutting.clone());
        connections.spawn(async move {
            tokio::select! {
                () = cutting.cancelled() => {}
                () = connection(feed, stream, acceptor, handshake) => {}
            }
            drop(place);
        });
    }
    drop(listener);
    feed.desk.replace(None).iter_mut().for_each(|hub| hub.close_all(GoAwayReason::ShuttingDown));
    feed.tasks.close();
    // Streams never end by themselves: what is left after the drain is cut.
    let _ = timeout(DRAIN, feed.tasks.wait()).await;
    cutting.cancel();
    connections.close();
    connections.wait().await;
}

type Permit = tokio::sync::OwnedSemaphorePermit;

async fn accept(
    listener: &TcpListener,
    handshakes: &Arc<Semaphore>,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, Permit, Permit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let handshake = Arc::clone(handshakes).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, handshake, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection; going on in a moment");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(feed: Arc<Feed>, stream: TcpStream, acceptor: TlsAcceptor, handshake: Permit) {
    // Without it an acknowledgement may wait for the frame before it.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    drop(handshake);
    let asked = Arc::new(tokio::sync::Notify::new());
    let service = service_fn({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.notify_one();
            let feed = Arc::clone(&feed);
            async move { Ok::<_, Infallible>(answer(&feed, request).await) }
        }
    });
    let serving = builder().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        // A connection without a request must not hold a place.
        asked = timeout(HANDSHAKE, asked.notified()) => if asked.is_err() { return },
    }
    // A connection that ends badly concerns its sidecar alone, which connects again.
    let _ = serving.await;
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(1)
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(64 << 10)
        .max_frame_size(16 << 10)
        .max_send_buf_size(64 << 10)
        // A token of the largest size, and what stands around it.
        .max_header_list_size(24 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

async fn answer(feed: &Arc<Feed>, request: Request<Incoming>) -> Answer {
    if request.uri().path() != PATH || request.method() != Method::POST {
        return refusal(StatusCode::NOT_FOUND, "the feed is POST /feed/v1\n", None);
    }
    let refused = |reason: &str| feed.desk.metrics.refused.with_label_values(&[reason]).inc();
    let Some(token) = bearer(&request) else {
        refused("no_token");
        return refusal(StatusCode::UNAUTHORIZED, "a ServiceAccount token is needed\n", None);
    };
    // A standby asks nobody: it is not the one to decide.
    if !feed.desk.is_leading(clock::now()) {
        return not_leading();
    }
    let identity = match feed.identifier.identify(&token).await {
        Ok(identity) => identity,
        Err(problem @ (Unidentified::Busy | Unidentified::Unavailable)) => {
            refused("busy");
            let retry = 1 + clock::random_below(10);
            return refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("{problem}\n"), Some(retry));
        }
        Err(problem @ (Unidentified::NotWatched(_) | Unidentified::Unread(_))) => {
            refused("not_watched");
            return refusal(StatusCode::FORBIDDEN, &format!("{problem}\n"), Some(RETRY_UNREAD));
        }
        Err(problem) => {
            refused("token");
            return refusal(StatusCode::UNAUTHORIZED, &format!("{problem}\n"), None);
        }
    };
    let now = clock::now();
    let connect = |hub: &mut super::Hub| {
        // Under the hub's lock: a Pod that is deleted from here on finds its stream to be closed.
        let exists = !feed.pods.was_deleted(&identity.pod.uid);
        (exists.then(|| hub.connect(&identity.pod, &identity.scope, now)), hub.epoch())
    };
    match feed.desk.lead(now, connect) {
        None => not_leading(),
        Some((None, _)) => {
            refused("pod_deleted");
            refusal(StatusCode::UNAUTHORIZED, "the Pod is gone\n", None)
        }
        Some((Some(connection), epoch)) => {
            if connection.compiles {
                feed.desk.compile.notify_one();
            }
            let (writer, frames) = body::channel();
            let feed_of_session = Arc::clone(feed);
            feed.tasks.spawn(async move {
                let (feed, pace) = (&*feed_of_session, Pace::new(now));
                let session = Session { feed, epoch, identity, connection, writer, hinted: None, pace };
                session.run(request.into_body()).await;
            });
            Response::new(Either::Left(frames))
        }
    }
}

fn bearer(request: &Request<Incoming>) -> Option<Token> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    Token::new(value.strip_prefix("Bearer ")?).ok()
}

fn not_leading() -> Answer {
    Response::new(Either::Right(Full::new(go_away(GoAwayReason::NotLeader, RETRY_NOT_LEADER, 0))))
}

fn refusal(status: StatusCode, text: &str, retry_after_seconds: Option<u64>) -> Answer {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text.to_owned()))));
    *response.status_mut() = status;
    if let Some(seconds) = retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests;
