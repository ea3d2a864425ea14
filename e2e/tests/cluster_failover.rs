#![cfg(test)]
//! Operators end, freeze and return; sidecars serve all the while, and never go back.
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use chaperone_e2e::platform::{PATIENCE, Platform, mock, quota, route, text, until_text};
use chaperone_e2e::{clock, wait};
use kube::api::{Patch, PatchParams};
use rustix::process::Signal;
use serde_json::json;

/// A standby serves the feed within this time after the leader was killed.
const FAILOVER: Duration = Duration::from_secs(20);

/// One tenant with a route that says `hello`, and `replicas` operators.
async fn serving(test: &str, replicas: usize) -> Result<Option<Platform>> {
    let Some(platform) = Platform::for_test(test, replicas, 1).await? else { return Ok(None) };
    platform.apply(platform.tenant(0), &[mock("mock", "hello"), route("chat", "mock", 100), quota()]).await?;
    Ok(Some(platform))
}

#[tokio::test(flavor = "multi_thread")]
async fn f60_without_operators_sidecars_serve_and_restart_and_follow_when_one_returns() -> Result<()> {
    let test = "f60_without_operators_sidecars_serve_and_restart_and_follow_when_one_returns";
    let Some(platform) = serving(test, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    let pod = platform.sidecar(&tenant, "app").await?;
    until_text(&pod, "chat", "hello", PATIENCE).await?;

    platform.delete_pod(platform.home(), "chaperone-operator-0").await?;
    assert_eq!(text(&pod, "chat").await?, "hello");
    let before = platform.process(&pod);
    platform.signal(&pod, Signal::KILL)?;
    let restarted = wait::until("another process of the sidecar", PATIENCE, || async {
        Ok(platform.process(&pod).filter(|process| Some(*process) != before))
    });
    restarted.await?;
    let start = clock::now();
    until_text(&pod, "chat", "hello", Duration::from_secs(1)).await?;
    writeln!(std::io::stderr(), "restarted and served after {:?}", clock::since(start))?;

    platform.apply(&tenant, &[mock("mock", "edited meanwhile")]).await?;
    platform.operators(1).await?;
    until_text(&pod, "chat", "edited meanwhile", PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_serves_the_feed_when_the_leader_is_killed() -> Result<()> {
    let Some(platform) = serving("a_standby_serves_the_feed_when_the_leader_is_killed", 2).await? else {
        return Ok(());
    };
    let tenant = platform.tenant(0).to_owned();
    let pod = platform.sidecar(&tenant, "app").await?;
    until_text(&pod, "chat", "hello", PATIENCE).await?;
    let leader = platform.leader().await?;
    platform.signal(&platform.operator(leader)?, Signal::KILL)?;
    let start = clock::now();
    platform.apply(&tenant, &[mock("mock", "edited")]).await?;
    assert_eq!(text(&pod, "chat").await?, "hello", "it serves while nobody leads");
    until_text(&pod, "chat", "edited", FAILOVER).await?;
    writeln!(std::io::stderr(), "an edit arrived {:?} after the leader was killed", clock::since(start))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_orderly_hands_over_in_seconds() -> Result<()> {
    let Some(platform) = serving("a_leader_that_ends_orderly_hands_over_in_seconds", 2).await? else {
        return Ok(());
    };
    let tenant = platform.tenant(0).to_owned();
    let pod = platform.sidecar(&tenant, "app").await?;
    until_text(&pod, "chat", "hello", PATIENCE).await?;
    let leader = platform.leader().await?;
    let start = clock::now();
    platform.signal(&platform.operator(leader)?, Signal::TERM)?;
    platform.apply(&tenant, &[mock("mock", "edited")]).await?;
    until_text(&pod, "chat", "edited", Duration::from_secs(10)).await?;
    writeln!(
        std::io::stderr(),
        "an edit arrived {:?} after the leader was told to end",
        clock::since(start)
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_label_was_taken_off_puts_it_back() -> Result<()> {
    let Some(platform) = serving("a_leader_whose_label_was_taken_off_puts_it_back", 2).await? else {
        return Ok(());
    };
    let leader = platform.leader().await?;
    let patch = Patch::Merge(json!({"metadata": {"labels": {"chaperone.dev/role": null}}}));
    let name = format!("chaperone-operator-{leader}");
    platform.pods(platform.home()).patch_metadata(&name, &PatchParams::default(), &patch).await?;
    // The relay, as the feed's Service, goes by the label: without it nobody new is served.
    assert_eq!(platform.leader().await?, leader);
    let pod = platform.sidecar(platform.tenant(0), "app").await?;
    until_text(&pod, "chat", "hello", PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_paused_takes_no_sidecar_back() -> Result<()> {
    let Some(platform) = serving("a_leader_that_was_paused_takes_no_sidecar_back", 2).await? else {
        return Ok(());
    };
    let tenant = platform.tenant(0).to_owned();
    let pod = platform.sidecar(&tenant, "app").await?;
    until_text(&pod, "chat", "hello", PATIENCE).await?;
    let paused = platform.operator(platform.leader().await?)?;
    platform.signal(&paused, Signal::STOP)?;
    platform.apply(&tenant, &[mock("mock", "edited")]).await?;
    // It hears of nothing until its own PING is not answered: 40 s at most.
    until_text(&pod, "chat", "edited", 2 * PATIENCE).await?;
    platform.signal(&paused, Signal::CONT)?;
    // A later edit, which only the new leader brings: until then, and at it, nothing old returns.
    platform.apply(&tenant, &[mock("mock", "edited again")]).await?;
    wait::until("the later edit", PATIENCE, || async {
        let answer = text(&pod, "chat").await?;
        anyhow::ensure!(answer != "hello", "the sidecar went back");
        Ok((answer == "edited again").then_some(()))
    })
    .await?;
    let said = platform.output(&paused);
    assert!(said.contains("not leading any more"), "{said}");
    Ok(())
}
