#![cfg(test)]
//! The node that the harness plays does with Pods what a node does.
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::client;
use chaperone_e2e::cluster::Cluster;
use chaperone_e2e::cluster::namespace::TestNamespace;
use chaperone_e2e::control_plane::ControlPlane;
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::kubelet::{Images, Kubelet};
use chaperone_e2e::process::app_binary;
use chaperone_e2e::wait;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use rustix::process::Signal;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace with a node of its own.
struct Site {
    cluster: Cluster,
    namespace: TestNamespace,
    kubelet: Kubelet,
}

impl Site {
    async fn new(test: &str, topic: &str) -> Result<Option<Self>> {
        let Some(plane) = ControlPlane::for_test(test)? else { return Ok(None) };
        let cluster = plane.cluster()?;
        let namespace = cluster.namespace(topic, &[]).await?;
        let images = Images::default().with("test/app", &app_binary()?).with("test/sh", "/bin/sh".as_ref());
        let kubelet = Kubelet::start(plane, topic, &[namespace.name()], images).await?;
        Ok(Some(Self { cluster, namespace, kubelet }))
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client(), self.namespace.name())
    }

    async fn create(&self, name: &str, spec: Value) -> Result<PodView> {
        let pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
        self.pods().create(&PostParams::default(), &pod).await?;
        self.kubelet.arrival(self.namespace.name(), name).await
    }

    async fn until(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let pods = self.pods();
        wait::until(&format!("{name} to be {what}"), PATIENCE, || async {
            let pod = serde_json::to_value(pods.get(name).await?)?;
            Ok(is_so(&pod).then_some(pod))
        })
        .await
    }

    async fn until_ready(&self, name: &str) -> Result<Value> {
        self.until(name, "Ready", is_ready).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let pods = self.pods();
        pods.delete(name, &DeleteParams::default()).await?;
        wait::until(&format!("{name} to be gone"), PATIENCE, || async {
            Ok(pods.get_opt(name).await?.is_none().then_some(()))
        })
        .await
    }
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn journal(pod: &PodView) -> Vec<String> {
    let text = std::fs::read_to_string(pod.volume("journal").join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A container that notes when it started and when it was told to end.
fn noting(name: &str, more: Value) -> Value {
    let mut container = json!({
        "name": name,
        "image": "test/app:1",
        "args": ["--name", name, "--journal", "/journal/log"],
        "volumeMounts": [{"name": "journal", "mountPath": "/journal"}],
    });
    if let (Some(container), Some(more)) = (container.as_object_mut(), more.as_object()) {
        container.extend(more.clone());
    }
    container
}

/// What makes a container a sidecar that has started once it answers.
fn probed(name: &str, port: u16, path: &str) -> Value {
    let listen = format!("0.0.0.0:{port}");
    json!({
        "restartPolicy": "Always",
        "args": ["--name", name, "--journal", "/journal/log", "--listen", listen, "--ready-file", "/journal/go"],
        "startupProbe": {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, "failureThreshold": 60},
    })
}

#[tokio::test]
async fn sidecars_start_first_and_end_last() -> Result<()> {
    let Some(site) = Site::new("sidecars_start_first_and_end_last", "order").await? else { return Ok(()) };
    let pod = site
        .create(
            "pod",
            json!({
                "terminationGracePeriodSeconds": 20,
                "volumes": [{"name": "journal", "emptyDir": {}}],
                "initContainers": [
                    noting("first", probed("first", 4142, "/ready")),
                    noting("second", probed("second", 4143, "/")),
                    {
                        "name": "setup", "image": "test/sh", "command": ["sh", "-c", "echo setup ran >> \"$JOURNAL\""],
                        "env": [{"name": "JOURNAL", "value": "/journal/log"}],
                        "volumeMounts": [{"name": "journal", "mountPath": "/journal"}],
                    },
                ],
                "containers": [noting("app", json!({}))],
            }),
        )
        .await?;
    wait::until("the first sidecar", PATIENCE, || async { Ok((!journal(&pod).is_empty()).then_some(())) })
        .await?;
    // Its startup probe fails, so that nothing else runs.
    let first = |pod: &Value| pod["status"]["initContainerStatuses"][0].clone();
    let waiting = site.until("pod", "begun", |pod| first(pod)["state"]["running"].is_object()).await?;
    assert_eq!(
        (&waiting["status"]["phase"], &first(&waiting)["started"]),
        (&json!("Pending"), &json!(false))
    );
    assert_eq!(journal(&pod), ["first started"]);
    std::fs::write(pod.volume("journal").join("go"), "")?;
    let ready = site.until_ready("pod").await?;
    assert_eq!(ready["status"]["phase"], "Running");
    site.delete("pod").await?;
    let wanted = [
        "first started",
        "second started",
        "setup ran",
        "app started",
        "app terminated",
        "second terminated",
        "first terminated",
    ];
    assert_eq!(journal(&pod), wanted);
    Ok(())
}

#[tokio::test]
async fn a_job_completes_although_its_sidecar_would_run_for_ever() -> Result<()> {
    let test = "a_job_completes_although_its_sidecar_would_run_for_ever";
    let Some(site) = Site::new(test, "job").await? else { return Ok(()) };
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "job"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "initContainers": [{"name": "sidecar", "image": "test/app", "args": ["--name", "sidecar"], "restartPolicy": "Always"}],
            "containers": [{"name": "app", "image": "test/sh", "command": ["sh", "-c", "exit 0"]}],
        }}},
    }))?;
    let jobs: Api<Job> = Api::namespaced(site.cluster.client(), site.namespace.name());
    jobs.create(&PostParams::default(), &job).await?;
    wait::until("the Job to be complete", PATIENCE, || async {
        let conditions =
            jobs.get("job").await?.status.and_then(|status| status.conditions).unwrap_or_default();
        Ok(conditions.iter().any(|it| it.type_ == "Complete" && it.status == "True").then_some(()))
    })
    .await?;
    let pods = site.pods().list(&ListParams::default().labels("batch.kubernetes.io/job-name=job")).await?;
    assert_eq!(pods.items[0].status.as_ref().unwrap().phase.as_deref(), Some("Succeeded"));
    Ok(())
}

#[tokio::test]
async fn a_container_sees_its_resolved_environment_and_volumes() -> Result<()> {
    let test = "a_container_sees_its_resolved_environment_and_volumes";
    let Some(site) = Site::new(test, "environment").await? else { return Ok(()) };
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"value": "s3cret"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "blue", "file.txt": "text"}},
    ]});
    let apply = ["apply", "--namespace", site.namespace.name(), "-f", "-"];
    site.cluster.kubectl_with(&apply, &objects.to_string()).await?.ok()?;
    let script = "echo \"$NAME $NODE $SECRET $COLOUR $GREETING $PREFIX_colour\" \"$(cat $FILE)\" \"$ADDRESS\" \"$0\"; exec sleep 60";
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let pod = site
        .create(
            "pod",
            json!({
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "files", "configMap": {"name": "settings", "items": [{"key": "file.txt", "path": "a/b.txt"}]}}],
                "containers": [{
                    "name": "app", "image": "test/sh", "command": ["sh", "-c", script, "$(GREETING)"],
                    "envFrom": [{"prefix": "PREFIX_", "configMapRef": {"name": "settings"}}],
                    "env": [
                        {"name": "NAME", "valueFrom": field("metadata.name")},
                        {"name": "NODE", "valueFrom": field("spec.nodeName")},
                        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "key", "key": "value"}}},
                        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
                        {"name": "ABSENT", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": true}}},
                        {"name": "GREETING", "value": "hello-$(NAME)"},
                        {"name": "FILE", "value": "/etc/files/a/b.txt"},
                        {"name": "ADDRESS", "value": "http://127.0.0.1:4141/v1"},
                    ],
                    "volumeMounts": [{"name": "files", "mountPath": "/etc/files"}],
                }],
            }),
        )
        .await?;
    site.until_ready("pod").await?;
    let wanted = format!(
        "pod environment s3cret blue hello-pod blue text http://{}:4141/v1 hello-pod\n",
        pod.address()
    );
    wait::until("its output", PATIENCE, || async { Ok((pod.output("app") == wanted).then_some(())) })
        .await
        .with_context(|| format!("wanted {wanted:?}, got {:?}", pod.output("app")))
}

#[tokio::test]
async fn a_pod_that_names_what_is_absent_waits_and_says_why() -> Result<()> {
    let test = "a_pod_that_names_what_is_absent_waits_and_says_why";
    let Some(site) = Site::new(test, "absent").await? else { return Ok(()) };
    let from_secret =
        json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "late", "key": "value"}}}]);
    site.create("pod", json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "app", "image": "test/app", "args": ["--name", "app"], "env": from_secret}],
    }))
    .await?;
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    let pod =
        site.until("pod", "refused", |pod| waiting(pod)["reason"] == "CreateContainerConfigError").await?;
    let message = waiting(&pod)["message"].to_string();
    assert!(message.contains("secret") && message.contains("late"), "{message}");
    let secret =
        ["create", "secret", "generic", "late", "--from-literal=value=x", "-n", site.namespace.name()];
    site.cluster.kubectl(&secret).await?.ok()?;
    site.until_ready("pod").await?;
    Ok(())
}

#[tokio::test]
async fn a_pod_has_a_token_of_its_own_that_is_renewed() -> Result<()> {
    let Some(site) = Site::new("a_pod_has_a_token_of_its_own_that_is_renewed", "token").await? else {
        return Ok(());
    };
    let source = json!({"serviceAccountToken": {"audience": "chaperone-operator", "expirationSeconds": 3600, "path": "token"}});
    let pod = site
        .create(
            "pod",
            json!({
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "identity", "projected": {"sources": [source]}}],
                "containers": [{"name": "app", "image": "test/app", "args": ["--name", "app"]}],
            }),
        )
        .await?;
    site.until_ready("pod").await?;
    let file = pod.volume("identity").join("token");
    let token = std::fs::read_to_string(&file)?;
    let status = review(&site.cluster, &token).await?;
    assert_eq!(status["authenticated"], true, "{status}");
    assert_eq!(status["audiences"], json!(["chaperone-operator"]));
    let user = &status["user"];
    assert_eq!(user["username"], format!("system:serviceaccount:{}:default", site.namespace.name()));
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"], json!(["pod"]));
    pod.renew_tokens().await?;
    let renewed = std::fs::read_to_string(&file)?;
    ensure!(renewed != token, "the token was not renewed");
    assert_eq!(review(&site.cluster, &renewed).await?["authenticated"], true);
    Ok(())
}

async fn review(cluster: &Cluster, token: &str) -> Result<Value> {
    let reviews: Api<TokenReview> = Api::all(cluster.client());
    let review = serde_json::from_value(
        json!({"metadata": {}, "spec": {"token": token, "audiences": ["chaperone-operator"]}}),
    )?;
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(serde_json::to_value(answer.status)?)
}

#[tokio::test]
async fn a_pod_asks_the_api_as_its_own_service_account() -> Result<()> {
    let test = "a_pod_asks_the_api_as_its_own_service_account";
    let Some(site) = Site::new(test, "account").await? else { return Ok(()) };
    let create = ["create", "serviceaccount", "asker", "-n", site.namespace.name()];
    site.cluster.kubectl(&create).await?.ok()?;
    let pod = site
        .create(
            "pod",
            json!({
                "serviceAccountName": "asker",
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "app", "image": "test/sh", "command": ["sh", "-c", "echo $KUBECONFIG; exec sleep 60"]}],
            }),
        )
        .await?;
    site.until_ready("pod").await?;
    let said = wait::until("its output", PATIENCE, || async {
        Ok(Some(pod.output("app")).filter(|output| output.ends_with('\n')))
    })
    .await?;
    let own = Cluster::connect(said.trim().as_ref()).await?;
    let whoami = own.kubectl(&["auth", "whoami", "-o", "json"]).await?.ok()?;
    let whoami: Value = serde_json::from_str(&whoami)?;
    let wanted = format!("system:serviceaccount:{}:asker", site.namespace.name());
    assert_eq!(whoami["status"]["userInfo"]["username"], wanted);
    assert!(!own.kubectl(&["get", "secrets"]).await?.is_success);

    // What it writes stands in the audit, in full; tokens do not.
    let edit = ["create", "rolebinding", "asker", "--clusterrole=edit", "--serviceaccount"];
    let account = format!("{0}:asker", site.namespace.name());
    site.cluster.kubectl(&[&edit[..], &[&account, "-n", site.namespace.name()]].concat()).await?.ok()?;
    own.kubectl(&["create", "configmap", "written", "--from-literal=key=audited-93be"]).await?.ok()?;
    let token = own.kubectl(&["create", "token", "asker"]).await?.ok()?;
    let plane = ControlPlane::for_test(test)?.context("the control plane of the site")?;
    wait::until("the write in the audit", PATIENCE, || async {
        Ok(plane.audit()?.contains("audited-93be").then_some(()))
    })
    .await?;
    ensure!(!plane.audit()?.contains(token.trim()), "a token stands in the audit");
    Ok(())
}

#[tokio::test]
async fn a_killed_container_is_started_again_and_probes_decide_readiness() -> Result<()> {
    let test = "a_killed_container_is_started_again_and_probes_decide_readiness";
    let Some(site) = Site::new(test, "restart").await? else { return Ok(()) };
    let probe =
        json!({"httpGet": {"path": "/ready", "port": "web"}, "periodSeconds": 1, "failureThreshold": 1});
    let app = noting(
        "app",
        json!({
            "args": ["--name", "app", "--journal", "/journal/log", "--listen", "0.0.0.0:8080", "--ready-file", "/journal/go"],
            "ports": [{"name": "web", "containerPort": 8080}],
            "readinessProbe": probe,
        }),
    );
    let pod = site
        .create(
            "pod",
            json!({
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "journal", "emptyDir": {}}],
                "containers": [app],
            }),
        )
        .await?;
    let go = pod.volume("journal").join("go");
    site.until("pod", "running and not Ready", |pod| pod["status"]["phase"] == "Running" && !is_ready(pod))
        .await?;
    std::fs::write(&go, "")?;
    site.until_ready("pod").await?;
    let answer = client::get(&format!("{}:8080", pod.address()), "/", &[]).await?;
    assert_eq!(answer.text(), "app");
    std::fs::remove_file(&go)?;
    site.until("pod", "not Ready", |pod| !is_ready(pod)).await?;
    std::fs::write(&go, "")?;
    let before = pod.process("app");
    pod.signal("app", Signal::KILL)?;
    site.until("pod", "restarted", |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"] == 1 && is_ready(pod)
    })
    .await?;
    assert_ne!(pod.process("app"), before);
    assert_eq!(journal(&pod), ["app started", "app started"]);
    Ok(())
}

#[tokio::test]
async fn a_container_that_is_found_sick_is_started_again() -> Result<()> {
    let Some(site) = Site::new("a_container_that_is_found_sick_is_started_again", "liveness").await? else {
        return Ok(());
    };
    let is_well = json!({"exec": {"command": ["test", "!", "-e", "/journal/sick"]}, "periodSeconds": 1, "failureThreshold": 1});
    let app = noting("app", json!({"livenessProbe": is_well}));
    let volumes = json!([{"name": "journal", "emptyDir": {}}]);
    let spec = json!({"terminationGracePeriodSeconds": 1, "volumes": volumes, "containers": [app]});
    let pod = site.create("pod", spec).await?;
    site.until_ready("pod").await?;
    let sick = pod.volume("journal").join("sick");
    std::fs::write(&sick, "")?;
    wait::until("its end", PATIENCE, || async { Ok((pod.restarts("app") >= 1).then_some(())) }).await?;
    std::fs::remove_file(&sick)?;
    site.until("pod", "Ready again", |pod| {
        is_ready(pod) && pod["status"]["containerStatuses"][0]["restartCount"].as_i64() >= Some(1)
    })
    .await?;
    // It was told to end, not killed.
    assert_eq!(journal(&pod)[..2], ["app started", "app terminated"]);
    Ok(())
}

#[tokio::test]
async fn hooks_run_before_the_signal_and_the_grace_period_ends_by_force() -> Result<()> {
    let test = "hooks_run_before_the_signal_and_the_grace_period_ends_by_force";
    let Some(site) = Site::new(test, "grace").await? else { return Ok(()) };
    let hook = json!({"preStop": {"exec": {"command": ["/bin/sh", "-c", "echo hook ran >> \"$JOURNAL\""]}}});
    let pod = site
        .create(
            "pod",
            json!({
                "terminationGracePeriodSeconds": 2,
                "volumes": [{"name": "journal", "emptyDir": {}}],
                "containers": [noting("app", json!({
                    "args": ["--name", "app", "--journal", "/journal/log", "--deaf"],
                    "env": [{"name": "JOURNAL", "value": "/journal/log"}],
                    "lifecycle": hook,
                }))],
            }),
        )
        .await?;
    site.until_ready("pod").await?;
    wait::until("the app", PATIENCE, || async { Ok((journal(&pod).len() == 1).then_some(())) }).await?;
    let process = pod.process("app").context("a process")?;
    site.delete("pod").await?;
    assert_eq!(journal(&pod), ["app started", "hook ran", "app terminated"]);
    ensure!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "the app lives on");
    Ok(())
}
