#![cfg(test)]
//! The API server calls a webhook through a Service, as installed: by a name that leads to this machine, and verified
//! against the Service's own name.
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chaperone_e2e::certs::{self, TestCa};
use chaperone_e2e::cluster::Cluster;
use chaperone_e2e::control_plane::ControlPlane;
use chaperone_e2e::wait;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Labels every Pod that it is asked about.
async fn admit(request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let review: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}]);
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"], "allowed": true,
            "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string()),
        },
    });
    Ok(Response::new(Full::from(answer.to_string())))
}

async fn serve(listener: TcpListener, tls: Arc<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let tls = Arc::clone(&tls);
        connections.spawn(async move {
            // A call that fails shows in what the API server says.
            if let Ok(stream) = tls.accept(stream).await {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(admit)).await;
            }
        });
    }
}

async fn install(cluster: &Cluster, namespace: &str, ca: &TestCa, port: u16) -> Result<()> {
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "webhook", "namespace": namespace},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": namespace},
            "webhooks": [{
                "name": "pods.chaperone.test", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail", "timeoutSeconds": 5,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
                "clientConfig": {
                    "caBundle": STANDARD.encode(ca.pem()),
                    "service": {"name": "webhook", "namespace": namespace, "port": port, "path": "/mutate"},
                },
            }],
        },
    ]});
    cluster.kubectl_with(&["apply", "-f", "-"], &objects.to_string()).await?.ok().map(drop)
}

#[tokio::test]
async fn a_service_of_a_foreign_name_leads_the_api_server_to_a_webhook_here() -> Result<()> {
    let test = "a_service_of_a_foreign_name_leads_the_api_server_to_a_webhook_here";
    let Some(plane) = ControlPlane::for_test(test)? else { return Ok(()) };
    let cluster = plane.cluster()?;
    let namespace = cluster.namespace("webhook", &[]).await?;
    let ca = TestCa::new()?;
    let issued = ca.issue(&format!("webhook.{}.svc", namespace.name()))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let mut server = JoinSet::new();
    server.spawn(serve(listener, Arc::new(certs::acceptor(&issued.certificate, &issued.key)?)));
    install(&cluster, namespace.name(), &ca, port).await?;

    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace.name());
    let pod: Pod = serde_json::from_value(
        json!({"metadata": {"generateName": "pod-"}, "spec": {"containers": [{"name": "app", "image": "none"}]}}),
    )?;
    // A new configuration reaches the admission chain within a second or so.
    let labels = wait::until("a labelled Pod", Duration::from_secs(30), || async {
        Ok(pods.create(&PostParams::default(), &pod).await.context("creating a Pod")?.metadata.labels)
    })
    .await?;
    assert_eq!(labels.get("seen").map(String::as_str), Some("yes"));
    Ok(())
}
