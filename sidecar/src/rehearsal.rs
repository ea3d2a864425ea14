//! A whole sidecar in paused time, for tests: apps and partners are tasks at the other ends of in-memory pipes.
//!
//! Nothing of the data path is replaced but the sockets. Partners do as they are told, and note what arrived.

pub(crate) mod partner;

mod analyzers;
mod day;
mod faults;
mod hints;
mod rules;
mod thoughts;
mod trickle;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaperone_protocol::keys::{Credential, Keys};
use chaperone_protocol::snapshot::Snapshot;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use self::partner::{Act, Arrival, Script};
use crate::clock;
use crate::exchange::Mode;
use crate::outbound::network::Network;
use crate::record::writer;
use crate::server;
use crate::sidecar::Shared;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const PIPE: usize = 64 << 10;

/// What a test declares of a partner.
pub(crate) fn openai(host: &str, protection: Value) -> Value {
    json!({
        "adapter": "OpenAI",
        "endpoint": format!("http://{host}"),
        "addresses": "AllowPrivate",
        "credential": format!("team/{host}/key"),
        "models": {"m": {"capabilities": ["Streaming"], "contextTokens": 1000}},
        "protection": protected(protection),
    })
}

/// The defaults, with `changes` over them.
fn protected(changes: Value) -> Value {
    let mut all = serde_json::to_value(chaperone_protocol::snapshot::Protection::default()).unwrap();
    for (part, fields) in changes.as_object().unwrap() {
        match (all.get_mut(part).and_then(Value::as_object_mut), fields.as_object()) {
            (Some(known), Some(fields)) => known.extend(fields.clone()),
            _ => all[part] = fields.clone(),
        }
    }
    all
}

/// A snapshot whose routes try the partners in the order given.
pub(crate) fn document(partners: &[(&str, Value)], routes: &[(&str, &[&str])]) -> Value {
    let target = |name: &&str| json!({"partner": name, "model": "m"});
    let routes = routes.iter().map(|(alias, chain)| {
        let mut first = target(&chain[0]);
        first["weight"] = json!(1);
        first["fallbacks"] = chain[1..].iter().map(target).collect();
        (*alias, json!({"targets": [first], "dataClass": "Public", "deadlineMs": 300_000}))
    });
    json!({
        "protocol": 1,
        "scope": {"namespace": "shop", "serviceAccount": "checkout"},
        "partners": partners.iter().cloned().collect::<BTreeMap<_, _>>(),
        "routes": routes.collect::<BTreeMap<_, _>>(),
        "tenants": {"named": {"acme": {"quota": "team/quota"}, "globex": {"quota": "team/quota"}}},
    })
}

/// The sidecar, its partners and its records.
pub(crate) struct World {
    pub(crate) shared: Arc<Shared>,
    pub(crate) arrivals: Arc<Mutex<Vec<Arrival>>>,
    lines: Mutex<Receiver<String>>,
    records: Mutex<Vec<Value>>,
    began: tokio::time::Instant,
}

/// What an app got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default()
    }

    /// The words of an answer, joined.
    pub(crate) fn words(&self) -> String {
        let chunk = |line: &str| {
            let value: Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
            Some(value["choices"][0]["delta"]["content"].as_str()?.to_owned())
        };
        let streamed: String = self.body.lines().filter_map(chunk).collect();
        if !streamed.is_empty() {
            return streamed;
        }
        let whole: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let words = whole["choices"][0]["message"]["content"].as_str().or(whole["content"].as_str());
        words.unwrap_or_default().to_owned()
    }
}

impl World {
    /// A sidecar under `document`, among partners that follow `script`.
    pub(crate) fn new(document: &Value, script: impl Fn(&Arrival) -> Act + Send + Sync + 'static) -> Self {
        let (began, arrivals) = (clock::now(), Arc::<Mutex<Vec<Arrival>>>::default());
        let script: Script = Arc::new(script);
        let stage = partner::stage(script, Arc::clone(&arrivals), began);
        let (sender, lines) = sync_channel(writer::WAITING);
        let shared = Shared { network: Network::played(stage), ..Shared::for_test(sender) };
        let world = Self {
            shared: Arc::new(shared),
            arrivals,
            lines: Mutex::new(lines),
            records: Mutex::default(),
            began,
        };
        world.apply(document, "sk-old");
        world
    }

    /// Puts a snapshot in force, with one key for everybody.
    pub(crate) fn apply(&self, document: &Value, key: &str) {
        let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
        let mut keys = Keys::default();
        for partner in snapshot.partners() {
            if let Some(name) = &partner.credential {
                keys.insert(name.clone(), Credential::new(format!("{key}-{name}").into_bytes()));
            }
        }
        self.shared.apply(snapshot, keys);
    }

    /// Opens a connection and writes a request. `headers`: each with its line end.
    pub(crate) async fn send(&self, path: &str, headers: &str, body: &Value) -> DuplexStream {
        let (mut app, ours) = tokio::io::duplex(PIPE);
        self.shared.tasks.spawn(server::serve(Arc::clone(&self.shared), ours, CancellationToken::new()));
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}\
             content-length: {}\r\n\r\n",
            body.len()
        );
        app.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
        app
    }

    /// Sends, and reads to the end.
    pub(crate) async fn ask_with(&self, path: &str, headers: &str, body: &Value) -> Got {
        let began = clock::now();
        let mut app = self.send(path, headers, body).await;
        let mut bytes = Vec::new();
        app.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body =
            if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
        Got { status, head: head.to_owned(), body, took: clock::now() - began }
    }

    /// A chat at an alias that asks for a stream.
    pub(crate) async fn stream(&self, alias: &str) -> Got {
        self.ask_with("/v1/chat/completions", "x-tenant-id: acme\r\n", &chat(alias, Mode::Stream)).await
    }

    /// A chat at an alias that asks for a whole answer.
    pub(crate) async fn whole(&self, alias: &str) -> Got {
        self.ask_with("/v1/chat/completions", "x-tenant-id: acme\r\n", &chat(alias, Mode::Whole)).await
    }

    /// How many requests came to a host.
    pub(crate) fn arrived(&self, host: &str) -> usize {
        self.arrivals.lock().unwrap().iter().filter(|arrival| arrival.host == host).count()
    }

    /// What time it is since the beginning.
    pub(crate) fn time(&self) -> Duration {
        clock::now() - self.began
    }

    /// The state of a partner's breaker, as the metric has it.
    pub(crate) fn breaker(&self, host: &str) -> String {
        self.shared.metrics.gates.observe(&self.shared.gates.all());
        let text = self.metrics();
        let is_it = |line: &&str| {
            line.starts_with("chaperone_breaker_state{")
                && line.contains(&format!("{host}\""))
                && line.ends_with(" 1")
        };
        let line = text.lines().find(is_it).unwrap_or_default();
        line.split("state=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    }

    pub(crate) fn metrics(&self) -> String {
        String::from_utf8(self.shared.metrics.text()).unwrap()
    }

    /// The sum of all series whose line begins so.
    pub(crate) fn metric(&self, begin: &str) -> u64 {
        let text = self.metrics();
        let lines = text.lines().filter(|line| line.starts_with(begin));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Takes over the records that were written by now.
    pub(crate) fn collect(&self) {
        let lines = self.lines.lock().unwrap();
        let lines = lines.try_iter().map(|line| serde_json::from_str(&line).unwrap());
        self.records.lock().unwrap().extend(lines);
    }

    /// Waits until nothing is under way, checks that no request was lost or counted twice, and gives all records.
    pub(crate) async fn settle(&self) -> Vec<Value> {
        for _ in 0..2_000 {
            self.check();
            if self.shared.metrics.gauges.in_flight.get() == 0 {
                break;
            }
            tokio::time::sleep(SECOND).await;
        }
        self.check();
        assert_eq!(self.metric("chaperone_in_flight_requests"), 0, "requests are still under way");
        self.collect();
        let records = std::mem::take(&mut *self.records.lock().unwrap());
        assert_eq!(
            records.len() as u64,
            self.metric("chaperone_requests_accepted_total"),
            "one record for each"
        );
        let mut ids: Vec<_> = records.iter().map(|record| record["request_id"].to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), records.len(), "a request is in two records");
        records
    }

    /// Accepted = served + refused + client gone + in flight, at every instant.
    pub(crate) fn check(&self) {
        let of = |outcome: &str| {
            let text = self.metrics();
            let outcome = format!("outcome=\"{outcome}\"");
            let lines = text
                .lines()
                .filter(|line| line.starts_with("chaperone_requests_total{") && line.contains(&outcome));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
        };
        let ended = of("served") + of("refused") + of("client_gone");
        let in_flight = self.metric("chaperone_in_flight_requests");
        assert_eq!(self.metric("chaperone_requests_accepted_total"), ended + in_flight, "{}", self.metrics());
    }
}

/// A chat with two words.
pub(crate) fn chat(alias: &str, mode: Mode) -> Value {
    let streams = mode == Mode::Stream;
    json!({"model": alias, "stream": streams, "messages": [{"role": "user", "content": "hello there"}]})
}

/// A body without its chunks.
pub(crate) fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let (Some(piece), true) = (behind.get(..size), size > 0) else { break };
        body += piece;
        rest = behind.get(size + 2..).unwrap_or_default();
    }
    body
}
