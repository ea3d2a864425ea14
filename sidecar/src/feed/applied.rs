//! What is in force: takes keys and snapshots whole or not at all, and keeps the copy on disk.

use std::sync::Arc;

use chaperone_protocol::invalid::Invalid;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::{Snapshot, Version};
use chaperone_protocol::wire::feed::{Health, Held, Hint, KeysFor, Nack, SidecarFrame};
use tokio::time::Instant;

use super::client;
use super::last_good::LastGood;
use crate::sidecar::Shared;

/// The feed's side of what is in force.
pub(super) struct Applied {
    pub(super) shared: Arc<Shared>,
    last_good: LastGood,
    /// The document in force, as it came. `None` while it is the copy from disk, which is there already.
    document: Option<Vec<u8>>,
    /// Keys that wait for their snapshot.
    staged: Option<KeysFor>,
}

impl Applied {
    /// On top of what `shared` has in force.
    pub(super) fn new(shared: Arc<Shared>, last_good: LastGood) -> Self {
        Self { shared, last_good, document: None, staged: None }
    }

    /// What to say in greeting.
    pub(super) fn held(&self) -> Option<Held> {
        let world = self.shared.live.world()?;
        Some(Held { snapshot: world.snapshot.version().clone(), keys: world.keys.version() })
    }

    /// What was learned of the partners that are in force.
    pub(super) fn health(&self, now: Instant) -> Health {
        let world = self.shared.live.world();
        world.map(|world| self.shared.gates.health(&world.snapshot, now)).unwrap_or_default()
    }

    /// Heeds what others have learned of them.
    pub(super) fn heed(&self, hint: &Hint, now: Instant) {
        if let Some(world) = self.shared.live.world() {
            self.shared.gates.heed(hint, &world.snapshot, now);
        }
    }

    /// A new stream: what the last one had begun is void.
    pub(super) fn begin(&mut self) {
        self.staged = None;
    }

    /// Keys have come: in force at once if their snapshot is, else together with it.
    pub(super) fn keys(&mut self, keys: KeysFor) -> Option<SidecarFrame> {
        let world = self.shared.live.world();
        match world.filter(|world| *world.snapshot.version() == keys.snapshot) {
            Some(world) => Some(self.apply(world.snapshot.clone(), keys.keys)),
            None => {
                self.staged = Some(keys);
                None
            }
        }
    }

    /// A snapshot has come.
    pub(super) fn snapshot(&mut self, document: Vec<u8>) -> SidecarFrame {
        let version = Version::of(&document);
        match Snapshot::from_bytes(&document).and_then(reachable) {
            Ok(snapshot) => {
                let staged = self.staged.take().filter(|staged| staged.snapshot == version);
                let keys = staged.map(|staged| staged.keys).or_else(|| {
                    // No keys came with it: they are those that it goes with already.
                    self.shared.live.world().map(|world| world.keys.clone())
                });
                self.document = Some(document);
                self.apply(snapshot, keys.unwrap_or_default())
            }
            Err(problems) => {
                let first = problems.into_iter().next();
                let (path, problem) =
                    first.map(|invalid| (invalid.path, invalid.problem)).unwrap_or_default();
                tracing::error!(
                    path,
                    problem,
                    version = version.short(),
                    "a snapshot is refused; the last one stays"
                );
                SidecarFrame::Nack(Nack { version, path, problem })
            }
        }
    }

    fn apply(&mut self, snapshot: Snapshot, keys: Keys) -> SidecarFrame {
        let held = Held { snapshot: snapshot.version().clone(), keys: keys.version() };
        self.shared.apply(snapshot, keys.clone());
        let document = self.document.take().or_else(|| self.last_good.document());
        let stored = document.as_ref().map(|document| self.last_good.store(&held.snapshot, document, &keys));
        if let Some(Err(error)) = stored {
            tracing::warn!(%error, "the last good configuration cannot be kept; a restart needs the operator");
        }
        self.document = document;
        SidecarFrame::Ack(held)
    }
}

/// A snapshot whose authorities of the feed cannot be used would cut the sidecar off for ever.
fn reachable(snapshot: Snapshot) -> Result<Snapshot, Vec<Invalid>> {
    match snapshot.feed_ca().map(client::roots) {
        Some(Err(problem)) => Err(vec![Invalid { path: "feedCa".to_owned(), problem: problem.to_owned() }]),
        Some(Ok(_)) | None => Ok(snapshot),
    }
}
