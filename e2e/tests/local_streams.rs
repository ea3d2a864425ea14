//! `chaperone local` and answers that break: what the app sees, and that its connection lives on.
#![cfg(test)]

use anyhow::{Context, Result, ensure};
use chaperone_e2e::client::{self, Answer, Connection};
use chaperone_e2e::fixture::Fixture;
use chaperone_e2e::local::{Mode, chat_request, messages_request};
use chaperone_e2e::partner::script::{Body, Framing, Reply, Shape, Step};
use chaperone_e2e::partner::{Partner, says};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// How many places a stream is cut at; every single byte is the business of unit tests.
const CUTS: usize = 24;

/// How a stream ended for the app.
#[derive(Debug, Eq, PartialEq)]
enum Ending {
    /// With the terminator of its dialect.
    Complete,
    /// With an error event, and no terminator.
    Broken,
    /// Refused before any of it was shown.
    Refused,
}

fn ending(path: &str, answer: &Answer) -> Result<Ending> {
    if answer.status != 200 {
        ensure!(answer.status == 502, "{} {}", answer.status, answer.text());
        return Ok(Ending::Refused);
    }
    let events = client::events(&answer.text());
    let last = events.last().context("a stream without events")?;
    if path == CHAT && last == "[DONE]" {
        return Ok(Ending::Complete);
    }
    let last: Value = serde_json::from_str(last).with_context(|| format!("last event {last:?}"))?;
    if last["type"] == "message_stop" {
        return Ok(Ending::Complete);
    }
    ensure!(last["error"]["message"].is_string(), "the stream ends with {last}");
    Ok(Ending::Broken)
}

/// The bytes of the partner's own stream, to know where to cut.
async fn length_of_stream(path: &str, request: &Value) -> Result<usize> {
    let partner = Partner::start().await?;
    partner.script(vec![says("one two three four")]).await?;
    let mut request = request.clone();
    if path == CHAT {
        // The sidecar always asks for usage.
        request["stream_options"] = json!({"include_usage": true});
    }
    let version = [("anthropic-version", "2023-06-01")];
    Ok(client::post(partner.address(), path, &version, &request).await?.body.len())
}

async fn cut_everywhere(adapter: &str, path: &str, partner_path: &str) -> Result<()> {
    let request =
        |mode| if path == CHAT { chat_request("chat", mode) } else { messages_request("chat", mode) };
    let partner_request = if partner_path == CHAT {
        chat_request("gpt-test", Mode::Stream)
    } else {
        messages_request("claude-test", Mode::Stream)
    };
    let length = length_of_stream(partner_path, &partner_request).await?;
    let places: Vec<usize> = (0..CUTS).map(|number| number * length / CUTS).collect();
    let mut steps = Vec::new();
    for place in &places {
        let shape = Shape { cut_after_bytes: Some(*place), ..Shape::default() };
        steps.push(Step { shape, times: Some(1), ..says("one two three four") });
        // Clean answers between any two cuts, so that the breaker has no reason to trip.
        steps.push(Step { times: Some(2), ..says("clean") });
    }
    let fixture = Fixture::start(adapter, steps).await?;
    let version = [("anthropic-version", "2023-06-01")];
    for place in &places {
        let mut connection = Connection::open(fixture.local.data()).await?;
        let answer = connection
            .post(path, &version, &request(Mode::Stream))
            .await
            .with_context(|| format!("cut at {place}"))?;
        let end = ending(path, &answer).with_context(|| format!("cut at {place} of {length}"))?;
        ensure!(*place > 0 || end == Ending::Refused, "an empty stream ended {end:?}");
        for _ in 0..2 {
            let next = connection
                .post(path, &version, &request(Mode::Whole))
                .await
                .with_context(|| format!("after a cut at {place}"))?;
            ensure!(next.status == 200, "after a cut at {place}: {} {}", next.status, next.text());
        }
    }
    fixture.settle(3 * CUTS as u64).await.map(drop)
}

#[tokio::test]
async fn a_chat_stream_that_is_cut_anywhere_ends_properly() -> Result<()> {
    cut_everywhere("OpenAI", CHAT, CHAT).await
}

#[tokio::test]
async fn a_messages_stream_that_is_cut_anywhere_ends_properly() -> Result<()> {
    cut_everywhere("Anthropic", MESSAGES, MESSAGES).await
}

#[tokio::test]
async fn a_translated_stream_that_is_cut_anywhere_ends_properly() -> Result<()> {
    cut_everywhere("Anthropic", CHAT, MESSAGES).await?;
    cut_everywhere("OpenAI", MESSAGES, CHAT).await
}

/// Answers with status 200 that are none.
fn nonsense() -> Vec<(&'static str, Step)> {
    let text = |content_type: &str, body: &str| Step {
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: Body::Text(body.to_owned()),
        ..Step::default()
    };
    let half = Shape { cut_after_bytes: Some(40), framing: Some(Framing::Length), ..Shape::default() };
    let chunked = Shape { cut_after_bytes: Some(40), framing: Some(Framing::Chunked), ..Shape::default() };
    let status = |status| Step { status: Some(status), ..text("application/json", "") };
    vec![
        ("HTML", text("text/html", "<html><body>Welcome</body></html>")),
        ("garbage", text("application/json", "\u{1}\u{2}garbage")),
        ("an empty body", text("application/json", "")),
        ("null", text("application/json", "null")),
        ("an empty object", text("application/json", "{}")),
        ("a wrong content type", text("image/png", "{\"id\":\"x\"}")),
        ("half a body", Step { shape: half, ..says("a rather long answer") }),
        ("half a chunked body", Step { shape: chunked, ..says("a rather long answer") }),
        ("status 204", status(204)),
        ("status 299 without a body", status(299)),
        ("status 999", status(999)),
    ]
}

async fn nonsense_is_refused(adapter: &str, path: &str, mode: Mode) -> Result<()> {
    let request =
        |mode| if path == CHAT { chat_request("chat", mode) } else { messages_request("chat", mode) };
    let mut steps = Vec::new();
    for (_, step) in nonsense() {
        steps.push(Step { times: Some(1), ..step });
        steps.push(Step { times: Some(2), ..says("clean") });
    }
    let fixture = Fixture::start(adapter, steps).await?;
    let mut connection = Connection::open(fixture.local.data()).await?;
    let mut wrong = Vec::new();
    for (name, _) in nonsense() {
        let answer = connection.post(path, &[], &request(mode)).await.context(name)?;
        if answer.status != 502 || answer.reason() != "partner_protocol" {
            wrong.push(format!("{name}: {} {} {}", answer.status, answer.reason(), answer.text()));
        }
        for _ in 0..2 {
            let next = connection.post(path, &[], &request(Mode::Whole)).await.context(name)?;
            ensure!(next.status == 200, "after {name}: {} {}", next.status, next.text());
        }
    }
    ensure!(wrong.is_empty(), "{adapter} {path} {mode:?}:\n{}", wrong.join("\n"));
    fixture.settle(3 * nonsense().len() as u64).await.map(drop)
}

#[tokio::test]
async fn a_whole_answer_that_is_none_is_a_protocol_failure() -> Result<()> {
    nonsense_is_refused("OpenAI", CHAT, Mode::Whole).await?;
    nonsense_is_refused("Anthropic", MESSAGES, Mode::Whole).await?;
    nonsense_is_refused("Anthropic", CHAT, Mode::Whole).await
}

#[tokio::test]
async fn a_stream_that_is_none_is_a_protocol_failure() -> Result<()> {
    nonsense_is_refused("OpenAI", CHAT, Mode::Stream).await?;
    nonsense_is_refused("OpenAI", MESSAGES, Mode::Stream).await
}

#[tokio::test]
async fn one_byte_at_a_time_changes_nothing() -> Result<()> {
    for adapter in ["OpenAI", "Anthropic"] {
        let shape = Shape { chunk_bytes: Some(1), ..Shape::default() };
        let fixture = Fixture::start(adapter, vec![Step { shape, ..says("Grüße: 你好 👋") }]).await?;
        let stream = fixture.local.post(CHAT, &chat_request("chat", Mode::Stream)).await?;
        ensure!(client::chat_text(&stream.text())? == "Grüße: 你好 👋", "{adapter}: {}", stream.text());
        let whole = fixture.local.chat().await?.json()?;
        ensure!(whole["choices"][0]["message"]["content"] == "Grüße: 你好 👋", "{adapter}: {whole}");
    }
    Ok(())
}

#[tokio::test]
async fn an_error_after_the_commit_point_is_an_event_and_no_terminator() -> Result<()> {
    let broken = Reply { error_after: Some(2), ..Reply::default() };
    for adapter in ["OpenAI", "Anthropic"] {
        for path in [CHAT, MESSAGES] {
            let step = Step { body: Body::Reply(broken.clone()), ..Step::default() };
            let fixture = Fixture::start(adapter, vec![step]).await?;
            let request = if path == CHAT {
                chat_request("chat", Mode::Stream)
            } else {
                messages_request("chat", Mode::Stream)
            };
            let answer = fixture.local.post(path, &request).await?;
            ensure!(ending(path, &answer)? == Ending::Broken, "{adapter} {path}: {}", answer.text());
            ensure!(answer.text().contains("Hello"), "{adapter} {path}: what came before is lost");
            ensure!(fixture.partner.arrivals().await?.len() == 1, "a committed stream was retried");
        }
    }
    Ok(())
}
