//! Pods that are older than their namespace's label are evicted, one at a time, where the release says so; of controllers
//! that surely make them anew, and of no others.
use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::client;
use chaperone_e2e::platform::{injection, is_ready};
use chaperone_e2e::release::{NAME, PATIENCE, Release, chart};
use chaperone_e2e::wait;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::application;

const TENANT: &str = "older";

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_are_older_than_the_label_are_evicted_one_at_a_time_as_budgets_allow() -> Result<()> {
    let test = "pods_that_are_older_than_the_label_are_evicted_one_at_a_time_as_budgets_allow";
    let Some(release) = Release::for_test(test, &[TENANT], application::servers()?).await? else {
        return Ok(());
    };
    let cluster = &release.cluster;
    cluster.kubectl(&["create", "namespace", TENANT]).await?.ok()?;
    release.apply(&chart(), &["crds.keep=false", "injector.evictUninjected=true"]).await?;
    // No budget keeps the Pods of the first, so that the operator alone spares one; nobody knows whether the last two come
    // anew.
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}});
    cluster.kubectl_with(&["apply", "-n", TENANT, "-f", "-"], &settings.to_string()).await?.ok()?;
    let uid = cluster
        .kubectl(&["get", "configmap", "owner", "-n", TENANT, "-o", "jsonpath={.metadata.uid}"])
        .await?
        .ok()?;
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid.trim(), "controller": true});
    let (alone, custom) = (pod("alone", &json!([])), pod("custom", &json!([owner])));
    let objects = [deployment("web", 2), deployment("kept", 1), budget("kept"), alone, custom];
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    cluster.kubectl_with(&["apply", "-n", TENANT, "-f", "-"], &objects).await?.ok()?;
    for (name, count) in [("web", 2), ("kept", 1), ("alone", 1), ("custom", 1)] {
        until(&release, name, &vec![false; count]).await?;
    }
    let kept = uids(&release, "kept").await?;

    cluster.kubectl(&["label", "namespace", TENANT, "chaperone.dev/inject=enabled"]).await?.ok()?;
    // As long as one is without a sidecar, the other serves.
    until(&release, "web", &[false, true]).await?;
    until(&release, "web", &[true, true]).await?;
    wait::until("an eviction that a budget does not allow", PATIENCE, || async {
        let mut metrics = String::new();
        for pod in release.operators().await? {
            let address = format!("{}:8080", release.view(&pod)?.address());
            metrics += &client::get(&address, "/metrics", &[]).await?.text();
        }
        Ok(metrics.contains(r#"chaperone_evictions_total{outcome="blocked"}"#).then_some(()))
    })
    .await?;
    assert_eq!(uids(&release, "kept").await?, kept);
    until(&release, "alone", &[false]).await?;
    until(&release, "custom", &[false]).await?;
    let selector = "--field-selector=reason=Evicted,involvedObject.kind=ReplicaSet";
    let events = cluster.kubectl(&["get", "events", "-n", TENANT, selector, "-o", "json"]).await?.ok()?;
    ensure!(events.contains("had no sidecar") && events.contains("web-"), "{events}");
    ensure!(!events.contains("kept-"), "{events}");

    release.helm(&["uninstall", NAME, "--wait"]).await?.ok()?;
    release.remove_namespaces(&[TENANT]).await
}

fn template(app: &str) -> Value {
    let container = json!({"name": "app", "image": application::SERVER, "args": ["--name", app]});
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    })
}

fn pod(app: &str, owners: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": app, "labels": {"app": app}, "ownerReferences": owners},
        "spec": template(app)["spec"],
    })
}

fn deployment(app: &str, replicas: usize) -> Value {
    let selector = json!({"matchLabels": {"app": app}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app},
        "spec": {"replicas": replicas, "selector": selector, "template": template(app)},
    })
}

fn budget(app: &str) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}},
    })
}

async fn pods(release: &Release, app: &str) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(release.cluster.client(), TENANT);
    let found = pods.list(&ListParams::default().labels(&format!("app={app}"))).await?.items;
    Ok(found.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
}

async fn uids(release: &Release, app: &str) -> Result<Vec<Option<String>>> {
    Ok(pods(release, app).await?.into_iter().map(|pod| pod.metadata.uid).collect())
}

/// Waits until the application has as many Pods, which are ready, and of which so many have a sidecar.
async fn until(release: &Release, app: &str, wanted: &[bool]) -> Result<()> {
    let last = RefCell::new(Vec::new());
    let what = format!("Pods of {app}, injected: {wanted:?}");
    let found = wait::until(&what, PATIENCE, || async {
        let found = pods(release, app).await?;
        let mut injected = Vec::new();
        for pod in &found {
            injected.push(injection(&serde_json::to_value(pod)?).is_some());
        }
        injected.sort_unstable();
        let is_it = injected == wanted && found.iter().all(is_ready);
        last.replace(injected);
        Ok(is_it.then_some(()))
    });
    found.await.with_context(|| format!("they are {:?}", last.borrow()))
}
