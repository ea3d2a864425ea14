//! HTTP/2 to one partner: few connections, each for few answers.
//!
//! `h2` counts harmless empty frames over the lifetime of a connection and ends it at the 101st, and it charges small
//! frames that nobody has read yet against the whole connection: answers of models are made of small frames. So a
//! connection is retired after [`ANSWERS`] answers, the next is dialled before, and its window, of which the budget for
//! small frames is half, is far larger than a stream's. A connection that is ended by such a limit in spite of that
//! makes the partner one of HTTP/1.1 for the life of the process.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaperone_protocol::name::PartnerName;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioTimer;
use prometheus::IntCounterVec;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::connect::{ConnectError, Connector, Dialled};
use super::{IDLE, NotSent, Segments, Tracked, classify};
use crate::clock;

/// Answers of one connection. `h2` ends it at 101 empty frames, and some servers send one with each answer.
const ANSWERS: usize = 64;
/// The next connection is dialled when so many answers are left to this one.
const AHEAD: usize = 8;
/// A stream's window: what a partner may send before it is read. Half of what may wait for an app, so that no burst
/// makes an app look slow.
const STREAM_WINDOW: u32 = 128 << 10;
/// A connection's window. `h2` lets small frames that are not read yet weigh half of it.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Bytes of an answer's head, decoded.
const HEAD_BYTES: u32 = 16 << 10;
/// Between two pings of a connection in use.
const PING: Duration = Duration::from_secs(30);
/// How long such a ping may take.
const PONG: Duration = Duration::from_secs(10);

/// Connections to one partner.
pub(super) struct Http2 {
    connector: Connector,
    tasks: TaskTracker,
    partner: PartnerName,
    retired: IntCounterVec,
    connections: Mutex<Connections>,
    /// One dials at a time: the others will find its connection.
    dialling: Semaphore,
    /// Whether HTTP/1.1 is spoken instead.
    is_off: Arc<AtomicBool>,
}

#[derive(Default)]
struct Connections {
    current: Option<Open>,
    next: Option<Open>,
    is_next_dialled: bool,
}

struct Open {
    sender: SendRequest<Segments>,
    /// How many answers the partner gives at a time.
    most: Arc<AtomicUsize>,
    answers: usize,
    used: Instant,
}

/// Why a connection is used no more, as the label of a metric.
#[derive(Debug, Clone, Copy)]
enum Cause {
    /// It has had its share of answers.
    Answers,
    /// One of `h2`'s own limits has ended it.
    Limit,
    /// The partner does not speak HTTP/2.
    NotSpoken,
}

impl Cause {
    fn code(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Limit => "limit",
            Self::NotSpoken => "not_spoken",
        }
    }
}

impl Http2 {
    pub(super) fn new(
        connector: Connector,
        partner: &PartnerName,
        is_off: Arc<AtomicBool>,
        (tasks, retired): (&TaskTracker, &IntCounterVec),
    ) -> Self {
        Self {
            connector,
            tasks: tasks.clone(),
            partner: partner.clone(),
            retired: retired.clone(),
            connections: Mutex::default(),
            dialling: Semaphore::new(1),
            is_off,
        }
    }

    /// Whether the partner is spoken to by it.
    pub(super) fn is_on(&self) -> bool {
        // Relaxed: whoever asks too early learns it by failing.
        !self.is_off.load(Ordering::Relaxed)
    }

    /// Sends a request. `Ok(Err(request))`: the partner does not speak HTTP/2, and the request has yet to be sent.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<Segments>,
    ) -> Result<Result<Response<Incoming>, Request<Segments>>, NotSent> {
        let Some(mut sender) = self.sender().await.map_err(|error| classify(&error))? else {
            return Ok(Err(request));
        };
        sender.send_request(request).await.map(Ok).map_err(|error| classify(&error))
    }

    /// A connection of its own, for a request from another runtime.
    ///
    /// # Errors
    /// As [`Http2::send`].
    pub(super) async fn send_alone(
        self: &Arc<Self>,
        request: Request<Segments>,
    ) -> Result<Result<Response<Incoming>, Request<Segments>>, NotSent> {
        let Some(mut open) = self.dial().await.map_err(|error| classify(&error))? else {
            return Ok(Err(request));
        };
        open.sender.send_request(request).await.map(Ok).map_err(|error| classify(&error))
    }

    /// A place for one more answer.
    async fn sender(self: &Arc<Self>) -> Result<Option<SendRequest<Segments>>, ConnectError> {
        if let Some(sender) = self.take() {
            return Ok(Some(sender));
        }
        let limit = self.connector.limit();
        let Ok(Ok(_turn)) = timeout(limit, self.dialling.acquire()).await else {
            return Err(ConnectError::Timeout(limit));
        };
        if let Some(sender) = self.take() {
            return Ok(Some(sender));
        }
        let Some(open) = self.dial().await? else { return Ok(None) };
        let sender = open.sender.clone();
        self.lock().current = Some(Open { answers: 1, ..open });
        Ok(Some(sender))
    }

    /// A place on a connection that is there.
    fn take(self: &Arc<Self>) -> Option<SendRequest<Segments>> {
        let mut connections = self.lock();
        loop {
            let open = connections.current.as_mut()?;
            // A partner that takes fewer streams at a time would let the others wait.
            let most = ANSWERS.min(open.most.load(Ordering::Relaxed)).max(1);
            let now = clock::now();
            let is_spent = open.answers >= most;
            if !is_spent && !open.sender.is_closed() && now < open.used + IDLE {
                open.answers += 1;
                open.used = now;
                let sender = open.sender.clone();
                if most - open.answers <= AHEAD && !connections.is_next_dialled {
                    connections.is_next_dialled = true;
                    self.dial_ahead();
                }
                return Some(sender);
            }
            if is_spent {
                self.count(Cause::Answers);
            }
            connections.is_next_dialled = false;
            connections.current = connections.next.take();
        }
    }

    /// Ended by its dialling, or with the process.
    fn dial_ahead(self: &Arc<Self>) {
        let own = Arc::clone(self);
        self.tasks.spawn(async move {
            let dialled = own.dial().await;
            let mut connections = own.lock();
            match dialled {
                Ok(Some(open)) if connections.is_next_dialled => connections.next = Some(open),
                // The one in use has ended meanwhile, or whoever needs a connection dials it.
                _ => connections.is_next_dialled = false,
            }
        });
    }

    /// A new connection; `None`: the partner does not speak HTTP/2.
    async fn dial(self: &Arc<Self>) -> Result<Option<Open>, ConnectError> {
        let limit = self.connector.limit();
        let handshake = async {
            let Dialled { stream, is_http2 } = self.connector.dial().await?;
            if !is_http2 {
                return Ok(None);
            }
            builder(&self.tasks).handshake(stream).await.map(Some).map_err(ConnectError::Http2)
        };
        let Some((sender, mut connection)) =
            timeout(limit, handshake).await.map_err(|_| ConnectError::Timeout(limit))??
        else {
            self.turn_off(Cause::NotSpoken);
            return Ok(None);
        };
        let own = Arc::clone(self);
        let most = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let told = Arc::clone(&most);
        // Ends with the connection: when its last stream has ended, or with the process.
        self.tasks.spawn(async move {
            let ended = poll_fn(|context| {
                let polled = Pin::new(&mut connection).poll(context);
                told.store(connection.current_max_send_streams(), Ordering::Relaxed);
                polled
            });
            if let Err(error) = ended.await
                && is_limit(&error)
            {
                own.turn_off(Cause::Limit);
            }
        });
        Ok(Some(Open { sender, most, answers: 0, used: clock::now() }))
    }

    fn turn_off(&self, cause: Cause) {
        self.count(cause);
        if !self.is_off.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                partner = self.partner.as_str(),
                cause = cause.code(),
                "speaking HTTP/1.1 from now on"
            );
        }
    }

    fn count(&self, cause: Cause) {
        self.retired.with_label_values(&[self.partner.as_str(), cause.code()]).inc();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn builder(tasks: &TaskTracker) -> Builder<Tracked> {
    let mut builder = Builder::new(Tracked(tasks.clone()));
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_BYTES)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1_024)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// Whether one of `h2`'s own limits has ended the connection.
pub(crate) fn is_limit(error: &(dyn Error + 'static)) -> bool {
    find(error).is_some_and(|h2| {
        h2.is_go_away() && h2.is_library() && h2.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
    })
}

/// Whether the partner cannot have begun to work, as far as HTTP/2 says: a refused stream, one behind the last that a
/// GOAWAY names, or a connection that our own side has ended before there was an answer.
pub(crate) fn is_unprocessed(error: &(dyn Error + 'static)) -> bool {
    find(error).is_some_and(|h2| {
        let is_refused = h2.is_reset() && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
        is_refused || h2.is_go_away() && h2.is_remote()
    }) || is_limit(error)
}

/// Whether what came was no HTTP/2.
pub(super) fn is_malformed(error: &(dyn Error + 'static)) -> bool {
    find(error).is_some_and(|h2| h2.is_library() && !is_limit(error))
}

fn find<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e h2::Error> {
    let mut source = Some(error);
    while let Some(cause) = source {
        if let Some(h2) = cause.downcast_ref() {
            return Some(h2);
        }
        source = cause.source();
    }
    None
}
