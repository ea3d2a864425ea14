//! Where one Pod stands on this machine: its folder, its address, and what may be asked of the API for it.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, ObjectFieldSelector, Pod, Secret, Volume};
use kube::Api;
use serde_json::json;

use crate::cluster::Cluster;
use crate::control_plane::kubeconfig;

/// One Pod's place.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) cluster: Cluster,
    /// The API server that a kubeconfig inside the Pod names, and who signs for it.
    pub(super) access: Access,
    pub(super) pod: Pod,
    pub(super) node: String,
    pub(super) folder: PathBuf,
    /// All of 127/8 is local on Linux: every Pod has every port to itself, without root.
    pub(super) address: Ipv4Addr,
}

/// How a Pod reaches the API server.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) server: String,
    pub(super) ca: PathBuf,
}

impl Access {
    /// A kubeconfig for whoever's token stands in this file; it is read anew, so that it may be renewed.
    pub(super) fn kubeconfig(&self, token: &Path, namespace: &str) -> String {
        kubeconfig::of(&self.server, &self.ca, &json!({"tokenFile": token}), namespace)
    }
}

impl Ground {
    pub(super) fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// What the Pod's status says: an address that no other Pod has and nobody dials. Endpoints refuse loopback.
    pub(super) fn reported_ip(&self) -> String {
        let [_, _, high, low] = self.address.octets();
        format!("10.244.{high}.{low}")
    }

    pub(super) fn volumes(&self) -> &[Volume] {
        self.pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
    }

    pub(super) fn volume_folder(&self, volume: &str) -> PathBuf {
        self.folder.join("volumes").join(volume)
    }

    /// The data of a Secret; `None` where it is absent and may be.
    pub(super) async fn secret(
        &self,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>> {
        let api: Api<Secret> = Api::namespaced(self.cluster.client(), self.namespace());
        let Some(secret) =
            found(api.get_opt(name).await?, optional, || format!("secret {name:?} not found"))?
        else {
            return Ok(None);
        };
        let data = secret.data.unwrap_or_default();
        Ok(Some(data.into_iter().map(|(key, value)| (key, value.0)).collect()))
    }

    /// The data of a ConfigMap; `None` where it is absent and may be.
    pub(super) async fn config_map(
        &self,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>> {
        let api: Api<ConfigMap> = Api::namespaced(self.cluster.client(), self.namespace());
        let Some(config_map) =
            found(api.get_opt(name).await?, optional, || format!("configmap {name:?} not found"))?
        else {
            return Ok(None);
        };
        let text = config_map.data.unwrap_or_default().into_iter();
        let binary = config_map.binary_data.unwrap_or_default().into_iter();
        Ok(Some(
            text.map(|(key, value)| (key, value.into_bytes()))
                .chain(binary.map(|(key, value)| (key, value.0)))
                .collect(),
        ))
    }

    /// A field of the Pod, as the downward API names it.
    pub(super) fn field(&self, selector: &ObjectFieldSelector) -> Result<String> {
        let metadata = &self.pod.metadata;
        let spec = self.pod.spec.as_ref();
        let path = selector.field_path.as_str();
        if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
            let map = match map {
                "metadata.labels" => metadata.labels.as_ref(),
                "metadata.annotations" => metadata.annotations.as_ref(),
                _ => None,
            };
            return Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
        }
        Ok(match path {
            "metadata.name" => self.name().to_owned(),
            "metadata.namespace" => self.namespace().to_owned(),
            "metadata.uid" => self.uid().to_owned(),
            "metadata.labels" => lines(metadata.labels.as_ref()),
            "metadata.annotations" => lines(metadata.annotations.as_ref()),
            "spec.nodeName" => self.node.clone(),
            "spec.serviceAccountName" => {
                spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
            }
            "status.podIP" | "status.podIPs" => self.reported_ip(),
            "status.hostIP" | "status.hostIPs" => super::HOST_IP.to_owned(),
            other => anyhow::bail!("field {other:?} is not known here"),
        })
    }
}

fn found<T>(object: Option<T>, optional: Option<bool>, missing: impl Fn() -> String) -> Result<Option<T>> {
    if object.is_some() || optional == Some(true) { Ok(object) } else { None.with_context(missing) }
}

/// As the downward API writes maps into files.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}\n")).collect()
}
