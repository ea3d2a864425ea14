//! Evicts Pods that have no sidecar and whose successors would get one, where the operator is told to: by the API that
//! heeds PodDisruptionBudgets, one at a time (`turns`).

mod turns;

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, Preconditions};
use kube::runtime::events::Recorder;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::timeout;

pub(super) use self::turns::Candidate;
use self::turns::Turns;
use crate::clock;
use crate::desk::Desk;
use crate::event;
use crate::injector::bundle::Trust;

/// How long one call may take. A budget that is used up is answered at once, and tried again by the client meanwhile.
const CALL: Duration = Duration::from_secs(5);

/// Whether Pods are evicted at all.
#[derive(Debug, Clone)]
pub(crate) enum Eviction {
    /// None is.
    Off,
    /// Some are, as long as the API server trusts the injector: else successors would come without a sidecar too.
    On(watch::Receiver<Trust>),
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
    pub(super) async fn turn(&mut self, candidates: &[Candidate], desk: &Desk, recorder: &Recorder) {
        let Eviction::On(trust) = &self.eviction else { return };
        if *trust.borrow() == Trust::Missing {
            return;
        }
        let Some(candidate) = self.turns.next(candidates, clock::now()) else { return };
        let outcome = self.evict(&candidate).await;
        desk.metrics.evictions.with_label_values(&[outcome.code()]).inc();
        if outcome == Outcome::Evicted {
            let Candidate { namespace, name, owner, .. } = &candidate;
            tracing::info!(namespace, name, "evicted: it has no sidecar, and its successor gets one");
            let note = format!("Pod {namespace}/{name} had no sidecar; it was evicted, and its successor gets one");
            // Told or not, it is done.
            let _ = timeout(CALL, recorder.publish(&event::normal("Evicted", "Evict", note), owner)).await;
        }
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
            // The client goes on asking where it is told to come again.
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
    /// A PodDisruptionBudget keeps it.
    Blocked,
    /// Anything else.
    Failed,
}

impl Outcome {
    /// As a metric has it.
    fn code(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
        }
    }
}
