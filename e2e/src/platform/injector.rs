//! The injector of a platform: the chart's own webhook configuration, whose Service leads the API server to this
//! machine by a foreign name.
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::manifest::Injection;
use super::{Platform, TLS};
use crate::certs;
use crate::kubelet::Kubelet;
use crate::relay::{Fault, Relay};

/// The chart's webhook configuration.
const CONFIGURATION: &str = "mutatingwebhookconfiguration/chaperone-injector";
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/chaperone");

/// What becomes of Pods while no operator answers, as the chart's value has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailurePolicy {
    /// They wait.
    Fail,
    /// They start without a sidecar.
    Ignore,
}

/// What stands for the Service `chaperone-webhook`: any operator that is ready.
pub(super) async fn relay(kubelet: &Kubelet, home: &str) -> Result<Relay> {
    let port = IntOrString::String("webhook".to_owned());
    Relay::to_pods(kubelet, home, "app=chaperone-operator", port).await
}

impl Platform {
    /// As [`Platform::for_test`], with operators that inject.
    ///
    /// # Errors
    /// If anything of it does not get ready.
    pub async fn injecting(test: &str, replicas: usize, tenants: usize) -> Result<Option<Self>> {
        Box::pin(Self::start(test, replicas, tenants, Injection::On)).await
    }

    /// Applies the webhook configuration as the chart renders it.
    ///
    /// # Errors
    /// If operators do not inject here, or the API server refuses it.
    pub async fn install_webhook(&self, policy: FailurePolicy) -> Result<()> {
        let port = self.webhook.as_ref().context("operators that inject")?.address().port();
        self.install_webhook_at(port, policy).await
    }

    /// Lets the API server meet a certificate of the operators' own authority that has expired. Lasts as long as what is
    /// returned; the webhook's configuration leads there until it is applied again.
    ///
    /// # Errors
    /// If operators have no authority yet, or the API server refuses the configuration.
    pub async fn expire_webhook(&self, policy: FailurePolicy) -> Result<JoinSet<()>> {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.client(), self.home());
        let data = secrets.get(TLS).await?.data.unwrap_or_default();
        let key = std::str::from_utf8(&data.get("ca.key").context("ca.key")?.0)?;
        let (folder, name) = (tempfile::tempdir()?, format!("chaperone-webhook.{}.svc", self.home()));
        let issued = certs::expired_under("chaperone", key, &name, folder.path())?;
        let acceptor = certs::acceptor(&issued.certificate, &issued.key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        self.install_webhook_at(listener.local_addr()?.port(), policy).await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever looks at the certificate goes away again.
                let _ = acceptor.accept(stream).await;
            }
        });
        Ok(task)
    }

    async fn install_webhook_at(&self, port: u16, policy: FailurePolicy) -> Result<()> {
        let values = [
            "image.repository=none".to_owned(),
            "sidecar.image.repository=none".to_owned(),
            "injector.allowSingleReplica=true".to_owned(),
            format!("injector.servicePort={port}"),
            format!("injector.failurePolicy={policy:?}"),
        ];
        let template = ["template", "chaperone", CHART, "--namespace", self.home()];
        let only = ["--show-only", "templates/webhook.yaml"];
        let values = values.iter().flat_map(|value| ["--set", value]);
        let arguments: Vec<&str> = template.into_iter().chain(only).chain(values).collect();
        let configuration = self.cluster.helm(&arguments).await?.ok()?;
        // As helm does: what the operator has put in stays.
        self.cluster.kubectl_with(&["apply", "--server-side", "-f", "-"], &configuration).await?.ok()?;
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "chaperone-webhook"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        });
        self.apply(self.home(), &[service]).await
    }

    /// What the network between sidecars and operators does from now on.
    pub fn feed_network(&self, fault: Fault) {
        self.relay.inject(fault);
    }

    /// What the network between the API server and operators does from now on.
    ///
    /// # Errors
    /// If operators do not inject here.
    pub fn webhook_network(&self, fault: Fault) -> Result<()> {
        self.webhook.as_ref().context("operators that inject")?.inject(fault);
        Ok(())
    }

    /// The webhook configuration.
    ///
    /// # Errors
    /// If there is none.
    pub async fn webhook_configuration(&self) -> Result<Value> {
        let json = self.cluster.kubectl(&["get", CONFIGURATION, "-o", "json"]).await?.ok()?;
        Ok(serde_json::from_str(&json)?)
    }

    /// The Pod as the API server would store it, or why it would not, and what it warns of.
    ///
    /// # Errors
    /// If there is no API server.
    pub async fn admitted(&self, namespace: &str, pod: &Value) -> Result<(Result<Value, String>, String)> {
        let create = ["create", "-n", namespace, "--dry-run=server", "-o", "json", "-f", "-"];
        let said = self.cluster.kubectl_with(&create, &pod.to_string()).await?;
        let warnings = said.stderr.clone();
        let stored =
            if said.is_success { Ok(serde_json::from_str(&said.stdout)?) } else { Err(warnings.clone()) };
        Ok((stored, warnings))
    }
}

/// The sidecar in a Pod, if it has one.
#[must_use]
pub fn injection(pod: &Value) -> Option<&Value> {
    let first = pod["spec"]["initContainers"].as_array()?.first()?;
    (first["name"] == "chaperone").then_some(first)
}
