//! Declared faults through real dialects: what the app sees, what the partner sees, what the record says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{STOP, STREAM, TOKEN, World, chat, mock, openai, read};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const GRACE: Duration = Duration::from_secs(10);
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10}}\n\n";
const ANTHROPIC: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"one\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"two\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"three\"}}\n\n\
    event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":3}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// A healthy partner, and how many requests have reached it.
fn healthy(answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arrived = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&arrived);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = vec![0; 64 << 10];
            if stream.read(&mut head).unwrap_or(0) > 0 {
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    (address, arrived)
}

/// The dialects that a partner may have: its manifest, and the path of an app that speaks the same.
fn partner_of(dialect: &str) -> (Value, Arc<AtomicUsize>, &'static str) {
    let limits = json!({"firstToken": 400, "idle": 2_000});
    if dialect == "OpenAI" {
        let (address, arrived) = healthy(
            [STREAM, TOKEN, TOKEN, TOKEN, &STOP.replace("data: [DONE]", &format!("{USAGE}data: [DONE]"))]
                .concat(),
        );
        return (openai(address, &limits), arrived, CHAT);
    }
    let (address, arrived) = healthy([STREAM, ANTHROPIC].concat());
    let mut partner = openai(address, &limits);
    partner["adapter"] = json!("Anthropic");
    (partner, arrived, MESSAGES)
}

fn ask(world: &World, path: &str) -> String {
    let mut body = chat(&json!(true));
    body["max_tokens"] = json!(100);
    read(world.send(path, &body))
}

#[test]
fn rule_11_1_each_kind_that_strikes_before_a_token_falls_back_as_the_real_fault_would() {
    let kinds = [
        // The kind, why the first target did not serve, and how many requests may reach its partner.
        (json!({"kind": "StallFirstToken", "delayMs": 60_000}), "first_token_timeout", 0),
        (json!({"kind": "Delay", "delayMs": 60_000}), "first_token_timeout", 0),
        (json!({"kind": "Status", "status": 503}), "partner_error", 0),
        (json!({"kind": "Status", "status": 429, "retryAfterMs": 1_500}), "partner_rate_limited", 0),
        (json!({"kind": "Status", "status": 529}), "partner_overloaded", 0),
        (json!({"kind": "Abort"}), "partner_unavailable", 0),
        (json!({"kind": "MalformedSse", "tokens": 0}), "partner_protocol", 1),
        (json!({"kind": "CutAfterTokens", "tokens": 0}), "partner_protocol", 1),
    ];
    for dialect in ["OpenAI", "Anthropic"] {
        for (mut fault, reason, most) in kinds.clone() {
            fault["percent"] = json!(100);
            let (first, arrived, path) = partner_of(dialect);
            let world = World::with_faults(first, Some(mock("elsewhere")), &json!([fault]));
            let answer = ask(&world, path);
            let context = format!("{dialect} {fault}: {answer}");
            assert!(answer.contains(&format!("x-chaperone-fallback: {reason}\r\n")), "{context}");
            let kind = fault["kind"].as_str().unwrap();
            assert!(answer.contains(&format!("x-chaperone-fault: {kind}\r\n")), "{context}");
            assert!(answer.contains("elsewhere") && !answer.contains("three"), "{context}");
            assert!(arrived.load(Ordering::SeqCst) <= most, "{context}");
            let metrics = world.metrics();
            let counted = format!(
                "chaperone_faults_injected_total{{alias=\"chat\",kind=\"{kind}\",partner=\"team/first\"}}"
            );
            assert!(metrics.contains(&counted), "{metrics}");
            assert!(
                metrics.contains("chaperone_attempts_total{outcome=\"injected\",partner=\"team/first\"}"),
                "{metrics}"
            );
            let records = world.drain(GRACE);
            assert_eq!(records[0]["fault"], *kind);
            assert_eq!(records[0]["attempts"][0]["injected"], true);
            assert_eq!(records[0]["attempts"].as_array().unwrap().last().unwrap().get("injected"), None);
        }
    }
}

#[test]
fn a_cut_and_a_malformed_frame_after_the_commit_point_end_in_an_error_event() {
    for dialect in ["OpenAI", "Anthropic"] {
        for kind in ["CutAfterTokens", "MalformedSse"] {
            let fault = json!({"percent": 100, "kind": kind, "tokens": 2});
            let (first, arrived, path) = partner_of(dialect);
            let world = World::with_faults(first, Some(mock("elsewhere")), &json!([fault]));
            let answer = ask(&world, path);
            assert!(!answer.contains("x-chaperone-fallback") && !answer.contains("elsewhere"), "{answer}");
            assert!(
                answer.contains("error") && !answer.contains("[DONE]") && !answer.contains("message_stop"),
                "{answer}"
            );
            assert!(!answer.contains("three"), "{answer}");
            assert_eq!(arrived.load(Ordering::SeqCst), 1);
            let records = world.drain(GRACE);
            let (ending, reason) = (&records[0]["ending"], &records[0]["reason"]);
            assert_eq!((ending, reason), (&json!("broken"), &json!("partner_protocol")));
        }
    }
}

#[test]
fn a_wrong_count_of_tokens_is_neither_passed_on_nor_believed() {
    for dialect in ["OpenAI", "Anthropic"] {
        for usage in ["Missing", "Huge"] {
            let (first, _, path) = partner_of(dialect);
            let faults = json!([{"percent": 100, "kind": "WrongUsage", "usage": usage}]);
            let world = World::with_faults(first, None, &faults);
            let answer = ask(&world, path);
            assert!(answer.contains("x-chaperone-fault: WrongUsage\r\n"), "{answer}");
            let record = &world.drain(GRACE)[0];
            assert_eq!(record["tokens"]["known"], "estimated", "{dialect} {usage}: {record}");
            assert!(record["tokens"]["output"].as_u64().unwrap() < 100, "{record}");
        }
    }
}

#[test]
fn a_stall_that_ends_in_time_is_served_late_and_pings_meanwhile() {
    for dialect in ["OpenAI", "Anthropic"] {
        let (mut first, arrived, path) = partner_of(dialect);
        first["timeouts"]["firstToken"] = json!(10_000);
        let faults = json!([{"percent": 100, "kind": "StallFirstToken", "delayMs": 1_300}]);
        let world = World::with_faults(first, None, &faults);
        let answer = ask(&world, path);
        assert!(answer.contains("ping") && answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("[DONE]") || answer.contains("message_stop"), "{answer}");
        assert_eq!(arrived.load(Ordering::SeqCst), 1);
        let record = &world.drain(GRACE)[0];
        assert_eq!(record["ending"], "complete");
        assert!(record["ms"]["first_token"].as_u64().unwrap() >= 1_300, "{record}");
    }
}

#[test]
fn a_fault_strikes_the_target_that_a_request_begins_with_or_the_partner_that_it_names() {
    let (first, arrived, path) = partner_of("OpenAI");
    let faults = json!([{"percent": 100, "kind": "Abort", "partner": "team/second"}]);
    let world = World::with_faults(first, Some(mock("elsewhere")), &faults);
    let answer = ask(&world, path);
    assert!(answer.contains("[DONE]") && !answer.contains("x-chaperone-fault:"), "{answer}");
    assert_eq!(arrived.load(Ordering::SeqCst), 1);
    let mut lost = mock("nowhere");
    lost["mock"]["failPercent"] = json!(100);
    let world = World::with_faults(lost, Some(mock("elsewhere")), &faults);
    let answer = ask(&world, path);
    assert!(
        answer.starts_with("HTTP/1.1 502") && answer.contains("x-chaperone-fault: Abort\r\n"),
        "{answer}"
    );
    let records = world.drain(GRACE);
    // The first one was asked twice before.
    assert_eq!(records[0]["attempts"][2]["injected"], true);
}

#[test]
fn rule_11_4_no_app_can_cause_a_fault() {
    let (first, _, path) = partner_of("OpenAI");
    let faults = json!([
        {"percent": 0, "kind": "Abort"},
        {"percent": 100, "kind": "Status", "status": 503, "window": {"startMs": 1, "endMs": 2}},
    ]);
    let world = World::with_faults(first, Some(mock("elsewhere")), &faults);
    let body = chat(&json!(true)).to_string();
    for number in 0..50 {
        let mut stream = world.connect();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             x-request-id: app-{number}\r\nx-chaperone-fault: Abort\r\nx-chaperone-faults: 100\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let answer = read(stream);
        assert!(answer.contains("[DONE]") && !answer.contains("x-chaperone-fault:"), "{answer}");
    }
}

#[test]
fn a_mock_plays_every_kind_too() {
    let kinds = [
        (json!({"kind": "StallFirstToken", "delayMs": 60_000}), "first_token_timeout"),
        (json!({"kind": "Delay", "delayMs": 60_000}), "first_token_timeout"),
        (json!({"kind": "Status", "status": 503}), "partner_error"),
        (json!({"kind": "Abort"}), "partner_unavailable"),
        (json!({"kind": "MalformedSse", "tokens": 0}), "partner_protocol"),
        (json!({"kind": "CutAfterTokens", "tokens": 0}), "partner_protocol"),
    ];
    for (mut fault, reason) in kinds {
        fault["percent"] = json!(100);
        let mut first = mock("one two three");
        first["timeouts"] =
            json!({"connect": 2_000, "firstToken": 300, "whole": 5_000, "idle": 5_000, "total": 60_000});
        let world = World::with_faults(first, Some(mock("elsewhere")), &json!([fault]));
        let answer = ask(&world, CHAT);
        assert!(answer.contains(&format!("x-chaperone-fallback: {reason}\r\n")), "{fault}: {answer}");
    }
    let faults = json!([{"percent": 100, "kind": "CutAfterTokens", "tokens": 2}]);
    let world = World::with_faults(mock("one two three"), None, &faults);
    let answer = ask(&world, CHAT);
    assert!(
        answer.contains("two") && !answer.contains("three") && answer.contains("partner_protocol"),
        "{answer}"
    );
}
