//! Whose turn it is to be evicted, if anybody's. Pure.
//!
//! One at a time, with a pause between two; and of one owner those Pods alone that were there when its first was chosen:
//! where successors come without a sidecar too, the injector is not reached, and to evict those as well would go on for
//! ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

/// From one eviction, or attempt at one, to the next.
const PAUSE: Duration = Duration::from_secs(30);
/// An owner none of whose Pods was without a sidecar for so long may begin anew.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// A Pod that could have a sidecar, and that something makes anew.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::injector::watchdog) struct Candidate {
    pub(in crate::injector::watchdog) uid: String,
    pub(in crate::injector::watchdog) namespace: String,
    pub(in crate::injector::watchdog) name: String,
    /// What makes it.
    pub(in crate::injector::watchdog) owner: ObjectReference,
}

impl Candidate {
    fn owner(&self) -> &str {
        self.owner.uid.as_deref().unwrap_or_default()
    }
}

/// Whom it was so far.
#[derive(Debug, Default)]
pub(super) struct Turns {
    last: Option<Instant>,
    owners: BTreeMap<String, Owner>,
    /// When each was tried in vain: the others come first.
    tried: BTreeMap<String, Instant>,
}

#[derive(Debug)]
struct Owner {
    /// Uids of Pods that may be evicted.
    pods: BTreeSet<String>,
    seen: Instant,
}

impl Turns {
    /// Whom to evict at `now`, of all that there are.
    pub(super) fn next(&mut self, candidates: &[Candidate], now: Instant) -> Option<Candidate> {
        self.remember(candidates, now);
        if self.last.is_some_and(|last| now < last + PAUSE) {
            return None;
        }
        let may_go = |it: &&Candidate| self.owners.get(it.owner()).is_some_and(|owner| owner.pods.contains(&it.uid));
        let chosen = candidates.iter().filter(may_go).min_by_key(|it| self.tried.get(&it.uid))?;
        self.last = Some(now);
        self.tried.insert(chosen.uid.clone(), now);
        Some(chosen.clone())
    }

    fn remember(&mut self, candidates: &[Candidate], now: Instant) {
        let mut by_owner: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for candidate in candidates {
            by_owner.entry(candidate.owner()).or_default().insert(candidate.uid.clone());
        }
        self.owners.retain(|uid, owner| by_owner.contains_key(uid.as_str()) || now < owner.seen + FORGOTTEN);
        self.tried.retain(|uid, _| candidates.iter().any(|candidate| candidate.uid == *uid));
        for (uid, pods) in by_owner {
            self.owners.entry(uid.to_owned()).or_insert(Owner { pods, seen: now }).seen = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(owner: &str, uid: &str) -> Candidate {
        let (namespace, name) = ("shop".to_owned(), format!("{owner}-{uid}"));
        let owner = ObjectReference { uid: Some(owner.to_owned()), ..ObjectReference::default() };
        Candidate { uid: uid.to_owned(), namespace, name, owner }
    }

    fn chosen(turns: &mut Turns, candidates: &[Candidate], now: Instant) -> Option<String> {
        turns.next(candidates, now).map(|candidate| candidate.uid)
    }

    #[test]
    fn one_at_a_time_with_a_pause_between_two() {
        let (start, mut turns) = (crate::clock::now(), Turns::default());
        let pods = [pod("web", "1"), pod("web", "2"), pod("api", "3")];
        assert_eq!(chosen(&mut turns, &pods, start).as_deref(), Some("1"));
        let left = &pods[1..];
        assert_eq!(chosen(&mut turns, left, start + PAUSE - Duration::from_secs(1)), None);
        assert_eq!(chosen(&mut turns, left, start + PAUSE).as_deref(), Some("2"));
        assert_eq!(chosen(&mut turns, &pods[2..], start + 2 * PAUSE).as_deref(), Some("3"));
        assert_eq!(chosen(&mut turns, &[], start + 3 * PAUSE), None);
    }

    #[test]
    fn who_cannot_be_evicted_lets_others_go_first_and_is_tried_again() {
        let (start, mut turns) = (crate::clock::now(), Turns::default());
        let pods = [pod("web", "1"), pod("api", "2")];
        let order = (0..4).map(|turn| chosen(&mut turns, &pods, start + turn * PAUSE).unwrap());
        assert_eq!(order.collect::<String>(), "1212");
    }

    #[test]
    fn successors_without_a_sidecar_are_left_alone_until_their_owner_was_whole_for_a_while() {
        let (start, mut turns) = (crate::clock::now(), Turns::default());
        assert_eq!(chosen(&mut turns, &[pod("web", "1")], start).as_deref(), Some("1"));
        // There is a moment in which the one is gone and the other is not there yet.
        assert_eq!(chosen(&mut turns, &[], start + PAUSE), None);
        let successor = [pod("web", "2")];
        let seen = start + 2 * PAUSE;
        assert_eq!(chosen(&mut turns, &successor, seen), None);
        assert_eq!(chosen(&mut turns, &successor, seen + 2 * FORGOTTEN), None);
        let whole = seen + 3 * FORGOTTEN;
        assert_eq!(chosen(&mut turns, &[], whole), None);
        assert_eq!(chosen(&mut turns, &[pod("web", "3")], whole).as_deref(), Some("3"));
    }
}
