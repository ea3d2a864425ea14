//! Keeps tests away from a cluster that is in use.
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;

use super::Cluster;
use super::namespace::PREFIX;

/// Fails where Chaperone is already installed, by helm or by hand: tests would change what it does.
///
/// # Errors
/// If it is, or the cluster does not say.
pub async fn refuse_if_installed(cluster: &Cluster) -> Result<()> {
    let releases: Api<Secret> = Api::all(cluster.client());
    let deployments: Api<Deployment> = Api::all(cluster.client());
    let release = ListParams::default().labels("owner=helm,name=chaperone");
    let deployment = ListParams::default().labels("app.kubernetes.io/name=chaperone");
    let releases = releases.list_metadata(&release).await.context("listing helm's releases")?;
    let deployments = deployments.list_metadata(&deployment).await.context("listing Deployments")?;
    let releases = releases.items.into_iter().map(|secret| secret.metadata);
    let objects = releases.chain(deployments.items.into_iter().map(|deployment| deployment.metadata));
    let namespaces: BTreeSet<String> = objects.filter_map(|metadata| metadata.namespace).collect();
    let used: Vec<String> = namespaces.into_iter().filter(|name| !name.starts_with(PREFIX)).collect();
    ensure!(
        used.is_empty(),
        "this cluster has a Chaperone in namespace {}: tests run where there is none",
        used.join(", ")
    );
    Ok(())
}
