//! Answers the API server over TLS, by the operator's certificate.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::core::v1::Pod;
use kube::core::admission::{AdmissionRequest, AdmissionReview};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::places::{Place, Places};
use super::room::Room;
use super::{Settings, answer};
use crate::certificate::{Leaf, acceptor};
use crate::clock;
use crate::desk::Desk;

/// Where the API server asks.
const PATH: &str = "/inject";
/// Connections at a time. API servers keep theirs, and share them among requests.
const CONNECTIONS: usize = 256;
/// Bytes of a question that a connection holds before [`Room`] has them.
const BUFFER_BYTES: usize = 32 << 10;
/// A handshake must be through in this time, and so must a question; the API server itself waits for less. Nor does a
/// connection stay for longer without a first review.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection stays from one review to the next: longer than API servers keep one (90 s).
const IDLE: Duration = Duration::from_secs(120);

/// What questions are answered with.
pub(crate) struct Injector {
    pub(crate) settings: Settings,
    pub(crate) authority: watch::Receiver<Option<String>>,
    pub(crate) desk: Arc<Desk>,
}

/// Serves until it is dropped.
pub(crate) async fn run(injector: Arc<Injector>, listener: TcpListener, leaf: Arc<Leaf>) {
    let acceptor = acceptor(leaf, b"http/1.1");
    let (tasks, places, room) = (TaskTracker::new(), Places::new(CONNECTIONS), Room::new());
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let place = places.enter(peer.ip().to_canonical());
        let (injector, acceptor, room) = (Arc::clone(&injector), acceptor.clone(), room.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = place.cut.cancelled() => {}
                () = connection((&injector, &room), stream, acceptor, &place) => {}
            }
        });
    }
}

async fn connection(
    (injector, room): (&Injector, &Room),
    stream: TcpStream,
    acceptor: TlsAcceptor,
    place: &Place,
) {
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let reviewed = &Notify::new();
    let service = service_fn(|request| async move {
        place.asked();
        let asked = clock::now();
        let response = respond((injector, room), request).await;
        if response.status() == StatusCode::OK {
            injector.desk.metrics.injection.observe((clock::now() - asked).as_secs_f64());
            reviewed.notify_one();
            place.answered();
        }
        Ok::<_, Infallible>(response)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_headers(64)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        reviewed = timeout(PATIENCE, reviewed.notified()) => if reviewed.is_err() { return },
    }
    // A caller that leaves early is its own affair.
    let _ = serving.await;
}

async fn respond((injector, room): (&Injector, &Room), request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH || request.method() != Method::POST {
        return text(StatusCode::NOT_FOUND, "POST /inject only\n");
    }
    let Ok(Some(question)) = timeout(PATIENCE, room.read(request.into_body())).await else {
        return text(StatusCode::BAD_REQUEST, "the question did not arrive whole\n");
    };
    if let Err(reason) = question.within_bounds() {
        return text(StatusCode::PAYLOAD_TOO_LARGE, reason);
    }
    let review: Result<AdmissionReview<Pod>, _> = serde_json::from_slice(&question.bytes);
    let request: Option<AdmissionRequest<Pod>> = review.ok().and_then(|review| review.try_into().ok());
    let Some(request) = request else {
        return text(StatusCode::BAD_REQUEST, "not an AdmissionReview of a Pod\n");
    };
    let Some(authority) = injector.authority.borrow().clone() else {
        injector.desk.metrics.injections.with_label_values(&["failed"]).inc();
        return text(StatusCode::SERVICE_UNAVAILABLE, "there is no certificate yet\n");
    };
    let answer = answer(&request, &injector.settings, &authority, &injector.desk.metrics.injections);
    match serde_json::to_vec(&answer) {
        Ok(json) => {
            let mut response = Response::new(Full::from(json));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written\n"),
    }
}

/// What is no answer to a review ends the connection: only an API server is to keep one.
fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests;
