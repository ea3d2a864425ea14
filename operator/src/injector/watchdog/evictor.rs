//! Evicts Pods that have no sidecar and whose successors would get one, where the operator is told to: by the API that
//! heeds PodDisruptionBudgets, and nobody before the last one's successor serves with a sidecar.
//!
//! `turns` decides; `standing` is how that looks which makes the Pods.

mod standing;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, ListParams, Preconditions};
use kube::core::{DynamicObject, Selector};
use kube::runtime::events::{Event, Recorder};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::timeout;

pub(super) use self::standing::maker;
use self::standing::{Maker, Standing};
pub(super) use self::turns::Candidate;
use self::turns::{Evidence, Hindrance, Turns, Verdict};
use super::unattended::Unattended;
use crate::clock;
use crate::desk::Desk;
use crate::event;
use crate::injector::bundle::Trust;
use crate::pods::Pods;

/// How long one call may take. A budget that is used up is answered at once, and tried again by the client meanwhile.
const CALL: Duration = Duration::from_secs(5);

/// Whether Pods are evicted at all.
#[derive(Debug, Clone)]
pub(crate) enum Eviction {
    /// None is.
    Off,
    /// Some are, while the API server trusts the injector; `pods` knows when it last gave a Pod its sidecar.
    On { trust: watch::Receiver<Trust>, pods: Arc<Pods> },
}

/// Evicts.
pub(super) struct Evictor {
    client: Client,
    eviction: Eviction,
    turns: Turns,
}

impl Evictor {
    /// Nobody has been yet.
    pub(super) fn new(client: &Client, eviction: Eviction) -> Self {
        Self { client: client.clone(), eviction, turns: Turns::default() }
    }

    /// Evicts one of these, if one may go now, and tells whoever makes it.
    pub(super) async fn turn(&mut self, unattended: &Unattended, desk: &Desk, recorder: &Recorder) {
        let Eviction::On { trust, pods } = &self.eviction else { return };
        let (trust, pods) = (trust.clone(), Arc::clone(pods));
        let may_evict = || *trust.borrow() == Trust::InPlace && desk.is_leading(clock::now());
        if !self.turns.is_due(clock::now()) || !self.is_settled(desk, recorder).await || !may_evict() {
            return;
        }
        let Some(candidate) = self.turns.next(&unattended.evictable(), clock::now()) else { return };
        let Some(standing) = self.look(&candidate).await else { return };
        // Looking took a while.
        if !may_evict() {
            return;
        }
        let evidence = Evidence { standing: &standing, newest_injected: pods.newest_injected() };
        let outcome = match self.turns.begin(&candidate, evidence, clock::now(), clock::wall()) {
            Ok(()) => self.evict(&candidate).await,
            Err(Hindrance::Incomplete) => Outcome::Incomplete,
            Err(Hindrance::Unproven) => Outcome::Unproven,
        };
        desk.metrics.evictions.with_label_values(&[outcome.code()]).inc();
        if outcome == Outcome::Evicted {
            let Candidate { namespace, name, .. } = &candidate;
            tracing::info!(namespace, name, "evicted: it has no sidecar, and its successor gets one");
            let note =
                format!("Pod {namespace}/{name} had no sidecar; it was evicted, and its successor gets one");
            tell(recorder, &candidate, event::normal("Evicted", "Evict", note)).await;
        }
    }

    /// Whether nobody's successor is waited for.
    async fn is_settled(&mut self, desk: &Desk, recorder: &Recorder) -> bool {
        let Some(evicted) = self.turns.awaited().cloned() else { return true };
        let Some(standing) = self.look(&evicted).await else { return false };
        let verdict = self.turns.judge(&standing, clock::now());
        if verdict == Verdict::Stopped {
            desk.metrics.evictions.with_label_values(&[Outcome::Stopped.code()]).inc();
            let Candidate { namespace, name, .. } = &evicted;
            tracing::warn!(
                namespace,
                name,
                "no Pod is evicted any more: no successor of this one serves with a sidecar"
            );
            let note = format!(
                "Pod {namespace}/{name} was evicted, and no successor serves with a sidecar; no other Pod is evicted \
                 until one does: does the API server reach the injector, and is there room for a sidecar?"
            );
            tell(recorder, &evicted, event::warning("EvictionStopped", "Evict", note)).await;
        }
        verdict == Verdict::GoOn
    }

    /// How that stands which makes this Pod; `None` if the API server does not say, which is asked again later.
    async fn look(&mut self, candidate: &Candidate) -> Option<Standing> {
        let standing = timeout(CALL, self.standing(candidate)).await;
        if let Ok(Ok(standing)) = standing {
            return Some(standing);
        }
        if let Ok(Err(error)) = standing {
            let Candidate { namespace, name, .. } = candidate;
            tracing::warn!(namespace, name, %error, "cannot look at what makes a Pod without a sidecar");
        }
        self.turns.put_off(clock::now());
        None
    }

    async fn standing(&self, candidate: &Candidate) -> kube::Result<Standing> {
        let Candidate { namespace, owner, .. } = candidate;
        let (Some(kind), Some(name)) = (maker(owner), &owner.name) else { return Ok(Standing::default()) };
        let makers: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        // One of the same name that came later is another.
        let found = makers.get_opt(name).await?.filter(|found| found.metadata.uid == owner.uid);
        let Some(found) = found.and_then(Maker::of) else { return Ok(Standing::default()) };
        let wanted = found.wanted();
        let Some(selector) = found.selector().and_then(|labels| Selector::try_from(labels).ok()) else {
            return Ok(Standing::default());
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pods = pods.list(&ListParams::default().labels_from(&selector)).await?;
        Ok(Standing::of(wanted, candidate.owner(), &pods.items))
    }

    async fn evict(&self, candidate: &Candidate) -> Outcome {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &candidate.namespace);
        // That Pod, and none of the same name that came after it.
        let only = Preconditions { uid: Some(candidate.uid.clone()), ..Preconditions::default() };
        let delete = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        let params = EvictParams { delete_options: Some(delete), ..EvictParams::default() };
        match timeout(CALL, pods.evict(&candidate.name, &params)).await {
            Ok(Ok(_)) => Outcome::Evicted,
            Ok(Err(kube::Error::Api(status))) if status.code == 429 => Outcome::Blocked,
            // The client goes on asking where it is told to come again; an API server that hangs looks the same.
            Err(_) => Outcome::Blocked,
            Ok(Err(error)) => {
                tracing::warn!(name = candidate.name, %error, "cannot evict a Pod without a sidecar");
                Outcome::Failed
            }
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The Pod ends.
    Evicted,
    /// A PodDisruptionBudget keeps it, or no answer came in time: while one does, the client goes on asking.
    Blocked,
    /// It was not tried: what makes it misses a Pod already.
    Incomplete,
    /// It was not tried: what makes it has no other, and nobody knows whether a new one would get its sidecar.
    Unproven,
    /// Anything else.
    Failed,
    /// Of the one before: no successor serves with a sidecar, so that nobody is evicted any more.
    Stopped,
}

impl Outcome {
    /// As a metric has it.
    fn code(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Blocked => "blocked",
            Self::Incomplete => "incomplete",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Told or not, it is done.
async fn tell(recorder: &Recorder, evicted: &Candidate, event: Event) {
    let _ = timeout(CALL, recorder.publish(&event, &evicted.owner)).await;
}
