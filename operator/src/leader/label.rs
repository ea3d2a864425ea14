//! The label by which the feed's Service finds the leader's Pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::timeout;

/// On the leader's Pod, with value `leader`.
const ROLE: &str = "chaperone.dev/role";
const LEADER: &str = "leader";
/// A label that cannot be set in time must not cost the leadership.
const CALL: Duration = Duration::from_secs(2);

/// Sets and removes it.
pub(super) struct Label {
    pods: Api<Pod>,
    own: Option<String>,
}

impl Label {
    /// Of the Pods in `namespace`, of which `own` is this process's.
    pub(super) fn new(client: &Client, namespace: &str, own: Option<String>) -> Self {
        Self { pods: Api::namespaced(client.clone(), namespace), own }
    }

    /// Takes the label off every other Pod, then sets it on the own one: never on two.
    pub(super) async fn take(&self) {
        let Some(own) = &self.own else { return };
        let selector = ListParams::default().labels(&format!("{ROLE}={LEADER}"));
        if let Ok(Ok(found)) = timeout(CALL, self.pods.list_metadata(&selector)).await {
            for pod in found.items.iter().map(PartialObjectMeta::name_any).filter(|name| name != own) {
                self.set(&pod, None).await;
            }
        }
        self.set(own, Some(LEADER)).await;
    }

    /// Sets it again if it is not there: without it the feed's Service finds nobody, and no election would mend that.
    pub(super) async fn keep(&self) {
        let Some(own) = &self.own else { return };
        let kept = async {
            let Ok(pod) = self.pods.get_metadata(own).await else { return };
            if pod.labels().get(ROLE).is_none_or(|role| role != LEADER) {
                tracing::warn!(pod = own, "the leader's label is missing; setting it");
                self.take().await;
            }
        };
        // What is not done in time is done after the next renewal.
        let _ = timeout(CALL, kept).await;
    }

    /// Takes it off the own Pod.
    pub(super) async fn remove_own(&self) {
        if let Some(own) = &self.own {
            self.set(own, None).await;
        }
    }

    async fn set(&self, pod: &str, role: Option<&str>) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {ROLE: role}}}));
        match timeout(CALL, self.pods.patch_metadata(pod, &PatchParams::default(), &patch)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(pod, %error, "cannot set the leader's label"),
            Err(_) => tracing::warn!(pod, "the leader's label was not set in time"),
        }
    }
}
