//! Answers that are searched: what a partner says leaves redacted, whatever it stands in and however it comes.

use super::*;

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
