//! A sidecar in this process and a leader that plays what it is told, over real TLS and HTTP/2.
#![cfg(test)]

#[path = "feed/leader.rs"]
mod leader;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use chaperone_protocol::keys::{Credential, Keys};
use chaperone_protocol::snapshot::Version;
use chaperone_protocol::wire::feed::{
    GoAway, GoAwayReason, Health, Held, KeysFor, LeaderFrame, SidecarFrame, Withheld,
};
use chaperone_sidecar::{Feed, Settings, Sidecar};
use serde_json::json;
use tempfile::TempDir;

use leader::Leader;

const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at what changes by itself.
const PACE: Duration = Duration::from_millis(20);

/// A snapshot with one route to a mock that says `text`.
fn document(text: &str) -> Vec<u8> {
    json!({
        "protocol": 1,
        "scope": {"namespace": "shop", "serviceAccount": "checkout"},
        "partners": {"mock": {
            "adapter": "Mock",
            "models": {"m": {}},
            "mock": {"reply": {"Text": text}, "firstTokenDelay": 0, "tokensPerSecond": 1000, "failPercent": 0, "status": 503},
        }},
        "routes": {"chat": {
            "targets": [{"partner": "mock", "model": "m", "weight": 1}],
            "dataClass": "Internal",
            "deadlineMs": 30_000,
        }},
        "tenants": {"named": {"shop": {"quota": "shop/tier"}}},
    })
    .to_string()
    .into_bytes()
}

fn keys(value: &str) -> Keys {
    let mut keys = Keys::default();
    keys.insert("shop/alpha/key".parse().unwrap(), Credential::new(value.as_bytes().to_vec()));
    keys
}

/// What a leader sends for a first configuration, and what the sidecar should say of it.
fn offer(text: &str, value: &str) -> (Vec<LeaderFrame>, Held) {
    let document = document(text);
    let held = Held { snapshot: Version::of(&document), keys: keys(value).version() };
    let keys = LeaderFrame::Keys(KeysFor { snapshot: held.snapshot.clone(), keys: keys(value) });
    (vec![keys, LeaderFrame::Snapshot(document)], held)
}

struct Pod {
    sidecar: Option<Sidecar>,
    state: TempDir,
    feed: Feed,
    data: SocketAddr,
    admin: SocketAddr,
}

impl Pod {
    /// A sidecar that calls `leader`.
    fn of(leader: &Leader) -> Self {
        let state = tempfile::tempdir().unwrap();
        let token = state.path().join("token");
        fs::write(&token, "first-token\n").unwrap();
        let feed = Feed {
            address: leader.address().to_string(),
            server_name: leader::NAME.to_owned(),
            ca: leader.ca().to_owned(),
            token,
            state: state.path().to_owned(),
        };
        let (sidecar, data, admin) = start(&feed);
        Self { sidecar: Some(sidecar), state, feed, data, admin }
    }

    /// Ends it as a crash would, as far as the disk is concerned, and starts another on the same folder.
    fn restart(&mut self) {
        self.sidecar.take().unwrap().drain(Duration::ZERO);
        let (sidecar, data, admin) = start(&self.feed);
        (self.sidecar, self.data, self.admin) = (Some(sidecar), data, admin);
    }

    fn answer(&self) -> String {
        let body = r#"{"model":"chat","messages":[{"role":"user","content":"hello"}]}"#;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        http(self.data, &format!("{head}{body}"))
    }

    fn admin(&self, path: &str) -> String {
        http(self.admin, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.admin("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the metric is there");
        line.trim().parse().unwrap()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(sidecar) = self.sidecar.take() {
            sidecar.drain(Duration::ZERO);
        }
    }
}

fn start(feed: &Feed) -> (Sidecar, SocketAddr, SocketAddr) {
    let any = "127.0.0.1:0".parse().unwrap();
    let settings =
        Settings { feed: Some(feed.clone()), ..Settings::new(any, any, Box::new(std::io::sink())) };
    let sidecar = Sidecar::start(settings).unwrap();
    let (data, admin) = (sidecar.listen(), sidecar.admin());
    (sidecar, data, admin)
}

fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn what_the_leader_sends_is_served_and_acknowledged() {
    let leader = Leader::start();
    let pod = Pod::of(&leader);
    assert!(pod.admin("/readyz").contains("no configuration yet"));
    let mut stream = leader.accept();
    assert_eq!(stream.token(), "first-token");
    let SidecarFrame::Hello(hello) = stream.hear() else { panic!("no greeting") };
    assert_eq!(hello.have, None);
    let (frames, held) = offer("the first", "sk-canary");
    stream.say(1, &frames);
    assert_eq!(stream.hear(), SidecarFrame::Ack(held));
    assert!(pod.answer().contains("the first"));
    assert!(pod.admin("/readyz").contains("200 OK"));
    // Keys alone come into force at once.
    let rotated = KeysFor { snapshot: Version::of(&document("the first")), keys: keys("sk-rotated") };
    stream.say(1, &[LeaderFrame::Keys(rotated)]);
    let expected = Held { snapshot: Version::of(&document("the first")), keys: keys("sk-rotated").version() };
    assert_eq!(stream.hear(), SidecarFrame::Ack(expected));
    // And a snapshot alone keeps them.
    stream.say(1, &[LeaderFrame::Snapshot(document("the second"))]);
    let expected =
        Held { snapshot: Version::of(&document("the second")), keys: keys("sk-rotated").version() };
    assert_eq!(stream.hear(), SidecarFrame::Ack(expected));
    assert!(pod.answer().contains("the second"));
    for page in ["/metrics", "/debug/snapshot"] {
        assert!(!pod.admin(page).contains("sk-"), "{page} shows a key");
    }
}

/// The same, with a mock that fails.
fn failing() -> Vec<u8> {
    String::from_utf8(document("never"))
        .unwrap()
        .replace(r#""failPercent":0"#, r#""failPercent":100"#)
        .into_bytes()
}

#[test]
fn what_is_learned_of_a_partner_is_told_soon_and_again_to_the_next_leader() {
    let leader = Leader::start();
    let pod = Pod::of(&leader);
    let mut stream = leader.accept();
    stream.hear();
    stream.say(1, &[LeaderFrame::Snapshot(failing())]);
    assert!(matches!(stream.hear(), SidecarFrame::Ack(_)));
    for _ in 0..5 {
        pod.answer();
    }
    let refusing = SidecarFrame::Health(Health {
        breakers: [("mock".parse().unwrap(), Withheld::Refusing)].into(),
        ..Health::default()
    });
    assert_eq!(stream.hear(), refusing);
    drop(stream);
    let mut next = leader.accept();
    assert!(matches!(next.hear(), SidecarFrame::Hello(_)));
    assert_eq!(next.hear(), refusing, "the next leader knows nothing of it");
}

#[test]
fn f58_a_snapshot_that_is_not_understood_is_refused_and_the_last_good_one_stays() {
    let leader = Leader::start();
    let pod = Pod::of(&leader);
    let mut stream = leader.accept();
    stream.hear();
    let (frames, held) = offer("the first", "k");
    stream.say(1, &frames);
    assert_eq!(stream.hear(), SidecarFrame::Ack(held.clone()));
    let later = String::from_utf8(document("later")).unwrap();
    let cases = [
        (later.replace(r#""protocol":1"#, r#""protocol":9"#), "protocol"),
        (later.replace(r#""protocol":1"#, r#""protocol":1,"requires":["telepathy"]"#), "requires"),
        (later.replace(r#""weight":1"#, r#""weight":0"#), "routes.chat.targets"),
        (later.replace("Internal", "Secret"), "routes.chat.dataClass"),
    ];
    for (document, path) in cases {
        stream.say(1, &[LeaderFrame::Snapshot(document.clone().into_bytes())]);
        let SidecarFrame::Nack(nack) = stream.hear() else { panic!("it was not refused: {document}") };
        assert_eq!((nack.path.as_str(), nack.version), (path, Version::of(document.as_bytes())));
        assert!(!nack.problem.is_empty());
        assert!(pod.answer().contains("the first"));
    }
    stream.say(1, &[LeaderFrame::Snapshot(document("repaired"))]);
    assert!(matches!(stream.hear(), SidecarFrame::Ack(_)));
    assert!(pod.answer().contains("repaired"));
}

#[test]
fn f60_a_restarted_sidecar_serves_from_its_last_good_copy_with_nobody_there() {
    let leader = Leader::start();
    let mut pod = Pod::of(&leader);
    let mut stream = leader.accept();
    stream.hear();
    let (frames, held) = offer("the last good", "sk-canary");
    stream.say(1, &frames);
    stream.hear();
    drop((stream, leader));
    pod.restart();
    assert!(pod.answer().contains("the last good"));
    assert!(pod.admin("/readyz").contains("200 OK"));
    // It says so when somebody is there again.
    let leader = Leader::start();
    (pod.feed.address, pod.feed.ca) = (leader.address().to_string(), leader.ca().to_owned());
    pod.restart();
    let mut stream = leader.accept();
    let SidecarFrame::Hello(hello) = stream.hear() else { panic!("no greeting") };
    assert_eq!(hello.have, Some(held));
    stream.say(2, &[LeaderFrame::Unchanged]);
    assert!(pod.answer().contains("the last good"));
}

#[test]
fn f60_an_altered_copy_is_not_served() {
    let leader = Leader::start();
    let mut pod = Pod::of(&leader);
    let mut stream = leader.accept();
    stream.hear();
    stream.say(1, &offer("the last good", "k").0);
    stream.hear();
    drop((stream, leader));
    let path = pod.state.path().join("snapshot.json");
    let altered = fs::read_to_string(&path).unwrap().replace("the last good", "the altered one");
    fs::write(&path, altered).unwrap();
    pod.restart();
    assert!(pod.admin("/readyz").contains("no configuration yet"));
    assert!(pod.answer().contains("no_config"));
}

#[test]
fn a_leader_of_the_past_is_not_believed() {
    let leader = Leader::start();
    let pod = Pod::of(&leader);
    let mut stream = leader.accept();
    stream.hear();
    stream.say(8, &offer("of epoch 8", "k").0);
    stream.hear();
    drop(stream);
    let mut stream = leader.accept();
    stream.hear();
    stream.say(7, &[LeaderFrame::Snapshot(document("of epoch 7"))]);
    assert!(stream.ends(), "the sidecar leaves");
    assert!(pod.answer().contains("of epoch 8"));
}

#[test]
fn a_sidecar_that_is_sent_away_returns_and_counts_the_age_meanwhile() {
    let leader = Leader::start();
    let pod = Pod::of(&leader);
    let mut stream = leader.accept();
    stream.hear();
    let away =
        |retry_after_ms| [LeaderFrame::GoAway(GoAway { reason: GoAwayReason::NotLeader, retry_after_ms })];
    stream.say(0, &away(10));
    let mut stream = leader.accept();
    stream.hear();
    stream.say(1, &offer("here", "k").0);
    stream.hear();
    assert_eq!(pod.metric("chaperone_config_age_seconds"), 0);
    stream.say(1, &away(60_000));
    assert!(stream.ends());
    let grows = (0..500).any(|_| {
        std::thread::park_timeout(PACE);
        pod.metric("chaperone_config_age_seconds") > 0
    });
    assert!(grows, "the age does not grow");
    assert!(pod.answer().contains("here"));
}

#[test]
fn an_operator_with_another_authority_is_not_told_the_token() {
    let (ours, other) = (Leader::start(), Leader::start());
    let mut pod = Pod::of(&ours);
    pod.feed.address = other.address().to_string();
    pod.restart();
    assert!(other.refuses_handshakes(), "the sidecar trusts a stranger");
}

/// As the first configuration, and with these authorities of the feed.
fn naming(authorities: &str) -> (Vec<LeaderFrame>, Held) {
    let mut named: serde_json::Value = serde_json::from_slice(&document("hello")).unwrap();
    named["feedCa"] = json!(authorities);
    let document = named.to_string().into_bytes();
    let held = Held { snapshot: Version::of(&document), keys: keys("k").version() };
    let keys = LeaderFrame::Keys(KeysFor { snapshot: held.snapshot.clone(), keys: keys("k") });
    (vec![keys, LeaderFrame::Snapshot(document)], held)
}

#[test]
fn authorities_that_a_snapshot_names_replace_those_of_the_start_and_outlive_it() {
    let mut leader = Leader::start();
    let mut pod = Pod::of(&leader);
    let mut stream = leader.accept();
    assert!(matches!(stream.hear(), SidecarFrame::Hello(_)));
    let old = leader.ca().to_owned();
    leader.change_authority();
    let (frames, held) = naming(&format!("{old}{}", leader.ca()));
    stream.say(1, &frames);
    assert_eq!(stream.hear(), SidecarFrame::Ack(held.clone()));
    drop(stream);
    let has_held = |mut stream: leader::Stream| {
        let SidecarFrame::Hello(hello) = stream.hear() else { panic!("no greeting") };
        assert_eq!(hello.have, Some(held.clone()));
        stream
    };
    drop(has_held(leader.accept()));

    // Its settings still name the old authority alone.
    pod.restart();
    let mut stream = has_held(leader.accept());
    let (frames, _) = naming("no certificate");
    stream.say(1, &frames);
    let SidecarFrame::Nack(nack) = stream.hear() else { panic!("it would never come back") };
    assert_eq!(nack.path, "feedCa");
}
