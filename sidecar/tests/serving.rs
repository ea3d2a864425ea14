//! One sidecar in this process against partners that misbehave byte by byte: every request ends, and has one record.
#![cfg(test)]

#[path = "serving/brittle.rs"]
mod brittle;
#[path = "serving/faults.rs"]
mod faults;
#[path = "serving/http2.rs"]
mod http2;
#[path = "serving/http2_abuse.rs"]
mod http2_abuse;
#[path = "serving/world.rs"]
mod world;

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use chaperone_protocol::limits;
use serde_json::{Value, json};
use world::{STOP, STREAM, TOKEN, World, chat, hold, mock, openai, pace, partner, read};

const CHAT: &str = "/v1/chat/completions";
const GRACE: Duration = Duration::from_secs(10);

/// The events and reasons of all records.
fn events(records: &[Value]) -> Vec<(&str, &str)> {
    let text = |record: &'_ Value, name: &str| record[name].as_str().unwrap_or_default().to_owned().leak();
    records.iter().map(|record| (&*text(record, "event"), &*text(record, "reason"))).collect()
}

#[test]
fn rule_2_2_pings_without_a_token_fall_back_and_leave_nothing_behind() {
    let pings = partner(|stream| {
        let ping =
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n: abandoned\n\n";
        stream
            .write_all(STREAM.replace("\r\n\r\n", "\r\nx-request-id: abandoned\r\n\r\n").as_bytes())
            .unwrap();
        while stream.write_all(ping.as_bytes()).is_ok() {
            pace(stream);
        }
    });
    let world =
        World::of(openai(pings, &json!({"firstToken": 300})), Some(mock("four words from elsewhere")));
    let answer = read(world.send(CHAT, &chat(&json!(true))));
    assert!(answer.contains("x-chaperone-fallback: first_token_timeout\r\n"), "{answer}");
    assert!(answer.contains("elsewhere") && !answer.contains("abandoned"), "{answer}");
    let records = world.drain(GRACE);
    assert_eq!(events(&records), [("request_served", "")]);
    assert_eq!(records[0]["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn pings_after_the_first_token_of_an_assembled_answer_do_not_stop_idle() {
    let stalls = partner(|stream| {
        stream.write_all([STREAM, TOKEN].concat().as_bytes()).unwrap();
        while stream.write_all(b": ping\n\n").is_ok() {
            pace(stream);
        }
    });
    let first = openai(stalls, &json!({"idle": 300, "total": 8_000}));
    let world = World::of(first, Some(mock("elsewhere")));
    let answer = read(world.send("/v1/infer", &json!({"modelId": "chat", "prompt": "hello"})));
    assert!(answer.contains("x-chaperone-fallback: idle_timeout\r\n"), "{answer}");
    assert_eq!(events(&world.drain(GRACE)), [("request_served", "")]);
}

#[test]
fn an_assembled_answer_ends_with_its_last_event_and_not_with_the_connection() {
    let lingers = partner(|stream| {
        stream.write_all([STREAM, TOKEN, STOP].concat().as_bytes()).unwrap();
        hold(stream);
    });
    let world = World::of(openai(lingers, &json!({"idle": 1_000})), None);
    let answer = read(world.send("/v1/infer", &json!({"modelId": "chat", "prompt": "hello"})));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(events(&world.drain(GRACE)), [("request_served", "")]);
}

#[test]
fn an_empty_completion_ends_with_its_last_event_and_not_with_the_connection() {
    let lingers = partner(|stream| {
        stream.write_all([STREAM, STOP].concat().as_bytes()).unwrap();
        hold(stream);
    });
    let world = World::of(openai(lingers, &json!({"firstToken": 1_000})), None);
    let answer = read(world.send(CHAT, &chat(&json!(true))));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("[DONE]"), "{answer}");
    assert_eq!(events(&world.drain(GRACE)), [("request_served", "")]);
}

#[test]
fn a_break_before_the_commit_point_is_a_protocol_failure() {
    let breaks = partner(|stream| {
        pace(stream); // Reads the request's body: closing with bytes unread would be a reset.
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n";
        stream.write_all([head, r#"{"choices":[{"index":0"#].concat().as_bytes()).unwrap();
    });
    let streams = partner(|stream| {
        pace(stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 4000\r\n\r\n";
        stream.write_all([head, ": soon\n\n"].concat().as_bytes()).unwrap();
    });
    for (address, mode) in [(breaks, false), (streams, true)] {
        let world = World::of(openai(address, &json!({})), None);
        let answer = read(world.send(CHAT, &chat(&json!(mode))));
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert!(answer.contains("x-chaperone-reason: partner_protocol\r\n"), "{answer}");
    }
}

#[test]
fn a_burst_of_small_tokens_is_no_slow_reader() {
    let bursts = partner(|stream| {
        stream.write_all([STREAM, &TOKEN.repeat(20_000), STOP].concat().as_bytes()).unwrap();
        hold(stream);
    });
    let world = World::of(openai(bursts, &json!({})), None);
    let answer = read(world.send(CHAT, &chat(&json!(true))));
    assert_eq!(answer.matches("\"content\":\"a\"").count(), 20_000);
    assert_eq!(events(&world.drain(GRACE)), [("request_served", "")]);
}

#[test]
fn a_slow_reader_loses_its_own_stream_alone_and_can_tell_that_it_did() {
    let floods = partner(|stream| {
        stream.write_all(STREAM.as_bytes()).unwrap();
        let tokens = TOKEN.repeat(1_000);
        while stream.write_all(tokens.as_bytes()).is_ok() {}
    });
    let world = World::of(openai(floods, &json!({})), None);
    let mut slow = world.send(CHAT, &chat(&json!(true)));
    let mut reader = world.send(CHAT, &chat(&json!(true)));
    let mut bytes = vec![0; 1 << 20];
    reader.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200"));
    drop(reader);
    world.records(2);
    let mut cut = Vec::new();
    let _ = slow.read_to_end(&mut cut); // Reset or closed: either is an end that HTTP does not take for the answer's.
    assert!(!cut.ends_with(b"\r\n0\r\n\r\n"), "what came seems to be all there is");
    assert_eq!(events(&world.drain(GRACE)), [("client_gone", ""), ("client_gone", "")]);
}

#[test]
fn an_app_that_leaves_is_charged_for_what_its_partner_had_sent() {
    let pauses = partner(|stream| {
        pace(stream); // Reads the request's body.
        stream.write_all([STREAM, TOKEN].concat().as_bytes()).unwrap();
        pace(stream);
        stream.write_all(TOKEN.repeat(49).as_bytes()).unwrap();
        stream.set_read_timeout(None).unwrap();
        hold(stream);
    });
    let mut partner = openai(pauses, &json!({}));
    partner["protection"] = json!({"cancelBilling": "Partial"});
    let world = World::of(partner, None);
    let mut stream = world.send(CHAT, &chat(&json!(true)));
    let mut seen = Vec::new();
    while seen.windows(13).filter(|part| part == b"\"content\":\"a\"").count() < 50 {
        let mut bytes = [0; 4_096];
        let read = stream.read(&mut bytes).unwrap();
        seen.extend_from_slice(&bytes[..read]);
    }
    drop(stream);
    let records = world.records(1);
    assert_eq!(
        (&records[0]["event"], &records[0]["tokens"]["known"]),
        (&json!("client_gone"), &json!("estimated"))
    );
    assert!(records[0]["tokens"]["output"].as_u64().unwrap() >= 50, "{}", records[0]["tokens"]);
}

#[test]
fn a_partner_that_does_not_read_the_request_is_left_at_idle() {
    let deaf = partner(|_| std::thread::park());
    let world = World::of(openai(deaf, &json!({"idle": 500, "total": 8_000})), Some(mock("elsewhere")));
    let mut request = chat(&json!(true));
    request["messages"][0]["content"] = json!("x".repeat(16 << 20));
    let answer = read(world.send(CHAT, &request));
    assert!(answer.contains("x-chaperone-fallback: idle_timeout\r\n"), "{answer}");
    assert_eq!(events(&world.drain(GRACE)), [("request_served", "")]);
}

#[test]
fn the_same_target_asked_twice_is_no_fallback() {
    let old = partner(|stream| {
        let refusal = r#"{"error":{"message":"unknown field stream_options"}}"#;
        let mut seen = vec![0; 64 << 10];
        let read = stream.read(&mut seen).unwrap();
        let answer = if seen[..read].windows(14).any(|part| part == b"stream_options") {
            format!(
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{refusal}",
                refusal.len()
            )
        } else {
            [STREAM, TOKEN, STOP].concat()
        };
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let world = World::of(openai(old, &json!({})), None);
    let answer = read(world.send(CHAT, &chat(&json!(true))));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("x-chaperone-fallback"), "{answer}");
}

#[test]
fn a_first_target_that_was_passed_over_is_named_as_the_reason_of_the_fallback() {
    let nobody = partner(hold);
    let mut first = openai(nobody, &json!({}));
    first["credential"] = json!("team/secret/key");
    let world = World::of(first, Some(mock("elsewhere")));
    let answer = read(world.send(CHAT, &chat(&json!(false))));
    assert!(answer.contains("x-chaperone-fallback: credential_missing\r\n"), "{answer}");
    assert!(answer.contains("x-chaperone-attempts: 1\r\n"), "{answer}");
}

#[test]
fn draining_delivers_a_whole_answer_to_a_slow_reader() {
    const BODY: usize = 24 << 20;
    let large = partner(|stream| {
        let text = "y".repeat(BODY);
        let body = format!(r#"{{"choices":[{{"index":0,"message":{{"content":"{text}"}}}}]}}"#);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all([head, body].concat().as_bytes()).unwrap();
        hold(stream);
    });
    let world = World::of(openai(large, &json!({})), None);
    let mut stream = world.send(CHAT, &chat(&json!(false)));
    let mut start = [0; 16];
    stream.read_exact(&mut start).unwrap();
    let (ended, records) = mpsc::channel();
    std::thread::spawn(move || ended.send(world.drain(GRACE)).unwrap());
    assert!(
        records.recv_timeout(Duration::from_millis(1_500)).is_err(),
        "ended before the app had its answer"
    );
    assert!(read(stream).len() > BODY);
    assert_eq!(events(&records.recv_timeout(GRACE).unwrap()), [("request_served", "")]);
}

#[test]
fn announced_bytes_take_no_memory_from_others_before_they_arrive() {
    let world = World::of(mock("hello"), None);
    let announce = |bytes: usize| {
        let mut stream = world.connect();
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
        write!(stream, "{head}content-length: {bytes}\r\n\r\n{{").unwrap();
        stream
    };
    let many = limits::BODY_MEMORY_BYTES / limits::BODY_BYTES + 1;
    let _waiting: Vec<_> = (0..many).map(|_| announce(limits::BODY_BYTES)).collect();
    let answer = read(world.send(CHAT, &chat(&json!(false))));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn an_alias_may_be_percent_encoded_in_a_path() {
    let world = World::of(mock("hello"), None);
    let answer = world.get("/v1/models/c%68at");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"id\":\"chat\""), "{answer}");
    assert!(world.get("/v1/models/c%6").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_request_has_one_host_and_a_list_a_head() {
    let world = World::of(mock("hello"), None);
    let ask = |head: &str| {
        let mut stream = world.connect();
        write!(stream, "{head}connection: close\r\n\r\n").unwrap();
        read(stream)
    };
    for hosts in ["", "host: a\r\nhost: b\r\n"] {
        let answer = ask(&format!("GET /v1/models HTTP/1.1\r\n{hosts}"));
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("invalid_request"),
            "{hosts:?}: {answer}"
        );
    }
    assert!(ask("GET /v1/models HTTP/1.0\r\n").starts_with("HTTP/1.0 200"));
    let head = ask("HEAD /v1/models HTTP/1.1\r\nhost: a\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn a_deadline_that_is_no_number_is_refused() {
    let world = World::of(mock("hello"), None);
    let answer = read(world.send_with(CHAT, &["x-chaperone-deadline: 10s"], &chat(&json!(false))));
    assert!(answer.starts_with("HTTP/1.1 400"));
    assert_eq!(events(&world.drain(GRACE)), [("request_refused", "invalid_request")]);
}

#[test]
fn rule_2_6_an_sdk_that_hangs_up_after_a_second_is_refused_by_then_and_only_if_it_wants_the_whole() {
    let silent = partner(|stream| {
        if stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok() {
            hold(stream);
        }
    });
    let patience = json!({"connect": 300, "firstToken": 1_500, "whole": 8_000});
    let world = World::of(openai(silent, &patience), Some(mock("elsewhere")));
    let hasty = ["x-stainless-timeout: 1"];
    let whole = read(world.send_with(CHAT, &hasty, &chat(&json!(false))));
    assert!(whole.starts_with("HTTP/1.1 504") && whole.contains("x-chaperone-reason: deadline"), "{whole}");
    let stream = read(world.send_with(CHAT, &hasty, &chat(&json!(true))));
    assert!(stream.contains("x-chaperone-fallback: first_token_timeout\r\n"), "{stream}");
    assert_eq!(events(&world.drain(GRACE)), [("request_refused", "deadline"), ("request_served", "")]);
}

#[test]
fn a_panic_is_one_refusal_and_the_sidecar_lives_on() {
    tracing::subscriber::set_global_default(brittle::Brittle).unwrap();
    let plain = partner(hold);
    let mut first = openai(plain, &json!({"connect": 200}));
    first["endpoint"] = json!(format!("https://{plain}")); // Whose handshake it never answers.
    let world = World::of(first, Some(mock("elsewhere")));
    for _ in 0..2 {
        let answer = read(world.send(CHAT, &chat(&json!(false))));
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert!(answer.contains("x-chaperone-reason: internal\r\n"), "{answer}");
        assert!(answer.contains("x-request-id: ") && answer.contains("\"error\""), "{answer}");
    }
    assert!(world.get("/v1/models").starts_with("HTTP/1.1 200"));
    let refused = ("request_refused", "internal");
    assert_eq!(events(&world.drain(GRACE)), [refused, refused, ("request_served", "")]);
}
