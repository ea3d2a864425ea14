//! A real node on this machine: containerd and runc, CNI, kubelet, kube-proxy, in namespaces and cgroups of its own.
//!
//! `e2e/node/enter` makes those; [`is_inside`] runs a test in them. `config` has the components' settings, [`images`]
//! what can run on it.
mod config;
pub mod images;
mod inspect;

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;

use crate::cluster::Cluster;
use crate::control_plane::{ControlPlane, Reach, component};
use crate::process::{Process, Tethered};
use crate::tier::{self, Tier};
use crate::tools::{self, Tool};
use crate::{settings, wait};

/// The node's address, which `e2e/node/enter` gives to its bridge.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 250, 0, 1);

/// The node's name.
pub const NAME: &str = "n1";

/// Where containerd listens: inside, `/run` is the node's own.
const SOCKET: &str = "/run/containerd/containerd.sock";

/// How long the node, or what runs on it, may take for anything.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running node with its control plane; ends with this value.
pub struct Node {
    // Ended before the control plane that they talk to.
    kubelet: Process,
    _components: [Process; 4],
    kubelet_arguments: Vec<String>,
    plane: ControlPlane,
}

/// Runs `test`, a test of the calling binary, where a node may live. True inside of there: go on; false outside, when
/// the test has passed in there or is left out, with a line that says why.
///
/// # Errors
/// If it fails in there, or should run and cannot.
pub fn is_inside(test: &str) -> Result<bool> {
    if settings::images_of_node().is_some() {
        return Ok(true);
    }
    if !tier::is_selected(test, Tier::Node)? {
        return Ok(false);
    }
    let enter = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/enter");
    let check = Command::new(&enter).arg("--check").output()?;
    if !check.status.success() {
        let remedy = String::from_utf8_lossy(&check.stdout).trim().to_owned();
        return tier::cannot_run(test, &remedy).map(|()| false);
    }
    // Inside there is no network to fetch modules from.
    for tool in tools::CONTROL_PLANE.into_iter().chain(tools::SCALE).chain(tools::NODE) {
        tools::ensure_built(tool)?;
    }
    let images = std::env::join_paths(images::make()?)?;
    // Removed out here: inside, containers still hold parts of it when the test has ended.
    let folder = tempfile::Builder::new().prefix("chaperone-e2e-").tempdir()?;
    let output = Command::new(enter)
        .arg(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(settings::IMAGES_OF_NODE, images)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success() && said.contains("1 passed"), "on the node:\n{said}");
    writeln!(std::io::stdout(), "{said}")?;
    Ok(false)
}

impl Node {
    /// Starts everything and waits until the node is Ready.
    ///
    /// # Errors
    /// If a component does not start, or the node does not get Ready.
    pub async fn start() -> Result<Self> {
        let plane = ControlPlane::within(Reach::Node(ADDRESS)).await?;
        let folder = plane.folder();
        let containerd = start_containerd(folder).await?;
        for layout in settings::images_of_node().unwrap_or_default() {
            inspect::ctr(&["images", "import", layout.to_str().context("a path in UTF-8")?])?;
        }
        let admin = plane.cluster()?;
        let name_server =
            component::start(Tool::CoreDns, config::name_server(folder, admin.kubeconfig())?, folder)?;
        let proxy = plane.kubeconfig_of_user("system:kube-proxy", "system:kube-proxy")?;
        let proxy = component::start(Tool::Proxy, config::proxy(&proxy), folder)?;
        let node = plane.kubeconfig_of_user(&format!("system:node:{NAME}"), "system:nodes")?;
        let kubelet_arguments = config::kubelet(folder, &node, plane.ca().certificate())?;
        let kubelet = component::start(Tool::Kubelet, kubelet_arguments.clone(), folder)?;
        let components = [plane.scheduler()?, proxy, name_server, containerd];
        let started = Self { kubelet, _components: components, kubelet_arguments, plane };
        started.until_ready().await?;
        Ok(started)
    }

    /// Kills the kubelet and starts it again. Containers live on; what it only remembered, as tokens, it fetches anew.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn restart_kubelet(&mut self) -> Result<()> {
        self.kubelet.kill().await?;
        self.kubelet = component::start(Tool::Kubelet, self.kubelet_arguments.clone(), self.plane.folder())?;
        self.until_ready().await
    }

    /// The cluster, as its administrator.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn cluster(&self) -> Result<Cluster> {
        self.plane.cluster()
    }

    async fn until_ready(&self) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.cluster()?.client());
        let waited = wait::until("the node to be Ready", PATIENCE, || async {
            let Some(node) = nodes.get_opt(NAME).await? else { return Ok(None) };
            let mut conditions =
                node.status.into_iter().flat_map(|status| status.conditions.unwrap_or_default());
            let is_ready =
                conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
            Ok(is_ready.then_some(()))
        });
        waited.await.with_context(|| self._components.iter().map(Process::tail).collect::<String>())
    }
}

async fn start_containerd(folder: &Path) -> Result<Process> {
    let folder = &folder.join("containerd");
    std::fs::create_dir_all(folder)?;
    let config = config::containerd(folder)?;
    let containerd = Process::tether(Tethered {
        name: "containerd",
        program: Path::new("containerd"),
        arguments: vec!["--config".to_owned(), config.display().to_string()],
        environment: Vec::new(),
        folder,
    })?;
    wait::until("containerd", PATIENCE, || async {
        ensure!(!containerd.has_ended(), "containerd has ended: {}", containerd.tail());
        let version = Command::new("ctr").args(["--address", SOCKET, "version"]).output()?;
        Ok(version.status.success().then_some(()))
    })
    .await?;
    Ok(containerd)
}
