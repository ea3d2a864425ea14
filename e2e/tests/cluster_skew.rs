#![cfg(test)]
//! Two revisions at once: operators and sidecars of the previous one beside those of this one, upgraded and rolled back
//! by the charts of both, on a real API server and under load.
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_crds::Partner;
use chaperone_e2e::kubelet::Images;
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::later::REQUIRED;
use chaperone_e2e::platform::{ask, is_ready, mock, quota, route, text, until_text};
use chaperone_e2e::previous::Previous;
use chaperone_e2e::relay::Relay;
use chaperone_e2e::release::{Release, Steps, chart};
use chaperone_e2e::traffic::Traffic;
use chaperone_e2e::{client, process, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// The tenant's namespace.
const SHOP: &str = "shop";
/// Another's, whom nothing of the first concerns.
const OTHER: &str = "other";
/// A refusal must show within this time.
const TRUTH: Duration = Duration::from_secs(5);
/// What the application runs, and how often.
const APP: &str = "registry.test/app";
const REPLICAS: usize = 2;

/// Which revision a program is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Revision {
    Previous,
    This,
}
use Revision::{Previous as Old, This as New};

impl Revision {
    /// The repository of an image, as in `registry.test/previous/chaperone-sidecar`.
    fn repository(self, program: &str) -> String {
        match self {
            Old => format!("registry.test/previous/{program}"),
            New => format!("registry.test/{program}"),
        }
    }
}

/// What should run, operators first.
type Both = (Revision, Revision);

/// Both orders of an upgrade, and of the way back: no two steps are of the same kind.
const STEPS: [Both; 8] =
    [(New, Old), (New, New), (Old, New), (Old, Old), (Old, New), (New, New), (New, Old), (Old, Old)];

struct Stage {
    release: Release,
    previous: Previous,
}

#[tokio::test(flavor = "multi_thread")]
async fn f72_operators_and_sidecars_are_upgraded_and_rolled_back_in_both_orders_and_no_request_fails()
-> Result<()> {
    let test = "f72_operators_and_sidecars_are_upgraded_and_rolled_back_in_both_orders_and_no_request_fails";
    let Some(stage) = Stage::set(test).await? else { return Ok(()) };
    let mut steps = Steps::begin();
    stage.install((Old, Old), "crds.enabled=true").await?;
    stage.start_application().await?;
    stage.works((Old, Old), "installed").await?;
    steps.done("the previous revision, installed")?;
    let service = stage.release.relay(SHOP, "shop", 80).await?;
    let traffic = traffic(&service);
    let mut now = (Old, Old);
    for (number, wanted) in STEPS.into_iter().enumerate() {
        // As the manual has it: an older operator works with newer definitions, which stay.
        let definitions = if wanted.0 == New { "crds.enabled=true" } else { "crds.enabled=false" };
        stage.install(wanted, definitions).await?;
        if wanted.1 != now.1 {
            stage.restart_application().await?;
        }
        now = wanted;
        stage.works(now, &format!("step {number}")).await?;
        steps.done(&format!("operators {:?}, sidecars {:?}", now.0, now.1))?;
    }
    let asked = traffic.end().await?;
    writeln!(std::io::stderr(), "{asked} requests in the meantime, none failed")?;
    stage.end().await
}

/// Of the application's users.
fn traffic(service: &Relay) -> Traffic {
    let address = service.address().to_string();
    Traffic::begin(move || {
        let address = address.clone();
        async move { client::get(&address, "/", &[]).await }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn f58_what_a_later_operator_sends_is_refused_by_sidecars_of_either_revision_and_keeps_nobody_else_back()
-> Result<()> {
    let test = "f58_what_a_later_operator_sends_is_refused_by_sidecars_of_either_revision_and_keeps_nobody_else_back";
    let Some(stage) = Stage::set(test).await? else { return Ok(()) };
    let mut steps = Steps::begin();
    stage.install((New, Old), "crds.enabled=true").await?;
    let _later = stage.release.speak_later("novel").await?;
    stage.start_application().await?;
    let neighbour = stage.neighbour().await?;
    steps.done("this operator, which speaks as a later one, and sidecars of the previous revision")?;
    stage.refuses_and_serves((New, Old), &neighbour).await?;
    steps.done("refused, and taken back")?;
    stage.install((Old, New), "crds.enabled=false").await?;
    stage.restart_application().await?;
    stage.refuses_and_serves((Old, New), &neighbour).await?;
    steps.done("the same of the previous operator, by sidecars of this revision")?;
    stage.end().await
}

impl Stage {
    /// A route comes that makes the tenant's snapshot one of a later version, and goes again.
    async fn refuses_and_serves(&self, both: Both, neighbour: &PodView) -> Result<()> {
        let said = |text: &str| format!("{text} with {both:?}");
        self.works(both, &said("before")).await?;
        let service = self.release.relay(SHOP, "shop", 80).await?;
        let traffic = traffic(&service);
        self.apply(SHOP, &route("novel", "said", 100)).await?;
        let refused = wait::until("the refusal in the status", TRUTH, || async {
            let route = self.object(SHOP, "modelroutes/novel").await?;
            let conditions = route["status"]["conditions"].as_array().cloned().unwrap_or_default();
            Ok(conditions.into_iter().find(|it| it["type"] == "Programmed" && it["reason"] == "Refused"))
        });
        let refused = refused.await?;
        ensure!(refused["status"] == "False", "{refused}");
        let message = refused["message"].as_str().unwrap_or_default();
        for word in ["Pod shop/shop-", "refuses requires: ", REQUIRED] {
            ensure!(message.contains(word), "no {word:?} in {message:?}");
        }
        // What was good is in force: the old route as it was, and nothing of the new one.
        for (_, view) in self.pods().await? {
            ensure!(text(&view, "said").await? == said("before"));
            ensure!(ask(&view, "novel").await?.status == 404);
        }
        self.apply(OTHER, &mock("said", &said("meanwhile"))).await?;
        until_text(neighbour, "said", &said("meanwhile"), PATIENCE).await?;
        self.programmed(OTHER, "partners/said", 1).await?;
        let remove = ["delete", "-n", SHOP, "modelroute", "novel"];
        self.release.cluster.kubectl(&remove).await?.ok()?;
        self.works(both, &said("after")).await?;
        let asked = traffic.end().await?;
        writeln!(std::io::stderr(), "{asked} requests in the meantime, none failed")?;
        Ok(())
    }

    /// A Pod of another tenant, with a sidecar.
    async fn neighbour(&self) -> Result<PodView> {
        self.tenant(OTHER).await?;
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "neighbour"},
            "spec": {"containers": [{"name": "app", "image": "registry.test/nothing"}]},
        });
        self.apply(OTHER, &pod).await?;
        self.release.until_ready(OTHER, "neighbour").await
    }

    async fn set(test: &str) -> Result<Option<Self>> {
        let Some(previous) = Previous::for_test(test)? else { return Ok(None) };
        let images = Images::default()
            .with(APP, &process::app_binary()?)
            .with(&Old.repository("chaperone-operator"), &previous.operator())
            .with(&Old.repository("chaperone-sidecar"), &previous.sidecar());
        let release = Release::for_test(test, &[SHOP, OTHER], images).await?;
        Ok(release.map(|release| Self { release, previous }))
    }

    /// Leaves the cluster to the next test as it was: the chart keeps its definitions, which no other release may take.
    async fn end(self) -> Result<()> {
        self.release.helm(&["uninstall", "chaperone", "--wait"]).await?.ok()?;
        let kinds = ["partners", "modelroutes", "tenantquotas"].map(|kind| format!("{kind}.chaperone.dev"));
        let remove = ["delete", "crd", "--ignore-not-found", &kinds[0], &kinds[1], &kinds[2]];
        self.release.cluster.kubectl(&remove).await?.ok()?;
        self.release.remove_namespaces(&[SHOP, OTHER, self.release.home()]).await
    }

    /// Helm installs or upgrades to the chart of the operators' revision.
    async fn install(&self, (operators, sidecars): Both, definitions: &str) -> Result<()> {
        let chart = if operators == New { chart() } else { self.previous.chart() };
        let images = [
            format!("image.repository={}", operators.repository("chaperone-operator")),
            format!("sidecar.image.repository={}", sidecars.repository("chaperone-sidecar")),
        ];
        self.release.apply(&chart, &[&images[0], &images[1], definitions]).await
    }

    /// An application that asks its sidecar for every request that it has, behind a Service.
    async fn start_application(&self) -> Result<()> {
        self.tenant(SHOP).await?;
        let pod = json!({
            "terminationGracePeriodSeconds": 10,
            "containers": [{
                "name": "app", "image": APP, "args": ["--name", "shop", "--listen", "0.0.0.0:8080", "--ask", "said"],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                // Until nobody is sent to it any more.
                "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
            }],
        });
        self.apply(
            SHOP,
            &json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
                "spec": {
                    "replicas": REPLICAS, "selector": {"matchLabels": {"app": "shop"}},
                    "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                    "template": {"metadata": {"labels": {"app": "shop"}}, "spec": pod},
                },
            }),
        )
        .await?;
        self.apply(
            SHOP,
            &json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
                "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]},
            }),
        )
        .await?;
        self.rolled_out().await
    }

    /// A namespace with sidecars, a route, and whom to charge.
    async fn tenant(&self, namespace: &str) -> Result<()> {
        let labelled = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"chaperone.dev/inject": "enabled"}},
        });
        for object in [labelled, mock("said", "nothing yet"), route("said", "said", 100), quota()] {
            self.apply(namespace, &object).await?;
        }
        Ok(())
    }

    async fn apply(&self, namespace: &str, object: &Value) -> Result<()> {
        let command = ["apply", "-n", namespace, "-f", "-"];
        self.release.cluster.kubectl_with(&command, &object.to_string()).await?.ok().map(drop)
    }

    /// Its Pods are replaced, one after the other: each new one has a sidecar as the operator makes them now.
    async fn restart_application(&self) -> Result<()> {
        let restart = ["rollout", "restart", "deployment/shop", "-n", SHOP];
        self.release.cluster.kubectl(&restart).await?.ok()?;
        self.rolled_out().await
    }

    async fn rolled_out(&self) -> Result<()> {
        let status = ["rollout", "status", "deployment/shop", "-n", SHOP, "--timeout=60s"];
        self.release.cluster.kubectl(&status).await?.ok().map(drop)
    }

    /// These revisions run and no others; an edit reaches every sidecar, and status says so.
    async fn works(&self, (operators, sidecars): Both, said: &str) -> Result<()> {
        for pod in self.release.operators().await? {
            let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone());
            is_of(image.as_deref(), &operators.repository("chaperone-operator"))?;
        }
        let pods = self.pods().await?;
        for (pod, _) in &pods {
            let first = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()?.first());
            is_of(first.and_then(|it| it.image.as_deref()), &sidecars.repository("chaperone-sidecar"))?;
        }
        let partners: Api<Partner> = Api::namespaced(self.release.cluster.client(), SHOP);
        let change = Patch::Merge(json!({"spec": {"mock": {"text": said}}}));
        partners.patch("said", &PatchParams::default(), &change).await?;
        for (_, view) in &pods {
            until_text(view, "said", said, PATIENCE).await?;
        }
        for object in ["partners/said", "modelroutes/said"] {
            self.programmed(SHOP, object, REPLICAS).await?;
        }
        Ok(())
    }

    /// The Pods of the application, once there are no others of it.
    async fn pods(&self) -> Result<Vec<(Pod, PodView)>> {
        let pods: Api<Pod> = Api::namespaced(self.release.cluster.client(), SHOP);
        let selector = ListParams::default().labels("app=shop");
        wait::until("the Pods of the application", PATIENCE, || async {
            let found = pods.list(&selector).await?.items;
            let are_all = found.len() == REPLICAS && found.iter().all(is_ready);
            let views = found.into_iter().map(|pod| self.release.view(&pod).ok().map(|view| (pod, view)));
            Ok(views.collect::<Option<Vec<_>>>().filter(|_| are_all))
        })
        .await
    }

    async fn object(&self, namespace: &str, object: &str) -> Result<Value> {
        let get = ["get", "-n", namespace, object, "-o", "json"];
        Ok(serde_json::from_str(&self.release.cluster.kubectl(&get).await?.ok()?)?)
    }

    /// Acknowledged by every sidecar, in the generation that it has now.
    async fn programmed(&self, namespace: &str, object: &str, sidecars: usize) -> Result<()> {
        let last = std::cell::RefCell::new(Value::Null);
        let all = format!("{sidecars}/{sidecars}");
        let what = format!("{object} on {all} sidecars");
        let done = wait::until(&what, PATIENCE, || async {
            let found = self.object(namespace, object).await?;
            let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let is_programmed = conditions.iter().any(|it| {
                it["type"] == "Programmed"
                    && it["status"] == "True"
                    && it["observedGeneration"] == found["metadata"]["generation"]
            });
            let is_on_all = found["status"]["sidecars"]["summary"] == *all;
            last.replace(found["status"].clone());
            Ok((is_programmed && is_on_all).then_some(()))
        });
        done.await.with_context(|| format!("its status: {:#}", last.borrow()))
    }
}

fn is_of(image: Option<&str>, repository: &str) -> Result<()> {
    let found = image.and_then(|image| image.rsplit_once(':')).map(|(found, _)| found);
    ensure!(found == Some(repository), "{image:?} instead of {repository}");
    Ok(())
}
