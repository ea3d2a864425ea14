//! The objects that a user would write, in a folder that `chaperone local -f` reads.
//! JSON is YAML, so no YAML is written by hand.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The namespace of all objects; no other name in these tests equals it.
pub const NAMESPACE: &str = "team-e2e";

/// The tenant of all tests.
pub const TENANT: &str = "tenant-e2e";

/// The partner's key. It must show nowhere but in requests to the partner.
pub const KEY: &str = "sk-canary-7d1f0c2b9e4a";

/// A folder of manifests. Files are replaced by rename, as an editor or `kubectl` would.
pub struct Manifests {
    folder: TempDir,
}

impl Manifests {
    /// An empty folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.yaml"))
    }

    /// Writes or replaces one file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let draft = self.folder.path().join(format!(".{name}.draft"));
        std::fs::write(&draft, text)?;
        Ok(std::fs::rename(draft, self.file(name))?)
    }

    /// Writes or replaces one object, in a file named after it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let name = format!(
            "{}-{}",
            object["kind"].as_str().unwrap_or_default(),
            object["metadata"]["name"].as_str().unwrap_or_default()
        );
        self.write(&name.to_lowercase(), &serde_json::to_string_pretty(object)?)
    }

    /// Deletes one object's file.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete(&self, kind: &str, name: &str) -> Result<()> {
        Ok(std::fs::remove_file(self.file(&format!("{kind}-{name}").to_lowercase()))?)
    }
}

/// Any object of ours.
#[must_use]
pub fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "chaperone.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    })
}

/// A Partner on loopback, with the key of [`secret`] and one model of the adapter's family.
#[must_use]
pub fn partner(name: &str, adapter: &str, endpoint: &str) -> Value {
    object(
        "Partner",
        name,
        &json!({
            "adapter": adapter,
            "endpoint": endpoint,
            "allowPlaintext": endpoint.starts_with("http://"),
            "allowPrivate": true,
            "apiKeySecretRef": {"name": "partner-key", "key": "key"},
            "models": [{
                "name": model_of(adapter),
                "contextTokens": 1_000_000,
                "maxOutputTokens": 8192,
                "capabilities": capabilities_of(adapter),
            "price": {"inputPerMillionTokens": "1.00", "outputPerMillionTokens": "4.00"},
            }],
        }),
    )
}

/// The model that [`partner`] declares.
#[must_use]
pub fn model_of(adapter: &str) -> &'static str {
    if adapter == "Anthropic" { "claude-test" } else { "gpt-test" }
}

fn capabilities_of(adapter: &str) -> Vec<&'static str> {
    let mut all = vec![
        "Streaming",
        "Tools",
        "ParallelTools",
        "Vision",
        "JsonSchema",
        "Documents",
        "Reasoning",
        "ForcedToolChoice",
    ];
    if adapter == "OpenAI" {
        all.push("Embeddings");
    }
    all
}

/// A route from `alias` to these partners: the first is the target, the others the fallback chain.
#[must_use]
pub fn route(alias: &str, partners: &[&str]) -> Value {
    let reference = |name: &&str| json!({"partner": name});
    let fallbacks: Vec<Value> = partners.iter().skip(1).map(reference).collect();
    let targets: Vec<Value> = partners.iter().take(1).map(reference).collect();
    object("ModelRoute", alias, &json!({"alias": alias, "targets": targets, "fallbackChain": fallbacks}))
}

/// One tenant, whom everyone in the namespace acts for.
#[must_use]
pub fn quota() -> Value {
    object("TenantQuota", "everyone", &json!({"tenants": [TENANT], "limits": {"maxTokensPerRequest": 8192}}))
}

/// The Secret with [`KEY`].
#[must_use]
pub fn secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "partner-key", "namespace": NAMESPACE},
        "stringData": {"key": KEY},
    })
}

/// A `ConfigMap` with one value.
#[must_use]
pub fn config_map(name: &str, key: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {key: value},
    })
}
