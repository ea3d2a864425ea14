//! `chaperone local` while its manifests change, and when it is told to end.
#![cfg(test)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::client::{self, Connection};
use chaperone_e2e::fixture::{Fixture, one_route};
use chaperone_e2e::local::{Local, Mode, PATIENCE, chat_request};
use chaperone_e2e::manifest::{self, NAMESPACE};
use chaperone_e2e::partner::script::{Shape, Step};
use chaperone_e2e::partner::{Partner, says};
use chaperone_e2e::process::{self, Process};
use chaperone_e2e::{checker, wait};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

const CHAT: &str = "/v1/chat/completions";

/// Waits until asking `alias` gives this status; counts how often it asked.
async fn until_status(local: &Local, alias: &str, status: u16) -> Result<u64> {
    let asked = std::cell::Cell::new(0);
    wait::until(&format!("{alias} to give {status}"), PATIENCE, || async {
        asked.set(asked.get() + 1);
        let answer = local.post(CHAT, &chat_request(alias, Mode::Whole)).await?;
        Ok((answer.status.as_u16() == status).then_some(()))
    })
    .await?;
    Ok(asked.get())
}

#[tokio::test]
async fn manifests_that_change_under_500_requests_lose_none_of_them() -> Result<()> {
    // Nothing but the head leaves before the release: all 500 are in flight at once.
    let held = Step {
        shape: Shape { hold_after: Some(0), ..Shape::default() },
        when: Some("held".to_owned()),
        ..says("one two")
    };
    let spec = json!({"timeouts": {"firstToken": "60s", "whole": "60s"}});
    let fixture = Fixture::with_spec("OpenAI", vec![held, says("at once")], &spec).await?;
    let mut requests = JoinSet::new();
    for number in 0..500 {
        let address = fixture.local.data().to_owned();
        let mode = if number % 2 == 0 { Mode::Stream } else { Mode::Whole };
        requests.spawn(async move {
            let mut body = chat_request("chat", mode);
            body["messages"][0]["content"] = json!("held");
            client::post(&address, CHAT, &[], &body).await.map(|answer| (mode, answer))
        });
    }
    fixture.partner.arrivals_until("500 requests in flight", |all| all.len() == 500).await?;
    let mut asked = 0;
    let manifests = fixture.local.manifests();
    manifests.apply(&manifest::route("second", &["alpha"]))?;
    asked += until_status(&fixture.local, "second", 200).await?;
    manifests.apply(&manifest::partner("alpha", "OpenAI", "http://127.0.0.1:9/v1"))?;
    asked += until_status(&fixture.local, "second", 502).await?;
    manifests.delete("ModelRoute", "chat")?;
    asked += until_status(&fixture.local, "chat", 404).await?;
    manifests.delete("Partner", "alpha")?;
    manifests.delete("ModelRoute", "second")?;
    asked += until_status(&fixture.local, "second", 404).await?;
    fixture.partner.release().await?;
    for answer in requests.join_all().await {
        let (mode, answer) = answer.context("a request was lost")?;
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.text());
        let text = match mode {
            Mode::Stream => client::chat_text(&answer.text())?,
            Mode::Whole => {
                answer.json()?["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
            }
        };
        ensure!(text == "one two", "{text:?}");
    }
    checker::nothing_lost(&fixture.local, 500 + asked).await.map(drop)
}

#[tokio::test]
async fn the_last_route_that_is_deleted_is_gone_until_it_is_back() -> Result<()> {
    let hold =
        Step { shape: Shape { hold_after: Some(2), ..Shape::default() }, times: Some(1), ..says("one two") };
    let fixture = Fixture::start("OpenAI", vec![hold, says("hello")]).await?;
    let mut connection = Connection::open(fixture.local.data()).await?;
    let body = chat_request("chat", Mode::Stream).to_string().into_bytes();
    let open = connection.send(Method::POST, CHAT, &[("content-type", "application/json")], body).await?;
    let manifests = fixture.local.manifests();
    manifests.delete("ModelRoute", "chat")?;
    let mut asked = until_status(&fixture.local, "chat", 404).await?;
    manifests.apply(&manifest::route("chat", &["alpha"]))?;
    asked += until_status(&fixture.local, "chat", 200).await?;
    fixture.partner.release().await?;
    ensure!(client::chat_text(&client::whole(open).await?.text())? == "one two", "the open stream was cut");
    fixture.settle(asked + 1).await.map(drop)
}

#[tokio::test]
async fn an_edit_that_is_refused_keeps_the_last_good_and_says_why() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let manifests = fixture.local.manifests();
    manifests.write("modelroute-chat", "kind: [this is not YAML")?;
    fixture
        .local
        .output_until("the broken file to be named", |output| output.contains("modelroute-chat.yaml"))
        .await?;
    fixture.serves().await?;
    let mut unknown_field = manifest::route("chat", &["alpha"]);
    unknown_field["spec"]["targtes"] = json!([]);
    manifests.apply(&unknown_field)?;
    fixture.local.output_until("the unknown field to be named", |output| output.contains("targtes")).await?;
    fixture.serves().await?;
    manifests.apply(&manifest::route("chat", &["no-such-partner"]))?;
    fixture
        .local
        .output_until("the unknown partner to be named", |output| output.contains("no-such-partner"))
        .await?;
    manifests.apply(&manifest::route("chat", &["alpha"]))?;
    until_status(&fixture.local, "chat", 200).await.map(drop)
}

#[tokio::test]
async fn a_secret_that_changes_is_used_by_the_next_request() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    fixture.serves().await?;
    let mut secret = manifest::secret();
    secret["stringData"]["key"] = json!("sk-canary-second-51c3");
    fixture.local.manifests().apply(&secret)?;
    wait::until("the new key", PATIENCE, || async {
        fixture.serves().await?;
        let arrivals = fixture.partner.arrivals().await?;
        let key = arrivals.last().and_then(|arrival| arrival.header("authorization")).map(str::to_owned);
        Ok((key.as_deref() == Some("Bearer sk-canary-second-51c3")).then_some(()))
    })
    .await?;
    checker::no_canary(&fixture.local, &["sk-canary-second-51c3"]).await
}

#[tokio::test]
async fn it_is_ready_while_its_partners_are_down() -> Result<()> {
    let partner = Partner::start().await?;
    let manifests = one_route("OpenAI", &partner, &json!({}))?;
    drop(partner);
    let local = Local::start(manifests).await?;
    for probe in ["/livez", "/readyz"] {
        ensure!(client::get(local.admin(), probe, &[]).await?.status == StatusCode::OK, "{probe}");
    }
    let answer = local.chat().await?;
    ensure!(
        (answer.status.as_u16(), answer.reason()) == (502, "partner_unavailable"),
        "{} {}",
        answer.status,
        answer.text()
    );
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_an_idle_process_at_once_and_well() -> Result<()> {
    let mut fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let mut idle = Connection::open(fixture.local.data()).await?;
    fixture.serves_on(&mut idle).await?;
    fixture.local.process().terminate()?;
    let status = fixture.local.process().ended(Duration::from_secs(5)).await?;
    ensure!(status.success(), "ended with {status}");
    Ok(())
}

#[tokio::test]
async fn a_second_process_on_the_same_state_is_refused_by_name() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let (manifests, state) = (fixture.local.manifests().path(), fixture.local.state());
    let arguments = [
        "local",
        "-f",
        &manifests.to_string_lossy(),
        "--state",
        &state.to_string_lossy(),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--namespace",
        NAMESPACE,
    ]
    .map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut second = Process::spawn("second chaperone", &process::chaperone_binary()?, &arguments, &[])?;
    let status = second.ended(Duration::from_secs(10)).await?;
    ensure!(!status.success(), "two processes share one state");
    ensure!(
        second.stderr().contains(&*state.to_string_lossy()),
        "the state is not named: {}",
        second.stderr()
    );
    fixture.serves().await
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_is_accounted_for() -> Result<()> {
    let shape = Shape { stall_after: Some(3), ..Shape::default() };
    let step = Step { shape, times: Some(1), ..says("one two three") };
    let fixture =
        Fixture::with_spec("OpenAI", vec![step, says("hello")], &json!({"timeouts": {"idle": "2s"}})).await?;
    let mut connection = Connection::open(fixture.local.data()).await?;
    let body = chat_request("chat", Mode::Stream).to_string().into_bytes();
    let answer = connection.send(Method::POST, CHAT, &[("content-type", "application/json")], body).await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    drop((answer, connection));
    fixture.serves().await?;
    let outcomes = fixture.settle(2).await?;
    ensure!(outcomes.count("client_gone") == 1 && outcomes.count("served") == 1, "{outcomes:?}");
    Ok(())
}
