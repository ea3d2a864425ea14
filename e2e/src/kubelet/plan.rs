//! From a container of a Pod to the process that stands for it.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Container, ContainerPort, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::expand::expand;
use super::ground::Ground;
use super::image::Images;
use super::rewrite::Rewrite;
use super::{environment, volume};

/// Where a Pod finds its own token, and a client in a cluster looks for it.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What one container runs.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    /// `None`: the image stands for nothing.
    pub(super) program: Option<PathBuf>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) folder: PathBuf,
    pub(super) address: Ipv4Addr,
    pub(super) rewrite: Rewrite,
    pub(super) ports: Vec<ContainerPort>,
    pub(super) startup: Option<Probe>,
    pub(super) readiness: Option<Probe>,
    pub(super) liveness: Option<Probe>,
    pub(super) pre_stop: Option<LifecycleHandler>,
    pub(super) restarts: Restarts,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Restarts {
    Always,
    OnFailure,
    Never,
}

impl Restarts {
    /// The Pod's rule for its app containers, and for init containers that run to completion.
    pub(super) fn of(ground: &Ground) -> Self {
        match ground.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    pub(super) fn after(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// Variables that every container gets that has them already: where it finds what stands elsewhere on this machine.
pub(super) type Redirects = BTreeMap<String, String>;

/// Resolves everything of a container that a kubelet resolves.
pub(super) async fn plan(
    ground: &Ground,
    container: &Container,
    (images, redirects): (&Images, &Redirects),
    restarts: Restarts,
) -> Result<Plan> {
    let mounts: Vec<(String, PathBuf)> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| {
            let folder = ground.volume_folder(&mount.name);
            let inside = mount.sub_path.as_deref().map_or(folder.clone(), |path| folder.join(path));
            (mount.mount_path.trim_end_matches('/').to_owned(), inside)
        })
        .collect();
    let known = environment::resolve(ground, container).await?;
    let rewrite = Rewrite::new(mounts, ground.address);
    let mut environment: BTreeMap<String, String> =
        known.iter().map(|(name, value)| (name.clone(), rewrite.apply(value))).collect();
    for (name, value) in redirects {
        environment.entry(name.clone()).and_modify(|current| current.clone_from(value));
    }
    let folder = ground.folder.join("containers").join(&container.name);
    std::fs::create_dir_all(&folder)?;
    if let Some(kubeconfig) = own_kubeconfig(ground, &rewrite, &folder)? {
        environment.insert("KUBECONFIG".to_owned(), kubeconfig.display().to_string());
    }
    let image = container.image.clone().unwrap_or_default();
    // The image's program stands for the first word of its command, which is a path inside the image.
    let command = container.command.iter().flatten().skip(1).chain(container.args.iter().flatten());
    let arguments = command.map(|word| rewrite.apply(&expand(word, &known))).collect();
    Ok(Plan {
        name: container.name.clone(),
        program: images.program(&image),
        arguments,
        environment: environment.into_iter().collect(),
        folder,
        address: ground.address,
        rewrite,
        ports: container.ports.clone().unwrap_or_default(),
        startup: container.startup_probe.clone(),
        readiness: container.readiness_probe.clone(),
        liveness: container.liveness_probe.clone(),
        pre_stop: container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone()),
        restarts,
    })
}

/// A kubeconfig with the Pod's own token, where it has one: clients look for it at a path that is fixed in their
/// code, and that no process here can have.
fn own_kubeconfig(ground: &Ground, rewrite: &Rewrite, folder: &Path) -> Result<Option<PathBuf>> {
    let token = rewrite.host_path(OWN_TOKEN).join("token");
    if !token.is_file() {
        return Ok(None);
    }
    let path = folder.join("kubeconfig");
    volume::write(&path, ground.access.kubeconfig(&token, ground.namespace()).as_bytes())?;
    Ok(Some(path))
}

impl Plan {
    /// The number of a port that may be given by its name.
    pub(super) fn port(&self, port: &IntOrString) -> Result<u16> {
        let number = match port {
            IntOrString::Int(number) => *number,
            IntOrString::String(name) => {
                let named = self.ports.iter().find(|port| port.name.as_deref() == Some(name));
                named.with_context(|| format!("no port {name:?}"))?.container_port
            }
        };
        Ok(u16::try_from(number)?)
    }

    /// The program and arguments of a command that runs inside the container.
    pub(super) fn inside(&self, command: &[String]) -> Result<(PathBuf, Vec<String>)> {
        let Some((first, rest)) = command.split_first() else { bail!("a command without a word") };
        let is_own =
            self.program.as_ref().is_some_and(|program| program.file_name() == Path::new(first).file_name());
        let program = self.program.clone().filter(|_| is_own).unwrap_or_else(|| PathBuf::from(first));
        Ok((program, rest.iter().map(|word| self.rewrite.apply(word)).collect()))
    }
}

/// A whole number of seconds from a field, or its default.
pub(super) fn seconds(field: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(field.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(default))
}
