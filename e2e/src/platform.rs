//! Operators and sidecars on a real API server: the shipped binaries, as Pods that the harness runs, with no more
//! rights than they need.
//!
//! A test that kills or freezes replicas has the control plane to itself; one such test runs at a time.
mod injector;
mod manifest;

pub use injector::{FailurePolicy, injection};
pub use manifest::{cluster_rules, mock, object, own_rules, quota, route, unbound_rules, watch_rules};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use kube::core::DynamicObject;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::{self, Answer};
use crate::cluster::Cluster;
use crate::cluster::namespace::TestNamespace;
use crate::control_plane::ControlPlane;
use crate::feed;
use crate::jwt;
use crate::kubelet::view::PodView;
use crate::kubelet::{Images, Kubelet};
use crate::process;
use crate::relay::Relay;
use crate::wait;
use manifest::Injection;

/// How long anything may take that has no limit of its own.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The container of every Pod here.
const CONTAINER: &str = "chaperone";
/// The Service of the feed, and the Secret with its certificate.
const FEED: &str = "chaperone-feed";
const TLS: &str = "chaperone-tls";

/// Two cores do not carry several control planes with their fleets.
static TURN: Semaphore = Semaphore::const_new(1);

/// A control plane, operators, and sidecars in namespaces of tenants.
pub struct Platform {
    /// As its administrator.
    pub cluster: Cluster,
    kubelet: Kubelet,
    relay: Relay,
    /// Where the API server asks about new Pods, if operators inject.
    webhook: Option<Relay>,
    home: TestNamespace,
    tenants: Vec<TestNamespace>,
    ca: String,
    ca_file: PathBuf,
    plane: ControlPlane,
    _folder: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Platform {
    /// `replicas` operators, ready, and `tenants` empty namespaces; `None` where the test is not to run.
    ///
    /// # Errors
    /// If anything of it does not get ready.
    pub async fn for_test(test: &str, replicas: usize, tenants: usize) -> Result<Option<Self>> {
        // On the heap: every test holds this future.
        Box::pin(Self::start(test, replicas, tenants, Injection::Off)).await
    }

    async fn start(
        test: &str,
        replicas: usize,
        tenants: usize,
        injection: Injection,
    ) -> Result<Option<Self>> {
        let turn = TURN.acquire().await?;
        let Some(plane) = ControlPlane::alone_for_test(test).await? else { return Ok(None) };
        let cluster = plane.cluster()?;
        cluster.apply_kinds().await?;
        let home = cluster.namespace("platform", &[]).await?;
        let mut namespaces = Vec::new();
        for index in 0..tenants {
            namespaces.push(cluster.namespace(&format!("tenant{index}"), &[]).await?);
        }
        let mut images = Images::default().with(manifest::OPERATOR, &process::operator_binary()?);
        if tenants > 0 {
            images = images.with(manifest::SIDECAR, &process::sidecar_binary()?);
        }
        let names: Vec<&str> = namespaces.iter().chain([&home]).map(TestNamespace::name).collect();
        let kubelet = Kubelet::start(&plane, "node", &names, images).await?;
        let applied = manifest::operators(home.name(), replicas, injection).to_string();
        cluster.kubectl_with(&["apply", "-f", "-"], &applied).await?.ok()?;
        let relay = Relay::to_service(&kubelet, home.name(), FEED, 443).await?;
        kubelet.redirect("CHAPERONE_FEED_ADDRESS", &relay.address().to_string());
        let webhook = match injection {
            Injection::On => Some(injector::relay(&kubelet, home.name()).await?),
            Injection::Off => None,
        };
        let ca = authority(&cluster, home.name()).await?;
        let folder = tempfile::tempdir()?;
        let ca_file = folder.path().join("ca.crt");
        std::fs::write(&ca_file, &ca)?;
        let platform = Self {
            cluster,
            kubelet,
            relay,
            webhook,
            home,
            tenants: namespaces,
            ca,
            ca_file,
            plane,
            _folder: folder,
            _turn: turn,
        };
        if injection == Injection::On {
            platform.install_webhook(FailurePolicy::Fail).await?;
        }
        platform.operators_ready(replicas).await?;
        Ok(Some(platform))
    }

    /// The namespace of a tenant.
    #[must_use]
    pub fn tenant(&self, index: usize) -> &str {
        self.tenants[index].name()
    }

    /// The namespace of the operators.
    #[must_use]
    pub fn home(&self) -> &str {
        self.home.name()
    }

    /// Applies objects to a namespace, as a user would.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub async fn apply(&self, namespace: &str, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        self.cluster.kubectl_with(&["apply", "-n", namespace, "-f", "-"], &list).await?.ok().map(drop)
    }

    /// Starts a Pod with a sidecar, and waits until it is ready.
    ///
    /// # Errors
    /// If it does not get ready.
    pub async fn sidecar(&self, namespace: &str, name: &str) -> Result<PodView> {
        self.apply(namespace, &[manifest::sidecar(name, &self.server_name(), &self.ca)]).await?;
        self.until_ready(namespace, name).await
    }

    /// A Pod that has a sidecar's label and runs nothing: a test speaks for it.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn silent_pod(&self, namespace: &str, name: &str) -> Result<Pod> {
        self.apply(namespace, &[manifest::silent(name)]).await?;
        Ok(self.pods(namespace).get(name).await?)
    }

    /// Waits for a Pod's condition `Ready`, and for what the harness knows of it.
    ///
    /// # Errors
    /// If it does not get ready; then with what it wrote.
    pub async fn until_ready(&self, namespace: &str, name: &str) -> Result<PodView> {
        let view = self.kubelet.arrival(namespace, name).await?;
        let pods = self.pods(namespace);
        let what = format!("Pod {name} to be ready");
        let ready =
            wait::until(&what, PATIENCE, || async { Ok(is_ready(&pods.get(name).await?).then_some(())) });
        ready.await.with_context(|| view.output(CONTAINER))?;
        Ok(view)
    }

    /// Pods of a namespace.
    #[must_use]
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.cluster.client(), namespace)
    }

    /// Deletes a Pod at once.
    ///
    /// # Errors
    /// If there is none.
    pub async fn delete_pod(&self, namespace: &str, name: &str) -> Result<()> {
        self.pods(namespace).delete(name, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    /// Applies the operators again, where some are gone, and waits until they are ready.
    ///
    /// # Errors
    /// If one does not get ready.
    pub async fn operators(&self, replicas: usize) -> Result<()> {
        let injection = if self.webhook.is_some() { Injection::On } else { Injection::Off };
        let applied = manifest::operators(self.home.name(), replicas, injection).to_string();
        self.cluster.kubectl_with(&["apply", "-f", "-"], &applied).await?.ok()?;
        self.operators_ready(replicas).await
    }

    async fn operators_ready(&self, replicas: usize) -> Result<()> {
        for index in 0..replicas {
            self.until_ready(self.home.name(), &operator(index)).await?;
        }
        Ok(())
    }

    /// A replica of the operator.
    ///
    /// # Errors
    /// If it never arrived.
    pub fn operator(&self, index: usize) -> Result<PodView> {
        self.kubelet.pod(self.home.name(), &operator(index)).context("an operator")
    }

    /// The replica that carries the leader's label.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn leader(&self) -> Result<usize> {
        let pods = self.pods(self.home.name());
        let selector = ListParams::default().labels("chaperone.dev/role=leader");
        wait::until("a leader", PATIENCE, || async {
            let found = pods.list(&selector).await?.items;
            let name = found.first().and_then(|pod| pod.metadata.name.clone());
            Ok(name.and_then(|name| name.rsplit('-').next()?.parse().ok()))
        })
        .await
    }

    /// Signals a Pod's process.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, pod: &PodView, signal: Signal) -> Result<()> {
        pod.signal(CONTAINER, signal)
    }

    /// What a Pod's process wrote.
    #[must_use]
    pub fn output(&self, pod: &PodView) -> String {
        pod.output(CONTAINER)
    }

    /// The id of a Pod's process, if it runs.
    #[must_use]
    pub fn process(&self, pod: &PodView) -> Option<u32> {
        pod.process(CONTAINER)
    }

    /// Plays a sidecar with this token; `Err` of the inner result: it is not admitted.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn stream(&self, token: &str) -> Result<Result<feed::Stream, StatusCode>> {
        Ok(self.stream_at(self.relay.address(), token).await?.map_err(|refused| refused.status))
    }

    /// As [`Platform::stream`], past the relay: for thousands, for whom it would ask the API server each time.
    ///
    /// # Errors
    /// As [`Platform::stream`].
    pub async fn stream_at(
        &self,
        address: SocketAddr,
        token: &str,
    ) -> Result<Result<feed::Stream, feed::Refused>> {
        feed::Stream::open((&address.to_string(), &self.server_name(), &self.ca_file), token).await
    }

    fn server_name(&self) -> String {
        format!("{FEED}.{}.svc", self.home.name())
    }

    /// A token with its claims changed, signed by the API server's own key.
    ///
    /// # Errors
    /// If it is none.
    pub fn signed_again(&self, token: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
        jwt::signed_again(token, &self.plane.folder().join("sa.key"), change)
    }

    /// Everything that operators and sidecars wrote to the API server, as its audit has it.
    ///
    /// # Errors
    /// If there is none.
    pub fn audit(&self) -> Result<String> {
        self.plane.audit()
    }

    /// An object of ours, as `modelroutes/chat`.
    ///
    /// # Errors
    /// If there is none.
    pub async fn object(&self, namespace: &str, name: &str) -> Result<DynamicObject> {
        let json = self.cluster.kubectl(&["get", "-n", namespace, name, "-o", "json"]).await?.ok()?;
        Ok(serde_json::from_str(&json)?)
    }

    /// Waits until a condition has this status, and returns it.
    ///
    /// # Errors
    /// If it does not in time; then with the last status.
    pub async fn condition(
        &self,
        namespace: &str,
        object: &str,
        (condition, status): (&str, &str),
        patience: Duration,
    ) -> Result<Value> {
        let last = std::cell::RefCell::new(Value::Null);
        let what = format!("{object}: {condition}={status}");
        let found = wait::until(&what, patience, || async {
            let found = self.object(namespace, object).await?;
            let status_now = found.data["status"].clone();
            let generation = found.metadata.generation;
            let conditions = status_now["conditions"].as_array().cloned().unwrap_or_default();
            let matches = conditions.into_iter().find(|it| {
                it["type"] == condition
                    && it["status"] == status
                    && it["observedGeneration"].as_i64() == generation
            });
            last.replace(status_now);
            Ok(matches)
        });
        found.await.with_context(|| format!("its status: {:#}", last.borrow()))
    }

    /// Waits until `status.sidecars` counts as the column shows it, as `5/5`.
    ///
    /// # Errors
    /// If it does not in time; then with what it counts.
    pub async fn sidecars(
        &self,
        namespace: &str,
        object: &str,
        summary: &str,
        patience: Duration,
    ) -> Result<()> {
        let last = std::cell::RefCell::new(Value::Null);
        let what = format!("{object} on {summary} sidecars");
        let found = wait::until(&what, patience, || async {
            let sidecars = self.object(namespace, object).await?.data["status"]["sidecars"].clone();
            let is_it = sidecars["summary"] == summary;
            last.replace(sidecars);
            Ok(is_it.then_some(()))
        });
        found.await.with_context(|| format!("it has {}", last.borrow()))
    }
}

fn operator(index: usize) -> String {
    format!("chaperone-operator-{index}")
}

/// Whether a Pod's condition `Ready` is True.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready.any(|condition| condition.status == "True")
}

/// The authority that the first leader has made.
async fn authority(cluster: &Cluster, namespace: &str) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    let secret =
        wait::until("the operators' certificate", PATIENCE, || async { Ok(secrets.get_opt(TLS).await?) })
            .await?;
    let data = secret.data.context("data")?;
    Ok(String::from_utf8(data.get("ca.crt").context("ca.crt")?.0.clone())?)
}

/// Asks the sidecar of a Pod, as its application would.
///
/// # Errors
/// If there is no answer.
pub async fn ask(pod: &PodView, alias: &str) -> Result<Answer> {
    let body = json!({"model": alias, "messages": [{"role": "user", "content": "hello"}]});
    client::post(&format!("{}:4141", pod.address()), "/v1/chat/completions", &[], &body).await
}

/// What the sidecar answers, in text.
///
/// # Errors
/// If it refuses.
pub async fn text(pod: &PodView, alias: &str) -> Result<String> {
    let answer = ask(pod, alias).await?;
    ensure!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
    let answer = answer.json()?;
    Ok(answer["choices"][0]["message"]["content"].as_str().context("a text")?.to_owned())
}

/// Waits until the sidecar answers with this text.
///
/// # Errors
/// If it does not in time.
pub async fn until_text(pod: &PodView, alias: &str, wanted: &str, patience: Duration) -> Result<()> {
    let last = std::cell::RefCell::new(String::new());
    let what = format!("{alias} to say {wanted:?}");
    let found = wait::until(&what, patience, || async {
        let answer = text(pod, alias).await.unwrap_or_else(|error| format!("{error:#}"));
        let is_it = answer == wanted;
        last.replace(answer);
        Ok(is_it.then_some(()))
    });
    found.await.with_context(|| format!("it says {:?}", last.borrow()))
}

/// The version of what a sidecar has in force.
///
/// # Errors
/// If it does not say.
pub async fn version(pod: &PodView) -> Result<String> {
    let page = client::get(&format!("{}:4142", pod.address()), "/debug/snapshot", &[]).await?.json()?;
    Ok(page["version"].as_str().context("a version")?.to_owned())
}
