//! What others had to repair: each test is named for the issue, and shows that we do not have it. `ours.rs`: what has no
//! issue to be named for.

mod ours;

use std::sync::Arc;

use chaperone_protocol::adapter::{Adapter, ApiVersion, Capability, Dialect};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{
    AddressPolicy, MaxTokens, Model, Partner, Protection, Target, Timeouts, Tls,
};
use chaperone_protocol::units::Tokens;
use serde_json::{Value, json};

use super::{
    Decode, Drift, Encode, Facts, Hints, Origin, Reading, Render, Rendered, Reply, Thinking, UsageChunk,
};
use super::{anthropic, decode_request, openai, slot};
use crate::adapter::mock::FACTS;
use crate::exchange::Mode;
use crate::neutral::{Event, Request};
use crate::refusal::Refusal;
use crate::sse;

fn target(adapter: Adapter, capabilities: &[Capability]) -> Target {
    let partner = Partner {
        name: "partner".parse().unwrap(),
        adapter,
        endpoint: None,
        addresses: AddressPolicy::default(),
        credential: None,
        api_version: ApiVersion::default(),
        tls: Tls::default(),
        schema_version: None,
        models: Default::default(),
        timeouts: Timeouts::default(),
        protection: Protection::default(),
        http: Default::default(),
        health_check: None,
        mock: None,
    };
    let model = Model {
        context_tokens: None,
        max_output_tokens: None,
        capabilities: capabilities.iter().copied().collect(),
        price: None,
        first_token: None,
    };
    Target { partner: Arc::new(partner), model_name: "model".parse().unwrap(), model }
}

fn render(target: &Target) -> Render<'_> {
    Render {
        target,
        facts: FACTS,
        max_tokens: MaxTokens { default: Some(Tokens(1024)), cap: None },
        api_version: ApiVersion::V20261021,
        mode: Mode::Whole,
        hints: Hints::Named,
    }
}

fn body(rendered: Rendered) -> Value {
    serde_json::from_slice(&rendered.body).unwrap()
}

fn chat(body: &Value) -> Request {
    openai::decode_request(body.to_string().as_bytes()).unwrap()
}

fn to_anthropic(request: &Value) -> Result<Rendered, Refusal> {
    let target = target(Adapter::Anthropic, &[]);
    anthropic::encode_request(&chat(request), &render(&target))
}

fn to_openai(request: &Value) -> Result<Rendered, Refusal> {
    let target = target(Adapter::OpenAI, &[]);
    let request = anthropic::decode_request(request.to_string().as_bytes())?;
    openai::encode_request(&request, &render(&target))
}

fn reply(mode: Mode) -> Reply {
    Reply {
        mode,
        request_id: "request".to_owned(),
        created: 0,
        model: "model".to_owned(),
        usage: UsageChunk::Unwanted,
        prompt_estimate: Tokens(9),
        origin: Origin { dialect: Dialect::Anthropic, partner: "partner".to_owned() },
        correlation_id: None,
        attempts: None,
    }
}

fn whole(mut decoder: impl Decode, answer: &Value) -> Vec<Event> {
    let mut events = Vec::new();
    decoder.whole(answer.to_string().as_bytes(), &mut events).unwrap();
    events
}

fn written(mut encoder: impl Encode, events: &[Event]) -> String {
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out).unwrap());
    String::from_utf8(out).unwrap()
}

fn thought(partner: &str) -> String {
    slot::seal(&Origin { dialect: Dialect::Anthropic, partner: partner.to_owned() }, "signed")
}

/// A conversation in which the assistant called a tool, and thought before it.
fn tool_turn(signature: &str) -> Value {
    json!({"messages": [
        {"role": "user", "content": "How far?"},
        {"role": "assistant", "content": "Wait.", "reasoning_content": "A secret thought.",
            "reasoning_blocks": [{"type": "thinking", "thinking": "A secret thought.", "signature": signature}],
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "far", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "84 km"}
    ], "tools": [{"type": "function", "function": {"name": "far"}}], "reasoning_effort": "low"})
}

/// BerriAI/litellm#15601, anomalyco/opencode#3077, openai/openai-agents-python#1704: thinking precedes `tool_use`.
#[test]
fn litellm_15601_replayed_thinking_comes_first() {
    let body = body(to_anthropic(&tool_turn(&thought("partner"))).unwrap());
    let kinds: Vec<&str> = body["messages"][1]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"]);
    assert_eq!(body["messages"][1]["content"][0]["signature"], "signed");
}

/// BerriAI/litellm#26916: replayed thinking never becomes visible text.
#[test]
fn litellm_26916_a_thought_of_another_partner_is_not_sent() {
    for signature in [thought("another"), "EqQBCkYIBBgC".to_owned()] {
        let rendered = to_anthropic(&tool_turn(&signature)).unwrap();
        assert!(!String::from_utf8(rendered.body).unwrap().contains("secret"));
    }
}

/// Without its thoughts, a turn that called a tool cannot go on with a budget to think.
#[test]
fn a_turn_without_its_thoughts_goes_on_without_thinking() {
    let target = target(Adapter::Anthropic, &[]);
    let facts = Facts { thinking: Thinking::Budget, ..FACTS };
    let max_tokens = MaxTokens { default: Some(Tokens(4000)), cap: None };
    let render = Render { facts, max_tokens, ..render(&target) };
    let with =
        |partner: &str| anthropic::encode_request(&chat(&tool_turn(&thought(partner))), &render).unwrap();
    let known = with("partner");
    assert_eq!(known.adjusted, Vec::<String>::new());
    assert_eq!(body(known)["thinking"], json!({"type": "enabled", "budget_tokens": 2048}));
    let unknown = with("another");
    assert_eq!(unknown.adjusted, ["thinking=disabled"]);
    assert_eq!(body(unknown)["thinking"], Value::Null);
}

/// Portkey-AI/gateway#1754: `prompt_tokens` includes cache tokens, and the total is their sum.
#[test]
fn portkey_1754_cached_tokens_are_part_of_the_prompt() {
    let answer = json!({"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 7}});
    let events = whole(anthropic::Decoder::translating(Reading::default()), &answer);
    let chat: Value =
        serde_json::from_str(&written(openai::Encoder::new(reply(Mode::Whole)), &events)).unwrap();
    assert_eq!(chat["usage"]["prompt_tokens"], 123);
    assert_eq!(chat["usage"]["prompt_tokens_details"]["cached_tokens"], 100);
    assert_eq!(chat["usage"]["total_tokens"], 130);
}

/// BerriAI/litellm#37992: an explicit zero is a value and an absent field is not.
#[test]
fn litellm_37992_zero_is_not_absent() {
    let mut decoder = anthropic::Decoder::translating(Reading::default());
    let mut events = Vec::new();
    for data in [
        r#"{"type":"message_start","message":{"usage":{"input_tokens":12,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":0}}"#,
        r#"{"type":"message_stop"}"#,
    ] {
        decoder.event(&sse::Event { event: None, data }, &mut events).unwrap();
    }
    let message = written(anthropic::Encoder::new(reply(Mode::Whole)), &events);
    let usage = &serde_json::from_str::<Value>(&message).unwrap()["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cache_read_input_tokens"]), (&json!(12), &json!(5)));
    assert_eq!(usage["output_tokens"], 0);
    assert_eq!(decoder.drift(), []);
}

/// api7/aisix#170: a `tool_use` block is never lost behind `finish_reason: tool_calls`.
#[test]
fn aisix_170_a_call_and_its_stop_reason_come_together() {
    for finish_reason in ["tool_calls", "stop"] {
        let answer = json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "far", "arguments": "{}"}}]},
            "finish_reason": finish_reason}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
        let events = whole(openai::Decoder::translating(Reading::default()), &answer);
        let message: Value =
            serde_json::from_str(&written(anthropic::Encoder::new(reply(Mode::Whole)), &events)).unwrap();
        assert_eq!(message["content"][0]["type"], "tool_use");
        assert_eq!(message["stop_reason"], "tool_use");
    }
}

/// maximhq/bifrost#6782: no hidden cap; truncation is reported as truncation.
#[test]
fn bifrost_6782_the_limit_is_the_clients() {
    let request = |limit: u64| json!({"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": limit, "max_tokens": 5});
    assert_eq!(body(to_anthropic(&request(64_000)).unwrap())["max_tokens"], 64_000);
    let answer = json!({"content": [{"type": "text", "text": "hi"}], "stop_reason": "max_tokens", "usage": {"output_tokens": 5}});
    let events = whole(anthropic::Decoder::translating(Reading::default()), &answer);
    let chat: Value =
        serde_json::from_str(&written(openai::Encoder::new(reply(Mode::Whole)), &events)).unwrap();
    assert_eq!(chat["choices"][0]["finish_reason"], "length");
}

/// maximhq/bifrost#4402: an image that cannot be carried is refused, by its place.
#[test]
fn bifrost_4402_an_image_is_never_lost() {
    let request = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}]}]});
    let refusal = to_anthropic(&request).unwrap_err();
    assert_eq!(refusal.reason, Reason::UnsupportedContent);
    assert!(refusal.message.starts_with("messages[0].content[1]: must be an image of type"));
    let blind = target(Adapter::Anthropic, &[Capability::Streaming]);
    let refusal = anthropic::encode_request(&chat(&request), &render(&blind)).unwrap_err();
    assert_eq!(
        refusal.message,
        "messages[0].content[1]: needs the capability Vision, which the model does not have"
    );
}

/// mnfst/llm-gateway#2419: the JSON schema goes to the target, or the target is skipped.
#[test]
fn llm_gateway_2419_a_schema_is_never_lost() {
    let request = json!({"messages": [{"role": "user", "content": "hi"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}});
    let incapable = target(Adapter::Anthropic, &[Capability::Streaming]);
    let refusal = anthropic::encode_request(&chat(&request), &render(&incapable)).unwrap_err();
    assert_eq!(refusal.reason, Reason::UnsupportedContent);
    let forced = target(Adapter::Anthropic, &[Capability::Tools]);
    let rendered = anthropic::encode_request(&chat(&request), &render(&forced)).unwrap();
    let reading = rendered.reading.clone();
    assert_eq!(body(rendered)["tool_choice"]["name"], "json_answer");
    // The foreign shape never leaves: the arguments are the content, and the answer is complete.
    let answer = json!({"content": [{"type": "tool_use", "id": "t", "name": "json_answer", "input": {"a": 1}}],
        "stop_reason": "tool_use", "usage": {"output_tokens": 5}});
    let events = whole(anthropic::Decoder::translating(reading), &answer);
    let chat: Value =
        serde_json::from_str(&written(openai::Encoder::new(reply(Mode::Whole)), &events)).unwrap();
    assert_eq!(chat["choices"][0]["message"]["content"], r#"{"a":1}"#);
    assert_eq!(chat["choices"][0]["finish_reason"], "stop");
}

/// BerriAI/litellm#26102, #39431: `message_start` does not wait for thinking to end.
#[test]
fn litellm_39431_each_event_leaves_at_once() {
    let mut decoder = openai::Decoder::translating(Reading::default());
    let mut encoder = anthropic::Encoder::new(reply(Mode::Stream));
    let mut lengths = Vec::new();
    for data in [
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"so"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"hi"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"!"}}]}"#,
    ] {
        let (mut events, mut out) = (Vec::new(), Vec::new());
        decoder.event(&sse::Event { event: None, data }, &mut events).unwrap();
        events.iter().for_each(|event| encoder.event(event, &mut out).unwrap());
        lengths.push(out.windows(6).filter(|window| *window == b"event:").count());
    }
    // message_start, block start, delta; signature, block stop, block start, delta; delta.
    assert_eq!(lengths, [3, 4, 1]);
}

/// defilantech/LLMKube#1627: `<think>` is treated the same with and without streaming.
#[test]
fn llmkube_1627_text_is_text_in_both_ways() {
    let text = "<think>so</think>hi";
    let answer = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]});
    let events = whole(openai::Decoder::translating(Reading::default()), &answer);
    let mut streamed = Vec::new();
    let mut decoder = openai::Decoder::translating(Reading::default());
    let data =
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}).to_string();
    decoder.event(&sse::Event { event: None, data: &data }, &mut streamed).unwrap();
    decoder.event(&sse::Event { event: None, data: "[DONE]" }, &mut streamed).unwrap();
    assert_eq!(events, streamed);
}
