//! Which Pods should have a sidecar and have none, why, and what their owners were told. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::evictor::{self, Candidate};
use crate::injector::patch::{self, Refusal};

/// Pods that are kept. Of more, the count stays here.
const PODS: usize = 10_000;
/// On what the API server shows of a static Pod.
const STATIC: &str = "kubernetes.io/config.mirror";

/// Why a Pod has no sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// It uses the host's network.
    HostNetwork,
    /// It is a static Pod.
    Static,
    /// It would be refused if it were made now.
    Refused,
    /// It could have one.
    NotAsked,
}

impl Reason {
    pub(super) const ALL: [Self; 4] = [Self::HostNetwork, Self::Static, Self::Refused, Self::NotAsked];

    /// As a metric has it.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::HostNetwork => "host_network",
            Self::Static => "static",
            Self::Refused => "refused",
            Self::NotAsked => "not_asked",
        }
    }
}

/// What there is to tell an owner.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    pub(super) regarding: ObjectReference,
    pub(super) note: String,
    told: Told,
}

/// Uid of an owner, and what it was told: one event serves all of its Pods.
type Told = (String, Reason);

/// All of them, by uid.
#[derive(Debug, Default)]
pub(super) struct Unattended {
    pods: BTreeMap<String, Known>,
    told: BTreeSet<Told>,
    /// While Pods are listed anew: those that were found so far.
    found: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct Known {
    namespace: String,
    name: String,
    created: Option<Timestamp>,
    owner: ObjectReference,
    why: Option<(Reason, String)>,
}

impl Unattended {
    /// A Pod that should have a sidecar has none.
    pub(super) fn seen(&mut self, metadata: &ObjectMeta) {
        let (Some(uid), Some(namespace), Some(name)) = (&metadata.uid, &metadata.namespace, &metadata.name)
        else {
            return;
        };
        if metadata.deletion_timestamp.is_some() {
            return self.gone(metadata);
        }
        if let Some(found) = &mut self.found {
            found.insert(uid.clone());
        }
        if self.pods.len() < PODS {
            self.pods.entry(uid.clone()).or_insert_with(|| Known {
                namespace: namespace.clone(),
                name: name.clone(),
                created: metadata.creation_timestamp.as_ref().map(|time| time.0),
                owner: owner(metadata),
                why: None,
            });
        }
    }

    pub(super) fn gone(&mut self, metadata: &ObjectMeta) {
        if let Some(uid) = &metadata.uid {
            self.pods.remove(uid);
        }
    }

    pub(super) fn relist(&mut self) {
        self.found = Some(BTreeSet::new());
    }

    /// The list is complete: who is not in it is gone, or need not have a sidecar.
    pub(super) fn relisted(&mut self) {
        let found = self.found.take().unwrap_or_default();
        self.pods.retain(|uid, _| found.contains(uid));
    }

    /// Uid, namespace and name of Pods of which nobody knows why.
    pub(super) fn unexplained(&self, at_most: usize) -> Vec<(String, String, String)> {
        let unexplained = self.pods.iter().filter(|(_, known)| known.why.is_none()).take(at_most);
        unexplained.map(|(uid, known)| (uid.clone(), known.namespace.clone(), known.name.clone())).collect()
    }

    /// Looks at a whole Pod. One of the same name that came later is another, and explains nothing.
    pub(super) fn explained(&mut self, pod: &Pod) {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        if let Some(known) = self.pods.get_mut(uid) {
            known.why = Some(why(pod));
        }
    }

    pub(super) fn count(&self, reason: Reason) -> usize {
        self.pods.values().filter(|known| known.why.as_ref().is_some_and(|(why, _)| *why == reason)).count()
    }

    /// Pods that could have a sidecar, and that something makes anew of which that is known.
    pub(super) fn evictable(&self) -> Vec<Candidate> {
        let could = |known: &Known| matches!(known.why, Some((Reason::NotAsked, _)));
        let pods =
            self.pods.iter().filter(|(_, known)| could(known) && evictor::maker(&known.owner).is_some());
        pods.filter_map(|(uid, known)| {
            let Known { namespace, name, created, owner, .. } = known;
            let (namespace, name, owner) = (namespace.clone(), name.clone(), owner.clone());
            Some(Candidate { uid: uid.clone(), namespace, name, created: (*created)?, owner })
        })
        .collect()
    }

    /// What owners have not been told yet.
    pub(super) fn news(&mut self, at_most: usize) -> Vec<News> {
        let explained = self.pods.values().filter_map(|known| Some((known, known.why.as_ref()?)));
        let all: BTreeMap<Told, News> = explained
            .map(|(known, (reason, text))| {
                let told = (known.owner.uid.clone().unwrap_or_default(), *reason);
                let note = format!("Pod {}/{} has no sidecar: {text}", known.namespace, known.name);
                (told.clone(), News { regarding: known.owner.clone(), note, told })
            })
            .collect();
        // What is repaired may be told again if it returns.
        self.told.retain(|told| all.contains_key(told));
        all.into_iter()
            .filter(|(told, _)| !self.told.contains(told))
            .map(|(_, news)| news)
            .take(at_most)
            .collect()
    }

    pub(super) fn said(&mut self, news: News) {
        self.told.insert(news.told);
    }
}

/// Who made the Pod, and can make it anew; else the Pod itself.
fn owner(metadata: &ObjectMeta) -> ObjectReference {
    let mut owners = metadata.owner_references.iter().flatten();
    let (api_version, kind, name, uid) = match owners.find(|owner| owner.controller == Some(true)) {
        Some(owner) => {
            (owner.api_version.clone(), owner.kind.clone(), Some(owner.name.clone()), Some(owner.uid.clone()))
        }
        None => ("v1".to_owned(), "Pod".to_owned(), metadata.name.clone(), metadata.uid.clone()),
    };
    ObjectReference {
        api_version: Some(api_version),
        kind: Some(kind),
        name,
        namespace: metadata.namespace.clone(),
        uid,
        ..ObjectReference::default()
    }
}

fn why(pod: &Pod) -> (Reason, String) {
    if pod.metadata.annotations.iter().flatten().any(|(name, _)| name == STATIC) {
        let text =
            "it is a static Pod, which no webhook changes; set its label chaperone.dev/inject: disabled";
        return (Reason::Static, text.to_owned());
    }
    match patch::refusal(pod) {
        Some(refusal @ Refusal::HostNetwork) => (Reason::HostNetwork, refusal.to_string()),
        Some(refusal) => (Reason::Refused, refusal.to_string()),
        None => {
            let text = "the injector was not asked about it: it is older than the label that asks for one, or no \
                        operator answered; make it anew, as with kubectl rollout restart";
            (Reason::NotAsked, text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
