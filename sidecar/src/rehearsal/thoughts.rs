//! Chains of calls whose app does not send back what its partner thought.

use serde_json::json;

use super::partner::Act;
use super::*;
use crate::clock;
use crate::thoughts::Thoughts;

const ANSWER: &[&str] = &[
    r#"data: {"type":"message_start","message":{"id":"m","model":"claude-haiku-4-5","usage":{"input_tokens":5,"output_tokens":1}}}

"#,
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"It wants the weather."}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq:QB+/="}}

data: {"type":"content_block_stop","index":0}

"#,
    r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}

data: {"type":"content_block_stop","index":1}

data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}

data: {"type":"message_stop"}

"#,
];

fn world() -> World {
    let mut partner = openai("alpha.test", json!({}));
    partner["adapter"] = json!("Anthropic");
    partner["models"] = json!({"claude-haiku-4-5": {"capabilities": ["Streaming", "Tools", "Reasoning"], "maxOutputTokens": 8192}});
    let mut document = document(&[("team/alpha", partner)], &[("chat", &["team/alpha"])]);
    document["routes"]["chat"]["targets"][0]["model"] = json!("claude-haiku-4-5");
    World::new(&document, |arrival| if arrival.body.is_some() { Act::Events(ANSWER) } else { Act::Accept })
}

/// The first question, and with `call` the same one with the call and its result behind it.
fn chat(mode: Mode, call: Option<&str>) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "hello there"})];
    if let Some(id) = call {
        let call = json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}});
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": "sunny"}));
    }
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}});
    json!({"model": "chat", "stream": mode == Mode::Stream, "reasoning_effort": "low", "messages": messages, "tools": [tool]})
}

/// What the partner gets when `tenant` asks, and what the app is told was adjusted.
async fn asked(world: &World, tenant: &str, body: &Value) -> (Value, String) {
    let got = world.ask_with("/v1/chat/completions", &format!("x-tenant-id: {tenant}\r\n"), body).await;
    assert_eq!(got.status, 200, "{got:?}");
    let arrival = world.arrivals.lock().unwrap().last().cloned().unwrap();
    (arrival.body.unwrap(), got.header("x-chaperone-adjusted").to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_with_the_thoughts_that_led_to_it_though_the_app_forgot_them() {
    for mode in [Mode::Whole, Mode::Stream] {
        let world = world();
        let (first, _) = asked(&world, "acme", &chat(mode, None)).await;
        assert_eq!(first["thinking"]["type"], "enabled");
        let (second, adjusted) = asked(&world, "acme", &chat(mode, Some("toolu_1"))).await;
        let thought =
            json!({"type": "thinking", "thinking": "It wants the weather.", "signature": "Eq:QB+/="});
        assert_eq!(second["messages"][1]["content"][0], thought, "as it was signed, and before the call");
        assert_eq!(second["messages"][1]["content"][1]["type"], "tool_use");
        assert_eq!(second["thinking"]["type"], "enabled");
        assert!(!adjusted.contains("thinking"), "{adjusted}");
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_tenants_call_of_the_same_id_gets_no_thoughts() {
    let world = world();
    asked(&world, "acme", &chat(Mode::Whole, None)).await;
    let (second, adjusted) = asked(&world, "globex", &chat(Mode::Whole, Some("toolu_1"))).await;
    assert_eq!(second["messages"][1]["content"][0]["type"], "tool_use");
    assert_eq!((&second["thinking"], adjusted.contains("thinking=disabled")), (&Value::Null, true));
    assert_eq!(world.metric("chaperone_reasoning_turns_total{outcome=\"missing\""), 1);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn thoughts_that_are_too_old_are_not_sent() {
    let world = world();
    asked(&world, "acme", &chat(Mode::Whole, None)).await;
    tokio::time::sleep(chaperone_protocol::limits::THOUGHT_LIFE).await;
    let (second, _) = asked(&world, "acme", &chat(Mode::Whole, Some("toolu_1"))).await;
    assert_eq!(second["messages"][1]["content"][0]["type"], "tool_use");
    Thoughts::expire(&world.shared.thoughts, clock::now());
    assert_eq!(world.metric("chaperone_reasoning_turns_total{outcome=\"expired\""), 1);
    world.settle().await;
}
