//! The Node object: registered once, kept alive by its Lease, and the binding of Pods to it.
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::{HOST_IP, container};
use crate::cluster::Cluster;

/// A renewed Lease alone counts as a heartbeat; without one for 40 s the controller manager evicts.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How soon a failed heartbeat is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Creates the Node and reports it Ready.
pub(super) async fn register(cluster: &Cluster, name: &str) -> Result<()> {
    let nodes: Api<Node> = Api::all(cluster.client());
    let owner = PatchParams::apply("chaperone-e2e").force();
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
    });
    nodes.patch(name, &owner, &Patch::Apply(&node)).await?;
    let now = container::time();
    let resources = json!({"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"});
    let status = json!({"status": {
        "capacity": resources,
        "allocatable": resources,
        "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": name}],
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the harness plays this node",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
    }});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// Renews the Node's Lease for ever.
pub(super) async fn keep_alive(cluster: Cluster, node: String) {
    let leases: Api<Lease> = Api::namespaced(cluster.client(), "kube-node-lease");
    let owner = PatchParams::apply("chaperone-e2e").force();
    loop {
        let now = crate::clock::timestamp();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node},
            "spec": {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": format!("{now:.6}")},
        });
        // The namespace comes a moment after the API server.
        let is_renewed = leases.patch(&node, &owner, &Patch::Apply(&lease)).await.is_ok();
        tokio::time::sleep(if is_renewed { HEARTBEAT } else { RETRY }).await;
    }
}

/// Binds a Pod to a node, as a scheduler does; gates are respected.
pub(super) async fn bind(pods: &Api<Pod>, pod: &Pod, node: &str) -> Result<()> {
    let is_gated =
        pod.spec.as_ref().is_some_and(|spec| spec.scheduling_gates.iter().flatten().next().is_some());
    let Some(name) = pod.metadata.name.as_deref().filter(|_| !is_gated) else { return Ok(()) };
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": name, "uid": pod.metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let _: serde_json::Value =
        pods.create_subresource("binding", name, &PostParams::default(), &binding).await?;
    Ok(())
}
