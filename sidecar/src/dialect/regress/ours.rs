//! What a request or an answer must not lose or turn into something else, without an issue of others that says so.

use super::*;

/// What only its own dialect can carry is refused by its place, or dropped by its name; with strict parameters both
/// are refused.
#[test]
fn nothing_is_lost_in_silence() {
    let base = |extra: Value| {
        let mut request = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        request
    };
    for (extra, path) in [
        (json!({"mcp_servers": [{}]}), "mcp_servers"),
        (json!({"container": "c"}), "container"),
        (json!({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}), "tools[0]"),
        (json!({"some_new_field": true}), "some_new_field"),
        (json!({"stop_sequences": ["a", "b", "c", "d", "e"]}), "stop"),
    ] {
        let refusal = to_openai(&base(extra)).unwrap_err();
        assert_eq!(refusal.reason, Reason::UnsupportedContent);
        assert!(refusal.message.starts_with(&format!("{path}: ")), "{}", refusal.message);
    }
    let hint = base(json!({"top_k": 5}));
    assert_eq!(to_openai(&hint).unwrap().adjusted, ["top_k=dropped"]);
    let target = target(Adapter::OpenAI, &[]);
    let request = anthropic::decode_request(hint.to_string().as_bytes()).unwrap();
    let strict = Render { hints: Hints::Refused, ..render(&target) };
    assert!(openai::encode_request(&request, &strict).unwrap_err().message.starts_with("top_k: "));
}

/// The same for the other dialect.
#[test]
fn nothing_of_a_chat_is_lost_in_silence() {
    for (extra, path) in [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"modalities": ["text", "audio"]}), "modalities[1]"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}), "tools[0]"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}),
            "messages[0].content[0].file.file_id",
        ),
    ] {
        let mut request = json!({"messages": [{"role": "user", "content": "hi"}]});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let refusal = to_anthropic(&request).unwrap_err();
        assert_eq!(refusal.reason, Reason::UnsupportedContent);
        assert!(refusal.message.starts_with(&format!("{path}: ")), "{}", refusal.message);
    }
}

/// A forced call on a model that thinks is refused, never unforced.
#[test]
fn a_forced_call_is_never_unforced() {
    let request = json!({"messages": [{"role": "user", "content": "hi"}], "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "far"}}]});
    assert_eq!(body(to_anthropic(&request).unwrap())["tool_choice"]["type"], "any");
    let target = target(Adapter::Anthropic, &[]);
    let newest = Render { facts: Facts { thinking: Thinking::Always, ..FACTS }, ..render(&target) };
    let refusal = anthropic::encode_request(&chat(&request), &newest).unwrap_err();
    assert!(refusal.message.starts_with("tool_choice: "));
    let willing = Render { facts: Facts { thinking: Thinking::Unasked, ..FACTS }, ..render(&target) };
    let unthinking = body(anthropic::encode_request(&chat(&request), &willing).unwrap());
    assert_eq!(
        (&unthinking["tool_choice"]["type"], &unthinking["thinking"]["type"]),
        (&json!("any"), &json!("disabled"))
    );
    let unable = Render { facts: Facts { capabilities: &[Capability::Tools], ..FACTS }, ..render(&target) };
    let refusal = anthropic::encode_request(&chat(&request), &unable).unwrap_err();
    assert!(refusal.message.contains("ForcedToolChoice"));
}

/// A call that cannot be made is not forgotten: the app asked for one.
#[test]
fn a_forced_call_of_no_tool_is_the_apps_fault() {
    let asked = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5,
        "tools": [{"name": "far", "input_schema": {"type": "object"}}]});
    let bodies = [
        (ClientApi::ChatCompletions, json!({"type": "function", "function": {"name": "near"}})),
        (ClientApi::Messages, json!({"type": "tool", "name": "near"})),
    ];
    for (api, choice) in bodies {
        let mut request = asked.clone();
        request["tool_choice"] = choice;
        let refusal = decode_request(api, request.to_string().as_bytes()).unwrap_err();
        assert_eq!(refusal.message, "tool_choice: names no function of `tools`", "{}", api.path());
    }
}

/// A prefill goes only where it is taken.
#[test]
fn a_prefill_needs_a_model_that_goes_on_from_it() {
    let request =
        json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "{"}]});
    assert!(to_anthropic(&request).is_ok());
    let target = target(Adapter::Anthropic, &[]);
    let newest = Render { facts: Facts { capabilities: &[], ..FACTS }, ..render(&target) };
    let refusal = anthropic::encode_request(&chat(&request), &newest).unwrap_err();
    assert!(refusal.message.starts_with("messages[1]: needs the capability Prefill"), "{}", refusal.message);
}

/// Arguments that are no object fail a whole answer before anything of it has left.
#[test]
fn broken_arguments_are_the_partners_fault() {
    let answer = json!({"choices": [{"message": {"tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "far", "arguments": "{\"cut"}}]}, "finish_reason": "tool_calls"}]});
    let mut decoder = openai::Decoder::translating(Reading::default());
    let failure = decoder.whole(answer.to_string().as_bytes(), &mut Vec::new()).unwrap_err();
    assert_eq!(failure.reason, Reason::PartnerProtocol);
}

/// A fragment of a call whose block is closed cannot be translated, and does not disturb what passes through.
#[test]
fn a_fragment_of_a_closed_call_is_a_failure_only_in_translation() {
    let fragment = |call: u8| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{call},"id":"i{call}","function":{{"name":"n","arguments":"x"}}}}]}}}}]}}"#
        )
    };
    let run = |mut decoder: openai::Decoder| {
        [0, 1, 0].iter().try_for_each(|call| {
            decoder.event(&sse::Event { event: None, data: &fragment(*call) }, &mut Vec::new())
        })
    };
    assert!(run(openai::Decoder::translating(Reading::default())).is_err());
    assert!(run(openai::Decoder::accounting()).is_ok());
}

/// What the provider does by itself is progress for an answer that passes through, and drift only where it is unknown.
#[test]
fn server_side_tools_pass_through_as_progress() {
    let frames = |kind: &str| {
        [
            r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}"#.to_owned(),
            format!(r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"{kind}"}}}}"#),
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#.to_owned(),
        ]
    };
    let run = |mut decoder: anthropic::Decoder, kind: &str| {
        let mut events = Vec::new();
        for data in frames(kind) {
            decoder.event(&sse::Event { event: None, data: &data }, &mut events).unwrap();
        }
        (events.iter().filter(|event| event.is_meaningful()).count(), decoder.drift())
    };
    assert_eq!(run(anthropic::Decoder::accounting(), "server_tool_use"), (2, vec![]));
    assert_eq!(run(anthropic::Decoder::accounting(), "telepathy"), (2, vec![Drift::UnknownBlock]));
    let translating = anthropic::Decoder::translating(Reading::default());
    assert_eq!(run(translating, "server_tool_use"), (0, vec![Drift::UnknownBlock]));
}

/// A member of another type than we know is drift, not the end of an answer that passes through.
#[test]
fn text_of_an_unknown_shape_is_drift() {
    let mut decoder = openai::Decoder::accounting();
    let data =
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"text"}],"reasoning":{"summary":"so"}}}]}"#;
    decoder.event(&sse::Event { event: None, data }, &mut Vec::new()).unwrap();
    assert_eq!(decoder.drift(), [Drift::UnknownBlock]);
}
