//! What a test may see of, and do to, a Pod on the node.
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use rustix::process::{Pid, Signal, kill_process};

use super::container::Board;
use super::ground::Ground;
use super::state::{Container, Phase};
use super::{Kubelet, Shared, token};
use crate::wait;

/// How long a Pod may take from its creation to the node.
const ARRIVAL: Duration = Duration::from_secs(30);

/// A Pod on the node.
#[derive(Clone)]
pub struct PodView {
    ground: Ground,
    board: Arc<Board>,
}

/// All Pods of the node, for who outlives a borrow of it.
#[derive(Clone)]
pub(crate) struct Residents(pub(super) Arc<Shared>);

impl Kubelet {
    /// The Pod of this name, once it has arrived on the node.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<PodView> {
        self.residents().pod(namespace, name)
    }

    /// As [`Kubelet::pod`], waiting for its arrival.
    ///
    /// # Errors
    /// If it does not arrive in time.
    pub async fn arrival(&self, namespace: &str, name: &str) -> Result<PodView> {
        let what = format!("Pod {name} on the node");
        wait::until(&what, ARRIVAL, || async { Ok(self.pod(namespace, name)) }).await
    }

    pub(crate) fn residents(&self) -> Residents {
        Residents(Arc::clone(&self.shared))
    }
}

impl Residents {
    pub(crate) fn client(&self) -> Client {
        self.0.cluster.client()
    }

    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<PodView> {
        let residents = self.0.residents();
        let is_it = |ground: &Ground| ground.namespace() == namespace && ground.name() == name;
        // Of a StatefulSet, the old Pod may still be leaving: the one that stays wins.
        let found = residents.values().filter(|resident| is_it(&resident.ground));
        let resident = found.max_by_key(|resident| resident.stop.borrow().is_none())?;
        Some(PodView { ground: resident.ground.clone(), board: Arc::clone(&resident.board) })
    }
}

impl PodView {
    /// The loopback address that is the Pod's own.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.ground.address
    }

    /// The folder that stands for a volume.
    #[must_use]
    pub fn volume(&self, name: &str) -> PathBuf {
        self.ground.volume_folder(name)
    }

    /// The process of a container that runs.
    #[must_use]
    pub fn process(&self, container: &str) -> Option<u32> {
        match self.container(container)?.phase {
            Phase::Running { process, .. } => process,
            Phase::Waiting { .. } | Phase::Ended { .. } => None,
        }
    }

    /// How often a container was started again.
    #[must_use]
    pub fn restarts(&self, container: &str) -> i32 {
        self.container(container).map(|container| container.restarts).unwrap_or_default()
    }

    fn container(&self, name: &str) -> Option<Container> {
        self.board.borrow().iter().find(|container| container.name == name).cloned()
    }

    /// Signals a container's process: `KILL`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, container: &str, signal: Signal) -> Result<()> {
        let process = self.process(container).with_context(|| format!("{container} does not run"))?;
        let process = Pid::from_raw(i32::try_from(process)?).context("process id 0")?;
        kill_process(process, signal).with_context(|| format!("signal to {container}"))
    }

    /// What a container wrote to both streams, over all its restarts.
    #[must_use]
    pub fn output(&self, container: &str) -> String {
        let folder = self.ground.folder.join("containers").join(container);
        let read = |stream| std::fs::read(folder.join(format!("{container}.{stream}"))).unwrap_or_default();
        let bytes = [read("stdout"), read("stderr")].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Renews the Pod's tokens now, and not when they are old.
    ///
    /// # Errors
    /// If the API server grants none.
    pub async fn renew_tokens(&self) -> Result<()> {
        token::renew(&self.ground).await
    }
}
