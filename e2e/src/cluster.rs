//! A cluster as a test sees it: a client, kubectl, helm, and a namespace of its own.
//!
//! Tests take the shared [`ControlPlane`], or with `CHAPERONE_E2E=cluster` the user's cluster that `KUBECONFIG` names.
//! `KUBECONFIG` alone never leads to a cluster.
pub mod guard;
pub mod namespace;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_crds::{GROUP, VERSION, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::control_plane::ControlPlane;
use crate::tier::Selection;
use crate::tools::{self, Tool};
use crate::{process, settings, wait};

/// How long a command, or the API server, may take for anything that a test asks.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster, as one of its users.
#[derive(Clone)]
pub struct Cluster {
    config: Config,
    client: Client,
    kubeconfig: PathBuf,
    programs: Programs,
    /// What its components write, where they are ours.
    logs: Vec<PathBuf>,
}

/// Where kubectl and helm come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Programs {
    /// The versions that this project pins.
    Built,
    /// Those that the cluster's owner uses.
    Installed,
}

/// What a command wrote, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether its exit status was zero.
    pub is_success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// Standard output of a command that had to succeed.
    ///
    /// # Errors
    /// If it failed; the error has its standard error.
    pub fn ok(self) -> Result<String> {
        ensure!(self.is_success, "it failed: {}{}", self.stderr, self.stdout);
        Ok(self.stdout)
    }
}

impl Cluster {
    /// The cluster for `test`, with our kinds applied; `None`, with a line that says why, where it is not to run.
    ///
    /// # Errors
    /// If it should run and cannot.
    pub async fn for_test(test: &str) -> Result<Option<Self>> {
        let cluster = if Selection::of_environment()? == Selection::UsersCluster {
            Self::of_user().await?
        } else {
            let Some(plane) = ControlPlane::for_test(test)? else { return Ok(None) };
            plane.cluster()?
        };
        cluster.apply_kinds().await?;
        Ok(Some(cluster))
    }

    async fn of_user() -> Result<Self> {
        let kubeconfig =
            settings::users_kubeconfig().context("CHAPERONE_E2E=cluster needs KUBECONFIG too")?;
        let cluster = Self { programs: Programs::Installed, ..Self::connect(&kubeconfig).await? };
        guard::refuse_if_installed(&cluster).await?;
        Ok(cluster)
    }

    /// A cluster as the user of this kubeconfig.
    ///
    /// # Errors
    /// If the file is none.
    pub async fn connect(kubeconfig: &Path) -> Result<Self> {
        let parsed = Kubeconfig::read_from(kubeconfig)?;
        let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config.clone())?;
        Ok(Self {
            config,
            client,
            kubeconfig: kubeconfig.to_owned(),
            programs: Programs::Built,
            logs: Vec::new(),
        })
    }

    /// The same cluster, whose components write to these files.
    pub(crate) fn with_logs(self, logs: Vec<PathBuf>) -> Self {
        Self { logs, ..self }
    }

    /// The last lines of every component's log.
    pub(crate) fn tails(&self) -> String {
        let show = |log: &PathBuf| format!("--- {}\n{}\n", log.display(), process::tail_of(log));
        self.logs.iter().map(show).collect()
    }

    /// The same cluster with connections of its own: those of a client end with the runtime that opened them, and
    /// every test has a runtime of its own.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(crate) fn reconnected(&self) -> Result<Self> {
        Ok(Self { client: Client::try_from(self.config.clone())?, ..self.clone() })
    }

    /// A client of its API.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The file that says where it is and who we are.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl.
    ///
    /// # Errors
    /// If it cannot be run or does not end. That it fails is for the caller to judge.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Said> {
        self.run(Tool::Kubectl, arguments, "").await
    }

    /// Runs kubectl with manifests on its standard input: `-f -`.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub async fn kubectl_with(&self, arguments: &[&str], manifests: &str) -> Result<Said> {
        self.run(Tool::Kubectl, arguments, manifests).await
    }

    /// Runs helm.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub async fn helm(&self, arguments: &[&str]) -> Result<Said> {
        self.run(Tool::Helm, arguments, "").await
    }

    fn program(&self, tool: Tool) -> Result<PathBuf> {
        match self.programs {
            Programs::Built => tools::ensure_built(tool),
            Programs::Installed => Ok(PathBuf::from(tool.name())),
        }
    }

    async fn run(&self, tool: Tool, arguments: &[&str], input: &str) -> Result<Said> {
        let program = self.program(tool)?;
        // Its caches and plug-ins are not the developer's.
        let home = tempfile::tempdir()?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", settings::search_path())
            .env("HOME", home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("running {}", tool.name()))?;
        let mut stdin = child.stdin.take().context("standard input")?;
        let finish = async {
            // A command that does not read its input closes it: then its own error is the one to show.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(PATIENCE * 5, finish)
            .await
            .with_context(|| format!("{} {arguments:?} does not end", tool.name()))??;
        Ok(Said {
            is_success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Applies the definitions of our kinds, and waits until they are served.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub async fn apply_kinds(&self) -> Result<()> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client());
        let owner = PatchParams::apply("chaperone-e2e").force();
        for crd in crds() {
            let name = crd.metadata.name.clone().context("a name")?;
            definitions.patch(&name, &owner, &Patch::Apply(&crd)).await?;
        }
        for crd in crds() {
            let name = crd.metadata.name.context("a name")?;
            wait::until(&format!("{name} to be established"), PATIENCE, || async {
                Ok(is_established(&definitions.get(&name).await?).then_some(()))
            })
            .await?;
        }
        self.until_discovered().await
    }

    /// Established is not enough: clients look kinds up in discovery, which lags behind.
    async fn until_discovered(&self) -> Result<()> {
        let group = format!("{GROUP}/{VERSION}");
        wait::until("our kinds in discovery", PATIENCE, || async {
            let Ok(found) = self.client.list_api_group_resources(&group).await else { return Ok(None) };
            let is_served = |kind: &String| found.resources.iter().any(|resource| resource.kind == *kind);
            Ok(crds().iter().all(|crd| is_served(&crd.spec.names.kind)).then_some(()))
        })
        .await
    }
}

/// Whether the API server serves a definition.
#[must_use]
pub fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut established = conditions.filter(|condition| condition.type_ == "Established");
    established.any(|condition| condition.status == "True")
}
