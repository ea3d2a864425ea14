#![cfg(test)]
//! Which tests run is chosen by the environment, and no cluster is touched by accident. Each case runs a test of this
//! binary as a process, with an environment of its own.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use chaperone_e2e::cluster::Cluster;
use chaperone_e2e::control_plane::ControlPlane;
use chaperone_e2e::process::Process;
use chaperone_e2e::tools::{self, Tool};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;

const PATIENCE: Duration = Duration::from_secs(60);

/// Run by the other tests: uses whatever cluster it is given.
#[tokio::test]
async fn subject() -> Result<()> {
    let Some(cluster) = Cluster::for_test("subject").await? else { return Ok(()) };
    cluster.kubectl(&["get", "partners", "--all-namespaces"]).await?.ok()?;
    Ok(())
}

/// What came of the subject.
struct Outcome {
    has_passed: bool,
    stdout: String,
    stderr: String,
}

async fn run_subject(environment: &[(&str, &str)]) -> Result<Outcome> {
    let arguments = ["--exact", "subject", "--nocapture"];
    let mut process = Process::spawn("subject", &std::env::current_exe()?, &arguments, environment)?;
    let status = process.ended(PATIENCE).await?;
    Ok(Outcome { has_passed: status.success(), stdout: process.stdout(), stderr: process.stderr() })
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

#[tokio::test]
async fn a_kubeconfig_alone_leads_to_no_cluster() -> Result<()> {
    // Nobody listens there: an attempt would fail.
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(
        &kubeconfig,
        r#"{"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}]}"#,
    )?;
    for environment in [vec![], vec![("CHAPERONE_E2E", "0")]] {
        let kubeconfig = ("KUBECONFIG", text(&kubeconfig)?);
        let outcome = run_subject(&[environment, vec![kubeconfig]].concat()).await?;
        assert!(outcome.has_passed, "{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stderr, "skipped subject: set CHAPERONE_E2E=1 to run it\n");
    }
    Ok(())
}

#[tokio::test]
async fn forgetting_to_choose_fails_where_everything_is_required() -> Result<()> {
    for required in [("CI", "true"), ("CHAPERONE_E2E_REQUIRED", "1")] {
        let outcome = run_subject(&[required]).await?;
        assert!(!outcome.has_passed, "{required:?}: {}", outcome.stdout);
        assert!(outcome.stderr.contains("set CHAPERONE_E2E=1 to run it"), "{}", outcome.stderr);
        // To leave a tier out by choice is no failure.
        assert!(run_subject(&[required, ("CHAPERONE_E2E", "0")]).await?.has_passed);
    }
    Ok(())
}

#[tokio::test]
async fn a_tier_that_cannot_run_says_how_it_could() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let environment = [("CHAPERONE_E2E", "1"), ("PATH", text(folder.path())?)];
    let outcome = run_subject(&environment).await?;
    assert!(outcome.has_passed, "{}{}", outcome.stdout, outcome.stderr);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("skipped subject: Go is missing; install Go 1.26 or later"), "{line}");
    assert!(!run_subject(&[&environment[..], &[("CI", "true")]].concat()).await?.has_passed);
    Ok(())
}

#[tokio::test]
async fn the_users_cluster_is_used_when_both_variables_say_so() -> Result<()> {
    let test = "the_users_cluster_is_used_when_both_variables_say_so";
    let Some(plane) = ControlPlane::alone_for_test(test).await? else { return Ok(()) };
    let kubectl = tools::ensure_built(Tool::Kubectl)?;
    let path = format!("{}:/usr/bin:/bin", text(kubectl.parent().context("a folder")?)?);
    let cluster = plane.cluster()?;
    let kubeconfig = ("KUBECONFIG", text(cluster.kubeconfig())?);
    let both = [("CHAPERONE_E2E", "cluster"), ("PATH", &path), kubeconfig];

    let alone = run_subject(&both[..2]).await?;
    assert!(
        !alone.has_passed && alone.stderr.contains("CHAPERONE_E2E=cluster needs KUBECONFIG too"),
        "{}",
        alone.stderr
    );
    let outcome = run_subject(&both).await?;
    assert!(outcome.has_passed, "{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.stderr, "");
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client());
    assert_eq!(definitions.list(&ListParams::default()).await?.items.len(), chaperone_crds::crds().len());

    cluster.kubectl(&["create", "namespace", "in-use"]).await?.ok()?;
    let labelled = [
        "create",
        "deployment",
        "chaperone",
        "--image=x",
        "--namespace=in-use",
        "--dry-run=client",
        "-o",
        "yaml",
    ];
    let deployment = cluster
        .kubectl(&labelled)
        .await?
        .ok()?
        .replace("app: chaperone", "app.kubernetes.io/name: chaperone");
    cluster.kubectl_with(&["create", "-f", "-"], &deployment).await?.ok()?;
    let refused = run_subject(&both).await?;
    assert!(!refused.has_passed);
    assert!(refused.stderr.contains("has a Chaperone in namespace in-use"), "{}", refused.stderr);
    Ok(())
}
