//! Connections to partners: one pool each, and the only code that sends to them.
//!
//! Speaks HTTP/1.1, unless a Partner asks for HTTP/2: that has connection-wide limits on small frames, of which answers
//! are made, and `http2.rs` keeps away from them.

mod connect;
mod http2;
mod names;
pub(crate) mod network;
mod pool;
mod tls;

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chaperone_protocol::keys::{Credential, CredentialHash, Keys};
use chaperone_protocol::limits;
use chaperone_protocol::name::PartnerName;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{HttpVersion, Partner, Snapshot};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::connect::{ConnectError, Connector, Offer};
use self::http2::Http2;
use self::network::Network;
pub(crate) use self::pool::Pool;
use crate::exchange::{Reached, StreamOptions};

/// How long an idle connection is kept: below the 60 s after which common load balancers forget it.
const IDLE: Duration = Duration::from_secs(55);
/// Bytes of a body's segments that are joined: a frame of HTTP/2, unless its peer asks for larger ones.
const JOINED: usize = 16 << 10;
/// Idle connections kept to one partner.
const IDLE_CONNECTIONS: usize = 64;

/// The pools of all partners of a snapshot.
#[derive(Default)]
pub(crate) struct Outbound {
    links: BTreeMap<PartnerName, Arc<Link>>,
    /// Which origins are spoken to over HTTP/1.1 for the life of the process, whatever their Partners say.
    without_http2: BTreeMap<String, Arc<AtomicBool>>,
}

/// One partner's pool.
pub(crate) struct Link {
    /// What it was built from: it is kept over a swap of snapshots as long as these are equal.
    identity: Identity,
    client: Result<Client<Connector, Segments>, String>,
    /// Where the Partner asks for it.
    http2: Option<Arc<Http2>>,
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
        let mut without_http2 = before.without_http2.clone();
        let mut link = |partner: &Arc<Partner>| {
            let hash = |name: &Option<_>| name.as_ref().and_then(|name| keys.get(name)).map(Credential::hash);
            let identity = Identity {
                partner: Partner::clone(partner),
                // It may be renewed for the same key.
                client_certificate: hash(&partner.tls.client_certificate),
                client_key: hash(&partner.tls.client_key),
            };
            let kept = before.links.get(partner.name.as_str()).filter(|link| link.identity == identity);
            kept.map_or_else(
                || {
                    let origin = partner.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
                    let is_off = Arc::clone(without_http2.entry(origin).or_default());
                    Arc::new(Link::new((identity, is_off), keys, network, tasks))
                },
                Arc::clone,
            )
        };
        let links = snapshot.partners().map(|partner| (partner.name.clone(), link(partner))).collect();
        // Bounded as partners are: what no process of ours has learnt anything of is forgotten.
        without_http2.retain(|_, is_off| is_off.load(Ordering::Relaxed) || Arc::strong_count(is_off) > 2);
        Self { links, without_http2 }
    }

    /// The pool of a partner of the snapshot that this was built for.
    pub(crate) fn link(&self, partner: &PartnerName) -> Option<&Arc<Link>> {
        self.links.get(partner)
    }
}

impl Link {
    fn new(
        (identity, is_off): (Identity, Arc<AtomicBool>),
        keys: &Keys,
        network: &Network,
        tasks: &TaskTracker,
    ) -> Self {
        let partner = &identity.partner;
        let connector = |offer| Connector::new(partner, (keys, network), offer);
        let over_http1 = connector(Offer::Http1);
        let client = |idle| over_http1.clone().map(|connector| client(connector, idle, tasks));
        let http2 = || {
            let connector = connector(Offer::Http2).ok()?;
            Some(Arc::new(Http2::new(connector, &partner.name, is_off, (tasks, &network.retired))))
        };
        Self {
            http2: if partner.http == HttpVersion::Http2 { http2() } else { None },
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
        let request = match self.http2() {
            Some(http2) => match Box::pin(http2.send(request)).await? {
                Ok(response) => return Ok(response),
                Err(request) => request,
            },
            None => request,
        };
        ask(&self.client, request).await
    }

    fn http2(&self) -> Option<&Arc<Http2>> {
        self.http2.as_ref().filter(|http2| http2.is_on())
    }

    /// The same for a probe, on a connection of its own.
    ///
    /// # Errors
    /// As [`Link::send`].
    pub(crate) async fn probe(&self, request: Request<Segments>) -> Result<Response<Incoming>, NotSent> {
        let request = match self.http2() {
            Some(http2) => match http2.send_alone(request).await? {
                Ok(response) => return Ok(response),
                Err(request) => request,
            },
            None => request,
        };
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

fn classify(error: &(dyn Error + 'static)) -> NotSent {
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
    if http2::is_unprocessed(error) {
        found.reached = Reached::Unprocessed;
    } else if http2::is_malformed(error) {
        found.reason = Reason::PartnerProtocol;
    }
    found
}

/// How much of a request counts as seen whose answer broke off before it was one.
pub(crate) fn reached(error: &hyper::Error) -> Reached {
    if http2::is_unprocessed(error) { Reached::Unprocessed } else { Reached::Everything }
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
    segments: VecDeque<Bytes>,
    left: watch::Sender<u64>,
}

impl Segments {
    /// The body, and how many of its bytes have not been handed to the connection.
    pub(crate) fn new(segments: Vec<Bytes>) -> (Self, watch::Receiver<u64>) {
        let (left, receiver) = watch::channel(segments.iter().map(|segment| segment.len() as u64).sum());
        (Self { segments: segments.into(), left }, receiver)
    }
}

impl Segments {
    /// The next segment, with the small ones behind it. Over HTTP/2 each is a frame, and servers end connections for
    /// many small ones; a body that is edited in a few places is many small segments.
    fn next_joined(&mut self) -> Option<Bytes> {
        let segments = &mut self.segments;
        segments.retain(|segment| !segment.is_empty());
        let first = segments.pop_front()?;
        let fits =
            |length: usize, next: Option<&Bytes>| next.is_some_and(|next| length + next.len() <= JOINED);
        if !fits(first.len(), segments.front()) {
            return Some(first);
        }
        let mut joined = BytesMut::from(first);
        while fits(joined.len(), segments.front()) {
            joined.extend(segments.pop_front());
        }
        Some(joined.freeze())
    }
}

impl Body for Segments {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.next_joined();
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
