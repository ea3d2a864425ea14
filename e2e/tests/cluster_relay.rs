#![cfg(test)]
//! A relay stands for a Service, and for a bad network.
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::client::{self, Connection};
use chaperone_e2e::cluster::Cluster;
use chaperone_e2e::cluster::namespace::TestNamespace;
use chaperone_e2e::control_plane::ControlPlane;
use chaperone_e2e::kubelet::{Images, Kubelet};
use chaperone_e2e::process::app_binary;
use chaperone_e2e::relay::{Fault, Relay};
use chaperone_e2e::{clock, wait};
use http::Method;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Two Pods behind a Service.
struct Pair {
    cluster: Cluster,
    namespace: TestNamespace,
    kubelet: Kubelet,
}

impl Pair {
    async fn new(test: &str, topic: &str) -> Result<Option<Self>> {
        let Some(plane) = ControlPlane::for_test(test)? else { return Ok(None) };
        let cluster = plane.cluster()?;
        let namespace = cluster.namespace(topic, &[]).await?;
        let images = Images::default().with("test/app", &app_binary()?);
        let kubelet = Kubelet::start(plane, topic, &[namespace.name()], images).await?;
        let items: Vec<Value> = [pod("one"), pod("two"), service()].to_vec();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        cluster.kubectl_with(&["apply", "-n", namespace.name(), "-f", "-"], &list.to_string()).await?.ok()?;
        cluster
            .kubectl(&[
                "wait",
                "-n",
                namespace.name(),
                "--for=condition=Ready",
                "pod",
                "--all",
                "--timeout=60s",
            ])
            .await?
            .ok()?;
        Ok(Some(Self { cluster, namespace, kubelet }))
    }

    async fn relay(&self) -> Result<Relay> {
        Relay::to_service(&self.kubelet, self.namespace.name(), "web", 80).await
    }
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web", "pod": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "app", "image": "test/app",
            "args": ["--name", name, "--listen", "0.0.0.0:8080"],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
        }]},
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    })
}

async fn answers(relay: &Relay, count: usize) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(client::get(&relay.address().to_string(), "/", &[]).await?.text());
    }
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn each_connection_goes_to_a_ready_pod_of_the_service() -> Result<()> {
    let test = "each_connection_goes_to_a_ready_pod_of_the_service";
    let Some(pair) = Pair::new(test, "service").await? else { return Ok(()) };
    let relay = pair.relay().await?;
    assert_eq!(answers(&relay, 4).await?, ["one", "one", "two", "two"]);
    let delete = ["delete", "pod", "one", "-n", pair.namespace.name()];
    pair.cluster.kubectl(&delete).await?.ok()?;
    assert_eq!(answers(&relay, 2).await?, ["two", "two"]);
    // The selector is read anew for each connection, as a leader's label moves.
    let patch = [
        "patch",
        "service",
        "web",
        "-n",
        pair.namespace.name(),
        "-p",
        "{\"spec\":{\"selector\":{\"pod\":\"one\"}}}",
    ];
    pair.cluster.kubectl(&patch).await?.ok()?;
    ensure!(answers(&relay, 1).await.is_err(), "nobody is behind the Service");
    let named =
        Relay::to_pods(&pair.kubelet, pair.namespace.name(), "pod=two", IntOrString::Int(8080)).await?;
    assert_eq!(answers(&named, 1).await?, ["two"]);
    Ok(())
}

#[tokio::test]
async fn a_bad_network_delays_cuts_and_drops() -> Result<()> {
    let Some(pair) = Pair::new("a_bad_network_delays_cuts_and_drops", "network").await? else {
        return Ok(());
    };
    let relay = pair.relay().await?;
    let address = relay.address().to_string();
    let mut open = Connection::open(&address).await?;
    assert_eq!(get(&mut open).await?, "one");

    relay.inject(Fault::Delay(Duration::from_millis(150)));
    let start = clock::now();
    get(&mut open).await?;
    let took = clock::since(start);
    ensure!(took >= Duration::from_millis(300), "150 ms each way took {took:?}");

    for cut in [Fault::CutTowardsPod, Fault::CutFromPod] {
        relay.inject(cut);
        let mut request = std::pin::pin!(get(&mut open));
        let silence = tokio::time::timeout(Duration::from_millis(300), &mut request).await;
        ensure!(silence.is_err(), "{cut:?} lets an answer through: {silence:?}");
        // What was held back arrives when the network is whole again.
        relay.inject(Fault::None);
        assert_eq!(request.await?, "one");
    }

    relay.inject(Fault::Drop);
    wait::until("the open connection to break", PATIENCE, || async {
        Ok(client::get(&address, "/", &[]).await.is_err().then_some(()))
    })
    .await?;
    ensure!(get(&mut open).await.is_err(), "an open connection lives on");
    relay.inject(Fault::None);
    assert_eq!(answers(&relay, 2).await?, ["one", "two"]);
    Ok(())
}

async fn get(connection: &mut Connection) -> Result<String> {
    let answer = connection.send(Method::GET, "/", &[], Vec::new()).await.context("sending")?;
    Ok(client::whole(answer).await?.text())
}
