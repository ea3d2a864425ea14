//! Pods that carry a sidecar, as far as their metadata says: which exist, which run, which are gone.

mod census;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chaperone_protocol::snapshot::Scope;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod as CorePod;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::time::Instant;

use self::census::{Census, Seen};
use crate::clock;
use crate::desk::Desk;

/// On every Pod with a sidecar, with value `true`.
pub(crate) const INJECTED_LABEL: &str = "chaperone.dev/injected";
/// On such a Pod: its ServiceAccount, which metadata does not say otherwise. Without it: `default`.
pub(crate) const SERVICE_ACCOUNT: &str = "chaperone.dev/service-account";

/// What watches have said.
#[derive(Debug, Default)]
pub(crate) struct Pods(Mutex<Census>);

impl Pods {
    /// Whether a Pod with a sidecar has this uid.
    pub(crate) fn exists(&self, uid: &str) -> bool {
        self.census().exists(uid)
    }

    /// Pods that have run for a while without their sidecar ever having had a stream, by scope.
    pub(crate) fn unseen(&self, now: Instant, has_connected: impl Fn(&str) -> bool) -> BTreeMap<Scope, usize> {
        self.census().unseen(now, has_connected)
    }

    fn census(&self) -> MutexGuard<'_, Census> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows Pods until it is dropped. A stream ends with its Pod, at once.
    pub(crate) async fn run(&self, client: &Client, desk: &Arc<Desk>) {
        tokio::join!(self.follow_all(client, desk), self.follow_running(client));
    }

    async fn follow_all(&self, client: &Client, desk: &Arc<Desk>) {
        let config = watcher::Config::default().labels(&format!("{INJECTED_LABEL}=true")).streaming_lists();
        let pods: Api<PartialObjectMeta<CorePod>> = Api::all(client.clone());
        let mut events = watcher(pods, config).default_backoff().boxed();
        while let Some(event) = events.next().await {
            let gone = match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    self.census().seen(&pod.metadata);
                    continue;
                }
                Ok(Event::Delete(pod)) => self.census().deleted(&pod.metadata),
                Ok(Event::Init) => {
                    self.census().relist();
                    continue;
                }
                Ok(Event::InitDone) => self.census().relisted(),
                Err(error) => {
                    tracing::warn!(%error, "cannot follow Pods");
                    continue;
                }
            };
            for uid in gone {
                desk.lead(clock::now(), |hub| hub.pod_deleted(&uid, clock::now()));
            }
            desk.report.notify_one();
        }
    }

    /// Metadata says no phase; a selector does.
    async fn follow_running(&self, client: &Client) {
        let config = watcher::Config::default()
            .labels(&format!("{INJECTED_LABEL}=true"))
            .fields("status.phase=Running")
            .streaming_lists();
        let pods: Api<PartialObjectMeta<CorePod>> = Api::all(client.clone());
        let mut events = watcher(pods, config).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    self.census().runs(&pod.metadata, Seen::Running(clock::now()));
                }
                Ok(Event::Delete(pod)) => self.census().runs(&pod.metadata, Seen::NotRunning),
                Ok(Event::Init | Event::InitDone) => {}
                Err(error) => tracing::warn!(%error, "cannot follow running Pods"),
            }
        }
    }
}
