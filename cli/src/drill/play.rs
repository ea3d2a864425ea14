//! One play: a sidecar of its own, one request, and the record that the sidecar writes of it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::limits;
use chaperone_protocol::name::Alias;
use chaperone_protocol::snapshot::Snapshot;
use chaperone_protocol::wire::Document;
use chaperone_sidecar::{Settings, Sidecar};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;

use super::plan::{Call, Play};

/// How long the sidecar of a play may take to end behind its answer.
const GRACE: Duration = Duration::from_secs(5);

/// What a play has shown.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) record: Record,
    /// Whether the answer's body says that it is not complete.
    pub(super) has_error_event: bool,
}

/// What the sidecar has recorded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) event: String,
    pub(super) partner: Option<String>,
    pub(super) fault: Option<String>,
    pub(super) attempts: Vec<serde::de::IgnoredAny>,
    pub(super) ending: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) status: u16,
    pub(super) ms: Milliseconds,
}

/// How long it took.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Milliseconds {
    pub(super) total: u64,
    pub(super) first_token: Option<u64>,
}

/// Plays `play` on the route `alias` of `document`.
///
/// # Errors
/// The document is not valid, or the sidecar did not answer.
pub(super) fn run(document: &Document, keys: &Keys, alias: &Alias, play: &Play) -> Result<Seen> {
    let lines = Lines::default();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let sidecar = Sidecar::start(Settings::new(any, any, Box::new(lines.clone())))?;
    let document = staged(document, alias, play);
    let tenant = document.tenants.named.keys().next().map(ToString::to_string);
    let snapshot = Snapshot::try_from(document).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the snapshot is not valid: {}", problems.join("; "))
    })?;
    sidecar.apply(snapshot, keys.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(ask(sidecar.listen(), alias, tenant.as_deref(), play.call));
    sidecar.drain(GRACE);
    let has_error_event = memchr::memmem::find(&answer?, b"\"error\"").is_some();
    Ok(Seen { record: lines.record()?, has_error_event })
}

/// The document with this fault alone, and without probes: they may cost.
fn staged(document: &Document, alias: &Alias, play: &Play) -> Document {
    let mut document = document.clone();
    if let Some(route) = document.routes.get_mut(alias) {
        route.faults = play.fault.iter().cloned().collect();
    }
    for partner in document.partners.values_mut() {
        partner.health_check = None;
    }
    document
}

async fn ask(address: SocketAddr, alias: &Alias, tenant: Option<&str>, call: Call) -> Result<Bytes> {
    let (path, body) = match call {
        Call::Chat => (
            "/v1/chat/completions",
            json!({
                "model": alias, "stream": true, "max_tokens": 64,
                "messages": [{"role": "user", "content": "This is a drill. Count from one to ten."}],
            }),
        ),
        Call::Embeddings => ("/v1/embeddings", json!({"model": alias, "input": "this is a drill"})),
    };
    let mut request = Request::post(path).header("host", "drill").header("content-type", "application/json");
    if let Some(tenant) = tenant {
        request = request.header("x-tenant-id", tenant);
    }
    let request = request.body(Full::<Bytes>::from(body.to_string()))?;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        let body = Limited::new(answer.into_body(), limits::ANSWER_BYTES).collect().await;
        drop(sender);
        anyhow::Ok(body.map_err(|error| anyhow!(error))?.to_bytes())
    };
    // The connection does the work while the answer is waited for, and ends with it.
    let (answered, _) = tokio::join!(answered, connection);
    answered
}

/// Where the records of a play go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn record(&self) -> Result<Record> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.split(|byte| *byte == b'\n').next().unwrap_or_default();
        serde_json::from_slice(line).context("the sidecar has written no record")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
