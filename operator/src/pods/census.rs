//! The Pods with a sidecar, by uid. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chaperone_protocol::snapshot::Scope;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use super::SERVICE_ACCOUNT;

/// A sidecar that has not connected after this long is one that does not.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a deleted Pod is remembered. TokenReview may take its token for 10 s more, and a cached review for 60.
const TOMBSTONE: Duration = Duration::from_secs(120);
/// Deleted Pods that are remembered: the oldest are forgotten first.
const TOMBSTONES: usize = 20_000;

/// Whether a Pod runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Since then, as far as we know.
    Running(Instant),
    /// Not yet, or not any more.
    NotRunning,
}

/// What is known of all of them.
#[derive(Debug, Default)]
pub(super) struct Census {
    pods: BTreeMap<String, Pod>,
    /// While Pods are listed anew: those that were found so far.
    found: Option<BTreeSet<String>>,
    /// Whoever leads, or comes to lead, knows of them.
    tombstones: VecDeque<(Instant, String)>,
    deleted: BTreeSet<String>,
    /// When the newest that was injected was made, whether or not it still exists.
    newest: Option<Timestamp>,
}

#[derive(Debug)]
struct Pod {
    scope: Option<Scope>,
    running_since: Option<Instant>,
}

impl Census {
    pub(super) fn exists(&self, uid: &str) -> bool {
        self.pods.contains_key(uid)
    }

    pub(super) fn seen(&mut self, metadata: &ObjectMeta) {
        let Some(uid) = &metadata.uid else { return };
        if let Some(found) = &mut self.found {
            found.insert(uid.clone());
        }
        let scope = scope_of(metadata);
        self.pods.entry(uid.clone()).or_insert(Pod { scope: None, running_since: None }).scope = scope;
    }

    /// It has its sidecar from the injector.
    pub(super) fn injected(&mut self, metadata: &ObjectMeta) {
        let made = metadata.creation_timestamp.as_ref().map(|time| time.0);
        self.newest = self.newest.max(made);
    }

    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Returns the uids that are gone.
    pub(super) fn deleted(&mut self, metadata: &ObjectMeta, now: Instant) -> Vec<String> {
        let gone: Vec<_> = metadata.uid.clone().into_iter().collect();
        self.bury(&gone, now);
        gone
    }

    fn bury(&mut self, gone: &[String], now: Instant) {
        for uid in gone {
            self.pods.remove(uid);
            if self.deleted.insert(uid.clone()) {
                self.tombstones.push_back((now, uid.clone()));
            }
        }
        let is_past = |(at, _): &(Instant, String)| now >= *at + TOMBSTONE;
        while self.tombstones.len() > TOMBSTONES || self.tombstones.front().is_some_and(is_past) {
            if let Some((_, uid)) = self.tombstones.pop_front() {
                self.deleted.remove(&uid);
            }
        }
    }

    pub(super) fn was_deleted(&self, uid: &str) -> bool {
        self.deleted.contains(uid)
    }

    pub(super) fn relist(&mut self) {
        self.found = Some(BTreeSet::new());
    }

    /// The list is complete: returns who was deleted while nobody watched.
    pub(super) fn relisted(&mut self, now: Instant) -> Vec<String> {
        let found = self.found.take().unwrap_or_default();
        let gone: Vec<_> = self.pods.keys().filter(|uid| !found.contains(*uid)).cloned().collect();
        self.bury(&gone, now);
        gone
    }

    /// A Pod that only the other watch knows so far is not counted: it will come.
    pub(super) fn runs(&mut self, metadata: &ObjectMeta, seen: Seen) {
        let Some(uid) = &metadata.uid else { return };
        match (seen, self.pods.get_mut(uid)) {
            (Seen::Running(now), Some(pod)) => {
                pod.running_since.get_or_insert(now);
            }
            (Seen::Running(now), None) => {
                let pod = Pod { scope: scope_of(metadata), running_since: Some(now) };
                self.pods.insert(uid.clone(), pod);
            }
            (Seen::NotRunning, Some(pod)) => pod.running_since = None,
            (Seen::NotRunning, None) => {}
        }
    }

    /// The list of running Pods is complete: others have ended while nobody watched.
    pub(super) fn only_these_run(&mut self, uids: &BTreeSet<String>) {
        for (_, pod) in self.pods.iter_mut().filter(|(uid, _)| !uids.contains(*uid)) {
            pod.running_since = None;
        }
    }

    pub(super) fn unseen(
        &self,
        now: Instant,
        has_connected: impl Fn(&str) -> bool,
    ) -> BTreeMap<Scope, usize> {
        let mut counts = BTreeMap::new();
        for (uid, pod) in &self.pods {
            let is_late = pod.running_since.is_some_and(|since| now >= since + PATIENCE);
            if let Some(scope) = pod.scope.as_ref().filter(|_| is_late && !has_connected(uid)) {
                *counts.entry(scope.clone()).or_default() += 1;
            }
        }
        counts
    }
}

fn scope_of(metadata: &ObjectMeta) -> Option<Scope> {
    let account = metadata.annotations.as_ref().and_then(|annotations| annotations.get(SERVICE_ACCOUNT));
    let service_account = account.map_or("default", String::as_str).parse().ok()?;
    Some(Scope { namespace: metadata.namespace.as_ref()?.parse().ok()?, service_account })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(uid: &str) -> ObjectMeta {
        let annotations = [(SERVICE_ACCOUNT.to_owned(), "checkout".to_owned())].into();
        ObjectMeta {
            uid: Some(uid.to_owned()),
            namespace: Some("shop".to_owned()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_pod_that_runs_for_a_minute_without_a_stream_is_counted() {
        let start = crate::clock::now();
        let mut census = Census::default();
        census.seen(&metadata("a"));
        census.runs(&metadata("a"), Seen::Running(start));
        census.runs(&metadata("b"), Seen::Running(start));
        census.runs(&metadata("b"), Seen::Running(start + Duration::from_secs(30)));
        census.seen(&metadata("pending"));
        let at = |seconds, census: &Census| {
            let counts = census.unseen(start + Duration::from_secs(seconds), |uid| uid == "a");
            counts.into_iter().map(|(scope, count)| (scope.to_string(), count)).collect::<Vec<_>>()
        };
        assert!(at(59, &census).is_empty());
        assert_eq!(at(60, &census), [("shop/checkout".to_owned(), 1)], "a has connected");
        census.runs(&metadata("b"), Seen::NotRunning);
        assert!(at(60, &census).is_empty());
    }

    #[test]
    fn the_newest_that_was_injected_is_remembered_though_it_is_gone() {
        let made = |second| {
            let time =
                k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::from_second(second).unwrap());
            ObjectMeta { creation_timestamp: Some(time), ..metadata("a") }
        };
        let mut census = Census::default();
        census.seen(&made(3));
        assert_eq!(census.newest(), None, "not every Pod with a sidecar was injected");
        census.injected(&made(2));
        census.injected(&made(1));
        census.deleted(&made(2), crate::clock::now());
        assert_eq!(census.newest(), Timestamp::from_second(2).ok());
    }

    #[test]
    fn who_vanished_while_nobody_watched_is_gone() {
        let mut census = Census::default();
        census.seen(&metadata("a"));
        census.seen(&metadata("b"));
        census.relist();
        census.seen(&metadata("b"));
        let now = crate::clock::now();
        assert_eq!(census.relisted(now), ["a"]);
        assert!(census.exists("b") && !census.exists("a"));
        assert_eq!(census.deleted(&metadata("b"), now), ["b"]);
        assert!(!census.exists("b"));
        assert!(census.was_deleted("a") && census.was_deleted("b") && !census.was_deleted("c"));
        census.deleted(&metadata("c"), now + TOMBSTONE);
        assert!(!census.was_deleted("a") && census.was_deleted("c"));
    }

    #[test]
    fn who_ended_while_nobody_watched_does_not_run() {
        let start = crate::clock::now();
        let mut census = Census::default();
        for uid in ["a", "b"] {
            census.seen(&metadata(uid));
            census.runs(&metadata(uid), Seen::Running(start));
        }
        census.only_these_run(&["b".to_owned()].into());
        let unseen = census.unseen(start + PATIENCE, |_| false);
        assert_eq!(unseen.into_values().collect::<Vec<_>>(), [1]);
    }
}
