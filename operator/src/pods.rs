//! Pods that carry a sidecar, as far as their metadata says: which exist, which run, which are gone.

mod census;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chaperone_protocol::snapshot::Scope;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod as CorePod;
use kube::Client;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use tokio::time::Instant;

use self::census::{Census, Seen};
use crate::clock;
use crate::desk::Desk;
use crate::watched::Watched;

/// On every Pod with a sidecar, with value `true`.
pub(crate) const INJECTED_LABEL: &str = "chaperone.dev/injected";
/// On such a Pod: its ServiceAccount, which metadata does not say otherwise. Without it: `default`.
pub(crate) const SERVICE_ACCOUNT: &str = "chaperone.dev/service-account";

/// Pods that have ended need no sidecar any more.
pub(crate) const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// What watches have said.
#[derive(Debug, Default)]
pub(crate) struct Pods(Mutex<Census>);

impl Pods {
    /// Whether a Pod with a sidecar has this uid.
    pub(crate) fn exists(&self, uid: &str) -> bool {
        self.census().exists(uid)
    }

    /// Whether a Pod with this uid was deleted lately, or has come to its end.
    pub(crate) fn was_deleted(&self, uid: &str) -> bool {
        self.census().was_deleted(uid)
    }

    /// Pods that have run for a while without their sidecar ever having had a stream, by scope.
    pub(crate) fn unseen(
        &self,
        now: Instant,
        has_connected: impl Fn(&str) -> bool,
    ) -> BTreeMap<Scope, usize> {
        self.census().unseen(now, has_connected)
    }

    /// When the newest Pod was made that the injector gave a sidecar, as far as watches have said.
    pub(crate) fn newest_injected(&self) -> Option<Timestamp> {
        self.census().newest()
    }

    fn census(&self) -> MutexGuard<'_, Census> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows Pods until it is dropped. A stream ends with its Pod, at once. In `home`, the operator's own namespace,
    /// nothing is injected: what has a sidecar there got it from the release.
    pub(crate) async fn run(&self, client: &Client, watched: &Watched, desk: &Arc<Desk>, home: &str) {
        tokio::join!(self.follow_all(client, watched, desk, home), self.follow_running(client, watched));
    }

    async fn follow_all(&self, client: &Client, watched: &Watched, desk: &Arc<Desk>, home: &str) {
        // A Pod that has ended needs no sidecar any more: to this watch it is as good as deleted.
        let config = watcher::Config::default()
            .labels(&format!("{INJECTED_LABEL}=true"))
            .fields(NOT_ENDED)
            .streaming_lists();
        let mut events = watched.events::<PartialObjectMeta<CorePod>>(client, &config);
        while let Some(event) = events.next().await {
            let gone = match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    let mut census = self.census();
                    census.seen(&pod.metadata);
                    if pod.metadata.namespace.as_deref() != Some(home) {
                        census.injected(&pod.metadata);
                    }
                    continue;
                }
                Ok(Event::Delete(pod)) => self.census().deleted(&pod.metadata, clock::now()),
                Ok(Event::Init) => {
                    self.census().relist();
                    continue;
                }
                Ok(Event::InitDone) => self.census().relisted(clock::now()),
                Err(error) => {
                    tracing::warn!(%error, "cannot follow Pods");
                    continue;
                }
            };
            for uid in gone {
                if desk.lead(clock::now(), |hub| hub.pod_deleted(&uid, clock::now())) == Some(true) {
                    desk.compile.notify_one();
                }
            }
            desk.report.notify_one();
        }
    }

    /// Metadata says no phase; a selector does.
    async fn follow_running(&self, client: &Client, watched: &Watched) {
        let config = watcher::Config::default()
            .labels(&format!("{INJECTED_LABEL}=true"))
            .fields("status.phase=Running")
            .streaming_lists();
        let mut events = watched.events::<PartialObjectMeta<CorePod>>(client, &config);
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(pod)) => self.census().runs(&pod.metadata, Seen::Running(clock::now())),
                Ok(Event::InitApply(pod)) => {
                    listed.extend(pod.metadata.uid.clone());
                    self.census().runs(&pod.metadata, Seen::Running(clock::now()));
                }
                Ok(Event::Delete(pod)) => self.census().runs(&pod.metadata, Seen::NotRunning),
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitDone) => self.census().only_these_run(&std::mem::take(&mut listed)),
                Err(error) => tracing::warn!(%error, "cannot follow running Pods"),
            }
        }
    }
}
