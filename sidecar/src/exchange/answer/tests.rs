use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::units::Tokens;
use http::{HeaderMap, StatusCode};

use super::*;
use crate::adapter::mock::MockScript;
use crate::dialect::Drift;
use crate::exchange::testing::{Setup, in_turns};
use crate::exchange::{Exchange, exchange};
use crate::neutral::Stop;

const CHAT: &str = r#"{"model":"fast","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
const CHAT_WITH_USAGE: &str = r#"{"model":"fast","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#;
const MESSAGES: &str =
    r#"{"model":"fast","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true}"#;

fn answer(api: ClientApi, adapter: Adapter, body: &str) -> Answer {
    match exchange(&Setup::new(api, adapter, body).ask()).unwrap().exchange {
        Exchange::Partner(_, answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn openai(body: &str) -> Answer {
    answer(ClientApi::ChatCompletions, Adapter::OpenAI, body)
}

fn anthropic(body: &str) -> Answer {
    answer(ClientApi::Messages, Adapter::Anthropic, body)
}

/// What the app gets of `chunks`, and how it went.
fn play(answer: &mut Answer, chunks: &[&[u8]]) -> (Result<(), Failure>, String) {
    let mut out = VecDeque::new();
    let mut result = Ok(());
    for chunk in chunks {
        result = answer.push(Bytes::copy_from_slice(chunk), &mut out);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| in_turns(answer.end(&mut out)).0);
    (result, String::from_utf8(Vec::from(out).concat()).unwrap())
}

fn failed(reason: Reason) -> Result<(), Failure> {
    Err(Failure::new(reason))
}

/// A stream as OpenAI sends it when it is asked for usage.
fn chat_stream(end: &str) -> String {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-mini-2026\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}],\"usage\":null}}{end}{end}"
        )
    };
    let usage = format!(
        "data: {{\"id\":\"c\",\"model\":\"gpt-4o-mini-2026\",\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}}}{end}{end}"
    );
    [
        chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
        format!(": ping{end}{end}"),
        chunk("{\"content\":\"h\u{e9}l\"}", "null"),
        chunk("{\"content\":\"lo\"}", "null"),
        chunk("{}", "\"stop\""),
        usage,
        format!("data: [DONE]{end}{end}"),
    ]
    .concat()
}

/// What an app sees of it that did not ask for usage.
fn without_usage(stream: &str, end: &str) -> String {
    let blank = format!("{end}{end}");
    let frames = stream.split_inclusive(&blank).filter(|frame| !frame.contains("prompt_tokens"));
    frames.map(|frame| frame.replace(",\"usage\":null", "")).collect()
}

fn messages_stream() -> String {
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{data}}}\n\n");
    [
        event("message_start", ",\"message\":{\"id\":\"m\",\"model\":\"claude-x\",\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":3,\"output_tokens\":1}}"),
        event("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
        event("ping", ""),
        event("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\u{e9}\"}"),
        event("content_block_stop", ",\"index\":0"),
        event("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}"),
        event("message_stop", ""),
    ]
    .concat()
}

#[test]
fn a_stream_leaves_as_it_came() {
    let stream = chat_stream("\n");
    let mut reader = openai(CHAT_WITH_USAGE);
    assert_eq!(play(&mut reader, &[stream.as_bytes()]), (Ok(()), stream));
    let progress = reader.progress();
    assert!(progress.finished && progress.drift.is_empty());
    assert_eq!((progress.meaningful, progress.stop), (2, Some(Stop::Complete)));
    assert_eq!((progress.usage.prompt, progress.usage.output), (Some(Tokens(9)), Some(Tokens(2))));
    assert_eq!(progress.model.as_deref(), Some("gpt-4o-mini-2026"));

    let stream = messages_stream();
    let mut reader = anthropic(MESSAGES);
    assert_eq!(play(&mut reader, &[stream.as_bytes()]), (Ok(()), stream));
    let progress = reader.progress();
    assert!(progress.finished && progress.meaningful == 1);
    assert_eq!((progress.usage.prompt, progress.usage.output), (Some(Tokens(8)), Some(Tokens(7))));
}

#[test]
fn usage_that_nobody_asked_for_is_counted_and_not_shown() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = chat_stream(end);
        let mut reader = openai(CHAT);
        assert_eq!(play(&mut reader, &[stream.as_bytes()]), (Ok(()), without_usage(&stream, end)));
        assert_eq!(reader.progress().usage.output, Some(Tokens(2)));
    }
}

#[test]
fn cuts_change_nothing_that_the_app_sees() {
    for (stream, seen, make) in [
        (chat_stream("\r\n"), without_usage(&chat_stream("\r\n"), "\r\n"), openai(CHAT)),
        (messages_stream(), messages_stream(), anthropic(MESSAGES)),
    ]
    .map(|(stream, seen, reader)| (stream, seen, reader.dialect))
    {
        let fresh = || if make == Dialect::Anthropic { anthropic(MESSAGES) } else { openai(CHAT) };
        let bytes = stream.as_bytes();
        for cut in 0..=bytes.len() {
            let played = play(&mut fresh(), &[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(played, (Ok(()), seen.clone()), "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(play(&mut fresh(), &single), (Ok(()), seen.clone()));
    }
}

#[test]
fn f32_a_stream_without_its_terminal_event_is_a_failure() {
    let stream = chat_stream("\n");
    let before_finish = stream.find("\"stop\"").and_then(|at| stream.split_at(at).0.rfind("data:")).unwrap();
    let mut reader = openai(CHAT_WITH_USAGE);
    let (result, seen) = play(&mut reader, &[&stream.as_bytes()[..before_finish]]);
    assert!(result.is_err() && !reader.progress().finished);
    assert_eq!(seen, stream.split_at(before_finish).0);

    let stream = messages_stream();
    let before_stop = stream.find("event: message_stop").unwrap();
    let mut reader = anthropic(MESSAGES);
    let (result, seen) = play(&mut reader, &[&stream.as_bytes()[..before_stop]]);
    assert!(result.is_err() && !reader.progress().finished);
    assert_eq!(seen, stream.split_at(before_stop).0);
}

#[test]
fn f32_a_finish_reason_without_done_is_complete() {
    let stream = chat_stream("\n").replace("data: [DONE]\n\n", "");
    let mut reader = openai(CHAT_WITH_USAGE);
    assert_eq!(play(&mut reader, &[stream.as_bytes()]), (Ok(()), format!("{stream}data: [DONE]\n\n")));
    assert!(reader.progress().drift.contains(&Drift::NoTerminator));
}

#[test]
fn a_missing_last_blank_line_is_added() {
    let stream = chat_stream("\n");
    let mut reader = openai(CHAT_WITH_USAGE);
    assert_eq!(play(&mut reader, &[stream.trim_end().as_bytes()]), (Ok(()), stream));
}

#[test]
fn what_follows_the_end_is_nobodys() {
    for end in ["\n", "\r\n"] {
        let stream = chat_stream(end);
        let more = format!("{stream}data: {{\"choices\":[]}}{end}{end}: x{end}{end}");
        assert_eq!(play(&mut openai(CHAT_WITH_USAGE), &[more.as_bytes()]), (Ok(()), stream));
    }
}

#[test]
fn f30_an_error_as_first_event_is_that_error() {
    let cases = [
        (
            "data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"code\":\"rate_limit_exceeded\"}}\n\n",
            Reason::PartnerRateLimited,
        ),
        ("data: {\"error\":{\"message\":\"x\",\"code\":500}}\n\n", Reason::PartnerError),
    ];
    for (event, reason) in cases {
        let (result, seen) = play(&mut openai(CHAT), &[event.as_bytes()]);
        assert_eq!((result.map_err(|failure| failure.reason), seen.as_str()), (Err(reason), ""));
    }
    let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let (result, seen) = play(&mut anthropic(MESSAGES), &[event.as_bytes()]);
    assert_eq!((result, seen.as_str()), (failed(Reason::PartnerOverloaded), ""));
}

#[test]
fn f31_a_break_is_told_in_the_apps_dialect() {
    let refusal = Refusal::new(Reason::StreamBroken, "the partner's stream broke");
    let mut out = VecDeque::new();
    openai(CHAT).break_off(&refusal, &mut out);
    let text = String::from_utf8(Vec::from(out).concat()).unwrap();
    assert!(text.starts_with("data: {\"error\":") && !text.contains("[DONE]"));
    let mut out = VecDeque::new();
    anthropic(MESSAGES).break_off(&refusal, &mut out);
    let text = String::from_utf8(Vec::from(out).concat()).unwrap();
    assert!(text.starts_with("event: error\n") && text.contains("\"request_id\":\"r-1\""));
}

#[test]
fn a_malformed_frame_or_an_endless_one_is_a_protocol_failure() {
    let long = vec![b'x'; limits::SSE_LINE_BYTES + 1];
    let cases: [&[u8]; 5] =
        [b"data: {\"choices\":\n\n", b"data: null\n\n", b"data: []\n\n", b"data: \xff\n\n", &long];
    for bytes in cases {
        assert_eq!(play(&mut openai(CHAT), &[bytes]).0, failed(Reason::PartnerProtocol));
        assert_eq!(play(&mut anthropic(MESSAGES), &[bytes]).0, failed(Reason::PartnerProtocol));
    }
}

const WHOLE_CHAT: &str = r#"{"model":"fast","messages":[{"role":"user","content":"hi"}]}"#;

#[test]
fn a_whole_answer_leaves_as_it_came_when_it_is_one() {
    let cases = [
        (
            ClientApi::ChatCompletions,
            Adapter::OpenAI,
            WHOLE_CHAT,
            "{ \"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"h\u{e9}\"},\"finish_reason\":\"stop\"}], \"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1},\"new\":1.50}\n",
        ),
        (
            ClientApi::Completions,
            Adapter::OpenAI,
            r#"{"model":"fast","prompt":"x"}"#,
            "{\"choices\":[{\"text\":\"a\",\"index\":0,\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}",
        ),
        (
            ClientApi::Embeddings,
            Adapter::OpenAI,
            r#"{"model":"fast","input":"x"}"#,
            "{\"object\":\"list\",\"data\":[{\"embedding\":[0.10]}],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}",
        ),
        (
            ClientApi::Messages,
            Adapter::Anthropic,
            r#"{"model":"fast","max_tokens":5,"messages":[]}"#,
            "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":4,\"output_tokens\":1}}",
        ),
        (
            ClientApi::CountTokens,
            Adapter::Anthropic,
            r#"{"model":"fast","messages":[]}"#,
            "{\"input_tokens\":14}",
        ),
    ];
    for (api, adapter, body, sent) in cases {
        for chunk in [sent.len(), 1, 7] {
            let chunks: Vec<&[u8]> = sent.as_bytes().chunks(chunk).collect();
            let mut reader = answer(api, adapter, body);
            assert_eq!(play(&mut reader, &chunks), (Ok(()), sent.to_owned()), "{}", api.path());
            assert!(reader.progress().finished);
            let prompt = (api != ClientApi::CountTokens).then_some(Tokens(4));
            assert_eq!(reader.progress().usage.prompt, prompt);
        }
        for wrong in ["", "null", "[]", "{}", "\"x\"", "{\"choices\"", "<html>", "{\"data\":7}"] {
            let (result, seen) = play(&mut answer(api, adapter, body), &[wrong.as_bytes()]);
            assert_eq!(
                (result, seen.as_str()),
                (failed(Reason::PartnerProtocol), ""),
                "{} {wrong}",
                api.path()
            );
        }
    }
}

#[test]
fn a_whole_answer_is_bounded() {
    let mut reader = openai(WHOLE_CHAT);
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let mut out = VecDeque::new();
    for _ in 0..32 {
        assert_eq!(reader.push(chunk.clone(), &mut out), Ok(()));
    }
    assert_eq!(reader.push(Bytes::from_static(b" "), &mut out), failed(Reason::PartnerProtocol));
}

fn head(reader: &mut Answer, status: u16, fields: &[(&'static str, &str)]) -> Result<(), Failure> {
    let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    reader.head(StatusCode::from_u16(status).unwrap(), &fields.collect())
}

#[test]
fn a_head_must_be_that_of_an_answer() {
    let json = ("content-type", "application/json; charset=utf-8");
    let sse = ("content-type", "text/event-stream; charset=utf-8");
    assert_eq!(head(&mut openai(WHOLE_CHAT), 200, &[json]), Ok(()));
    assert_eq!(head(&mut openai(CHAT), 200, &[sse]), Ok(()));
    type Case<'a> = (&'a str, u16, &'a [(&'static str, &'a str)]);
    let cases: &[Case<'_>] = &[
        (WHOLE_CHAT, 200, &[sse]),
        (WHOLE_CHAT, 200, &[("content-type", "text/html")]),
        (WHOLE_CHAT, 200, &[]),
        (WHOLE_CHAT, 204, &[json]),
        (WHOLE_CHAT, 206, &[json]),
        (WHOLE_CHAT, 200, &[json, ("content-encoding", "gzip")]),
        (WHOLE_CHAT, 200, &[json, ("content-length", "33554433")]),
        (CHAT, 200, &[json]),
        (CHAT, 200, &[sse, ("content-encoding", "br")]),
    ];
    for (body, status, fields) in cases {
        assert_eq!(head(&mut openai(body), *status, fields), failed(Reason::PartnerProtocol), "{fields:?}");
    }
}

#[test]
fn the_partners_request_id_is_kept_if_it_is_sane() {
    let mut reader = openai(WHOLE_CHAT);
    let json = ("content-type", "application/json");
    head(&mut reader, 200, &[json, ("x-request-id", "req_1")]).unwrap();
    assert_eq!(reader.progress().partner_request_id.as_deref(), Some("req_1"));
    head(&mut reader, 200, &[json, ("x-request-id", &"x".repeat(129))]).unwrap();
    assert_eq!(reader.progress().partner_request_id, None);
}

#[test]
fn an_error_answer_is_classified_with_its_wait() {
    let headers = HeaderMap::from_iter([("retry-after".parse().unwrap(), "7".parse().unwrap())]);
    let failure = openai(CHAT).failure(StatusCode::TOO_MANY_REQUESTS, &headers, b"{}");
    assert_eq!(failure.reason, Reason::PartnerRateLimited);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn a_stream_is_put_together_where_the_app_wants_the_whole() {
    let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, WHOLE_CHAT);
    setup.route.whole_answers = chaperone_protocol::snapshot::WholeAnswers::Stream;
    let Exchange::Partner(_, mut reader) = exchange(&setup.ask()).unwrap().exchange else { panic!() };
    let (result, seen) = play(&mut reader, &[chat_stream("\n").as_bytes()]);
    assert_eq!(result, Ok(()));
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["choices"][0]["message"]["content"], "h\u{e9}llo");
    assert_eq!(seen["usage"]["completion_tokens"], 2);
}

#[test]
fn an_anthropic_app_is_served_by_an_openai_partner() {
    let mut reader = answer(ClientApi::Messages, Adapter::OpenAI, MESSAGES);
    let (result, seen) = play(&mut reader, &[chat_stream("\n").as_bytes()]);
    assert_eq!(result, Ok(()));
    assert!(seen.starts_with("event: message_start\n") && seen.contains("event: message_stop\n"), "{seen}");
    assert!(reader.progress().finished && reader.progress().meaningful == 2);
}

#[test]
fn a_count_is_estimated_where_the_partner_has_none() {
    let body =
        r#"{"model":"fast","messages":[{"role":"user","content":"some forty bytes of text, more or less"}]}"#;
    let exchanged = exchange(&Setup::new(ClientApi::CountTokens, Adapter::OpenAI, body).ask()).unwrap();
    assert_eq!(exchanged.adjusted, ["input_tokens=estimated"]);
    let Exchange::Local(local) = exchanged.exchange else { panic!("asked a partner") };
    let answer: serde_json::Value = serde_json::from_slice(&local.body).unwrap();
    assert!((8..40).contains(&answer["input_tokens"].as_u64().unwrap()), "{answer}");
}

#[test]
fn what_no_partner_of_its_kind_can_serve_is_named() {
    let refusal = exchange(
        &Setup::new(ClientApi::Embeddings, Adapter::Anthropic, r#"{"model":"fast","input":"x"}"#).ask(),
    )
    .unwrap_err();
    assert_eq!(refusal.reason, Reason::UnsupportedEndpoint);
}

/// What an app gets from the Mock adapter.
fn mocked(api: ClientApi, body: &str) -> (String, Answer) {
    let exchanged = exchange(&Setup::new(api, Adapter::Mock, body).ask()).unwrap();
    let Exchange::Mock(script, mut reader) = exchanged.exchange else { panic!("no script") };
    let mut out = VecDeque::new();
    match script {
        MockScript::Events(moments) => {
            for (_, events) in moments {
                reader.events(&events, &mut out).unwrap();
            }
        }
        MockScript::Body { body, .. } => reader.push(body.into(), &mut out).unwrap(),
        MockScript::Failure { status, .. } => panic!("{status}"),
    }
    in_turns(reader.end(&mut out)).0.unwrap();
    (String::from_utf8(Vec::from(out).concat()).unwrap(), reader)
}

#[test]
fn the_mock_serves_every_endpoint_in_its_dialect() {
    let cases = [
        (ClientApi::ChatCompletions, WHOLE_CHAT, "\"content\":\"hi\""),
        (ClientApi::ChatCompletions, CHAT, "data: [DONE]\n\n"),
        (ClientApi::Completions, r#"{"model":"fast","prompt":"hi"}"#, "\"text\":\"hi\""),
        (ClientApi::Embeddings, r#"{"model":"fast","input":"hi"}"#, "\"embedding\":"),
        (ClientApi::Messages, MESSAGES, "event: message_stop\n"),
        (ClientApi::Infer, r#"{"modelId":"fast","prompt":"hi"}"#, "\"content\":\"hi\""),
    ];
    for (api, body, expected) in cases {
        let (seen, reader) = mocked(api, body);
        assert!(seen.contains(expected), "{}: {seen}", api.path());
        assert!(reader.progress().finished && reader.progress().usage.prompt.is_some());
    }
}

#[test]
fn a_script_that_stops_short_is_a_failure() {
    let exchanged = exchange(&Setup::new(ClientApi::ChatCompletions, Adapter::Mock, CHAT).ask()).unwrap();
    let Exchange::Mock(_, mut reader) = exchanged.exchange else { panic!("no script") };
    assert!(in_turns(reader.end(&mut VecDeque::new())).0.is_err());
}

#[test]
fn f47_a_flood_before_the_first_token_is_a_failure() {
    let flood = ": keep-alive\n\n".repeat(1_000);
    let mut reader = openai(CHAT);
    let mut out = VecDeque::new();
    let pushes = (0..1_000).map(|_| reader.push(flood.clone().into(), &mut out));
    let count = pushes.take_while(Result::is_ok).count();
    assert_eq!(count, limits::SSE_EVENT_BYTES / flood.len());
    assert!(out.iter().map(Bytes::len).sum::<usize>() <= limits::SSE_EVENT_BYTES);
}

#[test]
fn a_committed_stream_may_be_of_any_length() {
    let delta = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n".repeat(1_000);
    let mut reader = openai(CHAT);
    for _ in 0..40 {
        let mut out = VecDeque::new();
        assert_eq!(reader.push(delta.clone().into(), &mut out), Ok(()));
        assert_eq!(Vec::from(out).concat(), delta.as_bytes());
    }
    assert_eq!(reader.progress().meaningful, 40_000);
}

#[test]
fn an_answer_may_wait_on_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&openai(CHAT));
}

/// A provider's new feature works on the day it ships, in its own dialect.
#[test]
fn what_passes_through_is_not_judged() {
    let choice = |index: u32, rest: &str| format!("data: {{\"choices\":[{{\"index\":{index},{rest}}}]}}\n\n");
    let call = |index: u32, arguments: &str| {
        format!(
            "\"delta\":{{\"tool_calls\":[{{\"index\":{index},\"id\":\"t{index}\",\"function\":{{\"name\":\"f\",\"arguments\":\"{arguments}\"}}}}]}}"
        )
    };
    let two_choices = [
        choice(0, "\"delta\":{\"content\":\"a\"}"),
        choice(1, "\"delta\":{\"content\":\"b\",\"new\":[1]}"),
        choice(0, "\"delta\":{\"content\":\"c\"}"),
        choice(1, "\"delta\":{},\"finish_reason\":\"stop\""),
        choice(0, "\"delta\":{\"content\":\"d\"}"),
        choice(0, "\"delta\":{},\"finish_reason\":\"length\""),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let mixed_calls = [
        choice(0, &call(0, "{")),
        choice(0, &call(1, "{")),
        choice(0, &call(0, "}")),
        choice(0, &call(1, "}")),
        choice(0, "\"delta\":{\"content\":\"after\"}"),
        choice(
            0,
            "\"delta\":{\"content\":null,\"audio\":{\"data\":\"eA==\"}},\"finish_reason\":\"new_reason\"",
        ),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    for stream in [two_choices, mixed_calls] {
        let mut reader = openai(CHAT_WITH_USAGE);
        assert_eq!(play(&mut reader, &[stream.as_bytes()]), (Ok(()), stream));
        assert!(reader.progress().finished && reader.progress().meaningful >= 4);
    }

    let event = |data: &str| format!("event: x\ndata: {{\"type\":{data}}}\n\n");
    let stream = [
        event("\"ping\""),
        event("\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":5}}"),
        event("\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{}}"),
        event("\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}"),
        event("\"content_block_stop\",\"index\":0"),
        event("\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"web_search_tool_result\",\"content\":[]}"),
        event("\"content_block_stop\",\"index\":1"),
        event("\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"new_block\",\"x\":1}"),
        event("\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"new_delta\",\"x\":1}"),
        event("\"content_block_stop\",\"index\":2"),
        event("\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
        event("\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}"),
        event("\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"citations_delta\",\"citation\":{}}"),
        event("\"content_block_stop\",\"index\":3"),
        event("\"new_event\",\"x\":1"),
        event("\"message_delta\",\"delta\":{\"stop_reason\":\"new_reason\"},\"usage\":{\"output_tokens\":3}"),
        event("\"message_stop\""),
    ]
    .concat();
    let mut reader = anthropic(MESSAGES);
    assert_eq!(play(&mut reader, &[stream.as_bytes()]), (Ok(()), stream));
    assert!(reader.progress().finished && reader.progress().drift.contains(&Drift::UnknownStopReason));
}

#[test]
fn f22_counts_that_cannot_be_believed_are_ours() {
    for counts in [
        "{\"prompt_tokens\":-1,\"completion_tokens\":9223372036854775808}",
        "{\"prompt_tokens\":\"x\"}",
        "{}",
    ] {
        let stream = chat_stream("\n")
            .replace("{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}", counts);
        let mut reader = openai(CHAT_WITH_USAGE);
        assert_eq!(play(&mut reader, &[stream.as_bytes()]).0, Ok(()), "{counts}");
        let progress = reader.progress();
        assert_eq!((progress.usage.prompt, progress.usage.output), (None, None), "{counts}");
        assert!(progress.output_estimate >= Tokens(2));
        assert!(!progress.drift.is_empty(), "{counts}");
    }
}

#[test]
fn a_refusal_of_stream_options_is_told_from_others() {
    let bad = StatusCode::BAD_REQUEST;
    let body = br#"{"error":{"message":"unknown field `stream_options`"}}"#;
    assert!(openai(CHAT).refuses_stream_options(bad, body));
    assert!(!openai(CHAT).refuses_stream_options(bad, b"{}"));
    assert!(!openai(CHAT).refuses_stream_options(StatusCode::INTERNAL_SERVER_ERROR, body));
    assert!(!openai(WHOLE_CHAT).refuses_stream_options(bad, body));
    let mut setup = Setup::new(ClientApi::ChatCompletions, Adapter::OpenAI, CHAT);
    setup.stream_options = crate::exchange::StreamOptions::Refused;
    let Exchange::Partner(_, again) = exchange(&setup.ask()).unwrap().exchange else { panic!("no partner") };
    assert!(!again.refuses_stream_options(bad, body), "once is enough");
    assert_eq!(again.progress().drift, [Drift::NoStreamOptions]);
}

#[test]
fn litellm_37992_a_zero_beside_visible_output_is_not_believed() {
    let zero = |stream: String| stream.replace("\"completion_tokens\":2", "\"completion_tokens\":0");
    let mut reader = openai(CHAT_WITH_USAGE);
    assert_eq!(play(&mut reader, &[zero(chat_stream("\n")).as_bytes()]).0, Ok(()));
    assert_eq!(reader.progress().usage.output, None);
    assert!(reader.progress().drift.contains(&Drift::AbsurdUsage));
}

#[test]
fn thoughts_of_another_partner_do_not_reach_an_anthropic_one() {
    let body = r#"{"model":"fast","max_tokens":64,"messages":[
        {"role":"user","content":"Why?"},
        {"role":"assistant","content":[
            {"type":"thinking","thinking":"canary","signature":"chaperone1:openai:partner-beta:"},
            {"type":"text","text":"Because."}]},
        {"role":"user","content":"Go on."}]}"#;
    let exchanged = exchange(&Setup::new(ClientApi::Messages, Adapter::Anthropic, body).ask()).unwrap();
    let Exchange::Partner(outgoing, _) = exchanged.exchange else { panic!("no partner was asked") };
    let sent = String::from_utf8(outgoing.body.concat()).unwrap();
    assert!(sent.contains("Because.") && sent.contains("Go on."), "{sent}");
    assert!(!sent.contains("canary") && !sent.contains("chaperone1"), "{sent}");
}
