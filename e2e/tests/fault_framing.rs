//! F41: requests whose end is in dispute must not smuggle a second one.
#![cfg(test)]

#[path = "fault_framing/cases.rs"]
mod cases;

use std::time::Duration;

use anyhow::{Result, ensure};
use chaperone_e2e::fixture::Fixture;
use chaperone_e2e::partner::says;
use chaperone_e2e::raw::{Received, Socket};

use cases::{Case, Must, SMUGGLED, cases};

/// How long a connection may stay open after a framing error.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn f41_a_request_whose_end_is_in_dispute_is_refused_or_sent_once() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let mut wrong = Vec::new();
    for case in cases() {
        if let Err(error) = play(&fixture, &case).await {
            wrong.push(format!("{}: {error:#}", case.name));
        }
    }
    ensure!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    fixture.serves().await
}

async fn play(fixture: &Fixture, case: &Case) -> Result<()> {
    let before = fixture.partner.arrivals().await?.len();
    let mut socket = Socket::open(fixture.local.data()).await?;
    // The other side may refuse, and close, before it has read everything.
    let _ = socket.write(&case.bytes).await;
    let received = match case.must {
        Must::Refuse | Must::OnceThenClose => socket.read_to_close(PATIENCE).await,
        Must::AtMostOnce => socket.read_until(PATIENCE, has_final_answer).await,
    };
    drop(socket);
    let arrivals = fixture.partner.arrivals().await?;
    let new = arrivals.get(before..).unwrap_or_default();
    ensure!(new.iter().all(|arrival| !arrival.body.contains(SMUGGLED)), "a request was smuggled");
    ensure!(new.len() <= 1, "{} requests arrived", new.len());
    ensure!(new.iter().all(|arrival| arrival.json().is_object()), "a broken body arrived");
    judge(case.must, &received, new.len())
}

/// Whether the head of an answer other than `100 Continue` is there.
fn has_final_answer(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let rest = text.strip_prefix("HTTP/1.1 100 Continue\r\n").and_then(|rest| rest.split_once("\r\n"));
    rest.map_or(&*text, |(_, rest)| rest).contains("\r\n\r\n")
}

fn judge(must: Must, received: &Received, arrived: usize) -> Result<()> {
    let statuses: Vec<u16> = received.statuses().into_iter().filter(|status| *status != 100).collect();
    let is_refused = |status: u16| (400..=599).contains(&status);
    match must {
        Must::Refuse => {
            ensure!(arrived == 0, "it was sent to the partner");
            ensure!(statuses.iter().all(|status| is_refused(*status)), "answered {statuses:?}");
            ensure!(statuses.len() <= 1, "answered more than once: {statuses:?}");
            ensure!(received.is_closed, "the connection stays open after {statuses:?}");
        }
        Must::OnceThenClose => {
            ensure!(statuses.len() == 1, "answered {statuses:?}");
            ensure!(received.is_closed, "the connection stays open after {statuses:?}");
        }
        Must::AtMostOnce => ensure!(statuses.len() == 1, "answered {statuses:?}"),
    }
    Ok(())
}
