//! Finds Pods that should have a sidecar and have none, counts them by reason, and tells their owners: only while
//! leading. It changes no Pod, unless it is told to evict those that could have one.
//!
//! `unattended` knows which they are and why, and has no I/O; `evictor` evicts.

mod evictor;
mod unattended;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::events::Recorder;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub(crate) use self::evictor::Eviction;
use self::evictor::Evictor;
use self::unattended::{News, Reason, Unattended};
use crate::clock;
use crate::desk::Desk;
use crate::event;
use crate::pods::NOT_ENDED;
use crate::watched::Watched;

/// How often it looks, and how soon what failed is tried again.
const ROUND: Duration = Duration::from_secs(2);
/// Pods that are looked at, and events that are written, in one round; the next takes what is beyond.
const BATCH: usize = 20;
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);
/// Namespaces that the chart excludes, besides the operator's own.
const EXCLUDED: [&str; 2] = ["kube-system", "kube-node-lease"];
/// Pods without a sidecar that have not said that they want none.
const PODS: &str = "chaperone.dev/injected!=true,chaperone.dev/inject!=disabled";
type Metadata<K> = PartialObjectMeta<K>;

/// Watches until it is dropped. `home` is the operator's own namespace.
pub(crate) async fn run(
    client: Client,
    watched: Arc<Watched>,
    desk: Arc<Desk>,
    home: String,
    eviction: Eviction,
) {
    let (opted_in, namespaces) = watch::channel(BTreeSet::new());
    let follow = follow_namespaces(&client, &home, opted_in);
    let watchdog = Watchdog {
        client: client.clone(),
        watched,
        desk,
        recorder: event::recorder(&client),
        home: home.clone(),
    };
    tokio::join!(follow, watchdog.run(namespaces, Evictor::new(&client, eviction)));
}

/// Tells which namespaces ask for sidecars.
async fn follow_namespaces(client: &Client, home: &str, opted_in: watch::Sender<BTreeSet<String>>) {
    let config = watcher::Config::default().labels("chaperone.dev/inject=enabled");
    let namespaces: Api<Metadata<Namespace>> = Api::all(client.clone());
    let mut events = watcher(namespaces, config).default_backoff().boxed();
    let (mut known, mut listed) = (BTreeSet::new(), BTreeSet::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(namespace)) => drop(known.insert(namespace.name_any())),
            Ok(Event::Delete(namespace)) => drop(known.remove(&namespace.name_any())),
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(namespace)) => drop(listed.insert(namespace.name_any())),
            Ok(Event::InitDone) => known = std::mem::take(&mut listed),
            Err(error) => tracing::warn!(%error, "cannot follow namespaces that ask for sidecars"),
        }
        let wanted = known.iter().filter(|name| !is_excluded(name, home)).cloned().collect();
        opted_in.send_if_modified(|before| {
            let is_new = *before != wanted;
            *before = wanted;
            is_new
        });
    }
}

fn is_excluded(namespace: &str, home: &str) -> bool {
    namespace == home || EXCLUDED.contains(&namespace)
}

struct Watchdog {
    client: Client,
    watched: Arc<Watched>,
    desk: Arc<Desk>,
    recorder: Recorder,
    home: String,
}

impl Watchdog {
    async fn run(self, mut namespaces: watch::Receiver<BTreeSet<String>>, mut evictor: Evictor) {
        let mut unattended = Unattended::default();
        while self.follow(&mut namespaces, &mut unattended, &mut evictor).await.is_ok() {}
    }

    /// Follows Pods while the same namespaces ask for sidecars. Which Pods need none is known again by a new list alone:
    /// those of other namespaces are not kept. What a round has begun it ends, whatever changes meanwhile.
    ///
    /// # Errors
    /// If nobody tells any more which namespaces ask.
    async fn follow(
        &self,
        namespaces: &mut watch::Receiver<BTreeSet<String>>,
        unattended: &mut Unattended,
        evictor: &mut Evictor,
    ) -> Result<(), RecvError> {
        let opted_in = namespaces.borrow_and_update().clone();
        let config = watcher::Config::default().labels(PODS).fields(NOT_ENDED).streaming_lists();
        let mut events = self.watched.events::<Metadata<Pod>>(&self.client, &config);
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let is_asked_for = |pod: &Metadata<Pod>| {
            let namespace = pod.namespace().unwrap_or_default();
            let asks = opted_in.contains(&namespace)
                || pod.labels().get("chaperone.dev/inject").is_some_and(|asks| asks == "enabled");
            asks && !is_excluded(&namespace, &self.home)
        };
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) if is_asked_for(&pod) => {
                        unattended.seen(&pod.metadata);
                    }
                    Some(Ok(Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod))) => unattended.gone(&pod.metadata),
                    Some(Ok(Event::Init)) => unattended.relist(),
                    Some(Ok(Event::InitDone)) => unattended.relisted(),
                    Some(Err(error)) => tracing::warn!(%error, "cannot follow Pods without a sidecar"),
                    None => return Ok(()),
                },
                changed = namespaces.changed() => return changed,
                _ = rounds.tick() => {
                    self.round(unattended).await;
                    if self.desk.is_leading(clock::now()) {
                        evictor.turn(unattended, &self.desk, &self.recorder).await;
                    }
                }
            }
        }
    }

    async fn round(&self, unattended: &mut Unattended) {
        let is_leading = self.desk.is_leading(clock::now());
        if is_leading {
            for (uid, namespace, name) in unattended.unexplained(BATCH) {
                self.explain(unattended, &uid, (&namespace, &name)).await;
            }
            for news in unattended.news(BATCH) {
                self.say(unattended, news).await;
            }
        }
        for reason in Reason::ALL {
            let count = if is_leading { unattended.count(reason) } else { 0 };
            let gauge = self.desk.metrics.uninjected.with_label_values(&[reason.code()]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Metadata does not say why: one look at the Pod does.
    async fn explain(&self, unattended: &mut Unattended, uid: &str, (namespace, name): (&str, &str)) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        match timeout(CALL, pods.get_opt(name)).await {
            Ok(Ok(Some(pod))) => unattended.explained(&pod),
            // Gone: the watch says so too.
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(namespace, name, uid, %error, "cannot look at a Pod without a sidecar")
            }
        }
    }

    async fn say(&self, unattended: &mut Unattended, news: News) {
        let warning = event::warning("NotInjected", "Inject", news.note.clone());
        match timeout(CALL, self.recorder.publish(&warning, &news.regarding)).await {
            Ok(Ok(())) => unattended.said(news),
            Ok(Err(error)) => tracing::warn!(%error, "cannot write an event about a Pod without a sidecar"),
            Err(_) => {}
        }
    }
}
