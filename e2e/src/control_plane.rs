//! etcd, kube-apiserver and kube-controller-manager as processes of the test: a real API server without a node.
//!
//! Most tests share one ([`ControlPlane::for_test`]) and take a namespace each. Those that stop components or edit
//! cluster-scoped objects start their own ([`ControlPlane::alone_for_test`]). `component` has the command lines.
pub(crate) mod component;
mod janitor;
pub(crate) mod kubeconfig;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use tempfile::TempDir;

use crate::certs::{self, TestCa};
use crate::cluster::Cluster;
use crate::process::Process;
use crate::tier::{self, Tier};
use crate::{tools, wait};
use component::Ports;

/// How long a component may take to be ready; on a loaded machine of two cores, more than usual.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The API server's own address in a cluster: the first one of the Services' range.
const SERVICE_ADDRESS: &str = "10.96.0.1";

/// Who reaches the API server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// This machine alone.
    Loopback,
    /// A node and its Pods too, at this address; the API server then speaks to the node's kubelet.
    Node(Ipv4Addr),
}

impl Reach {
    fn bind(self) -> Ipv4Addr {
        match self {
            Self::Loopback => Ipv4Addr::LOCALHOST,
            Self::Node(_) => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// What stands in Service `kubernetes`. An API server refuses loopback here, and finds no address by itself where
    /// there is no default route; without a node nobody reads it, and it is one of RFC 5737.
    fn advertise(self) -> Ipv4Addr {
        match self {
            Self::Loopback => Ipv4Addr::new(192, 0, 2, 1),
            Self::Node(address) => address,
        }
    }
}

/// A running control plane; ends with this value, and with the test binary in any case.
pub struct ControlPlane {
    // Dropped in this order: readers of the store before the store, the folder last.
    controller_manager: Process,
    api_server: Process,
    etcd: Process,
    cluster: Cluster,
    ca: TestCa,
    port: u16,
    folder: TempDir,
}

impl ControlPlane {
    /// The shared one for `test`; `None`, with a line that says why, where the test is not to run.
    ///
    /// # Errors
    /// If it should run and cannot.
    pub fn for_test(test: &str) -> Result<Option<&'static Self>> {
        if may_run(test)? { Self::shared().map(Some) } else { Ok(None) }
    }

    /// One for `test` alone; `None`, with a line that says why, where the test is not to run.
    ///
    /// # Errors
    /// If it should run and cannot.
    pub async fn alone_for_test(test: &str) -> Result<Option<Self>> {
        if may_run(test)? { Self::start().await.map(Some) } else { Ok(None) }
    }

    /// The one that all tests of this binary share.
    ///
    /// # Errors
    /// If it did not start; then every test that asks gets the same error.
    fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<&'static ControlPlane, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            // A thread that never ends: components are tethered to the thread that started them.
            let (started, is_started) = std::sync::mpsc::sync_channel(1);
            let thread = std::thread::Builder::new().name("control-plane".to_owned());
            thread.spawn(move || keep_one(&started)).map_err(|error| error.to_string())?;
            is_started.recv().map_err(|error| error.to_string())?
        });
        shared.clone().map_err(anyhow::Error::msg)
    }

    /// Starts one that no other test sees.
    ///
    /// # Errors
    /// If a component cannot be built, does not start, or does not get ready.
    pub async fn start() -> Result<Self> {
        Self::within(Reach::Loopback).await
    }

    /// As [`ControlPlane::start`], for others than this machine.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn within(reach: Reach) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chaperone-e2e-").tempdir()?;
        let ca = TestCa::in_folder(folder.path())?;
        let ports = Ports::free()?;
        let advertised = reach.advertise().to_string();
        let serving = ca.issue_for(
            "apiserver",
            &[
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "localhost",
                "127.0.0.1",
                SERVICE_ADDRESS,
                &advertised,
            ],
        )?;
        let signing = certs::signing_key(folder.path())?;
        let etcd = component::etcd(folder.path(), ports)?;
        let kubelet_client = ca.issue_user("kube-apiserver-kubelet-client", "system:masters")?;
        let api_server = component::api_server(&component::ApiServer {
            folder: folder.path(),
            reach,
            ports,
            serving: &serving,
            kubelet_client: &kubelet_client,
            ca: ca.certificate(),
            signing: &signing,
        })?;
        let admin = kubeconfig::for_user(
            folder.path(),
            &server(ports.api),
            &ca,
            ("chaperone-e2e", "system:masters"),
        )?;
        let cluster = Cluster::connect(&admin).await?;
        until_serving(&cluster, &[&etcd, &api_server]).await?;
        let controller_manager =
            component::controller_manager(folder.path(), ports, &admin, (ca.certificate(), &signing.0))?;
        until_populated(&cluster, &[&etcd, &api_server, &controller_manager]).await?;
        let cluster = cluster.with_logs([&etcd, &api_server, &controller_manager].map(Process::log).to_vec());
        Ok(Self { controller_manager, api_server, etcd, cluster, ca, port: ports.api, folder })
    }

    /// The cluster, as its administrator, with connections for the runtime that asks.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn cluster(&self) -> Result<Cluster> {
        self.cluster.reconnected()
    }

    /// The authority that API server and clients trust.
    #[must_use]
    pub fn ca(&self) -> &TestCa {
        &self.ca
    }

    /// Its folder, which goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The API server's URL.
    #[must_use]
    pub fn server(&self) -> String {
        server(self.port)
    }

    /// Starts a scheduler, for tests whose Pods no harness binds.
    ///
    /// # Errors
    /// If it cannot be built or started.
    pub fn scheduler(&self) -> Result<Process> {
        component::scheduler(self.folder.path(), self.cluster.kubeconfig())
    }

    /// A kubeconfig of a user with a client certificate.
    ///
    /// # Errors
    /// If files cannot be written.
    pub fn kubeconfig_of_user(&self, user: &str, group: &str) -> Result<PathBuf> {
        kubeconfig::for_user(self.folder.path(), &self.server(), &self.ca, (user, group))
    }

    /// Writes a kubeconfig with a bearer token read from a file at each use, so that the token may be renewed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn kubeconfig_of_token(&self, kubeconfig: &Path, token_file: &Path) -> Result<()> {
        let identity = serde_json::json!({"tokenFile": token_file});
        let text = kubeconfig::of(&self.server(), self.ca.certificate(), &identity, "default");
        Ok(std::fs::write(kubeconfig, text)?)
    }

    /// Every write of a ServiceAccount outside kube-system, as the API server's audit saw it: one JSON a line.
    ///
    /// # Errors
    /// If there is none yet.
    pub fn audit(&self) -> Result<String> {
        std::fs::read_to_string(self.folder.path().join(component::AUDIT_LOG)).context("audit log")
    }

    /// The API server, to be frozen or killed.
    pub fn api_server(&mut self) -> &mut Process {
        &mut self.api_server
    }

    /// The store, to be frozen or killed.
    pub fn etcd(&mut self) -> &mut Process {
        &mut self.etcd
    }

    /// The controller manager, to be frozen or killed.
    pub fn controller_manager(&mut self) -> &mut Process {
        &mut self.controller_manager
    }
}

fn may_run(test: &str) -> Result<bool> {
    if !tier::is_selected(test, Tier::ControlPlane)? {
        return Ok(false);
    }
    match tools::what_is_missing() {
        None => Ok(true),
        Some(remedy) => tier::cannot_run(test, &remedy).map(|()| false),
    }
}

fn server(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

type Started = Result<&'static ControlPlane, String>;

/// Starts the shared one and keeps its runtime alive.
fn keep_one(started: &std::sync::mpsc::SyncSender<Started>) {
    let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        let plane = runtime.block_on(async {
            let plane = ControlPlane::start().await?;
            // Statics are never dropped: somebody else removes its folder.
            janitor::remove_when_we_end(plane.folder.path())?;
            anyhow::Ok(&*Box::leak(Box::new(plane)))
        });
        (runtime, plane)
    });
    match outcome {
        Err(error) => drop(started.send(Err(error.to_string()))),
        Ok((runtime, plane)) => {
            let is_running = plane.is_ok();
            drop(started.send(plane.map_err(|error| format!("{error:#}"))));
            if is_running {
                runtime.block_on(std::future::pending::<()>());
            }
        }
    }
}

async fn until_serving(cluster: &Cluster, components: &[&Process]) -> Result<()> {
    wait::until("the API server to be ready", PATIENCE, || async {
        all_run(components)?;
        let request = http::Request::get("/readyz?verbose").body(Vec::new())?;
        Ok(cluster.client().request_text(request).await.is_ok().then_some(()))
    })
    .await
    .with_context(|| tails(components))
}

async fn until_populated(cluster: &Cluster, components: &[&Process]) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), "default");
    let config_maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    wait::until("the default ServiceAccount", PATIENCE, || async {
        all_run(components)?;
        let account = accounts.get_opt("default").await?;
        let authority = config_maps.get_opt("kube-root-ca.crt").await?;
        Ok((account.is_some() && authority.is_some()).then_some(()))
    })
    .await
    .with_context(|| tails(components))
}

fn all_run(components: &[&Process]) -> Result<()> {
    match components.iter().find(|component| component.has_ended()) {
        Some(ended) => bail!("{} has ended", ended.name()),
        None => Ok(()),
    }
}

fn tails(components: &[&Process]) -> String {
    components.iter().map(|component| component.tail()).collect()
}
