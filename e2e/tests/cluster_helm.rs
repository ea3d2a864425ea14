#![cfg(test)]
//! The chart as users install it: install, helm test, upgrade, rollback, uninstall, on a real API server.
#[path = "cluster_helm/application.rs"]
mod application;
#[path = "cluster_helm/certificate.rs"]
mod certificate;
#[path = "cluster_helm/eviction.rs"]
mod eviction;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::kubelet::Images;
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::platform::{ask, mock, quota, route};
use chaperone_e2e::release::{NAME, Release, Steps, chart};
use chaperone_e2e::sdk::Clients;
use chaperone_e2e::traffic::Traffic;
use chaperone_e2e::{examples, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
/// Namespace of an example whose partners need no network: applications run there.
const QUICKSTART: &str = "quickstart";
/// How many edits are timed.
const EDITS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_serves_an_application_from_install_to_uninstall() -> Result<()> {
    let test = "the_chart_serves_an_application_from_install_to_uninstall";
    let Some(clients) = Clients::find(test)? else { return Ok(()) };
    let images = application::images(&clients)?;
    let Some(release) = Release::for_test(test, &[QUICKSTART], images).await? else { return Ok(()) };
    let mut steps = Steps::begin();
    release.apply(&chart(), &[]).await?;
    steps.done("helm install")?;
    release.helm(&["test", NAME]).await?.ok()?;
    steps.done("helm test")?;
    every_example_becomes_ready(&release).await?;
    steps.done("kubectl apply of every example, until Ready")?;

    let printed = application::sdk(&release, QUICKSTART, &clients, &["text:whole", "text:stream"]).await?;
    for scenario in ["[text:whole]", "[text:stream]"] {
        ensure!(printed.contains(&format!(r#"{scenario} Answer as scripted.""#)), "{scenario}: {printed}");
    }
    steps.done("a Job with the official SDK, from its creation to its end")?;
    let app = application::start(&release, QUICKSTART, "shop").await?;
    steps.done("a Pod with a sidecar, until ready")?;
    edits_reach_the_next_answer(&release, &app).await?;
    steps.done("edits")?;

    let asked = app.clone();
    let traffic = Traffic::begin(move || {
        let app = asked.clone();
        async move { ask(&app, "chat").await }
    });
    upgraded_and_rolled_back(&release, &app, &mut steps).await?;
    older_definitions_are_refused(&release).await?;
    release.helm(&["uninstall", NAME, "--wait"]).await?.ok()?;
    steps.done("helm uninstall")?;
    what_users_made_stays(&release).await?;
    // Who installs it again finds the sidecars that stayed.
    release.apply(&chart(), &[]).await?;
    application::edit(&release, &app, (QUICKSTART, "edited", "again")).await?;
    steps.done("helm install again, until an edit is in force")?;
    release.helm(&["uninstall", NAME, "--wait"]).await?.ok()?;
    let asked = traffic.end().await?;
    writeln!(std::io::stderr(), "{asked} requests in the meantime, none failed")?;
    nothing_stays_behind(&release, &[QUICKSTART, "gateway", "partnership", release.home()]).await?;
    steps.done("deletion of definitions and namespaces")
}

/// Applies each folder to the namespace of its name, which gets sidecars.
async fn every_example_becomes_ready(release: &Release) -> Result<()> {
    let cluster = &release.cluster;
    for folder in examples::folders()? {
        let namespace = folder.file_name().and_then(|name| name.to_str()).context("a name")?;
        cluster.kubectl(&["create", "namespace", namespace]).await?.ok()?;
        cluster.kubectl(&["label", "namespace", namespace, "chaperone.dev/inject=enabled"]).await?.ok()?;
        for file in examples::manifests(&folder)? {
            let text = examples::with_variables_set(&file)?;
            cluster.kubectl_with(&["apply", "-f", "-"], &text).await?.ok()?;
        }
    }
    let kinds = "partners,modelroutes,tenantquotas";
    let wait = ["wait", kinds, "--all", "--all-namespaces", "--for=condition=Ready", "--timeout=60s"];
    let ready = cluster.kubectl(&wait).await?.ok()?;
    ensure!(ready.lines().count() >= 20, "{ready}");
    Ok(())
}

/// The time from the start of an edit to the first answer that obeys it, printed.
async fn edits_reach_the_next_answer(release: &Release, app: &PodView) -> Result<()> {
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [mock("edited", "first"), route("edited", "edited", 100)]});
    let apply = ["apply", "-n", QUICKSTART, "-f", "-"];
    release.cluster.kubectl_with(&apply, &objects.to_string()).await?.ok()?;
    chaperone_e2e::platform::until_text(app, "edited", "first", PATIENCE).await?;
    let mut times = Vec::new();
    for number in 0..EDITS {
        let said = format!("edit {number}");
        times.push(application::edit(release, app, (QUICKSTART, "edited", &said)).await?);
    }
    times.sort();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1].as_millis();
    writeln!(
        std::io::stderr(),
        "edit to effect, {EDITS} edits: p50 {} ms, p99 {} ms, longest {} ms",
        at(50),
        at(99),
        at(100)
    )?;
    Ok(())
}

/// To a chart of another version with other values, and back; after each, new operators serve the sidecar that is there.
async fn upgraded_and_rolled_back(release: &Release, app: &PodView, steps: &mut Steps) -> Result<()> {
    let operators = async || -> Result<Vec<Option<String>>> {
        Ok(release.operators().await?.into_iter().map(|pod| pod.metadata.uid).collect())
    };
    let first = operators().await?;
    let folder = tempfile::tempdir()?;
    let next = folder.path().join("chaperone-0.2.0.tgz");
    let to = folder.path().to_str().context("a path")?;
    let (source, version) = (chart(), ["--version", "0.2.0", "--app-version", "0.2.0"]);
    let package = ["package", source.to_str().context("a path")?, "--destination", to];
    release.cluster.helm(&[package.as_slice(), &version].concat()).await?.ok()?;
    release.apply(&next, &["podAnnotations.example\\.org/team=ai", "resources.limits.memory=1Gi"]).await?;
    application::edit(release, app, (QUICKSTART, "edited", "upgraded")).await?;
    steps.done("helm upgrade, until an edit is in force")?;
    let second = operators().await?;
    ensure!(second.iter().all(|uid| !first.contains(uid)), "the same operators: {first:?} {second:?}");
    release.helm(&["rollback", NAME, "1", "--wait", "--timeout", "90s"]).await?.ok()?;
    application::edit(release, app, (QUICKSTART, "edited", "rolled back")).await?;
    steps.done("helm rollback, until an edit is in force")?;
    let third = operators().await?;
    ensure!(third.iter().all(|uid| !second.contains(uid)), "the same operators: {second:?} {third:?}");
    Ok(())
}

/// A definition that lacks fields would make the API server forget what users wrote into them.
async fn older_definitions_are_refused(release: &Release) -> Result<()> {
    let annotate = |fields: &str| {
        let patch = json!({"metadata": {"annotations": {"chaperone.dev/fields": fields}}}).to_string();
        async move {
            let definition = "customresourcedefinitions/partners.chaperone.dev";
            let command = ["patch", definition, "--type=merge", "--dry-run=server", "-p", &patch];
            release.cluster.kubectl(&command).await
        }
    };
    let refused = annotate("1").await?;
    ensure!(
        !refused.is_success && refused.stderr.contains("fewer fields"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
    annotate("1000").await?.ok()?;
    Ok(())
}

/// After an uninstall: objects and their definitions are there, Pods start, and nothing else of ours is left.
async fn what_users_made_stays(release: &Release) -> Result<()> {
    let cluster = &release.cluster;
    let routes = cluster.kubectl(&["get", "modelroutes", "-n", QUICKSTART, "-o", "name"]).await?.ok()?;
    ensure!(routes.contains("modelroute.chaperone.dev/chat"), "{routes}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "later"},
        "spec": {"containers": [{"name": "app", "image": "registry.test/nothing"}]},
    });
    let create = ["create", "-n", QUICKSTART, "-o", "json", "-f", "-"];
    let later: Value = serde_json::from_str(&cluster.kubectl_with(&create, &pod.to_string()).await?.ok()?)?;
    ensure!(later["spec"].get("initContainers").is_none(), "{later}");
    let kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,\
                 validatingadmissionpolicies,validatingadmissionpolicybindings";
    let left = ["get", kinds, "-l", "app.kubernetes.io/name=chaperone", "-o", "name"];
    let left = cluster.kubectl(&left).await?.ok()?;
    ensure!(left.is_empty(), "helm uninstall leaves {left}");
    Ok(())
}

/// Deletes the definitions, as the manual says, then the namespaces: none may hang.
async fn nothing_stays_behind(release: &Release, namespaces: &[&str]) -> Result<()> {
    let definitions = ["delete", "customresourcedefinitions", "-l", "app.kubernetes.io/name=chaperone"];
    release.cluster.kubectl(&definitions).await?.ok()?;
    release.remove_namespaces(namespaces).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hangs_when_the_chart_goes_after_its_operators_died() -> Result<()> {
    let test = "nothing_hangs_when_the_chart_goes_after_its_operators_died";
    let Some(release) = Release::for_test(test, &[], Images::default()).await? else { return Ok(()) };
    let mut steps = Steps::begin();
    release.apply(&chart(), &["crds.keep=false"]).await?;
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [mock("mock", "hello"), route("chat", "mock", 100)]});
    let apply = ["apply", "-n", release.home(), "-f", "-"];
    release.cluster.kubectl_with(&apply, &objects.to_string()).await?.ok()?;
    steps.done("helm install")?;
    for pod in release.operators().await? {
        release.view(&pod)?.signal("operator", Signal::KILL)?;
    }
    uninstalled_with_its_kinds(&release).await?;
    steps.done("helm uninstall")?;
    release.remove_namespaces(&[release.home()]).await?;
    steps.done("deletion of its namespace")
}

/// Of a release that does not keep them.
async fn uninstalled_with_its_kinds(release: &Release) -> Result<()> {
    release.helm(&["uninstall", NAME, "--wait"]).await?.ok()?;
    wait::until("the end of our kinds", PATIENCE, || async {
        let kinds =
            release.cluster.kubectl(&["api-resources", "--api-group=chaperone.dev", "-o", "name"]).await?;
        Ok(kinds.stdout.is_empty().then_some(()))
    })
    .await
}

/// Namespaces of which the operator may read the one, and not the other.
const WATCHED: &str = "watched";
const ELSEWHERE: &str = "elsewhere";

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_watches_some_namespaces_may_read_those_alone_and_serves_them() -> Result<()> {
    let test = "an_operator_that_watches_some_namespaces_may_read_those_alone_and_serves_them";
    let images = application::servers()?;
    let Some(release) = Release::for_test(test, &[WATCHED, ELSEWHERE], images).await? else { return Ok(()) };
    let cluster = &release.cluster;
    for namespace in [WATCHED, ELSEWHERE] {
        cluster.kubectl(&["create", "namespace", namespace]).await?.ok()?;
        cluster.kubectl(&["label", "namespace", namespace, "chaperone.dev/inject=enabled"]).await?.ok()?;
    }
    release.apply(&chart(), &["crds.keep=false", &format!("watchNamespaces={{{WATCHED}}}")]).await?;
    let objects = [mock("edited", "first"), route("edited", "edited", 100), quota()];
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    for namespace in [WATCHED, ELSEWHERE, release.home()] {
        cluster.kubectl_with(&["apply", "-n", namespace, "-f", "-"], &objects).await?.ok()?;
    }
    let app = application::start(&release, WATCHED, "shop").await?;
    application::edit(&release, &app, (WATCHED, "edited", "second")).await?;
    until_ready(&release, release.home()).await?;
    left_alone(&release, ELSEWHERE).await?;
    for operator in release.operators().await? {
        let log = release.view(&operator)?.output("operator");
        ensure!(!log.contains("cannot watch") && !log.contains("cannot follow"), "{log}");
    }

    // A namespace that goes takes the operator's right to read it along, and keeps nobody else waiting.
    release.remove_namespaces(&[WATCHED]).await?;
    for pod in release.operators().await? {
        release.view(&pod)?.signal("operator", Signal::KILL)?;
    }
    let again = mock("again", "hello").to_string();
    cluster.kubectl_with(&["apply", "-n", release.home(), "-f", "-"], &again).await?.ok()?;
    until_ready(&release, release.home()).await?;
    cluster.kubectl(&["delete", "namespace", ELSEWHERE, "--wait=false"]).await?.ok()?;
    uninstalled_with_its_kinds(&release).await
}

/// Waits for condition Ready of every Partner in a namespace.
async fn until_ready(release: &Release, namespace: &str) -> Result<()> {
    let wait = ["wait", "partners", "--all", "-n", namespace, "--for=condition=Ready", "--timeout=60s"];
    release.cluster.kubectl(&wait).await?.ok().map(drop)
}

/// In a namespace that asks for sidecars and is not watched nothing is read, written or injected.
async fn left_alone(release: &Release, namespace: &str) -> Result<()> {
    let cluster = &release.cluster;
    let account = format!("--as=system:serviceaccount:{}:chaperone-operator", release.home());
    for resource in ["secrets", "configmaps", "pods", "partners"] {
        let said = cluster.kubectl(&["auth", "can-i", "list", resource, "-n", namespace, &account]).await?;
        ensure!(said.stdout.trim() == "no", "{resource}: {}{}", said.stdout, said.stderr);
    }
    let read = ["auth", "can-i", "list", "secrets", "-n", WATCHED, &account];
    ensure!(cluster.kubectl(&read).await?.ok()?.trim() == "yes");
    let partner = cluster.kubectl(&["get", "partners/edited", "-n", namespace, "-o", "json"]).await?.ok()?;
    let partner: Value = serde_json::from_str(&partner)?;
    ensure!(partner.get("status").is_none(), "{partner}");
    let run =
        ["run", "probe", "-n", namespace, "--image=registry.test/nothing", "--dry-run=server", "-o", "json"];
    let pod: Value = serde_json::from_str(&cluster.kubectl(&run).await?.ok()?)?;
    ensure!(pod["spec"].get("initContainers").is_none(), "{pod}");
    Ok(())
}
