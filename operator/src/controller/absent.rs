//! Tells what is absent from what is not labelled: one `get` of the metadata of each Secret or ConfigMap that
//! Partners or ModelRoutes miss.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::world::Unlabelled;

/// A label that is added is seen by the watch; an object that comes without one is not.
const AGAIN: Duration = Duration::from_secs(10);
/// Objects that are asked for in one round; beyond, they count as absent until others are found.
const ROUND: usize = 64;
/// How long one answer may take.
const CALL: Duration = Duration::from_secs(5);

/// Asks, until it is dropped: for all that `missing` names. `changed` is told when an answer is another than before.
pub(super) async fn run(
    client: &Client,
    mut missing: watch::Receiver<BTreeSet<Unlabelled>>,
    unlabelled: watch::Sender<BTreeSet<Unlabelled>>,
    changed: &Notify,
) {
    // What was asked already is not asked again before its time, however often others change.
    let mut known: BTreeMap<Unlabelled, bool> = BTreeMap::new();
    loop {
        let wanted = missing.borrow_and_update().clone();
        known.retain(|object, _| wanted.contains(object));
        for object in wanted.into_iter().take(ROUND) {
            if known.contains_key(&object) {
                continue;
            }
            if let Some(exists) = exists(client, &object).await {
                known.insert(object, exists);
            }
        }
        let found: BTreeSet<_> =
            known.iter().filter(|(_, exists)| **exists).map(|(object, _)| object.clone()).collect();
        if unlabelled.send_if_modified(|before| std::mem::replace(before, found.clone()) != found) {
            changed.notify_one();
        }
        tokio::select! {
            more = missing.changed() => if more.is_err() { return },
            () = tokio::time::sleep(AGAIN), if !missing.borrow().is_empty() => known.clear(),
        }
    }
}

async fn exists(client: &Client, object: &Unlabelled) -> Option<bool> {
    let found = async {
        match object {
            Unlabelled::Secret(key) => {
                let secrets: Api<Secret> = Api::namespaced(client.clone(), key.namespace.as_str());
                secrets.get_metadata_opt(key.name.as_str()).await.map(|found| found.is_some())
            }
            Unlabelled::ConfigMap(key) => {
                let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), key.namespace.as_str());
                config_maps.get_metadata_opt(key.name.as_str()).await.map(|found| found.is_some())
            }
        }
    };
    timeout(CALL, found).await.ok()?.ok()
}
