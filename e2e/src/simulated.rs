//! Thousands of sidecars in one process: each with its own Pod, bound token, TLS connection and frames.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chaperone_protocol::snapshot::Version;
use chaperone_protocol::wire::feed::{Held, LeaderFrame, SidecarFrame};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::clock;
use crate::feed::{Refused, token_of};
use crate::platform::Platform;

/// Where an operator's feed is, and how often somebody looks which of them leads: what kube-proxy is told.
const FEED_PORT: u16 = 8443;
const ENDPOINTS: Duration = Duration::from_millis(200);
/// From one attempt to connect to the next, as sidecars wait.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// From dialling to the head of the answer, as sidecars wait.
const CONNECT: Duration = Duration::from_secs(5);

/// That a sidecar is in step, and since when.
type InStep = (usize, Instant);

/// A Pod that nobody runs, and its token.
///
/// # Errors
/// If the API server refuses either.
pub async fn token_for(platform: &Platform, namespace: &str, name: &str) -> Result<String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": {"chaperone.dev/injected": "true"},
            "annotations": {"chaperone.dev/service-account": "default"},
        },
        "spec": {"containers": [{"name": "chaperone", "image": "chaperone.test/nothing"}]},
    });
    let pod: Pod = serde_json::from_value(pod)?;
    let client = platform.cluster.client();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    token_of(&client, &pods.create(&PostParams::default(), &pod).await?).await
}

/// The sidecars. They end with this value.
pub struct Sidecars {
    marker: watch::Sender<String>,
    in_step: mpsc::Receiver<InStep>,
    _tasks: JoinSet<()>,
}

impl Sidecars {
    /// One for each token. They are in step when what they get has `marker` in it.
    #[must_use]
    pub fn start(platform: &Arc<Platform>, tokens: Vec<String>, marker: &str) -> Self {
        let (marker, marked) = watch::channel(marker.to_owned());
        let (tell, in_step) = mpsc::channel(tokens.len() * 4);
        let (endpoint, leads) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(endpoints(Arc::clone(platform), endpoint));
        for (index, token) in tokens.into_iter().enumerate() {
            let sidecar =
                Sidecar { index, token, leads: leads.clone(), marked: marked.clone(), tell: tell.clone() };
            tasks.spawn(sidecar.follow(Arc::clone(platform)));
        }
        Self { marker, in_step, _tasks: tasks }
    }

    /// From now on who has this in its snapshot is in step, and nobody yet.
    pub fn expect(&mut self, marker: &str) {
        self.marker.send_replace(marker.to_owned());
        while self.in_step.try_recv().is_ok() {}
    }

    /// Waits for `count` of them to be in step; how long after `begun` each was, in order.
    ///
    /// # Errors
    /// If they are not in time.
    pub async fn in_step(
        &mut self,
        count: usize,
        begun: Instant,
        patience: Duration,
    ) -> Result<Vec<Duration>> {
        let mut seen = std::collections::BTreeMap::new();
        let all = async {
            while seen.len() < count {
                let (index, at) = self.in_step.recv().await.context("sidecars are there")?;
                seen.entry(index).or_insert(at.saturating_duration_since(begun));
            }
            Ok::<_, anyhow::Error>(())
        };
        let waited = tokio::time::timeout(patience, all).await;
        waited.with_context(|| format!("{} of {count} are in step after {patience:?}", seen.len()))??;
        let mut times: Vec<Duration> = seen.into_values().collect();
        times.sort_unstable();
        Ok(times)
    }
}

/// Tells where the Pod is that carries the leader's label.
async fn endpoints(platform: Arc<Platform>, endpoint: watch::Sender<Option<SocketAddr>>) {
    let mut ticks = tokio::time::interval(ENDPOINTS);
    loop {
        ticks.tick().await;
        let leader = platform.leader().await.and_then(|index| platform.operator(index));
        endpoint.send_replace(leader.ok().map(|pod| SocketAddr::from((pod.address(), FEED_PORT))));
    }
}

/// One sidecar, as the operator sees it.
struct Sidecar {
    index: usize,
    token: String,
    leads: watch::Receiver<Option<SocketAddr>>,
    marked: watch::Receiver<String>,
    tell: mpsc::Sender<InStep>,
}

/// How a stream ended.
#[derive(Clone, Copy, Default)]
struct Ended {
    /// Whether the operator said anything of use.
    was_heard: bool,
    /// When to come again, if it says so.
    retry_after: Option<Duration>,
}

impl Sidecar {
    /// Connects, again and again, with the patience of a sidecar.
    async fn follow(self, platform: Arc<Platform>) {
        let (mut have, mut bound) = (None, FIRST_WAIT);
        loop {
            // How a stream ends does not matter here.
            let ended = self.once(&platform, &mut have).await.unwrap_or_default();
            bound = if ended.was_heard { FIRST_WAIT } else { (bound * 2).min(LONGEST_WAIT) };
            let asked = ended.retry_after.map(|asked| asked / 2 + self.jitter(asked));
            tokio::time::sleep(self.jitter(bound).max(asked.unwrap_or_default())).await;
        }
    }

    async fn once(&self, platform: &Platform, have: &mut Option<Held>) -> Result<Ended> {
        let Some(leader) = *self.leads.borrow() else { return Ok(Ended::default()) };
        let opened = tokio::time::timeout(CONNECT, platform.stream_at(leader, &self.token)).await??;
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(Refused { retry_after, .. }) => return Ok(Ended { retry_after, was_heard: false }),
        };
        stream.greet_with(have.clone()).await?;
        let (mut keys, mut ended) = (None, Ended::default());
        while let Some(frame) = stream.listen().await? {
            match frame {
                LeaderFrame::Keys(sent) => keys = Some(sent.keys.version()),
                LeaderFrame::Snapshot(document) => {
                    let keys = keys.take().or_else(|| have.as_ref().map(|held| held.keys.clone()));
                    let held =
                        Held { snapshot: Version::of(&document), keys: keys.context("keys have come")? };
                    *have = Some(held.clone());
                    stream.say(&SidecarFrame::Ack(held)).await?;
                    let marker = self.marked.borrow().clone();
                    if String::from_utf8_lossy(&document).contains(&marker) {
                        self.tell.send((self.index, clock::now())).await?;
                    }
                }
                LeaderFrame::Unchanged => self.tell.send((self.index, clock::now())).await?,
                LeaderFrame::Hint(_) => {}
                LeaderFrame::GoAway(away) => {
                    ended.retry_after = Some(Duration::from_millis(away.retry_after_ms));
                    return Ok(ended);
                }
            }
            ended.was_heard = true;
        }
        Ok(ended)
    }

    /// A time below `bound`, another for each sidecar and attempt.
    fn jitter(&self, bound: Duration) -> Duration {
        use std::hash::{BuildHasher as _, RandomState};
        let part = RandomState::new().hash_one(self.index) % 1_000;
        bound * u32::try_from(part).unwrap_or_default() / 1_000
    }
}
