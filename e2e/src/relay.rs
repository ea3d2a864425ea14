//! kube-proxy's role: one relay for a Service forwards TCP to a Ready Pod that its selector matches, chosen anew for
//! each connection. It also plays a bad network.
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use kube::api::ListParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::kubelet::Kubelet;
use crate::kubelet::view::Residents;

/// What a relay reads in one go.
const CHUNK: usize = 64 * 1024;

/// What the network does. It concerns open connections too, from the moment it is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every piece arrives so much later, in both directions.
    Delay(Duration),
    /// What is sent towards the Pod does not arrive, and nobody is told.
    CutTowardsPod,
    /// What the Pod sends does not arrive, and nobody is told.
    CutFromPod,
    /// Connections are closed, and no new one reaches a Pod.
    Drop,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    TowardsPod,
    FromPod,
}

impl Fault {
    fn cuts(self, direction: Direction) -> bool {
        match self {
            Self::CutTowardsPod => direction == Direction::TowardsPod,
            Self::CutFromPod => direction == Direction::FromPod,
            Self::None | Self::Delay(_) | Self::Drop => false,
        }
    }
}

/// Which Pods a relay forwards to.
#[derive(Clone, Debug)]
enum Backend {
    /// Whatever the Service says when a connection comes.
    Service { name: String, port: u16 },
    /// Pods with these labels, for a Service that has no selector of its own.
    Pods { labels: String, port: IntOrString },
}

/// A listening relay; ends with this value, and its connections with it.
pub struct Relay {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    _task: JoinSet<()>,
}

/// What the connections of a relay share.
struct Route {
    residents: Residents,
    namespace: String,
    backend: Backend,
    turn: AtomicUsize,
}

impl Relay {
    /// Relays one port of a Service.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn to_service(kubelet: &Kubelet, namespace: &str, service: &str, port: u16) -> Result<Self> {
        Self::start(kubelet, namespace, Backend::Service { name: service.to_owned(), port }).await
    }

    /// Relays to Pods with these labels, as in `app=web,tier=front`; `port` is a number or a container port's name.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn to_pods(
        kubelet: &Kubelet,
        namespace: &str,
        labels: &str,
        port: IntOrString,
    ) -> Result<Self> {
        Self::start(kubelet, namespace, Backend::Pods { labels: labels.to_owned(), port }).await
    }

    async fn start(kubelet: &Kubelet, namespace: &str, backend: Backend) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let fault = watch::Sender::new(Fault::None);
        let route = Route {
            residents: kubelet.residents(),
            namespace: namespace.to_owned(),
            backend,
            turn: AtomicUsize::new(0),
        };
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::new(route), fault.subscribe()));
        Ok(Self { address, fault, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the network does from now on.
    pub fn inject(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn accept(listener: TcpListener, route: Arc<Route>, fault: watch::Receiver<Fault>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let (route, mut fault) = (Arc::clone(&route), fault.clone());
        connections.spawn(async move {
            let mut dropped = fault.clone();
            tokio::select! {
                // Closed without a word where no Pod is Ready, as by a Service without endpoints.
                _ = forward(&route, client, &mut fault) => {}
                _ = dropped.wait_for(|fault| *fault == Fault::Drop) => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(route: &Route, client: TcpStream, fault: &mut watch::Receiver<Fault>) -> Result<()> {
    let pod = TcpStream::connect(route.endpoint().await?).await?;
    client.set_nodelay(true)?;
    pod.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_pod, to_pod) = pod.into_split();
    tokio::try_join!(
        pump(from_client, to_pod, Direction::TowardsPod, fault.clone()),
        pump(from_pod, to_client, Direction::FromPod, fault.clone()),
    )?;
    Ok(())
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut fault: watch::Receiver<Fault>,
) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = from.read(&mut chunk).await?;
        // Held back, the end of a stream too, until the lane is open again.
        let now = *fault.wait_for(|fault| !fault.cuts(direction)).await?;
        if let Fault::Delay(delay) = now {
            tokio::time::sleep(delay).await;
        }
        match chunk.get(..count).filter(|piece| !piece.is_empty()) {
            Some(piece) => to.write_all(piece).await?,
            None => return Ok(to.shutdown().await?),
        }
    }
}

impl Route {
    /// Where the next connection goes: Ready Pods take turns.
    async fn endpoint(&self) -> Result<SocketAddr> {
        let client = self.residents.client();
        let (labels, port) = match &self.backend {
            Backend::Pods { labels, port } => (labels.clone(), port.clone()),
            Backend::Service { name, port } => {
                let services: Api<Service> = Api::namespaced(client.clone(), &self.namespace);
                of_service(&services.get(name).await?, *port)?
            }
        };
        let pods: Api<Pod> = Api::namespaced(client, &self.namespace);
        let found = pods.list(&ListParams::default().labels(&labels)).await?;
        let ready: Vec<Pod> = found.items.into_iter().filter(is_ready).collect();
        // Only the turn matters, not who else takes one.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let pod = ready.get(turn % ready.len().max(1)).context("no Pod is Ready")?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let resident = self.residents.pod(&self.namespace, name).context("a Pod of another node")?;
        Ok(SocketAddr::from((resident.address(), port_of(pod, &port)?)))
    }
}

/// A Service's selector, as a list of labels, and the target of one of its ports.
fn of_service(service: &Service, port: u16) -> Result<(String, IntOrString)> {
    let spec = service.spec.as_ref().context("a Service's spec")?;
    let selector: &BTreeMap<String, String> = spec.selector.as_ref().context("a Service's selector")?;
    let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut ports = spec.ports.iter().flatten();
    let found = ports.find(|found| found.port == i32::from(port)).context("no such port")?;
    let target = found.target_port.clone().unwrap_or(IntOrString::Int(found.port));
    Ok((labels.join(","), target))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready.next().is_some() && pod.metadata.deletion_timestamp.is_none()
}

fn port_of(pod: &Pod, port: &IntOrString) -> Result<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let spec = pod.spec.as_ref().context("a Pod's spec")?;
            let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let found = ports.find(|port| port.name.as_deref() == Some(name));
            found.with_context(|| format!("no port {name:?}"))?.container_port
        }
    };
    Ok(u16::try_from(number)?)
}
