#![cfg(test)]
//! What the feed does over time: edits that flap are borne, and its authority changes under it.
use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_crds::Partner;
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::platform::{PATIENCE, Platform, mock, quota, route, until_text};
use chaperone_e2e::usage::Usage;
use chaperone_e2e::{client, clock, wait};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use rustix::process::Signal;
use serde_json::{Value, json};

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

/// What a stream says, of which every word is said alike, and how long it took.
async fn streamed(pod: &PodView) -> Result<(BTreeSet<String>, Duration)> {
    let start = clock::now();
    let body = json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "hello"}]});
    let answer = client::post(&format!("{}:4141", pod.address()), "/v1/chat/completions", &[], &body).await?;
    let said = client::chat_text(&answer.text())?;
    Ok((said.split_whitespace().map(str::to_owned).collect(), clock::since(start)))
}

#[tokio::test(flavor = "multi_thread")]
async fn f59_a_configuration_that_flaps_is_debounced_and_each_request_keeps_one_without_a_leak() -> Result<()>
{
    const FLAPPING: Duration = Duration::from_secs(20);
    const PACE: Duration = Duration::from_millis(20);
    /// Each word takes 50 ms at least: an answer outlasts a configuration, of which one comes every second.
    const WORDS: usize = 25;
    let test = "f59_a_configuration_that_flaps_is_debounced_and_each_request_keeps_one_without_a_leak";
    let Some((platform, pod)) = serving(test).await? else { return Ok(()) };
    let (partners, operator) = (partners(&platform), platform.operator(0)?);
    let slowly = json!({"spec": {"mock": {"reply": "Text", "text": "flap-0", "tokensPerSecond": 20}}});
    partners.patch("mock", &PatchParams::default(), &Patch::Merge(&slowly)).await?;
    until_text(&pod, "chat", "flap-0", PATIENCE).await?;
    let usage = || -> Result<[Usage; 2]> {
        let of = |pod| Usage::of(platform.process(pod).context("it runs")?);
        Ok([of(&pod)?, of(&operator)?])
    };
    let (before, compiled_before, start) = (usage()?, compiled(&operator).await?, clock::now());
    let flapping = async {
        let (mut ticks, mut edits) = (tokio::time::interval(PACE), 0);
        while clock::since(start) < FLAPPING {
            ticks.tick().await;
            edits += 1;
            edit(&partners, vec![format!("flap-{edits}"); WORDS].join(" ").as_str()).await?;
        }
        Ok::<_, anyhow::Error>(edits)
    };
    let asking = async {
        let (mut answers, mut longest) = (BTreeSet::new(), Duration::ZERO);
        while clock::since(start) < FLAPPING {
            let (words, took) = streamed(&pod).await?;
            ensure!(words.len() == 1, "an answer of several configurations: {words:?}");
            answers.extend(words);
            longest = longest.max(took);
        }
        Ok::<_, anyhow::Error>((answers, longest))
    };
    let (edits, (answers, longest)) = tokio::try_join!(flapping, asking)?;
    let wanted = vec![format!("flap-{edits}"); WORDS].join(" ");
    until_text(&pod, "chat", &wanted, PATIENCE).await?;
    ensure!(
        answers.len() > 2 && longest > Duration::from_secs(1),
        "{answers:?}, {longest:?}: nothing flapped"
    );

    let passes = compiled(&operator).await? - compiled_before;
    let (seconds, after) = (clock::since(start).as_secs(), usage()?);
    writeln!(
        std::io::stderr(),
        "{edits} edits in {seconds} s: compiled {passes} times, {} kinds of answers",
        answers.len()
    )?;
    assert!(passes <= 2 * seconds + 5, "{passes} passes in {seconds} s are not debounced");
    for (who, before, after) in [("sidecar", before[0], after[0]), ("operator", before[1], after[1])] {
        assert!(after.resident < before.resident + (16 << 20), "{who}: {before:?}, then {after:?}");
        assert!(after.descriptors < before.descriptors + 16, "{who}: {before:?}, then {after:?}");
    }
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

    wait::until("the operator to count who is missing", PATIENCE, || async {
        let log = platform.output(&platform.operator(0)?);
        let early = log.lines().find(|line| line.contains("the new authority signs before"));
        let Some(early) = early else { return Ok(None) };
        let line: Value = serde_json::from_str(early)?;
        let count = |name: &str| line["fields"][name].as_u64();
        ensure!((count("connected"), count("missing")) == (Some(0), Some(1)), "{early}");
        Ok(Some(()))
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
