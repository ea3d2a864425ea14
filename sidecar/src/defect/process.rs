//! A defect in a process of its own: real panics with content on the stack, and all that the process wrote searched.
//!
//! The test runs itself again as a child, because the panic hook and the standard streams belong to a process. What
//! breaks there is the tagger; only a build of tests can be given another one.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use chaperone_protocol::keys::{Credential, Keys};
use chaperone_protocol::snapshot::Snapshot;
use chaperone_redact::{NameFinder, NameSpan};
use serde_json::{Value, json};

use crate::{Settings, Sidecar, log_warnings_to_stderr};

/// Set in the child.
const CHILD: &str = "CHAPERONE_TEST_DEFECT";
const CANARY: &str = "Zoë Canary";
const KEY: &str = "sk-key-of-a-partner";
const FIRST: &str = "Before.";
const PATIENCE: Duration = Duration::from_secs(60);

static CRACKED: OnceLock<Cracked> = OnceLock::new();

/// A tagger that takes a wrong offset in one name. The message of that panic quotes the text.
struct Cracked;

impl NameFinder for Cracked {
    #[expect(clippy::string_slice, reason = "this is the defect")]
    fn find(&self, text: &str, _: f32, _: &mut Vec<NameSpan>) {
        if let Some(at) = text.find(CANARY) {
            black_box(&text[..at + "Zo".len() + 1]);
        }
    }
}

/// The tagger of this process, if it is to break.
pub(crate) fn tagger() -> Option<&'static dyn NameFinder> {
    CRACKED.get().map(|cracked| cracked as &dyn NameFinder)
}

#[test]
fn f49_a_panic_shows_no_prompt_no_answer_and_no_key_in_anything_its_process_writes() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let name = thread::current().name().unwrap().to_owned();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .envs([(CHILD, "1"), ("RUST_BACKTRACE", "full")])
        .output()
        .unwrap();
    let (out, log) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap());
    for (place, text) in [("standard output", &out), ("standard error", &log)] {
        for (what, canary) in [("content", "Canary"), ("content", "Zo"), ("the key", KEY)] {
            assert!(!text.contains(canary), "{what} shows in {place}");
        }
    }
    assert!(run.status.success(), "{log}");
    // What was searched is all there: each panic, both bodies of errors, the records, the metrics.
    assert_eq!(log.matches("thread chaperone-data panicked at").count(), 3, "{log}");
    for reason in ["pii_unscannable", "internal"] {
        assert_eq!(out.matches(&format!("x-chaperone-reason: {reason}\r\n")).count(), 1, "{out}");
    }
    assert!(out.contains(FIRST) && !out.contains("[DONE]"), "{out}");
    assert_eq!(out.matches("\"event\":\"request_").count(), 3, "{out}");
    assert!(out.contains("chaperone_requests_total{"), "{out}");
}

/// Serves three requests: the prompt, a whole answer and a stream break the tagger. Writes what apps and scrapes read.
fn child() {
    log_warnings_to_stderr();
    assert!(CRACKED.set(Cracked).is_ok());
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let sidecar = Sidecar::start(Settings::new(address, address, Box::new(std::io::stdout()))).unwrap();
    let mut keys = Keys::default();
    keys.insert("team/alpha/key".parse().unwrap(), Credential::new(KEY.as_bytes().to_vec()));
    let (arrived, first_words) = channel();
    sidecar.apply(snapshot(partner(first_words)), keys);
    for (streams, words) in [(false, CANARY), (false, "hello"), (true, "hello")] {
        let body =
            json!({"model": "chat", "stream": streams, "messages": [{"role": "user", "content": words}]});
        println!("{}", exchanged(sidecar.listen(), "POST /v1/chat/completions", &body.to_string(), &arrived));
    }
    println!("{}", exchanged(sidecar.admin(), "GET /metrics", "", &arrived));
    sidecar.drain(PATIENCE);
}

fn snapshot(partner: SocketAddr) -> Snapshot {
    let pii = json!({"filter": "Balanced", "responses": {"entities": ["Person"], "action": "Mask"}});
    let document = json!({
        "protocol": 1,
        "scope": {"namespace": "shop", "serviceAccount": "checkout"},
        "partners": {"team/alpha": {
            "adapter": "OpenAI", "endpoint": format!("http://{partner}"), "addresses": "AllowPrivate",
            "credential": "team/alpha/key", "models": {"m": {"capabilities": ["Streaming"]}},
        }},
        "routes": {"chat": {
            "targets": [{"partner": "team/alpha", "model": "m", "weight": 1}], "dataClass": "Public",
            "deadlineMs": 60_000, "pii": {"team/alpha": pii},
        }},
        "tenants": {"named": {"acme": {"quota": "team/quota"}}},
    });
    Snapshot::from_bytes(document.to_string().as_bytes()).unwrap()
}

/// All that comes back. Tells when the partner's first words have.
fn exchanged(address: SocketAddr, what: &str, body: &str, arrived: &Sender<()>) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("{what} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n");
    let message = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(message.as_bytes()).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // A stream whose relay broke is reset or closed: either is its end.
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
        if answer.windows(FIRST.len()).any(|part| part == FIRST.as_bytes()) {
            arrived.send(()).unwrap();
        }
    }
    String::from_utf8(answer).unwrap()
}

/// A partner that says the name, at once or once its `first_words` have arrived; ends with the process.
fn partner(first_words: Receiver<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let name = format!("I am {CANARY}. ");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if request(&mut stream)["stream"] == true {
                let say = |words: &str| {
                    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": words}}]}))
                };
                answer(&mut stream, "text/event-stream", &say(&format!("{FIRST}\n")));
                first_words.recv().unwrap();
                stream.write_all(say(&name).as_bytes()).unwrap();
            } else {
                let message = json!({"role": "assistant", "content": name});
                let whole = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
                answer(&mut stream, "application/json", &whole.to_string());
            }
        }
    });
    address
}

fn answer(stream: &mut TcpStream, kind: &str, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
}

/// The JSON of a request, as soon as it is whole.
fn request(stream: &mut TcpStream) -> Value {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the request is not whole");
        bytes.extend_from_slice(&piece[..read]);
        let head = bytes.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4);
        if let Some(value) = head.and_then(|end| serde_json::from_slice(&bytes[end..]).ok()) {
            return value;
        }
    }
}
