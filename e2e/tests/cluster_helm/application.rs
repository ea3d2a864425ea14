//! Applications that get a sidecar by their namespace's label, and what is asked of it.
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_crds::Partner;
use chaperone_e2e::kubelet::Images;
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::platform::text;
use chaperone_e2e::release::{PATIENCE, Release};
use chaperone_e2e::sdk::{Clients, Language, Sdk};
use chaperone_e2e::{clock, process, wait};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// A server, which stays, and a program that uses an SDK, which ends.
pub(crate) const SERVER: &str = "registry.test/app";
const PYTHON: &str = "registry.test/python";

/// What stands for the images of applications.
pub(crate) fn images(clients: &Clients) -> Result<Images> {
    let (python, _) = clients.program(Sdk::OpenAi, Language::Python);
    Ok(servers()?.with(PYTHON, &python))
}

/// What stands for the image of servers alone.
pub(crate) fn servers() -> Result<Images> {
    Ok(Images::default().with(SERVER, &process::app_binary()?))
}

async fn create(release: &Release, namespace: &str, object: &Value) -> Result<()> {
    let command = ["create", "-n", namespace, "-f", "-"];
    release.cluster.kubectl_with(&command, &object.to_string()).await?.ok().map(drop)
}

/// Starts an application that knows nothing of us, and waits until it and its sidecar are ready.
pub(crate) async fn start(release: &Release, namespace: &str, name: &str) -> Result<PodView> {
    let container = json!({"name": "app", "image": SERVER, "args": ["--name", name]});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": [container]},
    });
    create(release, namespace, &pod).await?;
    release.until_ready(namespace, name).await
}

/// Runs the official SDK as a Job of users would, unmodified; returns what it printed.
pub(crate) async fn sdk(
    release: &Release,
    namespace: &str,
    clients: &Clients,
    scenarios: &[&str],
) -> Result<String> {
    let (_, program) = clients.program(Sdk::OpenAi, Language::Python);
    let arguments = [&[program.to_str().context("a path in UTF-8")?], scenarios].concat();
    let container = json!({
        "name": "app", "image": PYTHON, "command": ["python"], "args": arguments,
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "sdk"},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    });
    create(release, namespace, &job).await?;
    let pod = release.pod_of(namespace, "batch.kubernetes.io/job-name=sdk").await?;
    let jobs: Api<Job> = Api::namespaced(release.cluster.client(), namespace);
    let ended = wait::until("the end of the Job", PATIENCE, || async {
        let status = jobs.get("sdk").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let ends = ["Complete", "Failed"].into_iter();
        let is_true = |kind: &&str| conditions.iter().any(|it| it.type_ == *kind && it.status == "True");
        Ok(ends.into_iter().find(is_true))
    });
    let ended = ended.await.with_context(|| pod.output("app"))?;
    ensure!(ended == "Complete", "the Job ended as {ended}: {}", pod.output("app"));
    Ok(pod.output("app"))
}

/// Edits what partner `edited` says, and returns how long it took until the sidecar said it too.
pub(crate) async fn edit(
    release: &Release,
    pod: &PodView,
    (namespace, alias, said): (&str, &str, &str),
) -> Result<Duration> {
    let partners: Api<Partner> = Api::namespaced(release.cluster.client(), namespace);
    let patch = Patch::Merge(json!({"spec": {"mock": {"text": said}}}));
    let start = clock::now();
    partners.patch("edited", &PatchParams::default(), &patch).await?;
    let deadline = clock::Deadline::after(PATIENCE);
    while text(pod, alias).await? != said {
        ensure!(!deadline.is_over(), "{alias} does not say {said:?}");
    }
    Ok(clock::since(start))
}
