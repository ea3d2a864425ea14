//! Frames of the first version of the feed, and frames as later versions may write them: both must be understood.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use chaperone_protocol::keys::{Credential, Keys, PseudonymKey};
use chaperone_protocol::limits;
use chaperone_protocol::name::PartnerName;
use chaperone_protocol::snapshot::{Lookup, Snapshot, Version};
use chaperone_protocol::wire::feed::{
    Decoder, GoAway, GoAwayReason, Health, Held, Hello, Hint, InvalidFrame, KeysFor, LeaderFrame, Nack,
    Resting, RestingCause, SidecarFrame, Token, Withheld,
};
use proptest::prelude::*;

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/feed").join(name);
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn json_of(frame: &[u8]) -> String {
    let mut decoder = Decoder::new(limits::LEADER_FRAME_BYTES);
    decoder.push(frame);
    let json = decoder.next_frame().unwrap().unwrap();
    assert_eq!(decoder.next_frame(), Ok(None));
    String::from_utf8(json).unwrap()
}

fn version(letter: char) -> Version {
    letter.to_string().repeat(64).try_into().unwrap()
}

fn held() -> Held {
    Held { snapshot: version('a'), keys: version('b') }
}

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.insert("shop/alpha/key".parse().unwrap(), Credential::new(b"sk-test".to_vec()));
    keys.set_pseudonyms(PseudonymKey::new([7; 32]));
    keys
}

fn resting(cause: RestingCause) -> Resting {
    Resting { cause, remaining_ms: Duration::from_secs(280).into() }
}

fn health() -> Health {
    let hash = Credential::new(b"sk-test".to_vec()).hash();
    let breakers = [("shop/alpha", Withheld::Refusing), ("shop/beta", Withheld::Probing)];
    Health {
        breakers: breakers.map(|(name, state)| (name.parse().unwrap(), state)).into(),
        credentials: [(hash, resting(RestingCause::Credit))].into(),
        pauses: [("shop/alpha".parse().unwrap(), Duration::from_millis(1_500).into())].into(),
    }
}

#[test]
fn f72_frames_of_sidecars_are_as_they_were_at_first() {
    let hello = |have| SidecarFrame::Hello(Hello { protocol: 1, sidecar: "0.1.0".to_owned(), have });
    let nack = Nack {
        version: version('a'),
        path: "routes.chat.targets".to_owned(),
        problem: "has no target with a weight above 0".to_owned(),
    };
    let cases = [
        ("sidecar-hello.json", hello(Some(held()))),
        ("sidecar-hello-new.json", hello(None)),
        ("sidecar-auth.json", SidecarFrame::Auth(Token::new("header.payload.signature\n").unwrap())),
        ("sidecar-ack.json", SidecarFrame::Ack(held())),
        ("sidecar-nack.json", SidecarFrame::Nack(nack)),
        ("sidecar-health.json", SidecarFrame::Health(health())),
        ("sidecar-health-well.json", SidecarFrame::Health(Health::default())),
    ];
    for (name, frame) in cases {
        assert_eq!(json_of(&frame.encode()), golden(name), "{name}");
        assert_eq!(SidecarFrame::decode(golden(name).as_bytes()), Ok(Some(frame)), "{name}");
    }
}

#[test]
fn f72_frames_of_leaders_are_as_they_were_at_first() {
    let document = br#"{"protocol":1,"scope":{"namespace":"shop","serviceAccount":"checkout"}}"#;
    let away = GoAway { reason: GoAwayReason::NotLeader, retry_after_ms: 500 };
    let Health { breakers: _, credentials, pauses } = health();
    let hint = Hint { credentials, pauses };
    let cases = [
        ("leader-keys.json", LeaderFrame::Keys(KeysFor { snapshot: version('a'), keys: keys() })),
        ("leader-snapshot.json", LeaderFrame::Snapshot(document.to_vec())),
        ("leader-unchanged.json", LeaderFrame::Unchanged),
        ("leader-go-away.json", LeaderFrame::GoAway(away)),
        ("leader-hint.json", LeaderFrame::Hint(hint)),
    ];
    for (name, frame) in cases {
        assert_eq!(json_of(&frame.encode(7)), golden(name), "{name}");
        assert_eq!(LeaderFrame::decode(golden(name).as_bytes()), Ok((7, Some(frame))), "{name}");
    }
}

#[test]
fn f72_what_later_versions_add_is_ignored() {
    let hello = SidecarFrame::Hello(Hello { protocol: 9, sidecar: "9.0.0".to_owned(), have: Some(held()) });
    assert_eq!(SidecarFrame::decode(golden("later/sidecar-hello.json").as_bytes()), Ok(Some(hello)));
    assert_eq!(SidecarFrame::decode(golden("later/sidecar-unknown.json").as_bytes()), Ok(None));
    let away = GoAway { reason: GoAwayReason::Unknown, retry_after_ms: 500 };
    let read = LeaderFrame::decode(golden("later/leader-go-away.json").as_bytes());
    assert_eq!(read, Ok((7, Some(LeaderFrame::GoAway(away)))));
    assert_eq!(LeaderFrame::decode(golden("later/leader-unknown.json").as_bytes()), Ok((7, None)));
}

/// What lasts longer than anything may, and why a credential rests that this build does not know, are read as far as
/// they go.
#[test]
fn a_hint_of_a_later_leader_is_bounded_and_understood() {
    let read = LeaderFrame::decode(golden("later/leader-hint.json").as_bytes());
    let Ok((7, Some(LeaderFrame::Hint(hint)))) = read else { panic!("{read:?}") };
    let resting: Vec<_> = hint.credentials.values().collect();
    assert_eq!(resting[0].cause, RestingCause::Credential);
    assert_eq!(resting[0].remaining_ms.duration(), limits::RETRY_AFTER);
    assert_eq!(hint.pauses.values().map(|it| it.duration()).max(), Some(limits::RETRY_AFTER));
}

/// The largest report must fit into a frame, whatever partners are called.
#[test]
fn a_report_on_any_number_of_partners_fits_into_a_frame() {
    let mut large = Health::default();
    for index in 0..2 * limits::HEALTH_ENTRIES {
        let prefix = format!("{index:03}");
        let part = format!("{prefix}{}", "n".repeat(limits::NAME_CHARS - prefix.len()));
        let name: PartnerName = format!("{part}/{part}").parse().unwrap();
        large.breakers.insert(name.clone(), Withheld::Refusing);
        large.pauses.insert(name, limits::RETRY_AFTER.into());
        let hash = Credential::new(prefix.into_bytes()).hash();
        large.credentials.insert(hash, resting(RestingCause::Credential));
    }
    let largest = large.clone().bounded();
    let frame = SidecarFrame::Health(largest.clone()).encode();
    assert!(frame.len() <= limits::SIDECAR_FRAME_BYTES, "{} bytes", frame.len());
    assert_eq!(largest.breakers.len(), limits::HEALTH_ENTRIES);
    // Who sends more all the same is not believed further.
    let read = SidecarFrame::decode(json_of(&SidecarFrame::Health(large).encode()).as_bytes());
    assert_eq!(read, Ok(Some(SidecarFrame::Health(largest))));
}

/// A later operator adds fields at every level; what this build must not overlook stands in `requires`.
#[test]
fn f72_a_later_snapshot_is_served_unless_it_requires_what_is_unknown() {
    let json = golden("later/leader-snapshot.json");
    let Ok((7, Some(LeaderFrame::Snapshot(document)))) = LeaderFrame::decode(json.as_bytes()) else {
        panic!("not a snapshot: {json}")
    };
    let snapshot = Snapshot::from_bytes(&document).unwrap();
    assert!(matches!(snapshot.route("chat"), Lookup::Route(_)));
    let requiring =
        String::from_utf8(document).unwrap().replace(r#"["redaction"]"#, r#"["redaction","telepathy"]"#);
    let refused = Snapshot::from_bytes(requiring.as_bytes()).unwrap_err();
    assert_eq!(refused[0].path, "requires");
    let later = requiring.replace(r#""protocol":1"#, r#""protocol":2"#);
    assert_eq!(Snapshot::from_bytes(later.as_bytes()).unwrap_err()[0].path, "protocol");
}

/// So that a leader holds the one object back that has it, and not the whole snapshot.
#[test]
fn f58_a_value_that_a_later_version_adds_is_refused_by_its_path() {
    let later = |partner: &str, route: &str, tenants: &str| {
        format!(
            r#"{{"protocol":1,"scope":{{"namespace":"shop","serviceAccount":"checkout"}},
            "partners":{{"alpha":{{"adapter":{partner},"models":{{}}}}}},
            "routes":{{"gpt-4.1":{{"dataClass":"Internal","deadlineMs":1,"targets":[{{"partner":"alpha","model":"m","weight":{route}}}]}}}},
            "tenants":{{"named":{{"acme":{{"quota":"shop/tier","maxTokensPerRequest":{tenants}}}}}}}}}"#
        )
    };
    let refused = |text: String| {
        let mut problems = Snapshot::from_bytes(text.as_bytes()).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    };
    let adapter = refused(later(r#""Telepathy""#, "1", "9"));
    assert_eq!(adapter.path, "partners.alpha.adapter");
    assert!(adapter.problem.contains("unknown variant `Telepathy`"), "{adapter}");
    assert_eq!(refused(later(r#""Mock""#, r#""most""#, "9")).path, "routes.gpt-4.1.targets[0].weight");
    let tenant = refused(later(r#""Mock""#, "1", r#""unlimited""#));
    assert_eq!(tenant.path, "tenants.named.acme.maxTokensPerRequest");
    let name = later(r#""Mock""#, "1", "9").replace(r#"{"alpha":"#, r#"{"Alpha Centauri":"#);
    assert_eq!(refused(name).path, "partners.Alpha Centauri");
    // What is no document has no object to blame.
    let broken = later(r#""Mock""#, "1", "9").replace(r#""weight":1"#, r#""weight":"#);
    assert_eq!((refused(broken).path, refused("[]".to_owned()).path), (String::new(), String::new()));
}

/// A later operator's document has fields that this build drops; both sides must still mean the same version.
#[test]
fn a_version_is_of_the_bytes_that_were_sent() {
    let document =
        br#"{"protocol":1,"scope":{"namespace":"shop","serviceAccount":"checkout"},"later":[1, 2]}"#;
    let json = json_of(&LeaderFrame::Snapshot([document.as_slice(), b"\n"].concat()).encode(1));
    let Ok((1, Some(LeaderFrame::Snapshot(received)))) = LeaderFrame::decode(json.as_bytes()) else {
        panic!("not a snapshot: {json}")
    };
    let snapshot = Snapshot::from_bytes(&received).unwrap();
    assert_eq!(*snapshot.version(), Version::of(document));
}

/// The same holds for keys: an acknowledgement names what the operator sent, not what this build kept of it.
#[test]
fn f72_a_version_of_keys_is_of_the_bytes_that_were_sent() {
    let json = golden("later/leader-keys.json");
    let Ok((7, Some(LeaderFrame::Keys(received)))) = LeaderFrame::decode(json.as_bytes()) else {
        panic!("not keys: {json}")
    };
    assert_eq!(received.keys, keys());
    let (_, sent) = json.split_once(r#""keys":"#).unwrap();
    let sent = sent.strip_suffix("}}").unwrap();
    assert_eq!(received.keys.version(), Version::of(sent.as_bytes()));
    assert_ne!(received.keys.version(), keys().version());
}

#[test]
fn a_broken_frame_is_named_by_place_and_not_by_content() {
    let broken = br#"{"type":"Auth","body":{"token":"eyJ-canary"}}"#;
    let error = SidecarFrame::decode(broken).unwrap_err();
    assert!(matches!(&error, InvalidFrame::Body { kind, .. } if kind == "Auth"), "{error:?}");
    let keys = golden("leader-keys.json").replace("c2stdGVzdA==", "canary!");
    let named = LeaderFrame::decode(keys.as_bytes()).unwrap_err();
    for error in [error, named] {
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }
}

#[test]
fn remarks_and_tokens_are_bounded_and_in_one_line() {
    let nack = Nack { version: version('a'), path: String::new(), problem: "é".repeat(5_000) };
    let json = json_of(&SidecarFrame::Nack(nack).encode());
    let Ok(Some(SidecarFrame::Nack(read))) = SidecarFrame::decode(json.as_bytes()) else { panic!("{json}") };
    assert_eq!(read.problem.chars().count(), limits::REMARK_CHARS);
    let nack =
        Nack { version: version('a'), path: "\u{1b}[2J\n".into(), problem: "\u{9b}31mno\u{7f}".into() };
    let json = json_of(&SidecarFrame::Nack(nack).encode());
    let Ok(Some(SidecarFrame::Nack(read))) = SidecarFrame::decode(json.as_bytes()) else { panic!("{json}") };
    assert_eq!((read.path.as_str(), read.problem.as_str()), (" [2J ", " 31mno "), "no terminal obeys it");
    assert!(Token::new(&"x".repeat(limits::TOKEN_BYTES + 1)).is_err());
    assert!(Token::new(" \n").is_err() && Token::new("a\nb").is_err());
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(text in r#"\{"type":"(Hello|Auth|Ack|Nack|Health|Keys|Snapshot|Hint|GoAway)"(,"(body|epoch)":[a-z0-9"{}:\[\],-]{0,30}){0,2}\}"#) {
        let _ = SidecarFrame::decode(text.as_bytes());
        let _ = LeaderFrame::decode(text.as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = SidecarFrame::decode(&bytes);
        let _ = LeaderFrame::decode(&bytes);
        let _ = Keys::from_bytes(&bytes);
    }
}
