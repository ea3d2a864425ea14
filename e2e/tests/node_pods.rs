#![cfg(test)]
//! Pods on a real node: the short run of tier 3.
use std::time::Duration;

use anyhow::{Context, Result};
use chaperone_e2e::node::{self, Node, PATIENCE};
use chaperone_e2e::{client, wait};
use serde_json::{Value, json};

/// What the restricted Pod Security profile demands.
fn restricted() -> Value {
    json!({
        "runAsNonRoot": true, "runAsUser": 65532, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn container(name: &str, arguments: &[&str]) -> Value {
    json!({
        "name": name, "image": node::image::PROGRAM, "imagePullPolicy": "IfNotPresent", "args": arguments,
        "securityContext": restricted(),
    })
}

/// A native sidecar that answers on a port of loopback, as ours does.
fn sidecar() -> Value {
    let mut sidecar = container("sidecar", &["serve", "0.0.0.0:4141", "at your side"]);
    sidecar["restartPolicy"] = json!("Always");
    sidecar["startupProbe"] =
        json!({"tcpSocket": {"port": 4141}, "periodSeconds": 1, "failureThreshold": 60});
    sidecar
}

/// One node for all of it: it takes ten seconds and half a gigabyte to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_node_runs_pods_with_native_sidecars() -> Result<()> {
    if !node::is_inside("a_real_node_runs_pods_with_native_sidecars")? {
        return Ok(());
    }
    let node = Node::start().await?;
    let cluster = node.cluster()?;
    let labels = [("pod-security.kubernetes.io/enforce", "restricted")];
    let namespace = cluster.namespace("node", &labels).await?;
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "initContainers": [sidecar()],
                    "containers": [container("app", &["serve", "0.0.0.0:8080", "from the node"])],
                },
            }},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "ask"},
            "spec": {"backoffLimit": 0, "template": {"spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "initContainers": [sidecar()],
                // Fails at once where the sidecar does not answer yet.
                "containers": [container("app", &["ask", "127.0.0.1:4141"])],
            }}},
        },
    ]});
    let here = ["--namespace", namespace.name()];
    let kubectl =
        |words: &[&str]| [words, &here].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
    let run = async |words: &[&str]| {
        let words = kubectl(words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        cluster.kubectl(&words).await?.ok().with_context(|| format!("kubectl {words:?}"))
    };
    let apply = kubectl(&["apply", "-f", "-"]);
    let apply: Vec<&str> = apply.iter().map(String::as_str).collect();
    cluster.kubectl_with(&apply, &objects.to_string()).await?.ok()?;

    let complete = run(&["wait", "job/ask", "--for=condition=Complete", "--timeout=90s"]).await;
    if complete.is_err() {
        let events = run(&["get", "events,pods", "-o", "wide"]).await?;
        return complete.map(drop).context(events);
    }
    // The job's app found its sidecar listening, and kubelet and API server carry logs.
    assert_eq!(run(&["logs", "job/ask", "--container", "app"]).await?, "at your side\n");
    run(&["rollout", "status", "deployment/web", "--timeout=90s"]).await?;
    let address = run(&["get", "service", "web", "--output", "jsonpath={.spec.clusterIP}"]).await?;
    let answer = wait::until("the Service's address to answer", PATIENCE, || async {
        let asked =
            tokio::time::timeout(Duration::from_secs(5), client::get(&format!("{address}:80"), "/", &[]))
                .await;
        Ok(asked.ok().and_then(Result::ok))
    })
    .await?;
    assert_eq!(answer.text(), "from the node");
    Ok(())
}
