//! A sidecar in this process, partners that play raw bytes over TCP, and a client that reads raw bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::Snapshot;
use chaperone_sidecar::{Settings, Sidecar};
use serde_json::{Value, json};

/// No test waits longer for a byte. Some redact 16 MiB in a build without optimisation, on a machine that does more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what changes by itself.
const PACE: Duration = Duration::from_millis(20);

/// What a partner does with one connection, once it has seen the request's head.
pub(crate) type Play = fn(&mut TcpStream);

/// Starts a partner that plays `play` on every connection; ends with the test's process.
pub(crate) fn partner(play: Play) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = stream;
                stream.set_nodelay(true).unwrap();
                read_head(&mut stream);
                play(&mut stream);
            });
        }
    });
    address
}

fn read_head(stream: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
}

/// Reads until the other side closes.
pub(crate) fn hold(stream: &mut TcpStream) {
    let _ = io::copy(stream, &mut io::sink());
}

/// Lets a little time pass.
pub(crate) fn pace(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PACE)).unwrap();
    let _ = stream.read(&mut [0; 1_024]);
}

/// The head of an event stream that ends with the connection.
pub(crate) const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
/// A chunk with one token.
pub(crate) const TOKEN: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
/// The end of an answer.
pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// An OpenAI partner at `address`, with `timeouts` in ms over the defaults.
pub(crate) fn openai(address: SocketAddr, timeouts: &Value) -> Value {
    let mut limits =
        json!({"connect": 2_000, "firstToken": 5_000, "whole": 5_000, "idle": 5_000, "total": 60_000});
    for (name, value) in timeouts.as_object().unwrap() {
        limits[name] = value.clone();
    }
    json!({
        "adapter": "OpenAI",
        "endpoint": format!("http://{address}"),
        "addresses": "AllowPrivate",
        "models": {"m": {"capabilities": ["Streaming"]}},
        "timeouts": limits,
    })
}

/// A Mock that says `words`.
pub(crate) fn mock(words: &str) -> Value {
    json!({
        "adapter": "Mock",
        "models": {"m": {"capabilities": ["Streaming"]}},
        "mock": {"reply": {"Text": words}, "firstTokenDelay": 0, "tokensPerSecond": 1000, "failPercent": 0, "status": 503},
    })
}

/// Where records go in a test.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn records(&self) -> Vec<Value> {
        let lines = self.0.lock().unwrap();
        lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

/// A sidecar with one route, `chat`.
pub(crate) struct World {
    sidecar: Sidecar,
    lines: Lines,
}

impl World {
    /// `first` serves; where it does not, `second` is asked.
    pub(crate) fn of(first: Value, second: Option<Value>) -> Self {
        Self::with_faults(first, second, &json!([]))
    }

    /// The same on a route that declares `faults`.
    pub(crate) fn with_faults(first: Value, second: Option<Value>, faults: &Value) -> Self {
        let target = |name: &str| json!({"partner": name, "model": "m"});
        let mut route = target("team/first");
        route["weight"] = json!(1);
        let mut partners = json!({"team/first": first});
        if let Some(second) = second {
            partners["team/second"] = second;
            route["fallbacks"] = json!([target("team/second")]);
        }
        let document = json!({
            "protocol": 1,
            "scope": {"namespace": "shop", "serviceAccount": "checkout"},
            "partners": partners,
            "routes": {"chat": {
                "targets": [route], "dataClass": "Public", "deadlineMs": 60_000, "faults": faults,
            }},
            "tenants": {"named": {"acme": {"quota": "team/quota"}}},
        });
        let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let lines = Lines::default();
        let sidecar = Sidecar::start(Settings::new(any, any, Box::new(lines.clone()))).unwrap();
        sidecar.apply(snapshot, Keys::default());
        Self { sidecar, lines }
    }

    /// Sends a request with `body` and gives the connection, unread.
    pub(crate) fn send(&self, path: &str, body: &Value) -> TcpStream {
        self.send_with(path, &[], body)
    }

    /// As [`World::send`], with more header fields.
    pub(crate) fn send_with(&self, path: &str, fields: &[&str], body: &Value) -> TcpStream {
        let body = body.to_string();
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             {fields}content-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = self.connect();
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        stream
    }

    /// Sends a request without a body, and reads the answer.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        read(stream)
    }

    /// What a scrape of the admin port gives.
    pub(crate) fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.sidecar.admin()).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        read(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.sidecar.listen()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Drains within `grace`, and gives all records.
    pub(crate) fn drain(self, grace: Duration) -> Vec<Value> {
        self.sidecar.drain(grace);
        self.lines.records()
    }

    /// All records, as soon as there are `count`.
    pub(crate) fn records(&self, count: usize) -> Vec<Value> {
        let tries = PATIENCE.as_millis() / PACE.as_millis();
        let mut looks = (0..tries).map(|_| {
            thread::park_timeout(PACE);
            self.lines.records()
        });
        looks.find(|records| records.len() >= count).unwrap()
    }
}

/// All that comes until the connection ends.
pub(crate) fn read(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A chat that asks for a stream, or for a whole answer.
pub(crate) fn chat(streams: &Value) -> Value {
    json!({"model": "chat", "stream": streams, "messages": [{"role": "user", "content": "hello"}]})
}
