#![cfg(test)]
//! The product on a real node: its images, its chart, and Pods that get their sidecar from the injector.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::cluster::Cluster;
use chaperone_e2e::node::{self, Node, PATIENCE, images};
use chaperone_e2e::{client, clock, settings, wait};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

/// Where the quick start's manifests put everything.
const NAMESPACE: &str = "quickstart";

/// Seconds that a Pod whose stream is open may take to end; nothing here needs as much.
const GRACE: i64 = 60;

/// Where a sidecar has its token.
const TOKEN: &str = "/var/run/secrets/chaperone.dev/token";

/// How long the shortest token lives that the API server gives.
const LIFE: Duration = Duration::from_secs(600);

/// What the slow partner says, a word each fifth of a second: for less than a sidecar waits that is told to stop.
const WORDS: usize = 75;

/// A node with Chaperone.
struct Stage {
    node: Node,
    cluster: Cluster,
}

impl Stage {
    /// Installs the chart with its images, and the quick start with a slow partner.
    async fn set() -> Result<Self> {
        let node = Node::start().await?;
        let cluster = node.cluster()?;
        let stage = Self { node, cluster };
        stage.install().await?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {
            "chaperone.dev/inject": "enabled", "pod-security.kubernetes.io/enforce": "restricted",
        }}});
        stage.apply(&[namespace]).await?;
        let quickstart = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/quickstart/chaperone.yaml");
        stage.kubectl(&format!("apply -f {quickstart}")).await?;
        stage.apply(&slow()).await?;
        stage.kubectl("wait modelroute --all --for=condition=Accepted --timeout=60s").await?;
        Ok(stage)
    }

    async fn install(&self) -> Result<()> {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/chaperone");
        let chart = chart.to_str().context("a path in UTF-8")?;
        let (operator, sidecar) = (images::OPERATOR.reference(), images::SIDECAR.reference());
        let values = [
            format!("image.repository={}", operator.0),
            format!("image.tag={}", operator.1),
            format!("sidecar.image.repository={}", sidecar.0),
            format!("sidecar.image.tag={}", sidecar.1),
        ];
        let install =
            "install chaperone --namespace chaperone-system --create-namespace --wait --timeout 120s";
        let words: Vec<&str> = install.split(' ').chain([chart]).collect();
        let set: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        let installed = self.cluster.helm(&[words, set].concat()).await?.ok();
        self.explained(installed, "-n chaperone-system").await.map(drop)
    }

    /// Runs kubectl in our namespace; words are separated by spaces.
    async fn kubectl(&self, words: &str) -> Result<String> {
        let words: Vec<&str> = ["-n", NAMESPACE].into_iter().chain(words.split(' ')).collect();
        self.cluster.kubectl(&words).await?.ok().with_context(|| format!("kubectl {words:?}"))
    }

    async fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        self.cluster.kubectl_with(&["-n", NAMESPACE, "apply", "-f", "-"], &list).await?.ok().map(drop)
    }

    /// An outcome, with what the cluster says where it is none.
    async fn explained<T>(&self, outcome: Result<T>, of: &str) -> Result<T> {
        let Err(error) = outcome else { return outcome };
        let said = self.kubectl(&format!("get events,pods -o wide {of}")).await?;
        let logs = self.kubectl("logs -n chaperone-system deployment/chaperone-operator --tail=20").await;
        Err(error.context(format!("{said}\n{}", logs.unwrap_or_default())))
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client(), NAMESPACE)
    }

    /// The only Pod with a label.
    async fn labelled(&self, label: &str) -> Result<Pod> {
        let found = self.pods().list(&ListParams::default().labels(label)).await?;
        found.items.into_iter().next().with_context(|| format!("no Pod with {label}"))
    }

    /// Waits until `look` finds what it wants in a Pod.
    async fn until<T>(&self, pod: &str, what: &str, look: impl Fn(&Pod) -> Option<T>) -> Result<T> {
        let pods = self.pods();
        let what = format!("Pod {pod}: {what}");
        let found = wait::until(&what, PATIENCE, || async { Ok(look(&pods.get(pod).await?)) }).await;
        self.explained(found, "").await
    }

    /// Waits until a Pod's application has printed the first event of its stream.
    async fn until_streaming(&self, pod: &str) -> Result<()> {
        let logs = format!("logs {pod} -c app");
        let streaming = wait::until("the first event of a stream", PATIENCE, || async {
            let said = self.kubectl(&logs).await.unwrap_or_default();
            Ok(said.contains("data: ").then_some(()))
        });
        self.explained(streaming.await, "").await
    }
}

/// A partner that takes seconds for an answer, and the route to it.
fn slow() -> [Value; 2] {
    let text = ["word"; WORDS].join(" ");
    partner_and_route("slow", json!({"reply": "Text", "text": text, "tokensPerSecond": 5}))
}

/// A mock, and a route of its name.
fn partner_and_route(name: &str, mock: Value) -> [Value; 2] {
    let object = |kind: &str, spec: Value| json!({"apiVersion": "chaperone.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let models = json!([{"name": "m", "capabilities": ["Streaming"]}]);
    [
        object("Partner", json!({"adapter": "Mock", "models": models, "mock": mock})),
        object("ModelRoute", json!({"alias": name, "targets": [{"partner": name}]})),
    ]
}

/// A container as its author writes it: it knows nothing of a sidecar.
fn container(name: &str, arguments: &[&str]) -> Value {
    json!({
        "name": name, "image": images::PROGRAM.name, "args": arguments,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    })
}

/// A Pod whose application streams once and ends. The finalizer keeps what became of it readable once it is deleted.
fn streaming(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "finalizers": ["chaperone.test/read"]},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": GRACE,
            "containers": [container("app", &["stream", "slow"])],
        },
    })
}

/// Answers from a Pod, whose init container has asked too, under the address of a Service.
fn web() -> [Value; 2] {
    let pod = json!({
        "terminationGracePeriodSeconds": 1,
        "initContainers": [container("early", &["chat", "chat"])],
        "containers": [container("app", &["serve", "0.0.0.0:8080", "from the node"])],
    });
    [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": pod,
            }},
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }),
    ]
}

fn job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "ask"},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": GRACE,
            // Each fails, and the Job with it, where the sidecar does not answer yet.
            "initContainers": [container("early", &["chat", "chat"])],
            "containers": [container("app", &["chat", "chat"])],
        }}},
    })
}

/// What is known of a container, which may be an init container.
fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    all.into_iter().find(|status| status.name == container)
}

/// How a container ended.
fn end(pod: &Pod, container: &str) -> Option<ContainerStateTerminated> {
    status(pod, container)?.state.as_ref()?.terminated.clone()
}

/// How the application and its sidecar ended, once both have.
fn ends(pod: &Pod) -> Option<(ContainerStateTerminated, ContainerStateTerminated)> {
    end(pod, "app").zip(end(pod, "chaperone"))
}

/// Both well, the sidecar second and by itself: whoever is killed at the end of the grace period has code 137.
fn assert_ended_well((app, sidecar): &(ContainerStateTerminated, ContainerStateTerminated)) {
    assert_eq!((app.exit_code, sidecar.exit_code), (0, 0), "{app:?} {sidecar:?}");
    assert!(app.finished_at <= sidecar.finished_at, "{app:?} {sidecar:?}");
}

/// One node for all of it: it takes ten seconds and half a gigabyte to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_with_its_images_serves_pods_on_a_real_node() -> Result<()> {
    if !node::is_inside("the_chart_with_its_images_serves_pods_on_a_real_node")? {
        return Ok(());
    }
    // On the heap: it holds a good part of the node while that starts.
    let mut stage = Box::pin(Stage::set()).await?;
    let workloads = [&web()[..], &[job(), streaming("stopped"), streaming("deleted")]].concat();
    stage.apply(&workloads).await?;
    tokio::try_join!(
        a_deleted_pod_finishes_its_stream(&stage),
        a_sidecar_that_is_told_to_stop_finishes_its_stream(&stage),
    )?;
    a_job_completes(&stage).await?;
    a_deployment_answers(&stage).await?;
    a_renewed_token_reaches_the_open_stream(&mut stage).await?;
    if settings::minutes_are_spent() {
        a_kubelet_renews_a_token_by_itself(&stage).await?;
    }
    nothing_hangs_when_all_is_removed(&stage).await
}

/// Its init container has asked already, so that the sidecar was up before it; the sidecar lets the Job complete.
async fn a_job_completes(stage: &Stage) -> Result<()> {
    let complete = stage.kubectl("wait job/ask --for=condition=Complete --timeout=90s").await;
    stage.explained(complete, "").await?;
    let pod = stage.labelled("job-name=ask").await?;
    let answer: Value = serde_json::from_str(&stage.kubectl("logs job/ask -c app").await?)?;
    assert_eq!(answer["choices"][0]["message"]["content"], "hello from a Pod");
    let (app, sidecar) = ends(&pod).context("both have ended")?;
    let early = end(&pod, "early").context("the init container has ended")?;
    assert!(sidecar.started_at <= early.started_at, "{pod:?}");
    assert_ended_well(&(app, sidecar));
    Ok(())
}

async fn a_deployment_answers(stage: &Stage) -> Result<()> {
    let rollout = stage.kubectl("rollout status deployment/web --timeout=90s").await;
    stage.explained(rollout, "").await?;
    let address = format!("{}:80", stage.kubectl("get service web -o jsonpath={.spec.clusterIP}").await?);
    let answer = wait::until("the Service's address to answer", PATIENCE, || async {
        let asked = client::get(&address, "/", &[]);
        let answer = tokio::time::timeout(Duration::from_secs(5), asked).await;
        Ok(answer.ok().and_then(Result::ok))
    })
    .await?;
    assert_eq!(answer.text(), "from the node");
    // Acknowledged by every sidecar there is.
    let programmed = stage.kubectl("wait modelroute/chat --for=condition=Programmed --timeout=60s").await;
    stage.explained(programmed, "").await.map(drop)
}

/// SIGTERM reaches the application at once and the sidecar after it, as Kubernetes does for native sidecars.
async fn a_deleted_pod_finishes_its_stream(stage: &Stage) -> Result<()> {
    stage.until_streaming("deleted").await?;
    stage.kubectl("delete pod deleted --wait=false").await?;
    let ends = stage.until("deleted", "its end", ends).await?;
    assert_ended_well(&ends);
    stage
        .kubectl(r#"patch pod deleted --type=json -p=[{"op":"remove","path":"/metadata/finalizers"}]"#)
        .await?;
    Ok(())
}

/// As kubelet stops a sidecar alone: the stream goes on to its end, then the sidecar ends and comes back.
async fn a_sidecar_that_is_told_to_stop_finishes_its_stream(stage: &Stage) -> Result<()> {
    stage.until_streaming("stopped").await?;
    let pod = stage.pods().get("stopped").await?;
    ensure!(end(&pod, "app").is_none(), "the stream has ended before its sidecar was told to stop");
    let sidecar =
        status(&pod, "chaperone").and_then(|status| status.container_id.clone()).context("a sidecar")?;
    stage.node.signal(&sidecar, "SIGTERM")?;
    let app = stage.until("stopped", "its application's end", |pod| end(pod, "app")).await?;
    assert_eq!(app.exit_code, 0, "{app:?}");
    let before = |pod: &Pod| {
        let status = status(pod, "chaperone")?;
        let last = status.last_state.as_ref().and_then(|state| state.terminated.clone());
        last.or_else(|| status.state.as_ref()?.terminated.clone())
    };
    let sidecar = stage.until("stopped", "its sidecar's end", before).await?;
    assert_eq!(sidecar.exit_code, 0, "{sidecar:?}");
    let events = stage.kubectl("logs stopped -c app").await?;
    assert_eq!(client::chat_text(&events)?, ["word"; WORDS].join(" "));
    stage
        .kubectl(r#"patch pod stopped --type=json -p=[{"op":"remove","path":"/metadata/finalizers"}]"#)
        .await?;
    Ok(())
}

/// A kubelet that starts anew fetches tokens anew, as it does at four fifths of their life, which takes minutes.
async fn a_renewed_token_reaches_the_open_stream(stage: &mut Stage) -> Result<()> {
    let before = Proof::of(stage, &stage.labelled("app=web").await?)?;
    stage.node.restart_kubelet().await?;
    wait::until("another token", PATIENCE, || async { Ok(before.has_another_token(stage)?.then_some(())) })
        .await?;
    before.is_renewed(stage).await
}

/// What a sidecar proves itself by, and where it does.
struct Proof {
    sidecar: String,
    token: String,
    feed: BTreeSet<String>,
    reviews: usize,
}

impl Proof {
    fn of(stage: &Stage, pod: &Pod) -> Result<Self> {
        let sidecar = status(pod, "chaperone").and_then(|status| status.container_id.clone());
        let sidecar = sidecar.context("a sidecar")?;
        let token = stage.node.read(&sidecar, TOKEN)?;
        let feed = stage.node.connections(&sidecar, 443)?;
        ensure!(feed.len() == 1, "connections to the feed: {feed:?}");
        let reviews = stage.node.token_reviews_by("chaperone-operator")?;
        Ok(Self { sidecar, token, feed, reviews })
    }

    fn has_another_token(&self, stage: &Stage) -> Result<bool> {
        Ok(stage.node.read(&self.sidecar, TOKEN)? != self.token)
    }

    /// The operator has looked at the new token, and the stream is the same.
    async fn is_renewed(&self, stage: &Stage) -> Result<()> {
        wait::until("the operator to review the new token", PATIENCE, || async {
            Ok((stage.node.token_reviews_by("chaperone-operator")? > self.reviews).then_some(()))
        })
        .await?;
        let feed = stage.node.connections(&self.sidecar, 443)?;
        ensure!(feed == self.feed, "the stream was opened again: {feed:?} instead of {:?}", self.feed);
        Ok(())
    }
}

/// What kubelet does by itself: a request a second has its answer until the first token is good no longer, which
/// ends the stream of a sidecar that has shown no other; and that stream still brings what is edited.
async fn a_kubelet_renews_a_token_by_itself(stage: &Stage) -> Result<()> {
    let pod = aging(stage).await?;
    let before = Proof::of(stage, &pod)?;
    let began = clock::now();
    let address = format!("{}:8080", pod.status.and_then(|status| status.pod_ip).context("its address")?);
    let (mut pace, mut renewed, mut asked) = (tokio::time::interval(Duration::from_secs(1)), None, 0);
    while began.elapsed() <= LIFE {
        pace.tick().await;
        let answer = tokio::time::timeout(Duration::from_secs(5), client::get(&address, "/", &[])).await??;
        ensure!(answer.status.is_success(), "request {asked}: {}: {}", answer.status, answer.text());
        asked += 1;
        if renewed.is_none() && before.has_another_token(stage)? {
            renewed = Some(began.elapsed());
        }
    }
    let renewed = renewed.context("kubelet has not renewed the token")?;
    before.is_renewed(stage).await?;
    stage.apply(&partner_and_route("aging", json!({"reply": "Text", "text": "edited"}))).await?;
    wait::until("what was edited", PATIENCE, || async {
        let answer = client::get(&address, "/", &[]).await?;
        ensure!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
        Ok(answer.text().contains("edited").then_some(()))
    })
    .await?;
    writeln!(
        std::io::stderr(),
        "kubelet renewed the token after {renewed:?}; {asked} requests, none failed"
    )?;
    Ok(())
}

/// A Pod that asks its sidecar for whoever asks it, with the shortest token. The injector puts a longer one in: what it
/// would make is changed before it is made.
async fn aging(stage: &Stage) -> Result<Pod> {
    stage.apply(&partner_and_route("aging", json!({"reply": "Text", "text": "as it was"}))).await?;
    stage.kubectl("wait modelroute/aging --for=condition=Accepted --timeout=60s").await?;
    let plain = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "aging"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [container("app", &["relay", "0.0.0.0:8080", "aging"])],
        },
    });
    let dry = ["-n", NAMESPACE, "create", "--dry-run=server", "-o", "json", "-f", "-"];
    let mut pod: Value =
        serde_json::from_str(&stage.cluster.kubectl_with(&dry, &plain.to_string()).await?.ok()?)?;
    let (labels, annotations) = (pod["metadata"]["labels"].take(), pod["metadata"]["annotations"].take());
    pod["metadata"] = json!({"name": "aging", "labels": labels, "annotations": annotations});
    let volumes = pod["spec"]["volumes"].as_array_mut().context("volumes")?;
    let ours = volumes.iter_mut().find(|volume| volume["name"] == "chaperone-token").context("a token")?;
    ours["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] = json!(LIFE.as_secs());
    stage.apply(&[pod]).await?;
    let ready = stage.kubectl("wait pod/aging --for=condition=Ready --timeout=90s").await;
    stage.explained(ready, "").await?;
    let pod = stage.pods().get("aging").await?;
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut sources =
        volumes.filter(|it| it.name == "chaperone-token").filter_map(|it| it.projected.clone()?.sources);
    let token = sources.next().context("a token")?.remove(0).service_account_token;
    ensure!(token.as_ref().is_some_and(|it| it.expiration_seconds == Some(600)), "{token:?}");
    Ok(pod)
}

async fn nothing_hangs_when_all_is_removed(stage: &Stage) -> Result<()> {
    stage.kubectl(&format!("delete namespace {NAMESPACE} --timeout=60s")).await?;
    let uninstall = "uninstall chaperone --namespace chaperone-system --wait --timeout 60s";
    stage.cluster.helm(&uninstall.split(' ').collect::<Vec<_>>()).await?.ok()?;
    stage.kubectl("delete namespace chaperone-system --timeout=60s").await?;
    Ok(())
}
