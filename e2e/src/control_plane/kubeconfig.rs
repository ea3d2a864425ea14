//! Kubeconfigs, written as JSON, which is YAML.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::certs::TestCa;

/// One for a user and a group by client certificate; returns where it is.
pub(super) fn for_user(
    folder: &Path,
    server: &str,
    ca: &TestCa,
    (user, group): (&str, &str),
) -> Result<PathBuf> {
    let issued = ca.issue_user(user, group)?;
    let identity = json!({"client-certificate": issued.certificate, "client-key": issued.key});
    let path = folder.join(format!("{}.kubeconfig", user.replace([':', '/'], "-")));
    std::fs::write(&path, of(server, ca.certificate(), &identity, "default"))?;
    Ok(path)
}

/// The text of one.
pub(crate) fn of(server: &str, ca: &Path, identity: &Value, namespace: &str) -> String {
    let name = "chaperone-e2e";
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": name, "user": identity}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    });
    kubeconfig.to_string()
}
