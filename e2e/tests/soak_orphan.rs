#![cfg(test)]
//! A sidecar whose operator has left, for seconds in every run, and for `CHAPERONE_SOAK_MINUTES` in `make soak`.
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chaperone_e2e::operator::{HOST, Operator, SERVER_NAME};
use chaperone_e2e::partner::script::Script;
use chaperone_e2e::partner::{Partner, says};
use chaperone_e2e::process::{self, Process};
use chaperone_e2e::usage::Usage;
use chaperone_e2e::{client, clock, settings, wait};
use http::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// How long it is alone where nobody says how long.
const SHORT: Duration = Duration::from_secs(20);
/// What gets warm does so in this time: allocator, connections to the partner, the first attempts to reach anybody.
const WARM: Duration = Duration::from_secs(5);
/// From one request of its application to the next.
const PACE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

/// What it may grow by, whatever the time: pages that an allocator has not met before, sockets between two looks.
const MEMORY: u64 = 6 << 20;
const DESCRIPTORS: usize = 8;
/// What it may write to its log in a minute: it says every few seconds at most that it is alone.
const LOG: u64 = 16 << 10;

/// What must not grow.
#[derive(Debug)]
struct Weight {
    usage: Usage,
    /// Names and content of the files of its state.
    state: BTreeMap<String, Vec<u8>>,
}

/// A sidecar that had an operator once.
struct Orphan {
    process: Process,
    data: String,
    admin: String,
    state: TempDir,
    _partner: Partner,
    operator: Option<Operator>,
}

impl Orphan {
    async fn start() -> Result<Self> {
        let partner = Partner::start().await?;
        partner.play(Script { steps: vec![says("hello")], drop_bodies: true }).await?;
        let operator = Operator::start(document(&partner).as_bytes()).await?;
        let state = tempfile::tempdir()?;
        let token = state.path().join("token");
        std::fs::write(&token, "token")?;
        let folder = state.path().join("state");
        std::fs::create_dir(&folder)?;
        let (address, token, kept) = (operator.address().to_string(), text(&token)?, text(&folder)?);
        let [data, admin] = free().await?;
        let environment = [
            ("CHAPERONE_LISTEN", &*data),
            ("CHAPERONE_ADMIN", &admin),
            ("CHAPERONE_FEED_ADDRESS", &address),
            ("CHAPERONE_FEED_SERVER_NAME", SERVER_NAME),
            ("CHAPERONE_FEED_CA", operator.authority()),
            ("CHAPERONE_TOKEN_FILE", &token),
            ("CHAPERONE_STATE_DIR", &kept),
        ];
        let process = Process::spawn("sidecar", &process::sidecar_binary()?, &[], &environment)?;
        let orphan = Self { process, data, admin, state, _partner: partner, operator: Some(operator) };
        wait::until("a configuration", PATIENCE, || async {
            let answer = client::get(&orphan.admin, "/readyz", &[]).await;
            Ok(answer.is_ok_and(|answer| answer.status == StatusCode::OK).then_some(()))
        })
        .await
        .with_context(|| orphan.process.tail())?;
        Ok(orphan)
    }

    /// The operator leaves. Returns where it was.
    fn leave(&mut self) -> Result<SocketAddr> {
        Ok(self.operator.take().context("it was there")?.address())
    }

    fn weight(&self) -> Result<Weight> {
        let mut state = BTreeMap::new();
        for entry in std::fs::read_dir(self.state.path().join("state"))? {
            let entry = entry?;
            state.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
        }
        Ok(Weight { usage: self.process.usage()?, state })
    }

    /// Asks as its application does, until `end`. Returns how often; every answer is a good one.
    async fn ask_until(&self, end: Instant) -> Result<u64> {
        let body = json!({"model": "chat", "messages": [{"role": "user", "content": "hello"}]});
        let (mut answers, mut ticks) = (0, tokio::time::interval(PACE));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while clock::now() < end {
            ticks.tick().await;
            let answer = client::post(&self.data, "/v1/chat/completions", &[], &body).await?;
            ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.text());
            answers += 1;
        }
        Ok(answers)
    }

    async fn metric(&self, name: &str) -> Result<f64> {
        let page = client::get(&self.admin, "/metrics", &[]).await?.text();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("{name} in {page}"))?.trim().parse()?)
    }
}

/// Addresses that nobody else is given: a sidecar does not say which ones it has.
async fn free() -> Result<[String; 2]> {
    let listeners = [TcpListener::bind((HOST, 0)).await?, TcpListener::bind((HOST, 0)).await?];
    let [one, other] = listeners.map(|listener| listener.local_addr());
    Ok([one?.to_string(), other?.to_string()])
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path of plain characters")?.to_owned())
}

fn document(partner: &Partner) -> String {
    let document = json!({
        "protocol": 1,
        "scope": {"namespace": "shop", "serviceAccount": "app"},
        "partners": {"alpha": {
            "adapter": "OpenAI", "endpoint": partner.endpoint("OpenAI"), "addresses": "AllowPrivate",
            "models": {"m": {}},
        }},
        "routes": {"chat": {
            "targets": [{"partner": "alpha", "model": "m", "weight": 1}], "dataClass": "Public",
            "deadlineMs": 60_000,
        }},
        "tenants": {"named": {"shop": {"quota": "tier"}}},
    });
    document.to_string()
}

/// Half of the time nobody listens where the operator was, half of it somebody takes connections and says nothing.
async fn nobody_then_silence(address: SocketAddr, time: Duration) -> Result<()> {
    tokio::time::sleep(time / 2).await;
    let listener = TcpListener::bind(address).await?;
    let silence = async {
        let mut taken = std::collections::VecDeque::new();
        loop {
            taken.push_back(listener.accept().await?.0);
            // Both ends of a connection are held in a process: whoever leaves the sidecar's end open is seen by it.
            if taken.len() > 4 {
                taken.pop_front();
            }
        }
    };
    tokio::time::timeout(time / 2, silence).await.unwrap_or(Ok(()))
}

#[tokio::test(flavor = "multi_thread")]
async fn f61_a_sidecar_whose_operator_has_left_serves_and_grows_in_nothing() -> Result<()> {
    let alone = settings::soak()?.unwrap_or(SHORT);
    let mut orphan = Orphan::start().await?;
    let address = orphan.leave()?;
    orphan.ask_until(clock::now() + WARM).await?;
    let (before, log_before) = (orphan.weight()?, orphan.process.stderr().len());
    ensure!(
        before.state.contains_key("snapshot.json") && before.state.contains_key("keys.json"),
        "{before:?}"
    );

    let end = clock::now() + alone;
    let (answers, ()) = tokio::try_join!(orphan.ask_until(end), nobody_then_silence(address, alone))?;

    let (after, log) = (orphan.weight()?, orphan.process.stderr().len() - log_before);
    let age = orphan.metric("chaperone_config_age_seconds").await?;
    writeln!(
        std::io::stderr(),
        "alone for {} s, {answers} answers: resident {} kB, then {} kB; descriptors {}, then {}; {log} bytes of log",
        alone.as_secs(),
        before.usage.resident >> 10,
        after.usage.resident >> 10,
        before.usage.descriptors,
        after.usage.descriptors,
    )?;
    ensure!(after.usage.resident <= before.usage.resident + MEMORY, "memory has grown");
    ensure!(after.usage.descriptors <= before.usage.descriptors + DESCRIPTORS, "descriptors are left behind");
    ensure!(after.state == before.state, "the state folder has changed: {:?}", after.state.keys());
    ensure!(log as u64 <= LOG * (1 + alone.as_secs() / 60), "{log} bytes of log");
    ensure!(age >= alone.as_secs_f64(), "it says that its configuration is {age} s old");
    Ok(())
}
