//! F46 to F48: what a hostile or broken partner sends, and where keys may go.
#![cfg(test)]

use anyhow::{Result, ensure};
use base64::Engine as _;
use chaperone_e2e::client::{self, Connection};
use chaperone_e2e::fixture::Fixture;
use chaperone_e2e::local::{Local, Mode, chat_request};
use chaperone_e2e::manifest::{self, Manifests};
use chaperone_e2e::partner::script::{Body, Shape, Step};
use chaperone_e2e::partner::{Partner, says};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const CHAT: &str = "/v1/chat/completions";

/// 64 MiB, far over any limit of ours.
const UNPACKED: usize = 64 * 1024 * 1024;

/// What the process may grow by: the limit of an answer, twice, and room to breathe.
const GROWTH_BYTES: u64 = 80 * 1024 * 1024;

/// 64 MiB of the same byte under brotli.
const BROTLI_BOMB: &str = "y///P/glYOKxQCD3/o///3/wSwDEYRGA7v0f////4JcAiMMCAN37P/7//8EvARCHBQC693/8//+DXwIgDgsAdO//+P//B78EQBwWAOje//H//w9+CYA4LADQvf/j//8f/BIAcVgAoHv/Nw==";

/// 64 MiB of the same byte under Zstandard: a frame of run-length blocks, RFC 8878 §3.1.
fn zstandard_bomb() -> Vec<u8> {
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let blocks = UNPACKED / (128 * 1024);
    for block in 0..blocks {
        let header: u32 = (128 * 1024) << 3 | 1 << 1 | u32::from(block + 1 == blocks);
        bomb.extend_from_slice(&header.to_le_bytes()[..3]);
        bomb.push(b'0');
    }
    bomb
}

fn encoded(encoding: &str, body: Body, content_type: &str) -> Step {
    let headers = [("content-encoding", encoding), ("content-type", content_type)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Step { headers, body, times: Some(1), ..Step::default() }
}

#[tokio::test]
async fn f46_a_decompression_bomb_is_a_protocol_failure_that_costs_no_memory() -> Result<()> {
    let bytes = |bomb: Vec<u8>| Body::Bytes(base64::engine::general_purpose::STANDARD.encode(bomb));
    let bombs = [
        ("gzip", Body::Bomb { bytes: UNPACKED }, "application/json"),
        ("br", Body::Bytes(BROTLI_BOMB.to_owned()), "application/json"),
        ("zstd", bytes(zstandard_bomb()), "application/json"),
        ("gzip", Body::Bomb { bytes: UNPACKED }, "text/event-stream"),
    ];
    let mut steps = Vec::new();
    for (encoding, body, content_type) in bombs.clone() {
        steps.push(encoded(encoding, body, content_type));
        steps.push(Step { times: Some(2), ..says("fine") });
    }
    let mut fixture = Fixture::start("OpenAI", steps).await?;
    let before = fixture.local.process().memory()?;
    for (encoding, _, content_type) in bombs {
        let mode = if content_type == "application/json" { Mode::Whole } else { Mode::Stream };
        let answer = fixture.local.post(CHAT, &chat_request("chat", mode)).await?;
        ensure!(
            answer.status == 502 && answer.reason() == "partner_protocol",
            "{encoding}: {} {}",
            answer.status,
            answer.reason()
        );
        fixture.serves().await?;
        fixture.serves().await?;
    }
    let grown = fixture.local.process().peak_memory()?.saturating_sub(before);
    ensure!(grown < GROWTH_BYTES, "bombs of {UNPACKED} bytes cost {grown}");
    fixture.settle(12).await.map(drop)
}

fn flood(frame: &str, times: usize) -> Step {
    Step { body: Body::Flood { frame: frame.to_owned(), times }, times: Some(1), ..Step::default() }
}

#[tokio::test]
async fn f47_a_flood_of_events_before_the_first_token_hits_a_bound() -> Result<()> {
    let floods = [
        ("64 MiB without a line end", flood("data: 0123456789abcdef", 3_000_000)),
        ("one event of 64 MiB", flood("data: 0123456789abcdef\n", 3_000_000)),
    ];
    let mut steps = Vec::new();
    for (_, step) in floods.clone() {
        steps.push(step);
        steps.push(Step { times: Some(2), ..says("fine") });
    }
    let mut fixture = Fixture::start("OpenAI", steps).await?;
    let before = fixture.local.process().memory()?;
    for (name, _) in floods {
        let answer = fixture.local.post(CHAT, &chat_request("chat", Mode::Stream)).await?;
        ensure!(
            answer.status == 502 && answer.reason() == "partner_protocol",
            "{name}: {} {}",
            answer.status,
            answer.reason()
        );
        fixture.serves().await?;
        fixture.serves().await?;
    }
    let grown = fixture.local.process().peak_memory()?.saturating_sub(before);
    ensure!(grown < GROWTH_BYTES / 4, "floods cost {grown} bytes");
    fixture.settle(6).await.map(drop)
}

/// A stream whose one word is `text`, after `prefix`, with these line ends.
fn stream_of(prefix: String, text: &str, line_end: &str) -> Step {
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}]});
    let frames = vec![
        prefix,
        format!("data: {chunk}{line_end}{line_end}"),
        format!("data: [DONE]{line_end}{line_end}"),
    ];
    Step { body: Body::Frames(frames), times: Some(1), ..Step::default() }
}

#[tokio::test]
async fn f47_odd_but_legal_streams_are_served() -> Result<()> {
    let shape =
        |step: Step, size| Step { shape: Shape { chunk_bytes: Some(size), ..Shape::default() }, ..step };
    let text = "Grüße 你好 👋";
    let streams = [
        ("one byte per chunk", shape(stream_of(String::new(), text, "\n"), 1)),
        ("three bytes per chunk", shape(stream_of(String::new(), text, "\n"), 3)),
        ("CR alone", stream_of(String::new(), text, "\r")),
        ("CR LF, one byte per chunk", shape(stream_of(String::new(), text, "\r\n"), 1)),
        ("a byte order mark", stream_of("\u{feff}".to_owned(), text, "\n")),
        ("1,000 comments", stream_of(": keep-alive\n\n".repeat(1000), text, "\n")),
        ("unknown fields", stream_of("id: 7\nretry: 10\nwhat: ever\n\n".to_owned(), text, "\n")),
    ];
    let fixture = Fixture::start("OpenAI", streams.iter().map(|(_, step)| step.clone()).collect()).await?;
    for (name, _) in &streams {
        let answer = fixture.local.post(CHAT, &chat_request("chat", Mode::Stream)).await?;
        ensure!(answer.status == 200, "{name}: {} {}", answer.status, answer.text());
        // The app's own line ends may be what the partner sent: read them as a browser would.
        let body = answer.text().trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
        ensure!(client::chat_text(&body)? == text, "{name}: {body:?}");
    }
    fixture.settle(streams.len() as u64).await.map(drop)
}

/// A route `chat` to this endpoint, which the Partner may not be allowed to have.
async fn route_to(endpoint: &str, spec: &Value) -> Result<Local> {
    let manifests = Manifests::new()?;
    let mut object = manifest::partner("alpha", "OpenAI", endpoint);
    if let (Some(members), Some(target)) = (spec.as_object(), object["spec"].as_object_mut()) {
        target.extend(members.clone());
    }
    for object in [manifest::secret(), manifest::quota(), object, manifest::route("chat", &["alpha"])] {
        manifests.apply(&object)?;
    }
    Local::start(manifests).await
}

/// Accepts nobody: counts who tries.
struct Trap {
    listener: TcpListener,
    port: u16,
}

impl Trap {
    async fn set() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Whether nobody has connected. The kernel would have completed the handshake without us.
    async fn is_empty(&self) -> bool {
        tokio::time::timeout(std::time::Duration::from_millis(100), self.listener.accept()).await.is_err()
    }
}

#[tokio::test]
async fn f48_private_addresses_get_no_connection_however_they_are_written() -> Result<()> {
    let trap = Trap::set().await?;
    let port = trap.port;
    let endpoints = [
        format!("http://127.0.0.1:{port}/v1"),
        format!("http://localhost:{port}/v1"),
        format!("http://2130706433:{port}/v1"),
        format!("http://0x7f.1:{port}/v1"),
        format!("http://[::ffff:127.0.0.1]:{port}/v1"),
        format!("http://0.0.0.0:{port}/v1"),
        format!("http://user@127.0.0.1:{port}/v1"),
    ];
    for endpoint in endpoints {
        let local = route_to(&endpoint, &json!({"allowPrivate": false})).await?;
        let answer = local.chat().await?;
        ensure!(
            answer.status.as_u16() >= 400 && !answer.reason().is_empty(),
            "{endpoint}: {}",
            answer.status
        );
        ensure!(trap.is_empty().await, "{endpoint} was connected to");
    }
    Ok(())
}

#[tokio::test]
async fn f48_metadata_addresses_are_refused_even_where_private_ones_are_allowed() -> Result<()> {
    for endpoint in [
        "http://169.254.169.254/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[fd00:ec2::254]/v1",
        "http://2852039166/v1",
    ] {
        let local = route_to(endpoint, &json!({"allowPrivate": true})).await?;
        let answer = tokio::time::timeout(std::time::Duration::from_secs(1), local.chat()).await??;
        ensure!(
            answer.status.as_u16() >= 400 && !answer.reason().is_empty(),
            "{endpoint}: {}",
            answer.status
        );
        ensure!(
            local.output().contains("alpha"),
            "{endpoint}: no word about the Partner in {}",
            local.output()
        );
    }
    Ok(())
}

#[tokio::test]
async fn f48_a_redirect_is_not_followed() -> Result<()> {
    let elsewhere = Partner::start().await?;
    let location = format!("http://{}/v1/chat/completions", elsewhere.address());
    let redirects = [301, 302, 303, 307, 308].map(|status| Step {
        status: Some(status),
        headers: vec![("location".to_owned(), location.clone())],
        body: Body::Json(json!({})),
        times: Some(1),
        ..Step::default()
    });
    let steps =
        redirects.into_iter().flat_map(|step| [step, Step { times: Some(2), ..says("fine") }]).collect();
    let fixture = Fixture::start("OpenAI", steps).await?;
    for _ in 0..5 {
        let answer = fixture.local.chat().await?;
        ensure!(
            answer.status == 502 && answer.reason() == "partner_protocol",
            "{} {}",
            answer.status,
            answer.reason()
        );
        fixture.serves().await?;
        fixture.serves().await?;
    }
    ensure!(elsewhere.log().await?.connections == 0, "the redirect was followed");
    fixture.settle(15).await.map(drop)
}

#[tokio::test]
async fn f48_the_caller_cannot_choose_where_the_key_goes() -> Result<()> {
    let trap = Trap::set().await?;
    let elsewhere = format!("http://127.0.0.1:{}/v1", trap.port);
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let mut connection = Connection::open(fixture.local.data()).await?;
    let infer = json!({"modelId": "chat", "prompt": "hello", "parameters": {}});
    let mut sent = 0;
    for member in ["api_base", "base_url"] {
        for value in [json!(elsewhere), json!(null), json!({})] {
            let mut chat = chat_request("chat", Mode::Whole);
            chat[member] = value.clone();
            let (mut outer, mut inner) = (infer.clone(), infer.clone());
            outer[member] = value.clone();
            inner["parameters"][member] = value;
            for (path, body) in [(CHAT, chat), ("/v1/infer", outer), ("/v1/infer", inner)] {
                let answer = connection.post(path, &[], &body).await?;
                sent += 1;
                ensure!(
                    answer.status == 400 && answer.reason() == "invalid_request",
                    "{path} {body}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
        }
    }
    ensure!(trap.is_empty().await && fixture.partner.arrivals().await?.is_empty(), "something was sent");
    fixture.serves_on(&mut connection).await?;
    fixture.settle(sent + 1).await.map(drop)
}
