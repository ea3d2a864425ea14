//! Who waits for one partner, and who goes next: deficit round robin over tenants, first come first served within one.
//! Pure.
//!
//! Entries hold no body: what waits is the request's own task. Their bytes are bounded here all the same.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chaperone_protocol::limits;
use chaperone_protocol::name::TenantId;
use tokio::time::Instant;

use crate::rate::Ahead;

/// Tokens that a tenant may send in its turn.
const QUANTUM: u64 = 4_096;
/// Larger requests count as this: a turn must come in few rounds.
const LARGEST: u64 = 256 * QUANTUM;
/// If nobody has waited less than this for [`PATIENCE`], the queue stands and does not merely smooth: CoDel.
const SOJOURN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests that are shed.
const SHED_EACH: Duration = Duration::from_millis(100);

/// One partner's queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lanes: BTreeMap<TenantId, Lane>,
    /// Tenants that wait, the one whose turn it is first.
    turns: VecDeque<TenantId>,
    /// Whose is which entry.
    owners: BTreeMap<u64, TenantId>,
    next: u64,
    bytes: usize,
    /// Since when everybody who left had waited too long.
    standing: Option<Instant>,
    shed: Option<Instant>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Entry>,
    tokens: u64,
    deficit: u64,
    /// Whether the quantum of this turn has been given.
    served: bool,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    tokens: u64,
    bytes: usize,
    entered: Instant,
}

/// What wants to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Estimate of prompt and answer.
    pub(crate) tokens: u64,
    /// Of the prompt alone.
    pub(crate) prompt: u64,
    /// Of its body.
    pub(crate) bytes: usize,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Queue {
    /// Waits. Gives the number by which it is known.
    pub(crate) fn enter(
        &mut self,
        tenant: &TenantId,
        load: Load,
        most: u32,
        now: Instant,
    ) -> Result<u64, Full> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(limits::QUEUE_REQUESTS);
        let bytes = self.bytes.saturating_add(load.bytes);
        if self.owners.len() >= most || bytes > limits::QUEUE_BYTES {
            return Err(Full);
        }
        self.next += 1;
        self.bytes = bytes;
        let tokens = load.tokens.min(LARGEST);
        let lane = self.lanes.entry(tenant.clone()).or_default();
        if lane.waiting.is_empty() {
            self.turns.push_back(tenant.clone());
        }
        lane.tokens += tokens;
        lane.waiting.push_back(Entry { id: self.next, tokens, bytes: load.bytes, entered: now });
        self.owners.insert(self.next, tenant.clone());
        Ok(self.next)
    }

    /// Whose turn it is. The same until it leaves.
    pub(crate) fn head(&mut self) -> Option<u64> {
        loop {
            let tenant = self.turns.front()?;
            let lane = self.lanes.get_mut(tenant)?;
            let first = lane.waiting.front()?;
            if !lane.served {
                lane.served = true;
                lane.deficit = lane.deficit.saturating_add(QUANTUM);
            }
            if first.tokens <= lane.deficit {
                return Some(first.id);
            }
            lane.served = false;
            self.turns.rotate_left(1);
        }
    }

    /// The head leaves, to be sent.
    pub(crate) fn leave(&mut self, id: u64, now: Instant) {
        let Some(tenant) = self.owners.get(&id) else { return };
        let entry = self.lanes.get(tenant).and_then(|lane| lane.waiting.iter().find(|entry| entry.id == id));
        let Some((waited, tokens)) = entry.map(|entry| (now - entry.entered, entry.tokens)) else { return };
        if let Some(lane) = self.lanes.get_mut(tenant) {
            lane.deficit = lane.deficit.saturating_sub(tokens);
        }
        if waited <= SOJOURN {
            self.standing = None;
        } else {
            self.standing.get_or_insert(now);
        }
        self.remove(id);
    }

    /// An entry is not there any more: its client left, or it waited in vain.
    pub(crate) fn remove(&mut self, id: u64) {
        let Some(tenant) = self.owners.remove(&id) else { return };
        let Some(lane) = self.lanes.get_mut(&tenant) else { return };
        let Some(at) = lane.waiting.iter().position(|entry| entry.id == id) else { return };
        if let Some(entry) = lane.waiting.remove(at) {
            self.bytes -= entry.bytes;
            lane.tokens -= entry.tokens;
        }
        if lane.waiting.is_empty() {
            self.lanes.remove(&tenant);
            self.turns.retain(|other| *other != tenant);
        }
        if self.owners.is_empty() {
            (self.standing, self.shed) = (None, None);
        }
    }

    /// Who is to give up, where the queue has been standing for too long: the newest of the heaviest tenant.
    pub(crate) fn shed(&mut self, now: Instant) -> Option<u64> {
        if self.shed_at()? > now {
            return None;
        }
        self.shed = Some(now);
        let heaviest = self.lanes.values().max_by_key(|lane| lane.tokens)?;
        let newest = heaviest.waiting.back()?.id;
        self.remove(newest);
        Some(newest)
    }

    /// When the next one is shed, if nothing changes.
    pub(crate) fn shed_at(&self) -> Option<Instant> {
        let standing = self.standing? + PATIENCE;
        Some(self.shed.map_or(standing, |last| standing.max(last + SHED_EACH)))
    }

    /// Whether an entry still waits.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.owners.contains_key(&id)
    }

    /// How many wait, with how many tokens: all that is ahead of a newcomer, at most.
    pub(crate) fn ahead(&self) -> Ahead {
        Ahead {
            requests: self.owners.len() as u64,
            tokens: self.lanes.values().fold(0, |sum, lane| sum.saturating_add(lane.tokens)),
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

#[cfg(test)]
mod tests;
