//! Connections to partners: one pool each, and the only code that sends to them.
//!
//! Speaks HTTP/1.1: it has none of HTTP/2's connection-wide limits on small frames, of which answers are made.

mod connect;
mod names;
pub(crate) mod network;
mod tls;

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::keys::{Credential, CredentialHash, Keys};
use chaperone_protocol::limits;
use chaperone_protocol::name::PartnerName;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Partner, Snapshot};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::connect::{ConnectError, Connector};
use self::network::Network;
use crate::exchange::{Reached, StreamOptions};

/// How long an idle connection is kept: below the 60 s after which common load balancers forget it.
const IDLE: Duration = Duration::from_secs(55);
/// Idle connections kept to one partner.
const IDLE_CONNECTIONS: usize = 64;

/// The pools of all partners of a snapshot.
#[derive(Default)]
pub(crate) struct Outbound {
    links: BTreeMap<PartnerName, Arc<Link>>,
}

/// One partner's pool.
pub(crate) struct Link {
    /// What it was built from: it is kept over a swap of snapshots as long as these are equal.
    identity: Identity,
    client: Result<Client<Connector, Segments>, String>,
    /// Health probes come from another runtime, and must not leave a connection there for requests to find.
    probes: Result<Client<Connector, Segments>, String>,
    /// Whether the partner has refused `stream_options`.
    refuses_stream_options: AtomicBool,
}

#[derive(PartialEq, Eq)]
struct Identity {
    partner: Partner,
    client_certificate: Option<CredentialHash>,
    client_key: Option<CredentialHash>,
}

impl Outbound {
    /// Pools for all partners of `snapshot`; those of unchanged partners are taken from `before`.
    pub(crate) fn of(
        (snapshot, keys): (&Snapshot, &Keys),
        before: &Self,
        network: &Network,
        tasks: &TaskTracker,
    ) -> Self {
        let link = |partner: &Arc<Partner>| {
            let hash = |name: &Option<_>| name.as_ref().and_then(|name| keys.get(name)).map(Credential::hash);
            let identity = Identity {
                partner: Partner::clone(partner),
                // It may be renewed for the same key.
                client_certificate: hash(&partner.tls.client_certificate),
                client_key: hash(&partner.tls.client_key),
            };
            let kept = before.links.get(partner.name.as_str()).filter(|link| link.identity == identity);
            kept.map_or_else(|| Arc::new(Link::new(identity, keys, network, tasks)), Arc::clone)
        };
        Self { links: snapshot.partners().map(|partner| (partner.name.clone(), link(partner))).collect() }
    }

    /// The pool of a partner of the snapshot that this was built for.
    pub(crate) fn link(&self, partner: &PartnerName) -> Option<&Arc<Link>> {
        self.links.get(partner)
    }
}

impl Link {
    fn new(identity: Identity, keys: &Keys, network: &Network, tasks: &TaskTracker) -> Self {
        let connector = Connector::new(&identity.partner, keys, network);
        let client = |idle| connector.clone().map(|connector| client(connector, idle, tasks));
        Self {
            client: client(IDLE_CONNECTIONS),
            probes: client(0),
            identity,
            refuses_stream_options: AtomicBool::new(false),
        }
    }

    /// Sends a request; ends with the answer's head. Dropping the future cancels the request.
    ///
    /// # Errors
    /// The reason why there is no answer, and for the log what happened.
    pub(crate) async fn send(&self, request: Request<Segments>) -> Result<Response<Incoming>, NotSent> {
        ask(&self.client, request).await
    }

    /// The same for a probe, on a connection of its own.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub(crate) async fn probe(&self, request: Request<Segments>) -> Result<Response<Incoming>, NotSent> {
        ask(&self.probes, request).await
    }

    /// Whether this partner is known to refuse `stream_options`.
    pub(crate) fn stream_options(&self) -> StreamOptions {
        // Relaxed: whoever asks too early learns it once more.
        let refuses = self.refuses_stream_options.load(Ordering::Relaxed);
        if refuses { StreamOptions::Refused } else { StreamOptions::Taken }
    }

    /// Remembers it for as long as the partner stays as it is.
    pub(crate) fn refuse_stream_options(&self) {
        self.refuses_stream_options.store(true, Ordering::Relaxed);
    }

    /// The URL of `path` at this partner.
    pub(crate) fn uri(&self, path: &str) -> Option<Uri> {
        let endpoint = self.identity.partner.endpoint.as_ref()?;
        let scheme = if endpoint.is_tls() { "https" } else { "http" };
        Uri::builder().scheme(scheme).authority(endpoint.authority()).path_and_query(path).build().ok()
    }
}

fn client(connector: Connector, idle: usize, tasks: &TaskTracker) -> Client<Connector, Segments> {
    Client::builder(Tracked(tasks.clone()))
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(idle)
        .http1_max_buf_size(limits::HEAD_BYTES * 2)
        .http1_max_headers(limits::HEADER_FIELDS * 2)
        .set_host(true)
        .build(connector)
}

async fn ask(
    client: &Result<Client<Connector, Segments>, String>,
    request: Request<Segments>,
) -> Result<Response<Incoming>, NotSent> {
    let client = client.as_ref().map_err(|error| NotSent {
        reason: Reason::PartnerUnavailable,
        reached: Reached::Nothing,
        detail: error.clone(),
    })?;
    client.request(request).await.map_err(|error| classify(&error))
}

fn classify(error: &hyper_util::client::legacy::Error) -> NotSent {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut found =
        NotSent { reason: Reason::PartnerUnavailable, reached: Reached::Everything, detail: String::new() };
    while let Some(cause) = source {
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            let (reason, detail) = (connect.reason(), connect.to_string());
            return NotSent { reason, reached: Reached::Nothing, detail };
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            if hyper.is_parse() || hyper.is_parse_status() {
                let detail = "its answer is not HTTP".to_owned();
                return NotSent { reason: Reason::PartnerProtocol, detail, ..found };
            }
            // The connection was closed before the request was taken from it.
            if hyper.is_canceled() {
                found.reached = Reached::Unprocessed;
            }
        }
        found.detail = cause.to_string();
        source = cause.source();
    }
    found
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct NotSent {
    pub(crate) reason: Reason,
    pub(crate) reached: Reached,
    /// For the log: what happened.
    pub(crate) detail: String,
}

/// A body of known length in several pieces, which tells how much of it has yet to be handed over.
pub(crate) struct Segments {
    segments: std::vec::IntoIter<Bytes>,
    left: watch::Sender<u64>,
}

impl Segments {
    /// The body, and how many of its bytes have not been handed to the connection.
    pub(crate) fn new(segments: Vec<Bytes>) -> (Self, watch::Receiver<u64>) {
        let (left, receiver) = watch::channel(segments.iter().map(|segment| segment.len() as u64).sum());
        (Self { segments: segments.into_iter(), left }, receiver)
    }
}

impl Body for Segments {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.segments.by_ref().find(|segment| !segment.is_empty());
        if let Some(segment) = &next {
            self.left.send_modify(|left| *left -= segment.len() as u64);
        }
        Poll::Ready(next.map(|segment| Ok(Frame::data(segment))))
    }

    fn is_end_stream(&self) -> bool {
        *self.left.borrow() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(*self.left.borrow())
    }
}

/// Spawns the pools' connections on the tracker, which ends them with the process.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
