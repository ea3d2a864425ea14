#![cfg(test)]
//! The fleet of tier 2 carries what benchmarks put on it.
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use chaperone_e2e::fleet::Fleet;
use chaperone_e2e::{clock, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(300);

/// As many as fill no machine, and more than one node takes in a batch.
const PODS: usize = 500;

#[tokio::test]
async fn fake_nodes_run_hundreds_of_pods() -> Result<()> {
    let Some(fleet) = Fleet::for_test("fake_nodes_run_hundreds_of_pods", 3).await? else { return Ok(()) };
    let cluster = fleet.plane().cluster()?;
    let namespace = cluster.namespace("fleet", &[]).await?;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fleet"},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": "fleet"}}, "template": {
            "metadata": {"labels": {"app": "fleet"}},
            "spec": {
                "initContainers": [{"name": "sidecar", "image": "none", "restartPolicy": "Always"}],
                "containers": [{"name": "app", "image": "none"}],
            },
        }},
    });
    let start = clock::now();
    let apply = ["apply", "--namespace", namespace.name(), "-f", "-"];
    cluster.kubectl_with(&apply, &deployment.to_string()).await?.ok()?;
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace.name());
    let running = ListParams::default().fields("status.phase=Running");
    wait::until("all Pods to run", PATIENCE, || async {
        Ok((pods.list_metadata(&running).await?.items.len() == PODS).then_some(()))
    })
    .await?;
    writeln!(std::io::stderr(), "{PODS} fake Pods ran after {:.1} s", clock::since(start).as_secs_f64())?;
    Ok(())
}
