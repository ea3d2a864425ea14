//! The current snapshot with its keys, and the pools that survive a swap.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use chaperone_protocol::keys::{Keys, PseudonymKey};
use chaperone_protocol::name::PartnerName;
use chaperone_protocol::snapshot::Snapshot;
use tokio_util::task::TaskTracker;

use crate::analyzer::Analyzers;
use crate::clock;
use crate::gate::{Gate, Gates};
use crate::outbound::Outbound;
use crate::outbound::network::Network;
use crate::pii::Policies;

/// One version of the world. A request holds one from beginning to end.
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) keys: Keys,
    pub(crate) outbound: Outbound,
    /// Those of partners: found without a lock.
    pub(crate) gates: BTreeMap<PartnerName, Arc<Gate>>,
    pub(crate) policies: Policies,
    pub(crate) analyzers: Analyzers,
    /// What pseudonyms are derived with. Made up where nobody sent one: then only caches of prompts notice a restart.
    pub(crate) pseudonyms: PseudonymKey,
}

/// What is in force now.
#[derive(Default)]
pub(crate) struct Live(ArcSwapOption<World>);

impl Live {
    /// The world in force, if there is one yet.
    pub(crate) fn world(&self) -> Option<Arc<World>> {
        self.0.load_full()
    }

    /// Puts a world in force. Requests under way keep theirs.
    pub(crate) fn apply(
        &self,
        (snapshot, keys): (Snapshot, Keys),
        gates: &Gates,
        network: &Network,
        tasks: &TaskTracker,
    ) {
        let none = Outbound::default();
        let before = self.0.load();
        let outbound_before = before.as_ref().map_or(&none, |world| &world.outbound);
        let outbound = Outbound::of((&snapshot, &keys), outbound_before, network, tasks);
        let policies = Policies::of(&snapshot);
        let no_analyzers = Analyzers::default();
        let analyzers_before = before.as_ref().map_or(&no_analyzers, |world| &world.analyzers);
        let analyzers = Analyzers::of((&snapshot, &keys), analyzers_before, network, tasks);
        let pseudonyms = keys.pseudonyms().or(before.as_ref().map(|world| &world.pseudonyms)).cloned();
        let pseudonyms = pseudonyms.unwrap_or_else(|| PseudonymKey::new(clock::random()));
        let gates = gates.configure(&snapshot);
        self.0.store(Some(Arc::new(World {
            snapshot,
            keys,
            outbound,
            gates,
            policies,
            analyzers,
            pseudonyms,
        })));
    }
}
