//! Whose turn it is to be evicted, if anybody's. Pure.
//!
//! An eviction takes a Pod that serves, and trusts that a better one comes. Whether one does is seen each time, before
//! anybody else goes: of an owner that has all its Pods one is evicted, and then nobody's is until that owner has all of
//! them again and the new one has a sidecar. So where successors are refused, or come as they were, one Pod is lost and
//! no more; and the next leader, who knows nothing of it, finds that owner short of a Pod and leaves it alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

use super::standing::{Member, Phase, Standing};

/// From one eviction, or attempt at one, to the next.
const PAUSE: Duration = Duration::from_secs(30);
/// From one look at an owner that lacks a Pod to the next.
const LOOK: Duration = Duration::from_secs(10);
/// How long a successor may take until its owner is told that nobody is evicted any more.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long it counts that a new Pod got its sidecar, by the time of day.
const PROOF: Duration = Duration::from_secs(3600);
/// An owner none of whose Pods was without a sidecar for so long may begin anew.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// A Pod that could have a sidecar, and that something makes anew.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::injector::watchdog) struct Candidate {
    pub(in crate::injector::watchdog) uid: String,
    pub(in crate::injector::watchdog) namespace: String,
    pub(in crate::injector::watchdog) name: String,
    pub(in crate::injector::watchdog) created: Timestamp,
    /// What makes it.
    pub(in crate::injector::watchdog) owner: ObjectReference,
}

impl Candidate {
    pub(super) fn owner(&self) -> &str {
        self.owner.uid.as_deref().unwrap_or_default()
    }
}

/// Whom it was so far.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// When there is something to do again.
    due: Option<Instant>,
    awaited: Option<Awaited>,
    owners: BTreeMap<String, Owner>,
    /// When each was looked at, in vain as long as it is there: the others come first.
    tried: BTreeMap<String, Instant>,
}

/// What an eviction is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    /// How the Pod's owner stands.
    pub(super) standing: &'a Standing,
    /// When the newest Pod was made that got its sidecar, of anybody's.
    pub(super) newest_injected: Option<Timestamp>,
}

/// What an eviction must lead to before the next.
#[derive(Debug)]
struct Awaited {
    evicted: Candidate,
    /// Uids of its owner's Pods at that time.
    before: BTreeSet<String>,
    since: Instant,
    is_told: bool,
}

#[derive(Debug)]
struct Owner {
    /// When its first was evicted. What it made later is a successor: if that has no sidecar, to evict it as well would go
    /// on for ever.
    since: Timestamp,
    seen: Instant,
}

/// Why a Pod may not be evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// Its owner misses one already.
    Incomplete,
    /// Its owner has no other, and no new Pod got a sidecar lately.
    Unproven,
}

/// What became of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its owner has what it needs: another may go.
    GoOn,
    /// Not yet.
    Wait,
    /// Not in all the time that it had. Said once; it is waited for further.
    Stopped,
}

impl Turns {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| now >= due)
    }

    /// Nothing could be seen at `now`.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.due = Some(now + LOOK);
    }

    /// Whose successor is waited for.
    pub(super) fn awaited(&self) -> Option<&Candidate> {
        self.awaited.as_ref().map(|awaited| &awaited.evicted)
    }

    /// What became of the awaited one, by how its owner stands at `now`.
    pub(super) fn judge(&mut self, standing: &Standing, now: Instant) -> Verdict {
        let Some(awaited) = &mut self.awaited else { return Verdict::GoOn };
        if awaited.is_settled(standing) {
            self.awaited = None;
            return Verdict::GoOn;
        }
        let is_news = !awaited.is_told && now >= awaited.since + PATIENCE;
        awaited.is_told |= is_news;
        self.put_off(now);
        if is_news { Verdict::Stopped } else { Verdict::Wait }
    }

    /// Whom to look at, of all that there are at `now`. The owner with most of them comes first: it misses one least.
    pub(super) fn next(&mut self, candidates: &[Candidate], now: Instant) -> Option<Candidate> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for candidate in candidates {
            *counts.entry(candidate.owner()).or_default() += 1;
        }
        self.forget(&counts, candidates, now);
        if self.awaited.is_some() {
            return None;
        }
        let may_go =
            |it: &&Candidate| self.owners.get(it.owner()).is_none_or(|owner| it.created < owner.since);
        let order =
            |it: &&Candidate| (self.tried.get(&it.uid).copied(), Reverse(counts.get(it.owner()).copied()));
        let next = candidates.iter().filter(may_go).min_by_key(order)?;
        self.tried.insert(next.uid.clone(), now);
        Some(next.clone())
    }

    /// Begins to evict `next`, whom [`Turns::next`] has just named, at `now`: its successor is waited for from here on, whatever the API server says, for it may
    /// have done what it had no time to confirm.
    ///
    /// # Errors
    /// If it may not go, as its owner stands.
    pub(super) fn begin(
        &mut self,
        next: &Candidate,
        Evidence { standing, newest_injected }: Evidence<'_>,
        now: Instant,
        wall: Timestamp,
    ) -> Result<(), Hindrance> {
        self.put_off(now);
        if !standing.is_whole() {
            return Err(Hindrance::Incomplete);
        }
        let is_proven = newest_injected.is_some_and(|newest| wall < newest + PROOF);
        if standing.wanted == 1 && !is_proven {
            return Err(Hindrance::Unproven);
        }
        self.due = Some(now + PAUSE);
        // As coarse as what it is compared with: a Pod of the same second counts as a successor.
        let since = Timestamp::from_second(wall.as_second()).unwrap_or(wall);
        self.owners.entry(next.owner().to_owned()).or_insert(Owner { since, seen: now });
        let before = standing.pods.iter().map(|pod| pod.uid.clone()).collect();
        self.awaited = Some(Awaited { evicted: next.clone(), before, since: now, is_told: false });
        Ok(())
    }

    fn forget(&mut self, counts: &BTreeMap<&str, usize>, candidates: &[Candidate], now: Instant) {
        for (uid, owner) in &mut self.owners {
            if counts.contains_key(uid.as_str()) {
                owner.seen = now;
            }
        }
        self.owners.retain(|_, owner| now < owner.seen + FORGOTTEN);
        let there: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.uid.as_str()).collect();
        self.tried.retain(|uid, _| there.contains(uid.as_str()));
    }
}

impl Awaited {
    fn is_settled(&self, standing: &Standing) -> bool {
        let is_new = |uid: &String| !self.before.contains(uid);
        // A budget kept it, or the API server did.
        let has_stayed =
            standing.pods.iter().any(|pod| pod.uid == self.evicted.uid && pod.phase != Phase::Ending);
        // Its owner wants fewer than before: nothing comes.
        let is_smaller = !standing.pods.iter().any(|pod| is_new(&pod.uid));
        standing.wanted == 0
            || has_stayed
            || standing.is_whole() && (self.has_successor(standing) || is_smaller)
    }

    fn has_successor(&self, standing: &Standing) -> bool {
        let is_new = |pod: &Member| !self.before.contains(&pod.uid);
        standing.pods.iter().any(|pod| is_new(pod) && pod.is_injected && pod.phase == Phase::Ready)
    }
}

#[cfg(test)]
mod tests;
