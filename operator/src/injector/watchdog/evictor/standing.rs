//! What makes Pods, and how it stands: how many it wants, and which there are. Pure.
//!
//! An allow-list: of other controllers nobody knows whether they make a Pod anew, or call it failed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ApiResource;
use kube::core::{DynamicObject, GroupVersion};
use serde::Deserialize;

use crate::pods::INJECTED_LABEL;

/// Those that make a Pod anew under the same spec whenever one is missing: apiVersion, kind and plural.
const MAKERS: [(&str, &str, &str); 4] = [
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("v1", "ReplicationController", "replicationcontrollers"),
];

/// Where to read what makes Pods; `None` if it is not one of [`MAKERS`].
pub(in crate::injector::watchdog) fn maker(owner: &ObjectReference) -> Option<ApiResource> {
    let named = (owner.api_version.as_deref()?, owner.kind.as_deref()?);
    let (version, kind, plural) = MAKERS.into_iter().find(|(version, kind, _)| (*version, *kind) == named)?;
    let version: GroupVersion = version.parse().ok()?;
    Some(ApiResource::from_gvk_with_plural(&version.with_kind(kind), plural))
}

/// What of it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Maker {
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    replicas: Option<usize>,
    selector: Option<Selector>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    desired_number_scheduled: Option<usize>,
}

/// A ReplicationController has the labels themselves.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Selector {
    Labels(BTreeMap<String, String>),
    Full(LabelSelector),
}

impl Maker {
    /// `None` if it is not shaped like one.
    pub(super) fn of(object: DynamicObject) -> Option<Self> {
        serde_json::from_value(object.data).ok()
    }

    /// Pods that it wants: by its spec, or as many as there are nodes for them.
    pub(super) fn wanted(&self) -> usize {
        self.spec.replicas.or(self.status.desired_number_scheduled).unwrap_or_default()
    }

    /// What its Pods are found by.
    pub(super) fn selector(self) -> Option<LabelSelector> {
        Some(match self.spec.selector? {
            Selector::Full(selector) => selector,
            Selector::Labels(labels) => {
                LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
            }
        })
    }
}

/// How it stands. By default it is gone, with all its Pods.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// Pods that it wants.
    pub(super) wanted: usize,
    /// Pods that there are.
    pub(super) pods: Vec<Member>,
}

/// One of its Pods.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) uid: String,
    pub(super) is_injected: bool,
    pub(super) phase: Phase,
}

/// Where it is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It does not serve yet, or again.
    Unready,
    /// It serves.
    Ready,
    /// It was told to end.
    Ending,
}

impl Standing {
    /// `pods` may have those of others.
    pub(super) fn of(wanted: usize, owner: &str, pods: &[Pod]) -> Self {
        let is_its = |pod: &&Pod| {
            let mut owners = pod.metadata.owner_references.iter().flatten();
            owners.any(|reference| reference.controller == Some(true) && reference.uid == owner)
        };
        Self { wanted, pods: pods.iter().filter(is_its).map(Member::of).collect() }
    }

    /// Whether it has as many Pods that serve as it wants.
    pub(super) fn is_whole(&self) -> bool {
        self.wanted > 0 && self.pods.iter().filter(|pod| pod.phase == Phase::Ready).count() >= self.wanted
    }
}

impl Member {
    fn of(pod: &Pod) -> Self {
        let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let phase = if pod.metadata.deletion_timestamp.is_some() {
            Phase::Ending
        } else if conditions.any(|it| it.type_ == "Ready" && it.status == "True") {
            Phase::Ready
        } else {
            Phase::Unready
        };
        let label = pod.metadata.labels.iter().flatten().find(|(name, _)| *name == INJECTED_LABEL);
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            is_injected: label.is_some_and(|(_, value)| value == "true"),
            phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reference(version: &str, kind: &str) -> ObjectReference {
        let (api_version, kind) = (Some(version.to_owned()), Some(kind.to_owned()));
        ObjectReference { api_version, kind, ..ObjectReference::default() }
    }

    #[test]
    fn makers_are_known_by_version_and_kind_and_no_others_are() {
        let plural = |version, kind| maker(&reference(version, kind)).map(|maker| maker.plural);
        assert_eq!(plural("apps/v1", "ReplicaSet").as_deref(), Some("replicasets"));
        assert_eq!(plural("apps/v1", "StatefulSet").as_deref(), Some("statefulsets"));
        assert_eq!(plural("apps/v1", "DaemonSet").as_deref(), Some("daemonsets"));
        assert_eq!(plural("v1", "ReplicationController").as_deref(), Some("replicationcontrollers"));
        let others = [
            ("batch/v1", "Job"),
            ("v1", "Pod"),
            ("tekton.dev/v1", "TaskRun"),
            ("argoproj.io/v1alpha1", "Workflow"),
            ("apps.kruise.io/v1beta1", "StatefulSet"),
            ("sparkoperator.k8s.io/v1beta2", "SparkApplication"),
        ];
        for (version, kind) in others {
            assert_eq!(plural(version, kind), None, "{kind}");
        }
        assert_eq!(maker(&ObjectReference::default()), None);
    }

    #[test]
    fn what_is_wanted_and_how_pods_are_found() {
        let read = |data: Value| -> Maker { serde_json::from_value(data).unwrap() };
        let labels = json!({"app": "web"});
        let set = read(json!({"spec": {"replicas": 3, "selector": {"matchLabels": labels}}}));
        assert_eq!(set.wanted(), 3);
        let found = set.selector().unwrap().match_labels;
        assert_eq!(serde_json::to_value(found).unwrap(), labels);
        let of_nodes =
            json!({"spec": {"selector": {"matchLabels": labels}}, "status": {"desiredNumberScheduled": 2}});
        assert_eq!(read(of_nodes).wanted(), 2);
        let plain = read(json!({"spec": {"replicas": 1, "selector": labels}}));
        assert_eq!(serde_json::to_value(plain.selector().unwrap().match_labels).unwrap(), labels);
        assert!(read(json!({})).selector().is_none());
    }

    fn pod(uid: &str, owner: &str, more: &Value) -> Pod {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true});
        let mut pod = json!({
            "metadata": {"uid": uid, "ownerReferences": [owner]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        json_patch::merge(&mut pod, more);
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn it_is_whole_while_as_many_serve_as_it_wants() {
        let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        let ending = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        let is_whole = |wanted, more: &Value| {
            let pods = [pod("1", "web", &json!({})), pod("2", "web", more), pod("3", "api", &json!({}))];
            Standing::of(wanted, "web", &pods).is_whole()
        };
        assert!(is_whole(2, &json!({})));
        assert!(!is_whole(3, &json!({})), "another's Pod does not count");
        assert!(!is_whole(2, &unready));
        assert!(!is_whole(2, &ending));
        assert!(is_whole(1, &ending));
        assert!(!is_whole(0, &json!({})), "nothing would be made anew");
    }
}
