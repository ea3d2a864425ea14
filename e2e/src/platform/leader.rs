//! What the feed's Service does for sidecars: forwards each new connection to the operator that carries the leader's
//! label at that moment. Connections that are open stay where they are.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where the feed listens in every operator.
const FEED_PORT: u16 = 8443;

/// Listens until it is dropped.
pub(super) struct LeaderRelay {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl LeaderRelay {
    /// Forwards to one of these Pods, which are listed by name.
    pub(super) async fn start(pods: Api<Pod>, addresses: BTreeMap<String, Ipv4Addr>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (pods, addresses) = (pods.clone(), addresses.clone());
                // Closed without a word where nobody leads, as by a Service without endpoints.
                connections.spawn(async move { drop(forward(client, &pods, &addresses).await) });
            }
        });
        Ok(Self { address, _task: task })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn forward(
    mut client: TcpStream,
    pods: &Api<Pod>,
    addresses: &BTreeMap<String, Ipv4Addr>,
) -> Result<()> {
    let leaders = pods.list_metadata(&ListParams::default().labels("chaperone.dev/role=leader")).await?;
    let names = leaders.items.iter().filter_map(|pod| pod.metadata.name.as_ref());
    if let Some(address) = names.filter_map(|name| addresses.get(name)).next() {
        let mut operator = TcpStream::connect((*address, FEED_PORT)).await?;
        tokio::io::copy_bidirectional(&mut client, &mut operator).await?;
    }
    Ok(())
}
