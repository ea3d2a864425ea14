//! F27, F65, F66 over real sockets: connections that are refused, swallowed or stopped, TLS that cannot be trusted, no
//! descriptors left. Each is answered within its limit, and other partners are served meanwhile.
#![cfg(test)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::certs::TestCa;
use chaperone_e2e::client::{self, Connection};
use chaperone_e2e::clock::Deadline;
use chaperone_e2e::local::{Local, Mode, PATIENCE, chat_request};
use chaperone_e2e::manifest::{self, Manifests};
use chaperone_e2e::network::{self, Fate};
use chaperone_e2e::partner::script::{Framing, Shape, Step};
use chaperone_e2e::partner::{Partner, says};
use chaperone_e2e::{checker, clock, wait};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

const CHAT: &str = "/v1/chat/completions";
/// The limits that every partner of these tests has, but for the two that a test waits for.
const LIMIT: Duration = Duration::from_secs(1);
/// Of a request that nothing is wrong with. A deadline, not a measurement.
const UNHARMED: Duration = Duration::from_secs(3);

/// Manifests with one partner that is well, and routes `well` to it, `alone` to another, `chat` to that and then to it.
struct Scene {
    manifests: Manifests,
}

impl Scene {
    fn new(well: &Partner) -> Result<Self> {
        let manifests = Manifests::new()?;
        let partner = manifest::partner("well", "OpenAI", &well.endpoint("OpenAI"));
        for object in [manifest::secret(), manifest::quota(), partner, manifest::route("well", &["well"])] {
            manifests.apply(&object)?;
        }
        Ok(Self { manifests })
    }

    /// A partner at `endpoint` that one attempt is made at.
    fn with(&self, name: &str, endpoint: &str, spec: &Value) -> Result<()> {
        let mut partner = manifest::partner(name, "OpenAI", endpoint);
        partner["spec"]["timeouts"] = json!({"connect": "1s", "firstToken": "1s"});
        partner["spec"]["retry"] = json!({"maxAttempts": 2});
        for (field, value) in spec.as_object().context("a map")? {
            partner["spec"][field] = value.clone();
        }
        self.manifests.apply(&partner)?;
        self.manifests.apply(&manifest::route(&format!("chat-{name}"), &[name, "well"]))
    }
}

/// Asks `alias` and, at the same time, the partner that is well. How long each took.
async fn both(local: &Local, alias: &str) -> Result<(client::Answer, Duration)> {
    let timed = |alias: String| async move {
        let began = clock::now();
        let answer = local.post(CHAT, &chat_request(&alias, Mode::Stream)).await?;
        anyhow::Ok((answer, clock::since(began)))
    };
    let (asked, well) = tokio::join!(timed(alias.to_owned()), timed("well".to_owned()));
    let (answer, took) = well?;
    ensure!(answer.status == 200 && took < UNHARMED, "{alias}: another partner took {took:?}");
    asked
}

/// The alias is served by its fallback within the partner's limit, for this reason.
async fn falls_back(local: &Local, name: &str, reason: &str) -> Result<()> {
    let (answer, took) = both(local, &format!("chat-{name}")).await?;
    let fallback = answer.header("x-chaperone-fallback").unwrap_or_default();
    ensure!(
        answer.status == 200 && fallback == reason,
        "{name}: {} {fallback} {}",
        answer.status,
        answer.text()
    );
    ensure!(took < LIMIT + UNHARMED, "{name} took {took:?}");
    Ok(())
}

/// A listener whose backlog is full: further connections get no answer from the kernel.
async fn deaf() -> Result<(TcpListener, Vec<TcpStream>, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(LIMIT / 2, TcpStream::connect(address)).await {
        held.push(stream?);
    }
    Ok((listener, held, address.to_string()))
}

#[tokio::test]
async fn f27_swallowed_refused_and_stopped_are_each_left_within_their_limit() -> Result<()> {
    let (well, mut stopped) = (Partner::start().await?, Partner::start().await?);
    well.script(vec![says("hello")]).await?;
    stopped.script(vec![says("never")]).await?;
    let (_listener, _held, swallowed) = deaf().await?;
    let refused = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let scene = Scene::new(&well)?;
    scene.with("swallowed", &format!("http://{swallowed}/v1"), &json!({}))?;
    scene.with("refused", &format!("http://{refused}/v1"), &json!({}))?;
    scene.with("stopped", &stopped.endpoint("OpenAI"), &json!({}))?;
    let local = Local::start(scene.manifests).await?;
    stopped.process().freeze()?;
    falls_back(&local, "swallowed", "partner_unavailable").await?;
    falls_back(&local, "refused", "partner_unavailable").await?;
    falls_back(&local, "stopped", "first_token_timeout").await?;
    stopped.process().thaw()?;
    checker::nothing_lost(&local, 6).await.map(drop)
}

#[tokio::test]
async fn f27_packets_that_are_dropped_or_rejected_cost_no_more_than_the_limit() -> Result<()> {
    if !network::is_inside("f27_packets_that_are_dropped_or_rejected_cost_no_more_than_the_limit")? {
        return Ok(());
    }
    let well = Partner::start().await?;
    well.script(vec![says("hello")]).await?;
    let scene = Scene::new(&well)?;
    let fates = [("dropped", Fate::Dropped), ("reset", Fate::Reset), ("unreachable", Fate::Unreachable)];
    let mut partners = Vec::new();
    for (name, fate) in fates {
        let partner = Partner::start().await?;
        partner.script(vec![says("hello")]).await?;
        scene.with(name, &partner.endpoint("OpenAI"), &json!({}))?;
        network::rule(partner.address(), fate)?;
        partners.push(partner);
    }
    let later = Partner::start().await?;
    later.script(vec![says("hello")]).await?;
    scene.with("later", &later.endpoint("OpenAI"), &json!({}))?;
    let local = Local::start(scene.manifests).await?;
    for (name, _) in fates {
        falls_back(&local, name, "partner_unavailable").await?;
    }
    // A connection that was good a moment ago.
    let (answer, _) = both(&local, "chat-later").await?;
    ensure!(answer.status == 200 && answer.header("x-chaperone-fallback").is_none(), "{}", answer.text());
    network::rule(later.address(), Fate::Dropped)?;
    falls_back(&local, "later", "first_token_timeout").await?;
    checker::nothing_lost(&local, 10).await.map(drop)
}

#[tokio::test]
async fn f65_a_certificate_that_cannot_be_trusted_is_refused_and_nothing_is_sent_in_plain_text() -> Result<()>
{
    let well = Partner::start().await?;
    well.script(vec![says("hello")]).await?;
    let (ours, stranger) = (TestCa::new()?, TestCa::new()?);
    let named = Partner::start_tls(&ours, "other.test").await?;
    let unknown = Partner::start_tls(&stranger, "partner.test").await?;
    let expired = Partner::start_on(&ours.issue_expired("partner.test")?).await?;
    let plain = Partner::start().await?;
    let (_listener, silent) = {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        (listener, address)
    };
    let ((old, _old), (alerting, _alerting)) = (too_old(TLS_1_0).await?, too_old(PROTOCOL_VERSION).await?);
    let scene = Scene::new(&well)?;
    scene.manifests.apply(&manifest::config_map("ca", "ca.crt", &ours.pem()))?;
    let tls =
        json!({"tls": {"caConfigMapKeyRef": {"name": "ca", "key": "ca.crt"}, "serverName": "partner.test"}});
    let partners = [
        ("wrong-name", named.address().to_owned()),
        ("self-signed", unknown.address().to_owned()),
        ("expired", expired.address().to_owned()),
        ("plain-text", plain.address().to_owned()),
        ("stalled", silent.to_string()),
        ("too-old", old),
        ("too-old-by-alert", alerting),
    ];
    for (name, address) in &partners {
        scene.with(name, &format!("https://{address}/v1"), &tls)?;
    }
    let local = Local::start(scene.manifests).await?;
    for (name, _) in &partners {
        falls_back(&local, name, "partner_unavailable").await?;
    }
    ensure!(plain.arrivals().await?.is_empty(), "a request went out in plain text");
    checker::nothing_lost(&local, 2 * partners.len() as u64).await.map(drop)
}

/// A `ServerHello` of TLS 1.0: version, 32 bytes of randomness, no session, `TLS_RSA_WITH_AES_128_CBC_SHA` (RFC 2246 §7.4.1.3).
const TLS_1_0: &[u8] =
    b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01ABCDEFGHIJKLMNOPQRSTUVWXYZ012345\x00\x00\x2f\x00";
/// The alert `protocol_version`, fatal (RFC 8446 §6).
const PROTOCOL_VERSION: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];

/// A server that answers each handshake with `bytes`, and then waits for the other side to close, as long as its
/// tasks live.
async fn too_old(bytes: &'static [u8]) -> Result<(String, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            open.spawn(async move {
                // It may leave at any time: that is for the test to judge.
                let _ = stream.write_all(bytes).await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    Ok((address, serving))
}

#[tokio::test]
async fn f66_without_descriptors_requests_are_shed_and_served_again_afterwards() -> Result<()> {
    let well = Partner::start().await?;
    // Each answer ends its connection, so that each request needs a descriptor.
    let shape = Shape { framing: Some(Framing::Close), ..Shape::default() };
    well.script(vec![Step { shape, ..says("hello") }]).await?;
    let scene = Scene::new(&well)?;
    let mut local = Local::start_under(&["prlimit", "--nofile=128", "--"], scene.manifests).await?;
    let mut early = Connection::open(local.data()).await?;
    let mut held = Vec::new();
    for _ in 0..200 {
        // Beyond the limit they wait in the kernel's backlog.
        held.push(TcpStream::connect(local.data()).await?);
    }
    let request = chat_request("well", Mode::Whole);
    let mut shed = early.post(CHAT, &[], &request).await?;
    let accepting = Deadline::after(PATIENCE);
    while shed.status == 200 && !accepting.is_over() {
        shed = early.post(CHAT, &[], &request).await?;
    }
    ensure!(shed.status == 503 && shed.reason() == "overloaded", "{} {}", shed.status, shed.text());
    let (used, began) = (local.process().cpu_ticks()?, clock::now());
    wait::until("two seconds to pass", PATIENCE, || async {
        Ok((clock::since(began) > Duration::from_secs(2)).then_some(()))
    })
    .await?;
    let spent = local.process().cpu_ticks()? - used;
    ensure!(spent <= 20, "{spent} ticks of 10 ms within 2 s without a request");
    drop(held);
    wait::until("service", PATIENCE, || async {
        let Ok(mut connection) = Connection::open(local.data()).await else { return Ok(None) };
        let answer = connection.post(CHAT, &[], &request).await;
        Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
    })
    .await
}
