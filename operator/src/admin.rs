//! The admin port: metrics and probes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::certificate::Leaf;
use crate::desk::Desk;
use crate::injector::bundle::Trust;
use crate::vital::Vital;

/// Connections at a time.
const CONNECTIONS: usize = 64;

/// What the probes ask for.
pub(crate) struct Probed {
    pub(crate) vital: Vital,
    pub(crate) leaf: Arc<Leaf>,
    /// `None` where nothing is injected.
    pub(crate) trust: Option<watch::Receiver<Trust>>,
    /// Whether all kinds have been listed once.
    pub(crate) is_known: watch::Receiver<bool>,
}

impl Probed {
    /// What must be there before anybody is sent here, and is not.
    fn missing(&self) -> Option<&'static str> {
        if !*self.is_known.borrow() {
            return Some(
                "Partners, ModelRoutes and what they refer to are not all listed yet; the log says which cannot be\n",
            );
        }
        if !self.leaf.is_present() {
            return Some("there is no certificate yet\n");
        }
        // Once there, it is the webhook's affair alone: sidecars are not to lose the feed with it.
        let is_missing = self.trust.as_ref().is_some_and(|trust| *trust.borrow() == Trust::Missing);
        is_missing.then_some(
            "the webhook configuration that --webhook-configuration names has no caBundle of ours yet; \
             is it installed, and may whoever keeps it there patch it?\n",
        )
    }
}

/// Serves until it is dropped.
pub(crate) async fn run(desk: Arc<Desk>, probed: Probed, listener: TcpListener) {
    let probed = Arc::new(probed);
    let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (desk, probed) = (Arc::clone(&desk), Arc::clone(&probed));
        let service = service_fn(move |request| {
            let response = handle(&desk, &probed, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(5))
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), service);
        tasks.spawn(async move {
            // A scraper that leaves early is its own affair.
            let _ = serving.await;
            drop(place);
        });
    }
}

fn handle<B>(desk: &Desk, probed: &Probed, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    }
    match request.uri().path() {
        // An orderly end that hangs after a task was lost is cut short by the kubelet.
        "/livez" if !probed.vital.is_whole() => text(StatusCode::SERVICE_UNAVAILABLE, "a task has ended\n"),
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match probed.missing() {
            None => text(StatusCode::OK, "ok\n"),
            Some(missing) => text(StatusCode::SERVICE_UNAVAILABLE, missing),
        },
        "/metrics" => {
            let mut response = Response::new(Full::new(Bytes::from(desk.metrics.text())));
            let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, text);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "try /metrics, /livez or /readyz\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leader::Leadership;

    #[tokio::test]
    async fn a_process_that_lost_a_task_is_not_alive() {
        let (_leadership, leads) = watch::channel(Leadership::Standby);
        let desk = Desk::new(leads, crate::metrics::Metrics::new().unwrap());
        let vital = Vital::new();
        let probed = Probed {
            vital: vital.clone(),
            leaf: Arc::default(),
            trust: None,
            is_known: watch::channel(true).1,
        };
        let probe = || handle(&desk, &probed, &Request::get("/livez").body(()).unwrap()).status();
        assert_eq!(probe(), StatusCode::OK);
        vital.spawn("controller", async { panic!("for the test") }).await.unwrap_err();
        assert_eq!(probe(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_process_that_does_not_know_all_objects_is_not_ready() {
        let (_leadership, leads) = watch::channel(Leadership::Standby);
        let desk = Desk::new(leads, crate::metrics::Metrics::new().unwrap());
        let (leaf, _) = crate::certificate::for_test("feed");
        let (known, is_known) = watch::channel(false);
        let probed = Probed { vital: Vital::new(), leaf, trust: None, is_known };
        let probe = || handle(&desk, &probed, &Request::get("/readyz").body(()).unwrap()).status();
        assert_eq!(probe(), StatusCode::SERVICE_UNAVAILABLE);
        known.send_replace(true);
        assert_eq!(probe(), StatusCode::OK);
    }
}
