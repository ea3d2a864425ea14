//! A namespace for one test.
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::Cluster;
use crate::tools::Tool;
use crate::wait;

/// What the names of all our namespaces begin with.
pub const PREFIX: &str = "chaperone-e2e-";

/// A namespace that is deleted when this value is dropped.
pub struct TestNamespace {
    name: String,
    cluster: Cluster,
}

impl Cluster {
    /// Creates a namespace `chaperone-e2e-<topic>-<unique>` and waits for its ServiceAccount.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn namespace(&self, topic: &str, labels: &[(&str, &str)]) -> Result<TestNamespace> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Only uniqueness matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{topic}-{}-{number}", std::process::id());
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|&(key, value)| (key.to_owned(), json!(value))).collect();
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
        Api::all(self.client()).create(&PostParams::default(), &namespace).await?;
        let created = TestNamespace { name, cluster: self.clone() };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), created.name());
        wait::until("the ServiceAccount of a namespace", super::PATIENCE, || async {
            Ok(accounts.get_opt("default").await.context("ServiceAccount")?.map(drop))
        })
        .await?;
        Ok(created)
    }
}

impl TestNamespace {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The control plane outlives the test that fails, so that nobody else shows what it wrote.
            let _ = write!(std::io::stderr(), "{}", self.cluster.tails());
        }
        self.cluster.delete_namespace(&self.name);
    }
}

impl Cluster {
    /// Asks for the deletion without waiting for it; a user's cluster must not fill up. Drop cannot await a client.
    fn delete_namespace(&self, name: &str) {
        let Ok(kubectl) = self.program(Tool::Kubectl) else { return };
        let deletion = Command::new(kubectl)
            .args(["delete", "namespace", name, "--wait=false", "--ignore-not-found"])
            .env("KUBECONFIG", &self.kubeconfig)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // It fails where the API server is gone, and the namespace with it.
        drop(deletion);
    }
}
