//! Starts a sidecar's threads, and ends them in order.
//!
//! Three threads: `data` serves apps on a runtime of its own, `admin` serves scrapes and watches memory and partners,
//! `records` writes. None waits for another.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::Snapshot;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::callers::Callers;
use crate::clock;
use crate::fault::Dice;
use crate::feed::{Feed, Freshness};
use crate::gate::Gates;
use crate::live::Live;
use crate::memory::{BodyMemory, Cgroup};
use crate::metrics::Metrics;
use crate::outbound::network::Network;
use crate::readiness::{Readiness, Start};
use crate::record::writer;
use crate::sidecar::Shared;
use crate::thoughts::Thoughts;
use crate::{admin, feed, health, server};

/// Names that are resolved at a time. Each partner has one question under way at most.
const RESOLVING: usize = 64;
/// How often memory is compared with its limit.
const MEMORY_WATCH: Duration = Duration::from_millis(100);

/// What a sidecar is started with.
pub struct Settings {
    /// The data port. Port 0: any free one.
    pub listen: SocketAddr,
    /// The admin port. Port 0: any free one.
    pub admin: SocketAddr,
    /// By which names the data port may be asked.
    pub callers: Callers,
    /// By which names the admin port may be asked.
    pub admin_callers: Callers,
    /// Bytes of one request's body.
    pub body_limit: usize,
    /// Bytes of all bodies held at a time; lowered to a quarter of the cgroup's limit where there is one.
    pub body_memory: usize,
    /// Where configuration comes from. `None`: from [`Sidecar::apply`] alone, and then the sidecar probes partners itself.
    pub feed: Option<Feed>,
    /// Whether it is ready without a configuration.
    pub start: Start,
    /// Where records go, one JSON line each.
    pub records: Box<dyn Write + Send>,
}

impl Settings {
    /// The defaults, writing records to `records`.
    #[must_use]
    pub fn new(listen: SocketAddr, admin: SocketAddr, records: Box<dyn Write + Send>) -> Self {
        Self {
            listen,
            admin,
            callers: Callers::Anybody,
            admin_callers: Callers::Anybody,
            body_limit: limits::BODY_BYTES,
            body_memory: limits::BODY_MEMORY_BYTES,
            feed: None,
            start: Start::default(),
            records,
        }
    }
}

/// A sidecar that serves.
pub struct Sidecar {
    shared: Arc<Shared>,
    /// No new connections; old ones end when they are idle.
    closing: CancellationToken,
    /// What is left is cut.
    cutting: CancellationToken,
    threads: Vec<JoinHandle<()>>,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Sidecar {
    /// Binds both ports and starts to serve. Until the first [`Sidecar::apply`] every request is refused.
    ///
    /// # Errors
    /// If a port cannot be bound, or a thread cannot be started.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let cgroup = Cgroup::of_this_process();
        let (records, lines) = sync_channel(writer::WAITING);
        let metrics = Metrics::new().map_err(io::Error::other)?;
        let pools = TaskTracker::new();
        let shared = Arc::new(Shared {
            live: Live::default(),
            network: Network::of_the_system(&pools, &metrics.http2_retired),
            gates: Gates::new(metrics.gates.clone()),
            thoughts: Arc::new(Thoughts::new(metrics.answers.thoughts.clone())),
            metrics,
            freshness: Freshness::default(),
            readiness: Readiness { start: settings.start, started: clock::now() },
            memory: BodyMemory::new(settings.body_memory, cgroup.as_ref()),
            body_limit: settings.body_limit,
            callers: settings.callers,
            admin_callers: settings.admin_callers,
            tasks: TaskTracker::new(),
            pools,
            records,
            draining: CancellationToken::new(),
            abandoned: Semaphore::new(limits::ABANDONED_ANSWERS),
            dice: Dice::new(clock::random_number()),
        });
        if let Some(feed) = &settings.feed {
            feed::restore(&shared, feed);
        }
        let (closing, cutting) = (CancellationToken::new(), CancellationToken::new());
        let (data, listener, listen) = bind(settings.listen)?;
        let (control, admin_listener, admin) = bind(settings.admin)?;
        let threads = vec![
            spawn("chaperone-data", {
                let (shared, closing, cutting) = (Arc::clone(&shared), closing.clone(), cutting.clone());
                move || {
                    data.block_on(async {
                        server::run(shared, listener, closing).await;
                        cutting.cancelled().await;
                    });
                    end(data);
                }
            })?,
            spawn("chaperone-admin", {
                let (shared, closing) = (Arc::clone(&shared), closing.clone());
                let feed = settings.feed;
                move || {
                    let configuration = async { configure(&shared, feed.as_ref()).await };
                    let admin = admin::run(Arc::clone(&shared), admin_listener, closing);
                    control.block_on(serve_admin(
                        admin,
                        watch_memory(&shared, cgroup.as_ref()),
                        configuration,
                    ));
                    end(control);
                }
            })?,
            spawn("chaperone-records", move || writer::write_all(&lines, settings.records))?,
        ];
        Ok(Self { shared, closing, cutting, threads, listen, admin })
    }

    /// Where the data port is.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where the admin port is.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Puts a snapshot in force. Requests under way keep theirs.
    pub fn apply(&self, snapshot: Snapshot, keys: Keys) {
        self.shared.apply(snapshot, keys);
    }

    /// Refuses new requests, lets those under way finish for at most `grace`, and ends. Blocks.
    pub fn drain(self, grace: Duration) {
        let Self { shared, closing, cutting, threads, .. } = self;
        shared.draining.cancel();
        let finished = async {
            while shared.metrics.gauges.in_flight.get() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // A request ends with its last byte on the way; an app that reads slowly has yet to receive it.
            closing.cancel();
            shared.tasks.close();
            shared.tasks.wait().await;
        };
        let waited = Builder::new_current_thread()
            .enable_time()
            .build()
            .map(|runtime| runtime.block_on(async { timeout(grace, finished).await }));
        if !matches!(waited, Ok(Ok(()))) {
            tracing::warn!(
                in_flight = shared.metrics.gauges.in_flight.get(),
                "the grace time is over; cutting what is left"
            );
        }
        closing.cancel();
        cutting.cancel();
        drop(shared); // The last sender of records: their thread ends when it has written all.
        for thread in threads {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}

fn bind(address: SocketAddr) -> io::Result<(Runtime, TcpListener, SocketAddr)> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(RESOLVING).build()?;
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    let bound = listener.local_addr()?;
    Ok((runtime, listener, bound))
}

/// Drops the tasks of a runtime. A name that is being resolved may take its resolver's time: it is not waited for.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

/// Ends when the admin port does.
async fn serve_admin(
    admin: impl Future<Output = ()>,
    memory: impl Future<Output = ()>,
    configuration: impl Future<Output = ()>,
) {
    tokio::select! {
        () = admin => {}
        () = memory => {}
        () = configuration => {}
    }
}

async fn watch_memory(shared: &Shared, cgroup: Option<&Cgroup>) {
    loop {
        if let Some(cgroup) = cgroup {
            shared.memory.watch(cgroup);
        }
        shared.thoughts.expire(clock::now());
        tokio::time::sleep(MEMORY_WATCH).await;
    }
}

/// Follows the operator, which probes partners for all; where there is none, probes them here.
async fn configure(shared: &Arc<Shared>, feed: Option<&Feed>) {
    match feed {
        Some(feed) => feed::run(shared, feed).await,
        None => health::run(shared).await,
    }
}
