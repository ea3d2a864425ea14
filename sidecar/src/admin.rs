//! The admin port: metrics and probes, on a thread of its own, so that a scrape never delays a token.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::limits;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::readiness::Configuration;
use crate::sidecar::Shared;

/// Connections at a time.
const CONNECTIONS: usize = 64;

/// Serves until `closing`.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener, closing: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            accepted = listener.accept(), if tasks.len() < CONNECTIONS => accepted,
            () = tokio::time::sleep(Duration::from_millis(50)), if tasks.len() >= CONNECTIONS => continue,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let response = handle(&shared, peer, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(5))
            .max_headers(limits::HEADER_FIELDS)
            .serve_connection(TokioIo::new(stream), service);
        tasks.spawn(async move {
            // A scraper that leaves early is its own affair.
            let _ = serving.await;
        });
    }
}

fn handle(shared: &Shared, peer: SocketAddr, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    }
    if let Some(problem) = shared.admin_callers.refuse(request.uri(), request.headers()) {
        return text(StatusCode::FORBIDDEN, problem);
    }
    match path {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match ready(shared) {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(why_not) => text(StatusCode::SERVICE_UNAVAILABLE, why_not),
        },
        "/metrics" => {
            let metrics = &shared.metrics;
            metrics.gauges.body_memory.set(i64::try_from(shared.memory.used()).unwrap_or(i64::MAX));
            let routes = shared.live.world().map_or(0, |world| world.snapshot.routes().len());
            metrics.gauges.routes.set(i64::try_from(routes).unwrap_or(i64::MAX));
            metrics.gates.observe(&shared.gates.all());
            let age = shared.freshness.age(clock::now()).unwrap_or_default().as_secs();
            metrics.gauges.config_age.set(i64::try_from(age).unwrap_or(i64::MAX));
            let mut response = Response::new(Full::new(Bytes::from(metrics.text())));
            let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            response
        }
        "/debug/snapshot" if peer.ip().is_loopback() => debug_snapshot(shared),
        "/debug/breakers" if peer.ip().is_loopback() => debug_breakers(shared),
        path if path.starts_with("/debug/") && !peer.ip().is_loopback() => {
            text(StatusCode::FORBIDDEN, "debug pages answer loopback peers only\n")
        }
        _ => {
            text(StatusCode::NOT_FOUND, "try /metrics, /livez, /readyz, /debug/snapshot or /debug/breakers\n")
        }
    }
}

fn ready(shared: &Shared) -> Result<(), &'static str> {
    if shared.is_draining() {
        return Err("draining\n");
    }
    let configuration = shared.live.world().map_or(Configuration::Absent, |_| Configuration::Present);
    shared.readiness.judge(configuration, clock::now())
}

/// Version, scope and names: no endpoint's credential is in a snapshot, so none can be here.
fn debug_snapshot(shared: &Shared) -> Response<Full<Bytes>> {
    let Some(world) = shared.live.world() else {
        return text(StatusCode::NOT_FOUND, "no configuration yet\n");
    };
    let snapshot = &world.snapshot;
    let page = serde_json::json!({
        "version": snapshot.version().as_str(),
        "scope": snapshot.scope(),
        "routes": snapshot.routes().map(|route| route.alias.as_str()).collect::<Vec<_>>(),
        "partners": snapshot.partners().map(|partner| partner.name.as_str()).collect::<Vec<_>>(),
        "tenants": snapshot.tenants().named.keys().map(|tenant| tenant.as_str()).collect::<Vec<_>>(),
        "everyTenant": snapshot.tenants().default.is_some(),
    });
    json(&page)
}

/// Every breaker with its numbers, the queue and rate beside it, and how many credentials rest.
fn debug_breakers(shared: &Shared) -> Response<Full<Bytes>> {
    let now = clock::now();
    let gates: Vec<_> = shared.gates.all().iter().map(|gate| gate.view(now)).collect();
    json(&serde_json::json!({ "breakers": gates, "restingCredentials": shared.gates.resting() }))
}

fn json(page: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{page:#}\n"))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
