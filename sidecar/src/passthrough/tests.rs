use bytes::Bytes;
use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{MaxTokens, WholeAnswers};
use chaperone_protocol::units::Tokens;

use proptest::prelude::*;

use super::*;
use crate::exchange::StreamOptions;
use crate::exchange::testing::{Setup, sent};

#[test]
fn only_the_edited_ranges_differ() {
    let body = "{ \"model\" : \"fast\" ,\n \"temperature\": 0.70, \"new\":{\"x\":[1e2,\"\\u0041\"]},\"messages\":[{\"role\":\"user\",\"content\":\"caf\u{e9}\"}],\"stream\":true}";
    let (sent, adjusted) = sent(&Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, body));
    let expected = body.replace("\"fast\"", "\"gpt-4o-mini\"").replace(
        "{ \"model\"",
        "{\"max_completion_tokens\":512,\"stream_options\":{\"include_usage\":true}, \"model\"",
    );
    assert_eq!(sent, expected);
    assert!(adjusted.is_empty());
}

#[test]
fn an_app_that_asks_for_usage_is_not_edited_for_it() {
    let body = r#"{"model":"fast","messages":[],"stream":true,"max_tokens":5,"stream_options":{"include_usage":true}}"#;
    let (text, _) = sent(&Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, body));
    assert_eq!(text, body.replace("fast", "gpt-4o-mini"));
}

#[test]
fn the_wish_for_usage_finds_its_place() {
    let cases = [
        (r#""stream_options":null"#, r#""stream_options":{"include_usage":true}"#),
        (r#""stream_options":{ }"#, r#""stream_options":{"include_usage":true }"#),
        (r#""stream_options":{"x":1}"#, r#""stream_options":{"include_usage":true,"x":1}"#),
        (r#""stream_options":{"include_usage":false}"#, r#""stream_options":{"include_usage":true}"#),
        (r#""stream_options":{"include_usage":null}"#, r#""stream_options":{"include_usage":true}"#),
    ];
    for (asked, expected) in cases {
        let body = format!(r#"{{"model":"fast","messages":[],"stream":true,"max_tokens":5,{asked}}}"#);
        let (text, _) = sent(&Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, &body));
        assert!(text.ends_with(&format!("{expected}}}")), "{text}");
    }
}

#[test]
fn a_partner_that_does_not_know_stream_options_is_asked_without() {
    let body = r#"{"model":"fast","messages":[],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}"#;
    let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, body);
    setup.stream_options = StreamOptions::Refused;
    let bare = body.replace("fast", "gpt-4o-mini").replace(r#","stream_options":{"include_usage":true}"#, "");
    assert_eq!(sent(&setup), (bare.clone(), vec!["stream_options=dropped".to_owned()]));
    let asked = body.replace(r#","stream_options":{"include_usage":true}"#, "");
    setup.prompt = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, &asked).prompt;
    assert_eq!(sent(&setup), (bare, Vec::new()));
    let messages =
        r#"{"model":"fast","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let mut setup = Setup::new(ClientApi::Messages, Adapter::OpenAI, messages);
    assert!(sent(&setup).0.contains("include_usage"));
    setup.stream_options = StreamOptions::Refused;
    assert!(!sent(&setup).0.contains("stream_options"));
}

#[test]
fn a_token_limit_is_inserted_or_lowered_and_named() {
    let limits = |default: Option<u64>, cap: Option<u64>| MaxTokens {
        default: default.map(Tokens),
        cap: cap.map(Tokens),
    };
    let cases = [
        // members of the app, the route's bounds, the tenant's cap, what is sent, what is named
        (r#""a":1"#, limits(None, None), None, r#"{"max_completion_tokens":16384,"#, ""),
        (r#""a":1"#, limits(Some(100), None), None, r#"{"max_completion_tokens":100,"#, ""),
        (r#""a":1"#, limits(Some(100), Some(50)), None, r#"{"max_completion_tokens":50,"#, ""),
        (r#""max_tokens":null"#, limits(None, Some(50)), None, r#"{"max_completion_tokens":50,"#, ""),
        (
            r#""max_completion_tokens":null"#,
            limits(None, Some(50)),
            None,
            r#""max_completion_tokens":50}"#,
            "",
        ),
        (r#""max_tokens":40"#, limits(None, Some(50)), None, r#""max_tokens":40}"#, ""),
        (r#""max_tokens":60"#, limits(None, Some(50)), None, r#""max_tokens":50}"#, "max_tokens=50"),
        (r#""max_tokens":60"#, limits(None, Some(50)), Some(20), r#""max_tokens":20}"#, "max_tokens=20"),
        (
            r#""max_tokens":60,"max_completion_tokens":9"#,
            limits(None, Some(50)),
            None,
            r#""max_tokens":50,"max_completion_tokens":9}"#,
            "",
        ),
        (r#""max_tokens":99999999"#, limits(None, None), None, r#""max_tokens":16384}"#, "max_tokens=16384"),
    ];
    for (members, bounds, tenant, expected, named) in cases {
        let body = format!(r#"{{"model":"fast","messages":[],{members}}}"#);
        let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, &body);
        setup.route.max_tokens = bounds;
        setup.tenant_cap = tenant.map(Tokens);
        let (text, adjusted) = sent(&setup);
        assert!(text.contains(expected), "{body} -> {text}");
        assert_eq!(adjusted.join(","), named, "{body}");
        let mut found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["model"].take(), "gpt-4o-mini");
    }
}

#[test]
fn names_are_those_that_the_model_knows() {
    let body = r#"{"model":"fast","messages":[{"role":"developer","content":"x"}],"max_tokens":5}"#;
    let with_model = |name: &str| {
        let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, body);
        setup.target.model_name = name.parse().unwrap();
        sent(&setup).0
    };
    assert_eq!(
        with_model("o3-mini"),
        body.replace("fast", "o3-mini").replace("max_tokens", "max_completion_tokens")
    );
    assert_eq!(
        with_model("llama-3.3-70b"),
        body.replace("fast", "llama-3.3-70b").replace("developer", "system")
    );
    assert_eq!(with_model("gpt-9"), body.replace("fast", "gpt-9"));
}

#[test]
fn embeddings_and_counts_have_no_token_limit() {
    let body = r#"{"model":"fast","input":["a"],"encoding_format":"base64"}"#;
    let (text, _) = sent(&Setup::new(ClientApi::Embeddings, Adapter::OpenAI, body));
    assert_eq!(text, body.replace("fast", "gpt-4o-mini"));
    let body = r#"{"model":"fast","messages":[]}"#;
    let (text, _) = sent(&Setup::new(ClientApi::CountTokens, Adapter::Anthropic, body));
    assert_eq!(text, body.replace("fast", "gpt-4o-mini"));
}

#[test]
fn anthropics_version_and_betas_are_the_apps() {
    let body = r#"{"model":"fast","messages":[],"max_tokens":5}"#;
    let mut setup = Setup::new(ClientApi::Messages, Adapter::Anthropic, body);
    let headers = |setup: &Setup| match exchange(&setup.ask()).unwrap().exchange {
        Exchange::Partner(outgoing, _) => outgoing.headers,
        other => panic!("{other:?}"),
    };
    assert_eq!(headers(&setup)["anthropic-version"], "2026-10-21");
    for (name, value) in [
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a,b"),
        ("anthropic-beta", "b, c"),
        ("authorization", "Bearer canary"),
        ("x-api-key", "canary"),
        ("x-chaperone-deadline", "5"),
        ("cookie", "canary"),
    ] {
        setup.headers.append(name, value.parse().unwrap());
    }
    let sent = headers(&setup);
    assert_eq!(sent["anthropic-version"], "2023-06-01");
    assert_eq!(sent["anthropic-beta"], "a,b,c");
    assert_eq!(sent["accept-encoding"], "identity");
    assert!(!format!("{sent:?}").contains("canary") && !sent.contains_key("x-chaperone-deadline"));

    let body = r#"{"model":"fast","messages":[]}"#;
    let openai =
        Setup { headers: setup.headers, ..Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, body) };
    let sent = headers(&openai);
    assert!(!sent.contains_key("anthropic-version") && !sent.contains_key("anthropic-beta"));
    assert!(!format!("{sent:?}").contains("canary"));
}

#[test]
fn f53_what_is_no_version_and_no_beta_is_refused_and_not_sent() {
    let body = r#"{"model":"fast","messages":[],"max_tokens":5}"#;
    let many: Vec<_> = (0..=32).map(|number| format!("beta-{number}")).collect();
    let (many, long) = (many.join(","), "b".repeat(65));
    for (name, value) in [
        ("anthropic-version", "ann@example.org"),
        ("anthropic-version", "2023-06-0a"),
        ("anthropic-version", "4111111111111111"),
        ("anthropic-beta", "good,ann@example.org"),
        ("anthropic-beta", "4111111111111111"),
        ("anthropic-beta", &long),
        ("anthropic-beta", &many),
    ] {
        let mut setup = Setup::new(ClientApi::Messages, Adapter::Anthropic, body);
        setup.headers.append(name, value.parse().unwrap());
        let refusal = exchange(&setup.ask()).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidRequest);
        assert!(refusal.message.contains(name) && !refusal.message.contains(value), "{}", refusal.message);
    }
}

#[test]
fn maximhq_bifrost_4402_what_a_model_cannot_carry_is_named_with_its_place() {
    use chaperone_protocol::adapter::Capability::{Embeddings, Streaming, Tools, Vision};
    let cases = [
        (
            r#""messages":[{"role":"user","content":[{"type":"text"},{"type":"image_url"}]}]"#,
            Vision,
            "messages[0].content[1]",
        ),
        (r#""messages":[],"stream":true"#, Streaming, "stream"),
        (r#""messages":[],"tools":[{}]"#, Tools, "tools"),
    ];
    for (members, needed, place) in cases {
        let body = format!(r#"{{"model":"fast",{members}}}"#);
        let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, &body);
        setup.target.model.capabilities = [Embeddings].into();
        let refusal = exchange(&setup.ask()).unwrap_err();
        assert_eq!(refusal.reason, Reason::UnsupportedContent);
        assert!(refusal.message.contains(place) && refusal.message.contains(needed.as_str()), "{refusal:?}");
        setup.target.model.capabilities = [needed].into();
        assert!(exchange(&setup.ask()).is_ok());
    }
}

#[test]
fn a_route_may_ask_for_streams_where_the_app_wants_the_whole() {
    let body = r#"{"model":"fast","messages":[],"max_tokens":5}"#;
    let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, body);
    setup.route.whole_answers = WholeAnswers::Stream;
    let mode = |setup: &Setup| match exchange(&setup.ask()).unwrap().exchange {
        Exchange::Partner(outgoing, answer) => (outgoing.mode, answer.content_type()),
        other => panic!("{other:?}"),
    };
    assert_eq!(mode(&setup), (Mode::Stream, "application/json"));
    let (text, _) = sent(&setup);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&found["stream"], &found["stream_options"]["include_usage"]), (&true.into(), &true.into()));
    // Several choices cannot be put together without loss.
    setup.prompt =
        Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, r#"{"model":"fast","messages":[],"n":2}"#)
            .prompt;
    assert_eq!(mode(&setup).0, Mode::Whole);
}

#[test]
fn bytes_are_slices_of_the_apps_own() {
    let body = format!(r#"{{"model":"fast","max_tokens":5,"messages":["{}"]}}"#, "x".repeat(1_000));
    let setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, &body);
    let Exchange::Partner(outgoing, _) = exchange(&setup.ask()).unwrap().exchange else { panic!() };
    let last: &Bytes = outgoing.body.last().unwrap();
    let own = setup.prompt.body().as_ptr_range();
    assert!(own.contains(&last.as_ptr()));
}

/// JSON white space, so that nothing depends on how a body is laid out.
fn blanks() -> impl Strategy<Value = String> {
    "[ \t\n\r]{0,3}"
}

proptest! {
    #[test]
    fn whatever_else_a_body_has_is_not_touched(
        before in prop::collection::vec(("x-[a-z\u{e9}\"\\\\]{0,6}", any::<f64>()), 0..4),
        after in prop::collection::vec(("y-[a-z]{0,6}", any::<String>()), 0..4),
        blank in blanks(),
    ) {
        let member = |key: &str, value: serde_json::Value| format!("{}{blank}:{blank}{value}", json::quote(key));
        let before = before.into_iter().map(|(key, value)| member(&key, value.into()));
        let after = after.into_iter().map(|(key, value)| member(&key, value.into()));
        let ours = [member("model", "fast".into()), member("max_tokens", 600.into()), member("messages", serde_json::json!([]))];
        let members: Vec<String> = before.chain(ours).chain(after).collect();
        let body = format!("{blank}{{{blank}{}{blank}}}{blank}", members.join(&format!("{blank},{blank}")));
        let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, &body);
        setup.tenant_cap = Some(Tokens(500));
        let expected = body
            .replace(&member("model", "fast".into()), &member("model", "gpt-4o-mini".into()))
            .replace(&member("max_tokens", 600.into()), &member("max_tokens", 500.into()));
        prop_assert_eq!(sent(&setup).0, expected);
    }
}

#[test]
fn thoughts_sealed_for_another_dialect_are_cut_and_no_other_byte_changes() {
    let sealed = |text: &str| {
        format!(r#"{{"type":"thinking","thinking":"{text}","signature":"chaperone1:openai:partner-beta:"}}"#)
    };
    let hidden = r#"{"type":"redacted_thinking","data":"chaperone1:openai:partner-beta:x"}"#;
    let own = r#"{"type":"thinking","thinking":"own, [1]","signature":"EqQB"}"#;
    // Odd blanks and numbers, and a text that begins like an envelope: all of it stays as it is.
    let plain = r#"{"role":"user", "content":"chaperone1:openai:says hi"}"#;
    let call = r#"{"type":"tool_use","id":"t1","name":"far","input":{"x":1e2, "y":0.70}}"#;
    let result = r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"ok"}]}"#;
    let body = |blocks: &str, emptied: &str, thinking: &str| {
        format!(
            r#"{{"model":"gpt-4o-mini","max_tokens":9000,"thinking":{thinking},"messages":[{plain},{emptied}{{"role":"assistant","content":[{blocks}]}}, {result}]}}"#
        )
    };
    let emptied = format!(r#"{{"role":"assistant","content":[ {} ]}},"#, sealed("gone"));
    let enabled = r#"{"type":"enabled","budget_tokens":2048}"#;
    let asked = body(&format!("{}, {hidden},{own} , {call}", sealed("a, \\\"b\\\"")), &emptied, enabled);
    let expected = body(&format!("{own} , {call}"), "", r#"{"type":"disabled"}"#);
    let (text, adjusted) = sent(&Setup::new(ClientApi::Messages, Adapter::Anthropic, &asked));
    assert_eq!((text, adjusted), (expected, vec!["thinking=disabled".to_owned()]));
    let count = Setup::new(ClientApi::CountTokens, Adapter::Anthropic, &asked);
    assert!(!sent(&count).0.contains("\"chaperone1:openai:partner-beta"));
}

#[test]
fn a_chat_loses_the_thoughts_that_another_dialects_partner_sealed() {
    let thoughts = r#""reasoning_content":"hm","reasoning_blocks":[{"signature":"chaperone1:anthropic:team/claude:Eq"}]"#;
    let body = |inside: &str, own: &str| {
        format!(
            r#"{{"model":"gpt-4o-mini","max_tokens":5,"messages":[{{{inside}"role":"assistant","content":"a"}},{{"role":"assistant","content":"b",{own}"name":"n"}}]}}"#
        )
    };
    let own = r#""reasoning_content":"its own","#;
    let asked = body(&format!("{thoughts}, "), own);
    assert_eq!(sent(&Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, &asked)).0, body("", own));
}
