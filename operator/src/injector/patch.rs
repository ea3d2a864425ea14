//! Pod -> JSON patch, or why the Pod cannot have a sidecar. Pure, and idempotent: a patched Pod needs no patch.
//!
//! The API server fills in defaults between two calls, so what was put in is known again by a hash of how it was
//! written, in an annotation, and not by comparison.

use std::collections::BTreeMap;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation, TestOperation};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Settings;
use super::sidecar::{self, NAME, VOLUMES};
use super::wish::{InvalidWish, PORT_ANNOTATION, Wish};
use crate::pods::{INJECTED_LABEL, SERVICE_ACCOUNT};

/// Hash of what was put in.
const TEMPLATE: &str = "chaperone.dev/template";

/// A warning: /proc leads into other containers.
const SHARED_PROCESSES: &str = "shareProcessNamespace is set: a container that runs as the sidecar's user, or may trace \
    processes, can read the sidecar's keys";

/// What to change, and what the Pod's author should know.
#[derive(Debug)]
pub(super) struct Injection {
    pub(super) patch: Patch,
    pub(super) warnings: Vec<String>,
}

/// Why a Pod cannot have a sidecar. Its author reads this.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the Pod uses the host's network, where its sidecar would serve every Pod of the node; \
         remove hostNetwork, or set the label chaperone.dev/inject: disabled"
    )]
    HostNetwork,
    #[error(
        "container {container:?} declares port {port}, which the sidecar needs; set the annotation \
         {PORT_ANNOTATION} to a port that is free together with the one after it"
    )]
    Port { container: String, port: u16 },
    #[error(
        "container {container:?} mounts volume {volume:?}, which holds the sidecar's token or keys; remove the mount"
    )]
    Volume { container: String, volume: &'static str },
    #[error("a container of the Pod is called {NAME:?}, which is the sidecar's name; rename it")]
    Name,
    #[error(transparent)]
    Annotation(#[from] InvalidWish),
}

/// What gives this Pod its sidecar, which trusts `authority`, certificates in PEM.
pub(super) fn inject(pod: &Pod, settings: &Settings, authority: &str) -> Result<Injection, Refusal> {
    let wish = Wish::of(pod)?;
    check(pod, &wish)?;
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let container = sidecar::container(settings, &wish, authority);
    let template = template(&container);
    let (mut edit, mut warnings) = (Edit::default(), Vec::new());
    let is_current = known_template(pod) == Some(&template);
    // Before the sidecar is put in front of them: their places are those in the Pod as it came.
    edit.environment(
        "initContainers",
        spec.init_containers.as_deref().unwrap_or_default(),
        &wish,
        &mut warnings,
    );
    edit.environment("containers", &spec.containers, &wish, &mut warnings);
    let volumes: Vec<_> = spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let init: Vec<_> =
        spec.init_containers.iter().flatten().map(|container| container.name.as_str()).collect();
    if spec.volumes.is_none() {
        edit.add(&["spec", "volumes"], json!([]));
    }
    if spec.init_containers.is_none() {
        edit.add(&["spec", "initContainers"], json!([]));
    }
    let mut put =
        |list: &str, names: &[&str], item: Item| match names.iter().position(|known| *known == item.name) {
            Some(_) if is_current => {}
            Some(index) => edit.replace(list, index, item),
            None => edit.add(&["spec", list, item.at], item.value),
        };
    for (name, value) in VOLUMES.into_iter().zip(sidecar::volumes()) {
        put("volumes", &volumes, Item { name, value, at: "-" });
    }
    // First, so that other init containers can use it.
    put("initContainers", &init, Item { name: NAME, value: container, at: "0" });
    if spec.share_process_namespace == Some(true) {
        warnings.push(SHARED_PROCESSES.to_owned());
    }
    let account = spec.service_account_name.as_deref().unwrap_or("default");
    edit.members("labels", pod.metadata.labels.as_ref(), &[(INJECTED_LABEL, "true")]);
    let annotations = [(TEMPLATE, template.as_str()), (SERVICE_ACCOUNT, account)];
    edit.members("annotations", pod.metadata.annotations.as_ref(), &annotations);
    Ok(Injection { patch: Patch(edit.0), warnings })
}

/// Why this Pod cannot have a sidecar, if so.
pub(super) fn refusal(pod: &Pod) -> Option<Refusal> {
    Wish::of(pod).map_err(Refusal::from).and_then(|wish| check(pod, &wish)).err()
}

fn check(pod: &Pod, wish: &Wish) -> Result<(), Refusal> {
    let Some(spec) = &pod.spec else { return Ok(()) };
    if spec.host_network == Some(true) {
        return Err(Refusal::HostNetwork);
    }
    let is_named = |container: &Container| container.name == NAME;
    let is_foreign = known_template(pod).is_none() && spec.init_containers.iter().flatten().any(is_named);
    if is_foreign || spec.containers.iter().any(is_named) {
        return Err(Refusal::Name);
    }
    let others = spec.init_containers.iter().flatten().chain(&spec.containers).filter(|it| it.name != NAME);
    for other in others {
        let container = || other.name.clone();
        for port in [wish.port, wish.admin_port()] {
            let mut ports = other.ports.iter().flatten();
            if ports.any(|declared| declared.container_port == i32::from(port)) {
                return Err(Refusal::Port { container: container(), port });
            }
        }
        for volume in VOLUMES {
            let mut mounts = other.volume_mounts.iter().flatten();
            if mounts.any(|mount| mount.name == volume) {
                return Err(Refusal::Volume { container: container(), volume });
            }
        }
    }
    Ok(())
}

/// Hash of what was put in before.
fn known_template(pod: &Pod) -> Option<&String> {
    pod.metadata.annotations.as_ref()?.get(TEMPLATE)
}

fn template(container: &Value) -> String {
    let written = json!([container, sidecar::volumes()]).to_string();
    let digest = Sha256::digest(written);
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What is put into a list.
struct Item {
    name: &'static str,
    value: Value,
    /// Where it goes if the list has none of its name.
    at: &'static str,
}

/// A patch as it grows.
#[derive(Default)]
struct Edit(Vec<PatchOperation>);

impl Edit {
    fn add(&mut self, path: &[&str], value: Value) {
        self.0.push(PatchOperation::Add(AddOperation {
            path: PointerBuf::from_tokens(path.iter().copied()),
            value,
        }));
    }

    /// Fails the patch where a list is not in the order that we saw.
    fn test(&mut self, path: &[&str], value: Value) {
        self.0.push(PatchOperation::Test(TestOperation {
            path: PointerBuf::from_tokens(path.iter().copied()),
            value,
        }));
    }

    fn environment(&mut self, list: &str, containers: &[Container], wish: &Wish, warnings: &mut Vec<String>) {
        for (index, container) in
            containers.iter().enumerate().filter(|(_, container)| container.name != NAME)
        {
            let index = index.to_string();
            let is_set = |name: &str| container.env.iter().flatten().any(|known| known.name == name);
            let absent = sidecar::application_env(wish.port).into_iter().filter(|(name, _)| !is_set(name));
            let absent: Vec<_> = absent.collect();
            let Some((first, _)) = absent.first() else { continue };
            if container.env_from.as_ref().is_some_and(|from| !from.is_empty()) {
                warnings.push(format!(
                    "container {:?} has envFrom: {first} and others of Chaperone's take precedence over it",
                    container.name
                ));
            }
            self.test(&["spec", list, &index, "name"], json!(container.name));
            if container.env.is_none() {
                self.add(&["spec", list, &index, "env"], json!([]));
            }
            for (name, value) in absent {
                self.add(&["spec", list, &index, "env", "-"], json!({"name": name, "value": value}));
            }
        }
    }

    fn replace(&mut self, list: &str, index: usize, item: Item) {
        let index = index.to_string();
        self.test(&["spec", list, &index, "name"], json!(item.name));
        let path = PointerBuf::from_tokens(["spec", list, &index]);
        self.0.push(PatchOperation::Replace(ReplaceOperation { path, value: item.value }));
    }

    fn members(&mut self, map: &str, known: Option<&BTreeMap<String, String>>, wanted: &[(&str, &str)]) {
        if known.is_none() {
            self.add(&["metadata", map], json!({}));
        }
        for (name, value) in wanted {
            if known.and_then(|known| known.get(*name)).map(String::as_str) != Some(*value) {
                self.add(&["metadata", map, name], json!(value));
            }
        }
    }
}

#[cfg(test)]
mod tests;
