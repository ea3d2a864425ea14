//! The Helm chart as users get it, installed by helm: its Pods are made by the controller manager and run by the
//! harness, with the rights that the chart grants them.
//!
//! Definitions and rights of the chart are cluster-wide, so one release is there at a time. Tests share a control plane
//! that has no kinds of ours before the chart brings them.
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use kube::api::ListParams;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::cluster::namespace::TestNamespace;
use crate::cluster::{Cluster, Said};
use crate::control_plane::ControlPlane;
use crate::kubelet::view::PodView;
use crate::kubelet::{Images, Kubelet};
use crate::later::{Later, Operator};
use crate::platform::is_ready;
use crate::relay::Relay;
use crate::{clock, process, wait};

/// How long anything may take that has no limit of its own.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// What the release is called.
pub const NAME: &str = "chaperone";
/// Which Pods are operators.
const OPERATORS: &str = "app.kubernetes.io/name=chaperone,app.kubernetes.io/component=operator";
/// Repositories of the images, which the harness runs programs for.
const OPERATOR_IMAGE: &str = "registry.test/chaperone-operator";
const SIDECAR_IMAGE: &str = "registry.test/chaperone-sidecar";

static TURN: Semaphore = Semaphore::const_new(1);

/// A place for the chart, and the chart once it is installed.
pub struct Release {
    /// As its administrator.
    pub cluster: Cluster,
    kubelet: Kubelet,
    home: TestNamespace,
    /// Between the API server and the webhook.
    webhook: Relay,
    /// Between sidecars and the leader.
    feed: Relay,
    _turn: SemaphorePermit<'static>,
}

impl Release {
    /// Namespaces for the release and for `tenants`, and a node for their Pods; nothing is installed yet. `None` where the
    /// test is not to run. `images` are those of applications.
    ///
    /// # Errors
    /// If anything of it does not get ready.
    pub async fn for_test(test: &str, tenants: &[&str], images: Images) -> Result<Option<Self>> {
        let turn = TURN.acquire().await?;
        let Some(plane) = ControlPlane::for_test(test)? else { return Ok(None) };
        let cluster = plane.cluster()?;
        let home = cluster.namespace("release", &[]).await?;
        let images = images
            .with(OPERATOR_IMAGE, &process::operator_binary()?)
            .with(SIDECAR_IMAGE, &process::sidecar_binary()?);
        let namespaces: Vec<&str> = tenants.iter().copied().chain([home.name()]).collect();
        let kubelet = Kubelet::start(plane, home.name(), &namespaces, images).await?;
        let feed = Relay::to_service(&kubelet, home.name(), "chaperone-feed", 443).await?;
        kubelet.redirect("CHAPERONE_FEED_ADDRESS", &feed.address().to_string());
        let port = IntOrString::String("webhook".to_owned());
        let webhook = Relay::to_pods(&kubelet, home.name(), OPERATORS, port).await?;
        Ok(Some(Self { cluster, kubelet, home, webhook, feed, _turn: turn }))
    }

    /// The namespace of the release.
    #[must_use]
    pub fn home(&self) -> &str {
        self.home.name()
    }

    /// Stands for a Service of a tenant, as kube-proxy would.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn relay(&self, namespace: &str, service: &str, port: u16) -> Result<Relay> {
        Relay::to_service(&self.kubelet, namespace, service, port).await
    }

    /// Pods that start from now on hear the operator as a later version of it may speak: a snapshot with a route of
    /// this alias requires what no sidecar knows.
    ///
    /// # Errors
    /// If the operator has no certificate yet.
    pub async fn speak_later(&self, alias: &str) -> Result<Later> {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.client(), self.home());
        let tls = secrets.get("chaperone-tls").await?.data.unwrap_or_default();
        let operator = Operator {
            address: self.feed.address(),
            name: format!("chaperone-feed.{}.svc", self.home()),
            tls: tls.into_iter().map(|(file, content)| (file, content.0)).collect(),
        };
        let later = Later::before(operator, alias).await?;
        self.kubelet.redirect("CHAPERONE_FEED_ADDRESS", &later.address().to_string());
        Ok(later)
    }

    /// Runs helm on the release. That it fails is for the caller to judge.
    ///
    /// # Errors
    /// If it cannot be run, or does not end.
    pub async fn helm(&self, arguments: &[&str]) -> Result<Said> {
        let namespace = ["--namespace", self.home.name()];
        self.cluster.helm(&[arguments, &namespace].concat()).await
    }

    /// `helm upgrade --install` of a chart with these values beside those that name its images, until it is ready.
    ///
    /// # Errors
    /// If helm fails; then with the state of the release's Pods.
    pub async fn apply(&self, chart: &Path, values: &[&str]) -> Result<()> {
        let chart = chart.to_str().context("a path in UTF-8")?;
        let images = [
            format!("image.repository={OPERATOR_IMAGE}"),
            format!("sidecar.image.repository={SIDECAR_IMAGE}"),
            format!("injector.servicePort={}", self.webhook.address().port()),
        ];
        let values = images.iter().map(String::as_str).chain(values.iter().copied());
        let values: Vec<&str> = values.flat_map(|value| ["--set", value]).collect();
        let command =
            ["upgrade", NAME, chart, "--install", "--reset-then-reuse-values", "--wait", "--timeout", "90s"];
        let said = self.helm(&[&command, values.as_slice()].concat()).await?;
        self.outcome(said).await?;
        self.lead_to_webhook().await
    }

    /// Nobody routes to a Service's address here: its name leads to the relay, which listens on the Service's port.
    async fn lead_to_webhook(&self) -> Result<()> {
        let spec = r#"{"spec": {"type": "ExternalName", "externalName": "localhost", "clusterIP": null, "clusterIPs": null}}"#;
        let patch = ["patch", "service", "chaperone-webhook", "--type=merge", "-n", self.home(), "-p", spec];
        self.cluster.kubectl(&patch).await?.ok().map(drop)
    }

    /// An error says what has become of the release's Pods.
    async fn outcome(&self, said: Said) -> Result<()> {
        let Err(error) = said.ok() else { return Ok(()) };
        let mut state = String::new();
        for pod in self.operators().await? {
            let output = self.view(&pod).map(|view| view.output("operator")).unwrap_or_default();
            state += &format!("{:#?}\n{output}\n", pod.status.unwrap_or_default().conditions);
        }
        Err(error.context(state))
    }

    /// The Pods of the operator.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn operators(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), self.home());
        Ok(pods.list(&ListParams::default().labels(OPERATORS)).await?.items)
    }

    /// A Pod as the harness runs it.
    ///
    /// # Errors
    /// If it is not on the node.
    pub fn view(&self, pod: &Pod) -> Result<PodView> {
        let (namespace, name) = (pod.metadata.namespace.as_deref(), pod.metadata.name.as_deref());
        let view = self.kubelet.pod(namespace.unwrap_or_default(), name.unwrap_or_default());
        view.with_context(|| format!("Pod {name:?} on the node"))
    }

    /// The Pod with these labels, once it is on the node.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn pod_of(&self, namespace: &str, labels: &str) -> Result<PodView> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), namespace);
        let selector = ListParams::default().labels(labels);
        wait::until(&format!("a Pod with {labels}"), PATIENCE, || async {
            Ok(pods.list(&selector).await?.items.first().and_then(|pod| self.view(pod).ok()))
        })
        .await
    }

    /// Waits until a Pod of this name is ready.
    ///
    /// # Errors
    /// If it does not get ready in time.
    pub async fn until_ready(&self, namespace: &str, name: &str) -> Result<PodView> {
        let view = self.kubelet.arrival(namespace, name).await?;
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), namespace);
        wait::until(&format!("Pod {name} to be ready"), PATIENCE, || async {
            Ok(is_ready(&pods.get(name).await?).then_some(()))
        })
        .await?;
        Ok(view)
    }

    /// Deletes namespaces, and waits until they are gone.
    ///
    /// # Errors
    /// If one hangs; then with what it still waits for.
    pub async fn remove_namespaces(&self, names: &[&str]) -> Result<()> {
        let command = ["delete", "namespace", "--wait=false", "--ignore-not-found"];
        self.cluster.kubectl(&[&command, names].concat()).await?.ok()?;
        let namespaces: Api<Namespace> = Api::all(self.cluster.client());
        for name in names {
            let last = std::cell::RefCell::new(None);
            let what = format!("the end of namespace {name}");
            let gone = wait::until(&what, PATIENCE, || async {
                let found = namespaces.get_opt(name).await?;
                let is_gone = found.is_none();
                last.replace(found.and_then(|namespace| namespace.status));
                Ok(is_gone.then_some(()))
            });
            gone.await.with_context(|| format!("{:#?}", last.borrow()))?;
        }
        Ok(())
    }
}

/// The chart in this checkout.
#[must_use]
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/chaperone")
}

/// What a test prints of how long its steps took.
pub struct Steps(Instant);

impl Steps {
    /// Starts counting.
    #[must_use]
    pub fn begin() -> Self {
        Self(clock::now())
    }

    /// Ends a step.
    ///
    /// # Errors
    /// If standard error is closed.
    pub fn done(&mut self, step: &str) -> Result<()> {
        use std::io::Write as _;
        let now = clock::now();
        writeln!(std::io::stderr(), "{:>6.1} s  {step}", now.duration_since(self.0).as_secs_f64())?;
        self.0 = now;
        Ok(())
    }
}
