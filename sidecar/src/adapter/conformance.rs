//! The contract, tried on every adapter: who it says it is, what it answers whole and streamed, how each of its errors
//! is understood, whether it is there, and whether its schemas are true.
//!
//! A new adapter says here how its partner words the same answer and the same errors; the rest is common.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use chaperone_protocol::adapter::{Adapter, Dialect};
use chaperone_protocol::keys::Keys;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::Snapshot;
use chaperone_protocol::units::Tokens;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::mock::MockScript;
use super::{get_schema, health_check, infer, provider_id};
use crate::dialect::infer::conforms;
use crate::exchange::testing::{Setup, in_turns};
use crate::exchange::{Answer, Exchange, Mode};
use crate::gate::Gates;
use crate::live::{Live, World};
use crate::metrics::Metrics;
use crate::outbound::network::Network;

/// What the app asks, and what every partner answers: the Mock by repeating it.
const WORDS: &str = "Grüße to everyone";

/// A partner's answer in the words of its API.
fn wire(dialect: Dialect, mode: Mode) -> String {
    match (dialect, mode) {
        (Dialect::OpenAi, Mode::Whole) => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "served-1",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
        })
        .to_string(),
        (Dialect::OpenAi, Mode::Stream) => {
            let choice = |delta: Value, finish: Value| {
                json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "served-1",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            };
            let usage = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "served-1",
                "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}});
            let (first, rest) = WORDS.split_once(' ').unwrap();
            let chunks = [
                choice(json!({"role": "assistant", "content": first}), Value::Null),
                choice(json!({"content": format!(" {rest}")}), Value::Null),
                choice(json!({}), json!("stop")),
                usage,
            ];
            chunks.map(|chunk| format!("data: {chunk}\n\n")).concat() + "data: [DONE]\n\n"
        }
        (Dialect::Anthropic, Mode::Whole) => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "served-1",
            "content": [{"type": "text", "text": WORDS}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 11, "output_tokens": 5},
        })
        .to_string(),
        (Dialect::Anthropic, Mode::Stream) => {
            let (first, rest) = WORDS.split_once(' ').unwrap();
            let delta = |text: String| {
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
            };
            let events = [
                json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
                    "model": "served-1", "content": [], "usage": {"input_tokens": 11, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                delta(first.to_owned()),
                delta(format!(" {rest}")),
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
                json!({"type": "message_stop"}),
            ];
            events.map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).concat()
        }
        (Dialect::Neutral, _) => panic!("the Mock has a script, and no wire"),
    }
}

/// Every class of error, as an adapter's API words it; `None` where it has no words for one.
fn error(dialect: Dialect, reason: Reason) -> Option<(u16, Value)> {
    let openai = |code: &str| json!({"error": {"message": "m", "type": "t", "param": null, "code": code}});
    let anthropic =
        |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    Some(match (dialect, reason) {
        (Dialect::OpenAi, Reason::PartnerError) => (500, openai("server_error")),
        (Dialect::OpenAi, Reason::PartnerOverloaded) => (503, openai("slow_down")),
        (Dialect::OpenAi, Reason::PartnerRateLimited) => (429, openai("rate_limit_exceeded")),
        (Dialect::OpenAi, Reason::PartnerCredit) => (429, openai("insufficient_quota")),
        (Dialect::OpenAi, Reason::PartnerCredential) => (401, openai("invalid_api_key")),
        (Dialect::OpenAi, Reason::PartnerModel) => (404, openai("model_not_found")),
        (Dialect::OpenAi, Reason::PartnerRejected) => (400, openai("invalid_value")),
        (Dialect::OpenAi, Reason::ContextLength) => (400, openai("context_length_exceeded")),
        (Dialect::OpenAi, Reason::ContentPolicy) => (400, openai("content_policy_violation")),
        (Dialect::Anthropic, Reason::PartnerError) => (500, anthropic("api_error", "m")),
        (Dialect::Anthropic, Reason::PartnerOverloaded) => (529, anthropic("overloaded_error", "m")),
        (Dialect::Anthropic, Reason::PartnerRateLimited) => (429, anthropic("rate_limit_error", "m")),
        (Dialect::Anthropic, Reason::PartnerCredit) => (402, anthropic("billing_error", "m")),
        (Dialect::Anthropic, Reason::PartnerCredential) => (401, anthropic("authentication_error", "m")),
        (Dialect::Anthropic, Reason::PartnerModel) => (404, anthropic("not_found_error", "model: m")),
        (Dialect::Anthropic, Reason::PartnerRejected) => (400, anthropic("invalid_request_error", "m")),
        (Dialect::Anthropic, Reason::ContextLength) => {
            (400, anthropic("invalid_request_error", "prompt is too long: 200001 tokens > 200000 maximum"))
        }
        (Dialect::Anthropic, Reason::ContentPolicy) => {
            (400, anthropic("invalid_request_error", "Output blocked by content filtering policy"))
        }
        // A status is all that a Mock says.
        (Dialect::Neutral, Reason::PartnerError) => (503, Value::Null),
        (Dialect::Neutral, Reason::PartnerOverloaded) => (529, Value::Null),
        (Dialect::Neutral, Reason::PartnerRateLimited) => (429, Value::Null),
        (Dialect::Neutral, Reason::PartnerCredit) => (402, Value::Null),
        (Dialect::Neutral, Reason::PartnerCredential) => (401, Value::Null),
        (Dialect::Neutral, Reason::PartnerModel) => (404, Value::Null),
        (Dialect::Neutral, Reason::PartnerRejected) => (400, Value::Null),
        (Dialect::Neutral, _) => return None,
        (Dialect::OpenAi | Dialect::Anthropic, other) => panic!("{} is no class of error", other.code()),
    })
}

const ERRORS: [Reason; 9] = [
    Reason::PartnerError,
    Reason::PartnerOverloaded,
    Reason::PartnerRateLimited,
    Reason::PartnerCredit,
    Reason::PartnerCredential,
    Reason::PartnerModel,
    Reason::PartnerRejected,
    Reason::ContextLength,
    Reason::ContentPolicy,
];

/// Every way to ask a chat model, and how the words are found in what the app gets.
const ASKS: [(ClientApi, Mode); 5] = [
    (ClientApi::Infer, Mode::Whole),
    (ClientApi::ChatCompletions, Mode::Whole),
    (ClientApi::ChatCompletions, Mode::Stream),
    (ClientApi::Messages, Mode::Whole),
    (ClientApi::Messages, Mode::Stream),
];

fn request(api: ClientApi, mode: Mode) -> String {
    let streams = mode == Mode::Stream;
    let messages = json!([{"role": "user", "content": WORDS}]);
    match api {
        ClientApi::Infer => json!({"modelId": "fast", "prompt": WORDS}),
        ClientApi::Messages => {
            json!({"model": "fast", "max_tokens": 9, "messages": messages, "stream": streams})
        }
        _ => json!({"model": "fast", "messages": messages, "stream": streams}),
    }
    .to_string()
}

fn words(api: ClientApi, mode: Mode, seen: &str) -> String {
    let parsed: Vec<Value> = match mode {
        Mode::Whole => vec![serde_json::from_str(seen).unwrap()],
        Mode::Stream => {
            let data = seen.lines().filter_map(|line| line.strip_prefix("data: "));
            data.filter_map(|data| serde_json::from_str(data).ok()).collect()
        }
    };
    let place = match (api, mode) {
        (ClientApi::Infer, _) => "/content",
        (ClientApi::Messages, Mode::Whole) => "/content/0/text",
        (ClientApi::Messages, Mode::Stream) => "/delta/text",
        (_, Mode::Whole) => "/choices/0/message/content",
        (_, Mode::Stream) => "/choices/0/delta/content",
    };
    parsed.iter().filter_map(|value| value.pointer(place)?.as_str()).collect()
}

/// What the app gets where its partner answers as its API says, a few bytes at a time.
fn served(setup: &Setup) -> (String, Answer) {
    let mut out = VecDeque::new();
    let answer = match infer(&setup.ask()).unwrap().exchange {
        Exchange::Partner(outgoing, mut answer) => {
            let content_type =
                if outgoing.mode == Mode::Stream { "text/event-stream" } else { "application/json" };
            let headers =
                HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            answer.head(StatusCode::OK, &headers).unwrap();
            let bytes = wire(setup.target.partner.adapter.dialect(), outgoing.mode);
            for piece in bytes.as_bytes().chunks(7) {
                answer.push(Bytes::copy_from_slice(piece), &mut out).unwrap();
            }
            answer
        }
        Exchange::Mock(MockScript::Events(moments), mut answer) => {
            for (_, events) in moments {
                answer.events(&events, &mut out).unwrap();
            }
            answer
        }
        other => panic!("{other:?}"),
    };
    let mut answer = answer;
    in_turns(answer.end(&mut out)).0.unwrap();
    (String::from_utf8(Vec::from(out).concat()).unwrap(), answer)
}

#[test]
fn the_provider_is_known_by_its_partners_name() {
    for adapter in Adapter::ALL {
        let setup = Setup::new(ClientApi::Infer, adapter, &request(ClientApi::Infer, Mode::Whole));
        assert_eq!(provider_id(&setup.target.partner).as_str(), "partner-alpha");
        let told: Value = serde_json::from_str(&served(&setup).0).unwrap();
        assert_eq!(told["metadata"]["partner"], "partner-alpha", "{}", adapter.as_str());
    }
}

#[test]
fn an_answer_says_the_same_whole_and_streamed_to_every_client() {
    for adapter in Adapter::ALL {
        for (api, mode) in ASKS {
            let case = format!("{} {mode:?} of {}", api.path(), adapter.as_str());
            let (seen, answer) = served(&Setup::new(api, adapter, &request(api, mode)));
            assert_eq!(words(api, mode, &seen), WORDS, "{case}: {seen}");
            let progress = answer.progress();
            assert!(progress.finished && progress.drift.is_empty(), "{case}: {:?}", progress.drift);
            let tokens = if adapter == Adapter::Mock { (3, 3) } else { (11, 5) };
            let counted = (progress.usage.prompt, progress.usage.output);
            assert_eq!(counted, (Some(Tokens(tokens.0)), Some(Tokens(tokens.1))), "{case}");
        }
    }
}

#[test]
fn every_class_of_error_is_understood_and_told_to_no_stranger() {
    for adapter in Adapter::ALL {
        for reason in ERRORS {
            let Some((status, body)) = error(adapter.dialect(), reason) else { continue };
            for (api, mode) in ASKS {
                let setup = Setup::new(api, adapter, &request(api, mode));
                let (Exchange::Partner(_, answer) | Exchange::Mock(_, answer)) =
                    infer(&setup.ask()).unwrap().exchange
                else {
                    panic!("answered here")
                };
                let status = StatusCode::from_u16(status).unwrap();
                let failure = answer.failure(status, &HeaderMap::new(), body.to_string().as_bytes());
                assert_eq!(failure.reason, reason, "{status} of {} on {}", adapter.as_str(), api.path());
                let is_the_apps =
                    matches!(reason, Reason::PartnerRejected | Reason::ContextLength | Reason::ContentPolicy);
                assert_eq!(failure.message.is_some(), is_the_apps, "{}", reason.code());
            }
        }
    }
}

/// How a partner answers its health path.
type Play = fn(&mut std::net::TcpStream);

/// A world with one partner, `team/alpha`, that plays `play` on every connection.
fn world(adapter: Adapter, play: Play) -> Arc<World> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4_096]);
            play(&mut stream);
        }
    });
    let mut partner = json!({"adapter": adapter.as_str(), "models": {"m": {}}});
    if adapter == Adapter::Mock {
        partner["mock"] = json!({"reply": "Echo", "firstTokenDelay": 0, "tokensPerSecond": 0, "failPercent": 0, "status": 503});
    } else {
        partner["endpoint"] = json!(format!("http://{address}"));
        partner["addresses"] = json!("AllowPrivate");
        partner["healthCheck"] = json!({"path": "/health", "interval": 60_000});
        partner["timeouts"] =
            json!({"connect": 200, "firstToken": 200, "whole": 1_000, "idle": 1_000, "total": 2_000});
    }
    let document = json!({
        "protocol": 1,
        "scope": {"namespace": "shop", "serviceAccount": "checkout"},
        "partners": {"team/alpha": partner},
    });
    let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
    let live = Live::default();
    let (tasks, metrics) = (TaskTracker::new(), Metrics::new().unwrap());
    let (gates, network) =
        (Gates::new(metrics.gates.clone()), Network::of_the_system(&tasks, &metrics.http2_retired));
    live.apply((snapshot, Keys::default()), &gates, &network, &tasks);
    live.world().unwrap()
}

#[tokio::test]
async fn a_provider_is_there_or_is_not_or_does_not_say_in_time() {
    let plays: [(&str, Play, bool); 4] = [
        (
            "answers",
            |stream| stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap(),
            true,
        ),
        ("fails", |stream| stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").unwrap(), false),
        ("hangs up", |_| {}, false),
        ("is silent", |_| thread::park(), false),
    ];
    for adapter in Adapter::ALL {
        for (name, play, expected) in plays {
            let world = world(adapter, play);
            let partner = world.snapshot.partner("team/alpha").unwrap();
            // A Mock is part of us: it is there.
            let expected = expected || adapter == Adapter::Mock;
            assert_eq!(health_check(&world, partner).await, expected, "{} that {name}", adapter.as_str());
        }
    }
}

#[test]
fn schemas_are_true_of_what_is_asked_and_answered() {
    for adapter in Adapter::ALL {
        let asked = request(ClientApi::Infer, Mode::Whole);
        let setup = Setup::new(ClientApi::Infer, adapter, &asked);
        let schemas: Value = serde_json::from_slice(&get_schema(&setup.target.partner, "fast")).unwrap();
        for part in ["request", "response"] {
            assert_eq!(schemas[part]["$schema"], "https://json-schema.org/draft/2020-12/schema");
            let id = format!("urn:chaperone:infer:{}:fast:unversioned:{part}", adapter.as_str());
            assert_eq!(schemas[part]["$id"], id);
        }
        conforms(&serde_json::from_str(&asked).unwrap(), &schemas["request"]);
        conforms(&serde_json::from_str(&served(&setup).0).unwrap(), &schemas["response"]);
    }
}
