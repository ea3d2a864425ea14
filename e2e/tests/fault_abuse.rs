//! F42 to F45: slow, large and malformed requests of an app.
#![cfg(test)]

use std::time::Duration;

use anyhow::{Result, ensure};
use chaperone_e2e::clock;
use chaperone_e2e::fixture::Fixture;
use chaperone_e2e::partner::says;
use chaperone_e2e::partner::script::{Body, Step};
use chaperone_e2e::raw::{self, Socket};
use tokio::task::JoinSet;
use tokio::time::interval;

const CHAT: &str = "/v1/chat/completions";

/// What the whole process may grow by under an attack whose input is a multiple of this.
const GROWTH_BYTES: u64 = 96 * 1024 * 1024;

/// Writes a byte each second, and says how long it took until the other side closed.
async fn drip(mut socket: Socket, bytes: &[u8]) -> Result<Duration> {
    let began = clock::now();
    for byte in bytes.iter().take(60) {
        if socket.write(&[*byte]).await.is_err()
            || socket.read_to_close(Duration::from_secs(1)).await.is_closed
        {
            break;
        }
    }
    Ok(clock::now() - began)
}

/// 500 clients send `quick` at once and `slow` a byte a second; a normal client is served every second meanwhile.
async fn slow_clients_end_within(limit: Duration, quick: &str, slow: &str) -> Result<()> {
    let mut fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let before = fixture.local.process().memory()?;
    let mut clients = JoinSet::new();
    for _ in 0..500 {
        let mut socket = Socket::open(fixture.local.data()).await?;
        socket.write(quick.as_bytes()).await?;
        let slow = slow.to_owned();
        clients.spawn(async move { drip(socket, slow.as_bytes()).await });
    }
    let mut normal = interval(Duration::from_secs(1));
    let mut ended = Vec::new();
    while !clients.is_empty() {
        tokio::select! {
            Some(client) = clients.join_next() => ended.push(client??),
            _ = normal.tick() => fixture.serves().await?,
        }
    }
    let longest = ended.into_iter().max().unwrap_or_default();
    ensure!(longest < limit, "a slow client held its connection for {longest:?}");
    let grown = fixture.local.process().peak_memory()?.saturating_sub(before);
    ensure!(grown < GROWTH_BYTES, "they cost {grown} bytes");
    fixture.serves().await
}

#[tokio::test]
async fn f42_500_slow_heads_are_closed_and_a_normal_client_is_served_meanwhile() -> Result<()> {
    let head = raw::post(CHAT, "{}");
    slow_clients_end_within(Duration::from_secs(12), "", &head).await
}

#[tokio::test]
async fn f42_500_slow_bodies_are_closed_and_a_normal_client_is_served_meanwhile() -> Result<()> {
    let request = raw::post(CHAT, &format!("{{\"model\": \"{}\"}}", "x".repeat(1_000)));
    let (head, body) = request.split_at(request.find('{').unwrap_or_default());
    slow_clients_end_within(Duration::from_secs(36), head, body).await
}

#[tokio::test]
async fn f43_a_head_that_is_too_large_or_malformed_is_refused() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let many: String = (0..10_000).map(|number| format!("x-{number}: v\r\n")).collect();
    let heads = [
        ("100 KiB in one field", format!("x-long: {}\r\n", "v".repeat(100 * 1024))),
        ("10,000 fields", many),
        ("65 fields", (0..65).map(|number| format!("x-{number}: v\r\n")).collect()),
        ("CR in a value", "x-v: one\rtwo\r\n".to_owned()),
        ("NUL in a value", "x-v: one\0two\r\n".to_owned()),
        ("a path of 100 KiB", String::new()),
    ];
    for (name, fields) in heads {
        let path = if fields.is_empty() { format!("/{}", "p".repeat(100 * 1024)) } else { CHAT.to_owned() };
        let mut socket = Socket::open(fixture.local.data()).await?;
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: 2\r\n\r\n{{}}");
        // It may be refused before it was sent in full.
        let _ = socket.write(head.as_bytes()).await;
        let received = socket.read_to_close(Duration::from_secs(5)).await;
        let statuses = received.statuses();
        ensure!(received.is_closed, "{name}: still open after {statuses:?}");
        ensure!(statuses.iter().all(|status| [400, 414, 431].contains(status)), "{name}: {statuses:?}");
    }
    ensure!(fixture.partner.arrivals().await?.is_empty(), "a refused head reached the partner");
    fixture.serves().await
}

#[tokio::test]
async fn f43_a_partners_head_that_is_too_large_or_malformed_is_a_protocol_failure() -> Result<()> {
    use base64::Engine as _;
    let wire = |head: String| {
        Body::Wire(
            base64::engine::general_purpose::STANDARD
                .encode(format!("HTTP/1.1 200 OK\r\n{head}content-length: 2\r\n\r\n{{}}")),
        )
    };
    let many: String = (0..10_000).map(|number| format!("x-{number}: v\r\n")).collect();
    let heads = [
        format!("x-long: {}\r\n", "v".repeat(2 * 1024 * 1024)),
        many,
        "x-v: one\0two\r\n".to_owned(),
        "x-v\r\n".to_owned(),
    ];
    let mut steps = Vec::new();
    for head in heads {
        steps.push(Step { times: Some(1), body: wire(head), ..Step::default() });
        // A clean answer between any two, so that the breaker has no reason to trip.
        steps.push(Step { times: Some(2), ..says("fine") });
    }
    let fixture = Fixture::start("OpenAI", steps).await?;
    for number in 0..4 {
        let answer = fixture.local.chat().await?;
        ensure!(
            answer.status == 502 && answer.reason() == "partner_protocol",
            "head {number}: {} {}",
            answer.status,
            answer.reason()
        );
        fixture.serves().await?;
        fixture.serves().await?;
    }
    fixture.settle(12).await.map(drop)
}

#[tokio::test]
async fn f44_a_body_over_the_limit_is_refused_while_it_streams() -> Result<()> {
    let mut fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    fixture.serves().await?;
    let before = fixture.local.process().peak_memory()?;
    let address = fixture.local.data().to_owned();
    // Declared: refused by the head alone. Undeclared: counted as it streams.
    for framing in ["content-length: 1073741824", "transfer-encoding: chunked"] {
        let mut socket = Socket::open(&address).await?;
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
        );
        socket.write(head.as_bytes()).await?;
        let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
        for _ in 0..64 {
            // It closes in the middle: that is the point.
            if socket.write(&chunk).await.is_err() {
                break;
            }
        }
        let received = socket.read_to_close(Duration::from_secs(10)).await;
        ensure!(received.is_closed, "{framing}: still open");
        ensure!(
            received.statuses().iter().all(|status| *status == 413),
            "{framing}: {:?}",
            received.statuses()
        );
    }
    let grown = fixture.local.process().peak_memory()? - before;
    ensure!(grown < GROWTH_BYTES, "64 MiB of body cost {grown} bytes");
    ensure!(fixture.partner.arrivals().await?.len() == 1, "a refused body reached the partner");
    fixture.serves().await
}

#[tokio::test]
async fn f44_a_client_that_writes_on_reads_the_refusal_and_no_reset() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let prompt = vec![b' '; 40 << 20];
    for _ in 0..5 {
        let mut socket = Socket::open(fixture.local.data()).await?;
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            prompt.len()
        );
        socket.write(head.as_bytes()).await?;
        socket.write(&prompt).await?;
        let received = socket.read_to_close(Duration::from_secs(10)).await;
        ensure!(received.statuses() == [413], "{:?}", received.statuses());
    }
    fixture.serves().await
}

#[tokio::test]
async fn f44_a_length_that_lies_sends_nothing_to_the_partner() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let mut socket = Socket::open(fixture.local.data()).await?;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    );
    socket.write(format!("{head}{{\"model\":\"chat\"").as_bytes()).await?;
    drop(socket);
    fixture.serves().await?;
    ensure!(fixture.partner.arrivals().await?.len() == 1, "half a body reached the partner");
    Ok(())
}

/// Bodies that parsers would read differently, or not at all.
fn malformed_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let messages = r#""messages":[{"role":"user","content":"x"}]"#;
    let with = |member: &str| format!(r#"{{"model":"chat",{messages},{member}}}"#).into_bytes();
    let keys: Vec<String> = (0..1_000_000).map(|number| format!("\"k{number}\":0")).collect();
    vec![
        ("empty", Vec::new()),
        ("null", b"null".to_vec()),
        ("an array", b"[]".to_vec()),
        ("depth 100,000", format!("{{\"model\":\"chat\",\"messages\":{}", "[".repeat(100_000)).into_bytes()),
        ("balanced depth 100,000", with(&format!("\"x\":{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
        ("a million keys", with(&keys.join(","))),
        ("two models", with(r#""model":"other""#)),
        ("two equal models", with(r#""model":"chat""#)),
        ("a second model, escaped", with(r#""mod\u0065l":"other""#)),
        ("two messages", with(messages)),
        ("two streams", with(r#""stream":false,"stream":true"#)),
        (
            "two contents",
            br#"{"model":"chat","messages":[{"role":"user","content":"x","content":"y"}]}"#.to_vec(),
        ),
        (
            "two roles",
            br#"{"model":"chat","messages":[{"role":"user","role":"system","content":"x"}]}"#.to_vec(),
        ),
        ("1e999", with(r#""temperature":1e999"#)),
        ("a lone surrogate", with(r#""user":"\ud800""#)),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), &with(r#""n":1"#)].concat()),
        (
            "invalid UTF-8",
            [br#"{"model":"chat","messages":[{"role":"user","content":""#.as_slice(), b"\xff\xfe\"}]}"]
                .concat(),
        ),
        ("trailing text", [with(r#""n":1"#).as_slice(), b"{}"].concat()),
        ("NaN", with(r#""temperature":NaN"#)),
        ("a comment", with("/* x */\"n\":1")),
        ("a trailing comma", with(r#""n":1,"#)),
        ("a control character in a string", with("\"user\":\"a\u{1}b\"")),
        ("a model that is a number", format!("{{\"model\":1,{messages}}}").into_bytes()),
        ("no model", format!("{{{messages}}}").into_bytes()),
        ("a negative token limit", with(r#""max_tokens":-1"#)),
        ("a token limit of zero", with(r#""max_tokens":0"#)),
        ("a token limit with a fraction", with(r#""max_tokens":1.5"#)),
        ("a token limit as text", with(r#""max_tokens":"10""#)),
        ("api_base", with(r#""api_base":"http://127.0.0.1:9""#)),
        ("api_base null", with(r#""api_base":null"#)),
        ("base_url", with(r#""base_url":"http://127.0.0.1:9""#)),
    ]
}

#[tokio::test]
async fn f45_json_that_parsers_would_read_differently_is_refused() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let mut wrong = Vec::new();
    let bodies = malformed_bodies();
    let sent = bodies.len() as u64;
    for (name, body) in bodies {
        let mut connection = chaperone_e2e::client::Connection::open(fixture.local.data()).await?;
        let fields = [("content-type", "application/json")];
        let answer = connection.send(http::Method::POST, CHAT, &fields, body).await?;
        let answer = chaperone_e2e::client::whole(answer).await?;
        let code = answer.json().map(|body| body["error"]["type"].clone()).unwrap_or_default();
        if answer.status != 400 || answer.reason() != "invalid_request" || code != "invalid_request_error" {
            wrong.push(format!("{name}: {} {} {}", answer.status, answer.reason(), answer.text()));
        }
    }
    ensure!(wrong.is_empty(), "not refused as they should:\n{}", wrong.join("\n"));
    ensure!(fixture.partner.arrivals().await?.is_empty(), "a refused body reached the partner");
    fixture.serves().await?;
    fixture.settle(sent + 1).await.map(drop)
}
