//! Plays a node: what Pods would run in containers runs here as processes, from the Pods' own commands.
//!
//! A Node is registered and kept alive, Pods of the given namespaces are bound to it. For each, `pod` lives its
//! life: volumes and tokens, sidecars in order, probes, status, restarts, the order of its end. [`image`] says which
//! program stands for which image; `rewrite` is all that is changed in a command.
//!
//! Not here: limits, users, isolation. Those are the real node's.
mod container;
mod environment;
mod expand;
mod ground;
pub mod image;
mod node;
mod plan;
mod pod;
mod probe;
mod rewrite;
mod state;
mod token;
pub mod view;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Deadline;
use crate::cluster::Cluster;
use crate::control_plane::ControlPlane;
use ground::{Access, Ground};
pub use image::Images;
use plan::Redirects;
use pod::Life;

/// The node's own address, of RFC 5737: nobody dials it.
const HOST_IP: &str = "192.0.2.2";

/// A node, played; its Pods end with this value.
pub struct Kubelet {
    shared: Arc<Shared>,
    /// Registration, leases, and a watch for each namespace.
    _tasks: JoinSet<()>,
    _folder: TempDir,
}

/// What the watches and the test share.
struct Shared {
    cluster: Cluster,
    access: Access,
    node: String,
    images: Images,
    redirects: Arc<Mutex<Redirects>>,
    folder: PathBuf,
    /// By uid.
    residents: Mutex<BTreeMap<String, Resident>>,
}

/// A Pod on this node.
struct Resident {
    ground: Ground,
    board: Arc<container::Board>,
    stop: watch::Sender<Option<Deadline>>,
    /// Ends with the resident, and its processes with it.
    _life: JoinSet<()>,
}

impl Kubelet {
    /// Registers Node `node`, and runs there every Pod of these namespaces.
    ///
    /// # Errors
    /// If the API server refuses the Node.
    pub async fn start(
        plane: &ControlPlane,
        node: &str,
        namespaces: &[&str],
        images: Images,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("node-").tempdir_in(plane.folder())?;
        let cluster = plane.cluster()?;
        node::register(&cluster, node).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(node::keep_alive(cluster.clone(), node.to_owned()));
        let shared = Arc::new(Shared {
            access: Access { server: plane.server(), ca: plane.ca().certificate().to_owned() },
            cluster,
            node: node.to_owned(),
            images,
            redirects: Arc::default(),
            folder: folder.path().to_owned(),
            residents: Mutex::default(),
        });
        for namespace in namespaces {
            let pods: Api<Pod> = Api::namespaced(shared.cluster.client(), namespace);
            tasks.spawn(watch_pods(Arc::clone(&shared), pods));
        }
        Ok(Self { shared, _tasks: tasks, _folder: folder })
    }

    /// From now on, containers that have this variable start with this value: where something stands on this machine
    /// that a Pod would find by a Service.
    pub fn redirect(&self, variable: &str, value: &str) {
        let mut redirects = self.shared.redirects.lock().unwrap_or_else(PoisonError::into_inner);
        redirects.insert(variable.to_owned(), value.to_owned());
    }
}

async fn watch_pods(shared: Arc<Shared>, pods: Api<Pod>) {
    let events = watcher::watcher(pods.clone(), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut listed = BTreeSet::new();
    loop {
        match events.try_next().await {
            Ok(Some(Event::Apply(pod))) => shared.saw(&pods, pod).await,
            Ok(Some(Event::Delete(pod))) => shared.forget(&pod),
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(pod))) => {
                listed.extend(pod.metadata.uid.clone());
                shared.saw(&pods, pod).await;
            }
            Ok(Some(Event::InitDone)) => shared.keep_only(&pods, &listed),
            // The watcher goes on after an error, at its own pace.
            Err(_) => {}
            Ok(None) => return,
        }
    }
}

impl Shared {
    fn residents(&self) -> MutexGuard<'_, BTreeMap<String, Resident>> {
        self.residents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn saw(&self, pods: &Api<Pod>, pod: Pod) {
        match pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            // Another binding may have come first; the watch then brings the Pod again.
            None => drop(node::bind(pods, &pod, &self.node).await),
            Some(node) if node == self.node => self.take(pod),
            Some(_) => {}
        }
    }

    fn take(&self, pod: Pod) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let stop = pod.metadata.deletion_timestamp.as_ref().map(|_| {
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
            Deadline::after(Duration::from_secs(u64::try_from(grace).unwrap_or_default()))
        });
        let mut residents = self.residents();
        let resident = residents.entry(uid).or_insert_with_key(|uid| self.move_in(uid, pod));
        resident.stop.send_if_modified(|known| {
            // The first moment stands: later events of the same deletion do not extend it.
            let is_new = known.is_none() && stop.is_some();
            if is_new {
                *known = stop;
            }
            is_new
        });
    }

    fn move_in(&self, uid: &str, pod: Pod) -> Resident {
        let board = Arc::new(watch::Sender::new(pod::arrived(&pod)));
        let ground = Ground {
            cluster: self.cluster.clone(),
            access: self.access.clone(),
            pod,
            node: self.node.clone(),
            folder: self.folder.join(uid),
            address: next_address(),
        };
        let (stop, stopped) = watch::channel(None);
        let life = Life {
            ground: ground.clone(),
            images: self.images.clone(),
            redirects: Arc::clone(&self.redirects),
            board: Arc::clone(&board),
            stop: stopped,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(life.live());
        Resident { ground, board, stop, _life: tasks }
    }

    fn forget(&self, pod: &Pod) {
        if let Some(uid) = &pod.metadata.uid {
            self.residents().remove(uid);
        }
    }

    /// Forgets the Pods of this namespace that were deleted while nobody watched.
    fn keep_only(&self, pods: &Api<Pod>, listed: &BTreeSet<String>) {
        self.residents().retain(|uid, resident| {
            listed.contains(uid) || pods.namespace() != Some(resident.ground.namespace())
        });
    }
}

/// Addresses of one test binary begin alike, and unlike those of others that run at the same time.
fn next_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let process = std::process::id().to_le_bytes();
    // Only uniqueness matters. After 250 Pods the first are used again, which are long gone.
    let number = COUNT.fetch_add(1, Ordering::Relaxed) % 250;
    Ipv4Addr::new(127, 1 + process[1] % 250, process[0], 1 + number)
}
