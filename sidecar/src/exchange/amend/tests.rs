//! Answers in the app's own dialect, cut in every way: the values come back, and every other byte stays.

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
fn f53_what_a_partner_makes_up_is_redacted_and_what_the_app_sent_comes_back() {
    let (setup, tag) =
        asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &answers(Action::Label));
    let frames = [
        chat(&json!({"index": 0, "delta": {"content": format!("{tag} knows bob@exam")}})),
        chat(&json!({"index": 0, "delta": {"content": "ple.net well"}})),
        chat(&json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
        "data: [DONE]\n\n".to_owned(),
    ];
    let stream = frames.concat();
    for cut in 1..stream.len() {
        let seen = played(&setup, stream.as_bytes(), &[cut]).unwrap();
        assert_eq!(said(&seen).0, format!("{EMAIL} knows [EMAIL] well"), "cut at {cut}");
    }
}

const OTHER: &str = "bob@example.net";

/// What is seen of a stream, the same wherever it is cut; every place in turn would take minutes.
fn seen_however_cut(setup: &Setup, stream: &str) -> String {
    let whole = played(setup, stream.as_bytes(), &[]).unwrap();
    for cut in (1..stream.len()).step_by(11) {
        assert_eq!(played(setup, stream.as_bytes(), &[cut]).unwrap(), whole, "cut at {cut}");
    }
    assert_eq!(played(setup, stream.as_bytes(), &(1..stream.len()).collect::<Vec<_>>()).unwrap(), whole);
    whole
}

#[test]
fn f53_what_a_chat_says_beside_its_texts_is_searched_too() {
    let pii = answers(Action::Label);
    let (setup, _) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &pii);
    let logprobs = json!({"content": [{"token": "bob@", "bytes": [98, 111, 98, 64], "logprob": -0.125,
        "top_logprobs": [{"token": OTHER, "logprob": -0.5}]}]});
    let note = json!({"type": "url_citation",
        "url_citation": {"url": format!("https://a.test/?to={OTHER}"), "title": format!("by {OTHER}")}});
    let frames = [
        chat(&json!({"index": 0, "delta": {"content": "Ask bob@"}, "logprobs": logprobs})),
        chat(&json!({"index": 0, "delta": {"content": "example.net now"}, "logprobs": null})),
        chat(&json!({"index": 0, "delta": {"annotations": [note], "new_field": {"of": [OTHER]}}})),
        chat(&json!({"index": 0, "delta": {"audio": {"id": "a", "transcript": "Say bob@"}}})),
        chat(&json!({"index": 0, "delta": {"audio": {"transcript": "example.net twice"}}})),
        chat(&json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
        "data: [DONE]\n\n".to_owned(),
    ];
    let seen = seen_however_cut(&setup, &frames.concat());
    for part in ["bob", "example.net", "98"] {
        assert!(!seen.contains(part), "{part} in {seen}");
    }
    let all = |key: &str| -> String {
        let choices = events(&seen).into_iter().map(|event| event["choices"][0]["delta"].clone());
        choices.filter_map(|delta| Some(delta.pointer(key)?.as_str()?.to_owned())).collect()
    };
    assert_eq!(all("/content"), "Ask [EMAIL] now");
    assert_eq!(all("/audio/transcript"), "Say [EMAIL] twice");
    assert_eq!(all("/annotations/0/url_citation/title"), "by [EMAIL]");
    assert_eq!(all("/new_field/of/0"), "[EMAIL]");

    let (setup, _) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Whole, &pii);
    let body = json!({"id": "1", "created": 1_694_268_190, "choices": [{"index": 0, "finish_reason": "stop",
        "logprobs": logprobs, "message": {"role": "assistant", "content": [{"type": "text", "text": format!("1 {OTHER}")},
            {"type": "text", "text": format!("2 {OTHER}")}], "annotations": [note],
            "audio": {"id": "a", "data": "eA==", "transcript": OTHER}}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    let seen = played(&setup, body.to_string().as_bytes(), &[]).unwrap();
    assert!(!seen.contains("bob") && !seen.contains("98,"), "{seen}");
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let message = &seen["choices"][0]["message"];
    assert_eq!(
        (&message["content"][1]["text"], &message["audio"]["transcript"]),
        (&json!("2 [EMAIL]"), &json!("[EMAIL]"))
    );
    assert_eq!((&seen["created"], &seen["choices"][0]["logprobs"]), (&json!(1_694_268_190), &Value::Null));
}

/// What the deltas of a chat say under one key.
fn under(stream: &str, key: &str) -> String {
    let deltas = events(stream).into_iter().map(|event| event["choices"][0]["delta"].clone());
    deltas.filter_map(|delta| Some(delta[key].as_str()?.to_owned())).collect()
}

#[test]
fn f53_an_empty_text_beside_another_does_not_end_it() {
    let (setup, tag) =
        asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &answers(Action::Label));
    let (head, rest) = tag.split_at(8);
    let pieces = ["Write to bob@", "example", ".net or ", head, rest, " now"];
    for beside in ["reasoning", "reasoning_content", "refusal"] {
        let frames = pieces.map(|piece| chat(&json!({"index": 0, "delta": {"content": piece, beside: ""}})));
        let end = chat(&json!({"index": 0, "delta": {"content": "", beside: ""}, "finish_reason": "stop"}));
        let seen = seen_however_cut(&setup, &(frames.concat() + &end + "data: [DONE]\n\n"));
        assert_eq!(said(&seen).0, format!("Write to [EMAIL] or {EMAIL} now"), "beside {beside}");
    }
}

#[test]
fn f53_texts_that_come_in_the_same_chunks_are_each_read_over_chunks() {
    let (setup, _) =
        asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &answers(Action::Label));
    let pieces = ["Write to bob@", "example", ".net now"];
    for keys in [["content", "reasoning"], ["reasoning_content", "reasoning"], ["refusal", "content"]] {
        let frames =
            pieces.map(|piece| chat(&json!({"index": 0, "delta": {(keys[0]): piece, (keys[1]): piece}})));
        let end = chat(&json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
        let seen = seen_however_cut(&setup, &(frames.concat() + &end + "data: [DONE]\n\n"));
        for key in keys {
            assert_eq!(under(&seen, key), "Write to [EMAIL] now", "{key} of {keys:?} in {seen}");
        }
    }
}

#[test]
fn f53_texts_that_come_by_turns_are_each_read_over_chunks() {
    let (setup, _) =
        asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &answers(Action::Label));
    let pieces = ["Write to bob@", "example", ".net now"];
    for keys in [["content", "reasoning"], ["reasoning_content", "content"], ["refusal", "content"]] {
        let says = |key: &str, piece: &str| chat(&json!({"index": 0, "delta": {key: piece}}));
        let frames = pieces.map(|piece| keys.map(|key| says(key, piece)).concat());
        let end = chat(&json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
        let seen = seen_however_cut(&setup, &(frames.concat() + &end + "data: [DONE]\n\n"));
        for key in keys {
            assert_eq!(under(&seen, key), "Write to [EMAIL] now", "{key} of {keys:?} in {seen}");
        }
    }
}

#[test]
fn a_thought_leaves_to_its_last_word_before_the_answer_begins() {
    let (setup, _) =
        asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &answers(Action::Label));
    let says = |key: &str, piece: &str| chat(&json!({"index": 0, "delta": {key: piece}}));
    let thought = [says("reasoning", "Perhaps bob@"), says("reasoning", "example.net")].concat();
    let rest =
        says("content", ", or Ann") + &chat(&json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
    let stream = thought.clone() + &says("content", "Bob") + &rest + "data: [DONE]\n\n";
    let seen = seen_however_cut(&setup, &stream);
    assert_eq!(
        (under(&seen, "reasoning"), under(&seen, "content")),
        ("Perhaps [EMAIL]".into(), "Bob, or Ann".into())
    );
    assert!(seen.rfind("EMAIL") < seen.find("content"), "{seen}");

    // The first chunk of the answer waits for the next one, or for a moment.
    let (mut answer, mut out) = (answer(&setup), VecDeque::new());
    answer.push((thought + &says("content", "Bob ")).into(), &mut out).unwrap();
    let early = String::from_utf8(Vec::from(std::mem::take(&mut out)).concat()).unwrap();
    assert_eq!(under(&early, "content"), "");
    answer.pause(&mut out).unwrap();
    answer.push(says("content", "it is.").into(), &mut out).unwrap();
    answer.push(rest.into(), &mut out).unwrap();
    let late = String::from_utf8(Vec::from(out).concat()).unwrap();
    assert_eq!(under(&(early + &late), "reasoning"), "Perhaps [EMAIL]");
    assert_eq!(under(&late, "content"), "Bob it is., or Ann");
}

#[test]
fn f53_texts_in_lists_of_a_chunk_are_read_over_chunks() {
    let (setup, tag) =
        asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Stream, &answers(Action::Label));
    let (head, rest) = tag.split_at(8);
    let of = |shape: &str, text: &str| match shape {
        "/tool_calls/0/custom/input" => json!({"tool_calls": [{"index": 0, "custom": {"input": text}}]}),
        "/reasoning_details/0/summary" => json!({"reasoning_details": [{"index": 0, "summary": text}]}),
        "/reasoning_details/0/text" => json!({"reasoning_details": [{"index": 0, "text": text}]}),
        _ => json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}),
    };
    for (shape, value) in [
        ("/tool_calls/0/custom/input", EMAIL),
        ("/reasoning_details/0/text", tag.as_str()),
        ("/reasoning_details/0/summary", tag.as_str()),
        ("/content/0/thinking/0/text", tag.as_str()),
    ] {
        let pieces = ["Write to bob@", "example", ".net or ", head, rest];
        let frames = pieces.map(|piece| chat(&json!({"index": 0, "delta": of(shape, piece)})));
        let end = chat(&json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
        let seen = seen_however_cut(&setup, &(frames.concat() + &end + "data: [DONE]\n\n"));
        let deltas = events(&seen).into_iter().map(|event| event["choices"][0]["delta"].clone());
        let text: String =
            deltas.filter_map(|delta| Some(delta.pointer(shape)?.as_str()?.to_owned())).collect();
        assert_eq!(text, format!("Write to [EMAIL] or {value}"), "{shape} of {seen}");
    }
}

#[test]
fn f53_surrogates_that_a_partner_repeats_are_no_findings_and_come_back() {
    for action in [Action::Label, Action::Block] {
        let pii = Pii { format: PseudonymFormat::Surrogate, ..answers(action) };
        let setup = Setup::redacted(
            ClientApi::ChatCompletions,
            Adapter::OpenAI,
            &request(ClientApi::ChatCompletions, Mode::Stream),
            &pii,
        );
        let (body, _) = sent(&setup);
        let (before, _) = body.split_once("@example.com").expect("the request has a surrogate");
        let surrogate = format!("{}@example.com", before.rsplit(' ').next().unwrap());
        let (head, rest) = surrogate.split_at(4);
        let frames = [
            chat(&json!({"index": 0, "delta": {"content": format!("Dear {head}")}})),
            chat(
                &json!({"index": 0, "delta": {"content": format!("{rest}, I mean {}", surrogate.to_uppercase())}}),
            ),
            chat(&json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "type": "function",
                "function": {"name": "f", "arguments": json!({"to": surrogate}).to_string()}}]}})),
            chat(&json!({"index": 0, "delta": {"note": surrogate}, "finish_reason": "stop"})),
            "data: [DONE]\n\n".to_owned(),
        ];
        let seen = seen_however_cut(&setup, &frames.concat());
        let arguments = json!({"to": EMAIL}).to_string();
        assert_eq!(said(&seen), (format!("Dear {EMAIL}, I mean {EMAIL}"), arguments), "{action:?}");
        assert_eq!(under(&seen, "note"), surrogate);
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
fn f53_citations_results_and_second_texts_of_messages_are_searched_too() {
    let pii = answers(Action::Label);
    let (setup, _) = asked(ClientApi::Messages, Adapter::Anthropic, Mode::Stream, &pii);
    let citation = json!({"type": "web_search_result_location", "url": "https://a.test", "encrypted_index": "b2I=",
        "title": OTHER, "cited_text": format!("as {OTHER} said")});
    let result = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [
        {"type": "web_search_result", "title": OTHER, "encrypted_content": "b2I=", "url": "https://a.test"}]});
    let delta = |index: u64, delta: Value| {
        anthropic(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    let start = |index: u64, block: Value| {
        anthropic(&json!({"type": "content_block_start", "index": index, "content_block": block}))
    };
    let stop = |index: u64| anthropic(&json!({"type": "content_block_stop", "index": index}));
    let stream = [
        anthropic(&json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}})),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "I know bob@exam"})),
        delta(0, json!({"type": "thinking_delta", "thinking": "ple.net"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2lnbmVk"})),
        stop(0),
        start(1, result.clone()),
        stop(1),
        start(2, json!({"type": "text", "text": ""})),
        // Two texts in one event: neither may pass unread.
        delta(2, json!({"type": "text_delta", "text": "one bob@", "thinking": format!("two {OTHER}")})),
        delta(2, json!({"type": "text_delta", "text": "example.net"})),
        delta(2, json!({"type": "citations_delta", "citation": citation})),
        stop(2),
        anthropic(&json!({"type": "new_event", "delta": {"text": OTHER}, "more": [OTHER]})),
        anthropic(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}})),
        anthropic(&json!({"type": "message_stop"})),
    ]
    .concat();
    let seen = seen_however_cut(&setup, &stream);
    for part in ["bob", "example.net", "c2lnbmVk"] {
        assert!(!seen.contains(part), "{part} in {seen}");
    }
    assert_eq!(seen.matches("b2I=").count(), 2, "what only the partner can read stays");
    assert_eq!(seen.matches("[EMAIL]").count(), 8, "{seen}");

    let (setup, _) = asked(ClientApi::Messages, Adapter::Anthropic, Mode::Whole, &pii);
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [result, {"type": "text", "text": OTHER, "citations": [citation]},
            {"type": "server_tool_use", "id": "t", "name": "f", "input": OTHER}],
        "usage": {"input_tokens": 1, "output_tokens": 2}});
    let seen = played(&setup, body.to_string().as_bytes(), &[]).unwrap();
    assert!(!seen.contains("bob") && seen.matches("[EMAIL]").count() == 5, "{seen}");
}

#[test]
fn f53_a_changed_thought_of_a_whole_answer_loses_its_signature_and_no_other_does() {
    let (setup, _) = asked(ClientApi::Messages, Adapter::Anthropic, Mode::Whole, &answers(Action::Label));
    let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "thinking", "thinking": "I know nobody", "signature": "a2VwdA=="},
            {"type": "thinking", "thinking": format!("I know {OTHER}"), "signature": "c2lnbmVk"},
            {"type": "text", "text": "Hello"}],
        "usage": {"input_tokens": 1, "output_tokens": 2}});
    let seen = played(&setup, body.to_string().as_bytes(), &[]).unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let blocks = &seen["content"];
    assert_eq!((&blocks[0]["signature"], &blocks[1]["signature"]), (&json!("a2VwdA=="), &json!("")));
    assert_eq!(blocks[1]["thinking"], "I know [EMAIL]");
}

#[test]
fn audio_in_an_answer_is_blocked_where_only_text_may_pass() {
    let pii = Pii { non_text: chaperone_protocol::snapshot::pii::NonText::Block, ..answers(Action::Label) };
    let (setup, _) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Whole, &pii);
    let body = r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":null,"audio":{"id":"a","data":"eA==","transcript":"hi"}},"finish_reason":"stop"}]}"#;
    assert_eq!(played(&setup, body.as_bytes(), &[]).unwrap_err().reason, Reason::PiiBlocked);
}

#[test]
fn what_answers_block_ends_them() {
    let (setup, _) = asked(ClientApi::ChatCompletions, Adapter::OpenAI, Mode::Whole, &answers(Action::Block));
    let body = r#"{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"bob@example.net"},"finish_reason":"stop"}]}"#;
    let failure = played(&setup, body.as_bytes(), &[]).unwrap_err();
    assert_eq!(failure.reason, Reason::PiiBlocked);
    assert!(!failure.message.unwrap().contains("bob"));
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
