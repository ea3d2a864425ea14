//! An API server that tests play, without a socket: paused time is its time.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_service::Service;

type Answer = dyn Fn(&Request<Body>) -> Option<(StatusCode, Value)> + Send + Sync;

#[derive(Clone)]
struct Played(Arc<Answer>);

/// Speaks to one that gives such answers; `None` is one that never comes.
pub(crate) fn client<A>(answer: A) -> Client
where
    A: Fn(&Request<Body>) -> Option<(StatusCode, Value)> + Send + Sync + 'static,
{
    Client::new(Played(Arc::new(answer)), "default")
}

/// What an API server says to who may not ask.
pub(crate) fn forbidden() -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": "forbidden",
    });
    (StatusCode::FORBIDDEN, status)
}

impl Service<Request<Body>> for Played {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some((status, json)) = (self.0)(&request) else { return futures::future::pending().boxed() };
        let mut response = Response::new(Body::from(json.to_string().into_bytes()));
        *response.status_mut() = status;
        ready(Ok(response)).boxed()
    }
}
