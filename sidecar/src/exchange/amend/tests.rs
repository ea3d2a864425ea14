//! Answers in the app's own dialect, cut in every way: the values come back, and every other byte stays.

mod searched;

use std::collections::VecDeque;

use chaperone_protocol::adapter::{Adapter, Capability};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::snapshot::pii::{Action, Entity, Filter, Ner, Pii, PseudonymFormat, ResponsePii};
use serde_json::{Value, json};

use super::super::testing::{Setup, in_turns, sent};
use super::super::{Answer, Exchange, Mode, exchange};
use super::*;

const EMAIL: &str = "ann.lee@example.org";

fn pseudonyms() -> Pii {
    Pii {
        filter: Filter::Balanced,
        ner: Ner::Off,
        actions: [(Entity::Email, Action::Pseudonym)].into(),
        ..Pii::default()
    }
}

fn answers(action: Action) -> Pii {
    let responses = ResponsePii { entities: [Entity::Email].into(), action };
    Pii { responses: Some(responses), ..pseudonyms() }
}

fn request(api: ClientApi, mode: Mode) -> String {
    let stream = mode == Mode::Stream;
    let text = format!("Write to {EMAIL}");
    match api {
        ClientApi::Completions => json!({"model": "fast", "prompt": text, "stream": stream}).to_string(),
        _ => json!({"model": "fast", "max_tokens": 5, "stream": stream, "messages": [{"role": "user", "content": text}]})
            .to_string(),
    }
}

/// The request as sent, its placeholder, and the answer's reader.
fn asked(api: ClientApi, adapter: Adapter, mode: Mode, pii: &Pii) -> (Setup, String) {
    let setup = Setup::redacted(api, adapter, &request(api, mode), pii);
    let (body, _) = sent(&setup);
    assert!(!body.contains(EMAIL), "{body}");
    let tag = body.split_once("EMAIL_").map(|(_, rest)| rest.chars().take_while(char::is_ascii_alphanumeric));
    let tag: String = tag.expect("the request has a placeholder").collect();
    (setup, format!("EMAIL_{tag}"))
}

fn answer(setup: &Setup) -> Answer {
    let Exchange::Partner(_, answer) = exchange(&setup.ask()).unwrap().exchange else { panic!("no partner") };
    answer
}

fn played(setup: &Setup, bytes: &[u8], cuts: &[usize]) -> Result<String, Failure> {
    let (mut answer, mut out, mut from) = (answer(setup), VecDeque::new(), 0);
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        answer.push(Bytes::copy_from_slice(&bytes[from..cut]), &mut out)?;
        from = cut;
    }
    in_turns(answer.end(&mut out)).0?;
    Ok(String::from_utf8(Vec::from(out).concat()).unwrap())
}

/// The JSON of every event.
fn events(stream: &str) -> Vec<Value> {
    stream.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

fn chat(choice: &Value) -> String {
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m",
        "choices": [choice], "vendor": {"x": 1}});
    format!("data: {chunk}\n\n")
}

/// Text and arguments of a chat's stream.
fn said(stream: &str) -> (String, String) {
    let (mut text, mut arguments) = (String::new(), String::new());
    for event in events(stream) {
        for choice in event["choices"].as_array().into_iter().flatten() {
            text += choice["delta"]["content"].as_str().unwrap_or_default();
            let call = &choice["delta"]["tool_calls"][0]["function"]["arguments"];
            arguments += call.as_str().unwrap_or_default();
        }
    }
    (text, arguments)
}

#[test]
fn a_chat_stream_is_restored_wherever_it_is_cut() {
    let (setup, tag) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &pseudonyms());
    let (head, rest) = tag.split_at(8);
    let piece = json!(format!("{{\"to\":\"{head}")).to_string();
    let frames = [
        chat(&json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null})),
        chat(&json!({"index": 0, "delta": {"content": format!("Dear {head}")}, "finish_reason": null})),
        chat(&json!({"index": 0, "delta": {"content": rest}, "finish_reason": null})),
        chat(&json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "type": "function",
            "function": {"name": "mail", "arguments": serde_json::from_str::<String>(&piece).unwrap()}}]}})),
        chat(&json!({"index": 0, "delta": {"tool_calls": [{"index": 0,
            "function": {"arguments": format!("{rest}\"}}")}}]}})),
        chat(&json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"})),
        "data: [DONE]\n\n".to_owned(),
    ];
    let stream = frames.concat();
    let whole = played(&setup, stream.as_bytes(), &[]).unwrap();
    assert_eq!(said(&whole), (format!("Dear {EMAIL}"), format!("{{\"to\":\"{EMAIL}\"}}")));
    for event in events(&whole) {
        assert_eq!((&event["id"], &event["vendor"]["x"]), (&json!("chatcmpl-1"), &json!(1)));
    }
    assert!(whole.ends_with("data: [DONE]\n\n"));
    for cut in 1..stream.len() {
        assert_eq!(played(&setup, stream.as_bytes(), &[cut]).unwrap(), whole, "cut at {cut}");
    }
    assert_eq!(played(&setup, stream.as_bytes(), &(1..stream.len()).collect::<Vec<_>>()).unwrap(), whole);
}

#[test]
fn text_that_is_held_leaves_before_the_choice_ends() {
    let (setup, tag) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &pseudonyms());
    for end in [
        chat(&json!({"index": 0, "delta": {}, "finish_reason": "stop"})) + "data: [DONE]\n\n",
        "data: [DONE]\n\n".to_owned(),
    ] {
        let stream = chat(&json!({"index": 0, "delta": {"content": format!("Dear {tag}")}})) + &end;
        let Ok(whole) = played(&setup, stream.as_bytes(), &[]) else { continue };
        assert_eq!(said(&whole).0, format!("Dear {EMAIL}"));
        let last = whole.rfind(EMAIL).unwrap();
        assert!(whole.find("\"stop\"").is_none_or(|stop| last < stop), "{whole}");
    }
}

#[test]
fn choices_are_texts_of_their_own() {
    let (setup, tag) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &pseudonyms());
    let (head, rest) = tag.split_at(8);
    let piece = |index: u64, text: &str| chat(&json!({"index": index, "delta": {"content": text}}));
    let end = |index: u64| chat(&json!({"index": index, "delta": {}, "finish_reason": "stop"}));
    let stream = [piece(0, head), piece(1, "EMAIL_"), piece(0, rest), piece(1, "X"), end(1), end(0)].concat()
        + "data: [DONE]\n\n";
    let whole = played(&setup, stream.as_bytes(), &[]).unwrap();
    let of = |wanted: u64| -> String {
        let choices = events(&whole).into_iter().filter_map(|event| event["choices"][0].as_object().cloned());
        choices
            .filter(|choice| choice["index"] == wanted)
            .filter_map(|choice| Some(choice["delta"]["content"].as_str()?.to_owned()))
            .collect()
    };
    assert_eq!((of(0), of(1)), (EMAIL.to_owned(), "EMAIL_X".to_owned()));
}

fn anthropic(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
}

#[test]
fn a_messages_stream_is_restored_wherever_it_is_cut() {
    let (setup, tag) = asked(ClientApi::Messages, Adapter::Anthropic, Mode::Stream, &pseudonyms());
    let (head, rest) = tag.split_at(7);
    let delta = |index: u64, delta: Value| {
        anthropic(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    let stream = [
        anthropic(&json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}})),
        anthropic(&json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        delta(0, json!({"type": "text_delta", "text": format!("Dear {head}")})),
        anthropic(&json!({"type": "ping"})),
        delta(0, json!({"type": "text_delta", "text": rest})),
        anthropic(&json!({"type": "content_block_stop", "index": 0})),
        anthropic(&json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "mail", "input": {}}})),
        delta(1, json!({"type": "input_json_delta", "partial_json": format!("{{\"to\": \"{head}")})),
        delta(1, json!({"type": "input_json_delta", "partial_json": format!("{rest}\"}}")})),
        anthropic(&json!({"type": "content_block_stop", "index": 1})),
        anthropic(&json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}})),
        anthropic(&json!({"type": "message_stop"})),
    ]
    .concat();
    let whole = played(&setup, stream.as_bytes(), &[]).unwrap();
    let of = |index: u64, key: &str| -> String {
        let deltas = events(&whole).into_iter().filter(|event| event["index"] == index);
        deltas.filter_map(|event| Some(event["delta"][key].as_str()?.to_owned())).collect()
    };
    assert_eq!(of(0, "text"), format!("Dear {EMAIL}"));
    assert_eq!(of(1, "partial_json"), format!("{{\"to\": \"{EMAIL}\"}}"));
    for cut in 1..stream.len() {
        assert_eq!(played(&setup, stream.as_bytes(), &[cut]).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn whole_answers_are_restored_and_the_rest_stays_byte_for_byte() {
    let (setup, tag) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Whole, &pseudonyms());
    let body = |value: &str| {
        format!(
            r#"{{ "id":"1", "choices":[{{"index":0,"message":{{"role":"assistant","content":"Dear {value}, see https://x.test/?q={tag}","tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":"{{\"to\":\"{value}\"}}"}}}}]}},"finish_reason":"stop"}}], "usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#
        )
    };
    assert_eq!(played(&setup, body(&tag).as_bytes(), &[40]).unwrap(), body(EMAIL));
    let (setup, tag) = asked(ClientApi::Messages, Adapter::Anthropic, Mode::Whole, &pseudonyms());
    let body = |value: &str| {
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"Dear {value}"}},{{"type":"tool_use","id":"t","name":"f","input":{{ "to" : "{value}", "n": 12 }}}}],"stop_reason":"tool_use","usage":{{"input_tokens":1,"output_tokens":2}}}}"#
        )
    };
    assert_eq!(played(&setup, body(&tag).as_bytes(), &[]).unwrap(), body(EMAIL));
    let (setup, tag) = asked(ClientApi::Completions, Adapter::OpenAI, Mode::Whole, &pseudonyms());
    let body = |value: &str| {
        format!(r#"{{"id":"1","choices":[{{"index":0,"text":"Dear {value}","finish_reason":"stop"}}]}}"#)
    };
    assert_eq!(played(&setup, body(&tag).as_bytes(), &[]).unwrap(), body(EMAIL));
}

#[test]
fn a_whole_answer_of_any_size_is_rewritten_in_turns() {
    const SAID: &str = "They told me to write to bob.jones@example.net about it. ";
    let searched = Pii {
        ner: Ner::Embedded,
        responses: Some(ResponsePii {
            entities: [Entity::Email, Entity::Person].into(),
            action: Action::Label,
        }),
        ..pseudonyms()
    };
    for (api, adapter) in [
        (ClientApi::ChatCompletions, Adapter::OpenAI),
        (ClientApi::Messages, Adapter::Anthropic),
        (ClientApi::Messages, Adapter::OpenAI),
    ] {
        for (pii, finds) in [(&pseudonyms(), false), (&searched, true)] {
            let (mut setup, tag) = asked(api, adapter, Mode::Whole, pii);
            // A model that cannot stream, so that also what is translated comes as a whole.
            setup.target.model.capabilities = [Capability::Tools].into();
            let words = (SAID.to_owned() + &tag + ". ").repeat(300);
            let call = json!({"note": words});
            let body = match adapter {
                Adapter::Anthropic => json!({"id": "m", "type": "message", "role": "assistant", "model": "m",
                    "content": [{"type": "text", "text": words}, {"type": "tool_use", "id": "t", "name": "f", "input": call}],
                    "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}),
                _ => {
                    json!({"id": "1", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant",
                    "content": words, "tool_calls": [{"id": "t", "type": "function",
                        "function": {"name": "f", "arguments": call.to_string()}}]}}]})
                }
            };
            let (mut answer, mut out) = (answer(&setup), VecDeque::new());
            answer.push(body.to_string().into(), &mut out).unwrap();
            let (done, turns) = in_turns(answer.end(&mut out));
            done.unwrap();
            let seen = String::from_utf8(Vec::from(out).concat()).unwrap();
            assert_eq!(seen.matches(EMAIL).count(), 600, "{api:?} {adapter:?}");
            assert_eq!(seen.matches("[EMAIL]").count(), if finds { 600 } else { 0 }, "{api:?} {adapter:?}");
            assert!(turns > 2 * words.len() / 1024, "{turns} turns for {} bytes", body.to_string().len());
        }
    }
}

#[test]
fn log_probabilities_leave_where_answers_are_only_restored() {
    let (setup, tag) = asked(ClientApi::Completions, Adapter::OpenAI, Mode::Whole, &pseudonyms());
    let body = |value: &str| {
        format!(
            r#"{{"id":"1","choices":[{{"index":0,"text":"{value}","logprobs":{{"tokens":["{tag}"]}},"finish_reason":"stop"}}]}}"#
        )
    };
    assert_eq!(played(&setup, body(&tag).as_bytes(), &[]).unwrap(), body(EMAIL));
}

#[test]
fn translated_answers_are_restored_too() {
    let (setup, tag) = asked(ClientApi::Messages, Adapter::OpenAI, Mode::Stream, &pseudonyms());
    let (head, rest) = tag.split_at(8);
    let stream = [
        chat(&json!({"index": 0, "delta": {"role": "assistant", "content": format!("Dear {head}")}})),
        chat(&json!({"index": 0, "delta": {"content": rest}})),
        chat(&json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "type": "function",
            "function": {"name": "f", "arguments": format!("{{\"to\":\"{tag}\"}}")}}]}})),
        chat(&json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"})),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let whole = played(&setup, stream.as_bytes(), &[]).unwrap();
    let of = |key: &str| -> String {
        events(&whole)
            .into_iter()
            .filter_map(|event| Some(event["delta"][key].as_str()?.to_owned()))
            .collect()
    };
    assert_eq!(of("text"), format!("Dear {EMAIL}"));
    assert_eq!(of("partial_json"), format!("{{\"to\":\"{EMAIL}\"}}"));
}
