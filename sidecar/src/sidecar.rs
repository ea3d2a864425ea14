//! What all requests of one process share.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use chaperone_protocol::keys::Keys;
#[cfg(test)]
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::Snapshot;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::callers::Callers;
use crate::fault::Dice;
use crate::feed::Freshness;
use crate::gate::Gates;
use crate::live::Live;
use crate::memory::BodyMemory;
use crate::metrics::Metrics;
use crate::outbound::network::Network;
use crate::readiness::Readiness;
#[cfg(test)]
use crate::readiness::Start;
use crate::record::writer;
use crate::thoughts::Thoughts;

/// Built once, at the start.
pub(crate) struct Shared {
    pub(crate) live: Live,
    pub(crate) network: Network,
    /// What is learned of partners: it outlives every snapshot.
    pub(crate) gates: Gates,
    pub(crate) freshness: Freshness,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    pub(crate) memory: Arc<BodyMemory>,
    pub(crate) body_limit: usize,
    pub(crate) callers: Callers,
    pub(crate) admin_callers: Callers,
    /// Connections of apps, and their answers: a drain waits for them.
    pub(crate) tasks: TaskTracker,
    /// Connections to partners: they end with the process.
    pub(crate) pools: TaskTracker,
    pub(crate) records: SyncSender<String>,
    /// Cancelled when the process begins to end.
    pub(crate) draining: CancellationToken,
    /// Places for answers that are read on after their apps have left.
    pub(crate) abandoned: Semaphore,
    /// Draws declared faults.
    pub(crate) dice: Dice,
    /// Reasoning that partners want back, for apps that do not send it back.
    pub(crate) thoughts: Arc<Thoughts>,
}

impl Shared {
    /// Without a configuration, for tests of what needs none.
    #[cfg(test)]
    pub(crate) fn for_test(records: SyncSender<String>) -> Self {
        let (metrics, pools) = (Metrics::new().unwrap(), TaskTracker::new());
        Self {
            live: Live::default(),
            network: Network::of_the_system(&pools, &metrics.http2_retired),
            gates: Gates::new(metrics.gates.clone()),
            thoughts: Arc::new(Thoughts::new(metrics.answers.thoughts.clone())),
            metrics,
            freshness: Freshness::default(),
            readiness: Readiness { start: Start::default(), started: crate::clock::now() },
            memory: BodyMemory::new(usize::MAX, None),
            body_limit: usize::MAX,
            callers: Callers::Anybody,
            admin_callers: Callers::Anybody,
            tasks: TaskTracker::new(),
            pools,
            records,
            draining: CancellationToken::new(),
            abandoned: Semaphore::new(limits::ABANDONED_ANSWERS),
            dice: Dice::new(1),
        }
    }

    /// Puts a snapshot in force, whoever it comes from. Requests under way keep theirs.
    pub(crate) fn apply(&self, snapshot: Snapshot, keys: Keys) {
        self.live.apply((snapshot, keys), &self.gates, &self.network, &self.pools);
    }

    /// Whether the process is ending, so that new requests are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Writes one record.
    pub(crate) fn write(&self, line: String) {
        writer::offer(&self.records, line, &self.metrics.records_dropped);
    }
}
