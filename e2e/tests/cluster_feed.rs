#![cfg(test)]
//! What the feed does over time: edits that flap are borne, and its authority changes under it.
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_crds::Partner;
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::platform::{PATIENCE, Platform, mock, quota, route, text, until_text};
use chaperone_e2e::{client, clock, wait};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use rustix::process::Signal;
use serde_json::json;

/// One tenant with a route that says `hello`, one operator, one sidecar.
async fn serving(test: &str) -> Result<Option<(Platform, PodView)>> {
    let Some(platform) = Platform::for_test(test, 1, 1).await? else { return Ok(None) };
    let tenant = platform.tenant(0).to_owned();
    platform.apply(&tenant, &[mock("mock", "hello"), route("chat", "mock", 100), quota()]).await?;
    let pod = platform.sidecar(&tenant, "app").await?;
    until_text(&pod, "chat", "hello", PATIENCE).await?;
    Ok(Some((platform, pod)))
}

/// The mock partner says this from now on.
async fn edit(partners: &Api<DynamicObject>, text: &str) -> Result<()> {
    let change = json!({"spec": {"mock": {"reply": "Text", "text": text}}});
    partners.patch("mock", &PatchParams::default(), &Patch::Merge(&change)).await?;
    Ok(())
}

fn partners(platform: &Platform) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<Partner>(&());
    Api::namespaced_with(platform.cluster.client(), platform.tenant(0), &kind)
}

/// How often the operator has compiled.
async fn compiled(operator: &PodView) -> Result<u64> {
    let page = client::get(&format!("{}:8080", operator.address()), "/metrics", &[]).await?.text();
    let count = page.lines().find_map(|line| line.strip_prefix("chaperone_compile_duration_seconds_count "));
    Ok(count.context("a count")?.trim().parse()?)
}

/// Resident kB and open files of a process.
fn weight(process: u32) -> Result<(u64, usize)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    let files = std::fs::read_dir(format!("/proc/{process}/fd"))?.count();
    Ok((resident.context("VmRSS")?.trim().parse()?, files))
}

#[tokio::test(flavor = "multi_thread")]
async fn f59_a_configuration_that_flaps_is_debounced_and_served_throughout_without_a_leak() -> Result<()> {
    const FLAPPING: Duration = Duration::from_secs(20);
    const PACE: Duration = Duration::from_millis(20);
    let test = "f59_a_configuration_that_flaps_is_debounced_and_served_throughout_without_a_leak";
    let Some((platform, pod)) = serving(test).await? else { return Ok(()) };
    let (partners, operator) = (partners(&platform), platform.operator(0)?);
    let process = platform.process(&pod).context("it runs")?;
    let (before, compiled_before, start) = (weight(process)?, compiled(&operator).await?, clock::now());
    let flapping = async {
        let (mut ticks, mut edits) = (tokio::time::interval(PACE), 0);
        while clock::since(start) < FLAPPING {
            ticks.tick().await;
            edits += 1;
            edit(&partners, &format!("flap {edits}")).await?;
        }
        Ok::<_, anyhow::Error>(edits)
    };
    let asking = async {
        let mut answers = 0;
        while clock::since(start) < FLAPPING {
            let said = text(&pod, "chat").await?;
            ensure!(said == "hello" || said.starts_with("flap "), "an answer of no configuration: {said}");
            answers += 1;
        }
        Ok::<_, anyhow::Error>(answers)
    };
    let (edits, answers) = tokio::try_join!(flapping, asking)?;
    until_text(&pod, "chat", &format!("flap {edits}"), PATIENCE).await?;

    let passes = compiled(&operator).await? - compiled_before;
    let seconds = clock::since(start).as_secs();
    writeln!(std::io::stderr(), "{edits} edits in {seconds} s: compiled {passes} times, {answers} answers")?;
    assert!(passes <= 2 * seconds + 5, "{passes} passes in {seconds} s are not debounced");
    let after = weight(process)?;
    assert!(
        after.0 < before.0 + (16 << 10),
        "resident before and after, in kB: {} and {}",
        before.0,
        after.0
    );
    assert!(after.1 < before.1 + 16, "open files before and after: {} and {}", before.1, after.1);
    Ok(())
}

const TLS: &str = "chaperone-tls";

/// The authorities that are published, in PEM.
async fn authorities(secrets: &Api<Secret>) -> Result<String> {
    let data = secrets.get(TLS).await?.data.context("data")?;
    Ok(String::from_utf8(data.get("ca.crt").context("ca.crt")?.0.clone())?)
}

fn certificates(pem: &str) -> usize {
    pem.matches("BEGIN CERTIFICATE").count()
}

async fn change(secrets: &Api<Secret>, change: &serde_json::Value) -> Result<()> {
    secrets.patch(TLS, &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_loses_no_sidecar_not_even_one_that_was_away() -> Result<()> {
    let test = "another_authority_loses_no_sidecar_not_even_one_that_was_away";
    let Some((platform, pod)) = serving(test).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    let (partners, secrets) =
        (partners(&platform), Api::namespaced(platform.cluster.client(), platform.home()));
    let away = platform.sidecar(&tenant, "away").await?;
    until_text(&away, "chat", "hello", PATIENCE).await?;
    let before = authorities(&secrets).await?;
    assert_eq!(certificates(&before), 1);

    // It hears of nothing that follows; the operator waits until it counts as gone.
    platform.signal(&away, Signal::STOP)?;
    change(&secrets, &json!({"metadata": {"annotations": {"chaperone.dev/rotate-authority": "1"}}})).await?;
    wait::until("two authorities", PATIENCE, || async {
        Ok((certificates(&authorities(&secrets).await?) == 2).then_some(()))
    })
    .await?;
    wait::until("the new one to sign", 2 * PATIENCE, || async {
        let data = secrets.get(TLS).await?.data.context("data")?;
        let step = data.get("rotation").context("a step")?;
        Ok(step.0.starts_with(b"signing ").then_some(()))
    })
    .await?;

    // Another process serves by the new authority's certificate: every stream begins anew.
    platform.delete_pod(platform.home(), "chaperone-operator-0").await?;
    platform.operators(1).await?;
    edit(&partners, "under the new").await?;
    until_text(&pod, "chat", "under the new", PATIENCE).await?;
    platform.signal(&away, Signal::CONT)?;
    until_text(&away, "chat", "under the new", PATIENCE).await?;

    // A day later.
    change(&secrets, &json!({"stringData": {"rotation": "signing 2026-01-01T00:00:00Z"}})).await?;
    wait::until("one authority", PATIENCE, || async {
        Ok((certificates(&authorities(&secrets).await?) == 1).then_some(()))
    })
    .await?;
    assert_ne!(authorities(&secrets).await?, before);
    edit(&partners, "without the old").await?;
    for pod in [&pod, &away] {
        until_text(pod, "chat", "without the old", PATIENCE).await?;
    }
    Ok(())
}
