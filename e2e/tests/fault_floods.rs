//! F37 and F38 from outside: what floods and bombs of HTTP/2 frames cost the process, in processor time and memory.
#![cfg(test)]

use anyhow::{Result, ensure};
use chaperone_e2e::fixture::Fixture;
use chaperone_e2e::http2::{
    self, CONTINUATION, END_HEADERS, END_STREAM, GET, HEADERS, OK, RST_STREAM, SETTINGS, attack, bomb, frame,
};
use chaperone_e2e::local::{Local, Mode, chat_request};
use chaperone_e2e::manifest::{self, Manifests};
use chaperone_e2e::partner::{Partner, says};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A core-second, in ticks of 10 ms: what 100,000 frames may cost at most.
const CORE_SECOND: u64 = 100;
/// What memory may grow by once the first attack is over.
const FLAT_BYTES: u64 = 1 << 20;
/// Connections that attack one after the other, and frames on each: 100,000 in all.
const ATTACKS: u32 = 50;
const FRAMES: u32 = 2_000;

/// Processor time and memory of a process, before an attack.
struct Cost {
    ticks: u64,
    peak: u64,
}

impl Cost {
    fn of(local: &mut Local) -> Result<Self> {
        Ok(Self { ticks: local.process().cpu_ticks()?, peak: local.process().peak_memory()? })
    }

    fn is_bounded(&self, local: &mut Local) -> Result<()> {
        let Self { ticks, peak } = Self::of(local)?;
        let (spent, grown) = (ticks - self.ticks, peak - self.peak);
        ensure!(spent < CORE_SECOND, "{spent} ticks of 10 ms for {} frames", ATTACKS * FRAMES);
        ensure!(grown <= FLAT_BYTES, "{grown} bytes more than after the first attack");
        Ok(())
    }
}

/// Attacks the app's port again and again.
async fn app_survives(first: &[u8], frames: impl Fn(u32) -> Vec<u8>) -> Result<()> {
    let mut fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    fixture.serves().await?;
    let address = fixture.local.data().to_owned();
    attack(&address, first, FRAMES, &frames).await?;
    let before = Cost::of(&mut fixture.local)?;
    for _ in 0..ATTACKS {
        attack(&address, first, FRAMES, &frames).await?;
    }
    before.is_bounded(&mut fixture.local)?;
    fixture.serves().await
}

#[tokio::test]
async fn f37_100_000_streams_that_are_reset_at_once_cost_less_than_a_core_second() -> Result<()> {
    app_survives(&[], |number| {
        let stream = number * 2 + 1;
        let ask = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
        [ask, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await
}

#[tokio::test]
async fn f38_heads_without_end_leave_memory_flat() -> Result<()> {
    // A field without indexing, name `a`, value `a`.
    app_survives(&frame(HEADERS, 0, 1, GET), |_| frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'a'])).await
}

#[tokio::test]
async fn f38_heads_that_unpack_to_much_more_leave_memory_flat() -> Result<()> {
    // The stream is refused, and the connection closed for what comes behind: frames on a stream that is closed.
    app_survives(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb(GET)), |number| {
        frame(HEADERS, END_HEADERS | END_STREAM, 1, if number == 0 { GET } else { &[] })
    })
    .await
}

/// A partner over HTTP/2 that answers each request with `bytes`, and then waits for the end of the connection; it lives
/// as long as its tasks.
async fn hostile(bytes: Vec<u8>) -> Result<(String, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One after the other: the test asks so.
            let _ = respond(stream, &bytes).await;
        }
    });
    Ok((address, serving))
}

async fn respond(mut stream: TcpStream, bytes: &[u8]) -> Result<()> {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let mut seen = Vec::new();
    while !has_request(&seen) {
        ensure!(stream.read_buf(&mut seen).await? > 0, "left before it asked");
    }
    // It closes in the middle: that is the point.
    let _ = stream.write_all(bytes).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    Ok(())
}

/// Whether these bytes of a client have the head of a stream.
fn has_request(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(http2::PREFACE).unwrap_or_default();
    while let [a, b, c, kind, ..] = rest {
        if *kind == HEADERS {
            return true;
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize + 9;
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Asks a partner that answers so, again and again; another one serves.
async fn client_survives(bytes: Vec<u8>) -> Result<()> {
    let well = Partner::start().await?;
    well.script(vec![says("hello")]).await?;
    let (address, _serving) = hostile(bytes).await?;
    let manifests = Manifests::new()?;
    let mut partner = manifest::partner("hostile", "OpenAI", &format!("http://{address}/v1"));
    partner["spec"]["http"] = json!("Http2");
    partner["spec"]["timeouts"] = json!({"firstToken": "1s"});
    // Its breaker must not spare us: with 100 % only a run decides, and this one is longer than the test.
    partner["spec"]["breaker"] = json!({"errorThresholdPercent": 100, "consecutiveFailures": 100});
    let objects = [
        manifest::secret(),
        manifest::quota(),
        partner,
        manifest::partner("well", "OpenAI", &well.endpoint("OpenAI")),
        manifest::route("chat", &["hostile", "well"]),
    ];
    for object in objects {
        manifests.apply(&object)?;
    }
    let mut local = Local::start(manifests).await?;
    falls_back(&local).await?;
    let before = Cost::of(&mut local)?;
    for _ in 0..ATTACKS {
        falls_back(&local).await?;
    }
    before.is_bounded(&mut local)
}

async fn falls_back(local: &Local) -> Result<()> {
    let answer = local.post("/v1/chat/completions", &chat_request("chat", Mode::Stream)).await?;
    let fallback = answer.header("x-chaperone-fallback");
    ensure!(answer.status == 200 && fallback.is_some(), "{} {}", answer.status, answer.text());
    Ok(())
}

#[tokio::test]
async fn f37_a_partner_that_floods_with_resets_costs_less_than_a_core_second() -> Result<()> {
    let reset = |number: u32| frame(RST_STREAM, 0, number * 2 + 1, &8_u32.to_be_bytes());
    client_survives((0..FRAMES).flat_map(reset).collect()).await
}

#[tokio::test]
async fn f38_a_partner_whose_heads_do_not_end_leaves_memory_flat() -> Result<()> {
    let more = frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'a']).repeat(FRAMES as usize);
    client_survives([frame(HEADERS, 0, 1, OK), more].concat()).await
}

#[tokio::test]
async fn f38_a_partner_whose_heads_unpack_to_much_more_leaves_memory_flat() -> Result<()> {
    client_survives(frame(HEADERS, END_HEADERS, 1, &bomb(OK))).await
}
