use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::policy::{Filter, PolicySpec};
use crate::pseudonym::PseudonymKey;

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([3; 32]), "alpha", "")
}

fn redacted(body: &str, action: Action) -> Result<String, Refused> {
    let spec = PolicySpec { filter: Filter::Balanced, action, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let rules = Rules { policy: &policy, table: FieldTable::OpenAiChat, names: None };
    let done = redact_json(body.as_bytes(), rules, &mut vault())?;
    let text = String::from_utf8(done.to_vec()).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    Ok(text)
}

#[test]
fn f53_what_an_answer_says_in_another_shape_than_its_dialect_is_searched() {
    let spec = PolicySpec { filter: Filter::Balanced, action: Action::Label, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let seen = |table, body: &str| {
        let rules = Rules { policy: &policy, table, names: None };
        String::from_utf8(redact_json(body.as_bytes(), rules, &mut vault()).unwrap().to_vec()).unwrap()
    };
    for (table, body) in [
        (FieldTable::OpenAiAnswer, r#"{"choices":[{"delta":{"content":4111111111111111}}]}"#),
        (FieldTable::OpenAiAnswer, r#"{"choices":{"0":{"message":{"content":"bob@example.net"}}}}"#),
        (
            FieldTable::OpenAiAnswer,
            r#"{"choices":[{"message":{"content":{"a":{"text":"bob@example.net"}}}}]}"#,
        ),
        (FieldTable::OpenAiAnswer, r#"{"created":"bob@example.net","choices":[]}"#),
        (FieldTable::AnthropicAnswer, r#"{"content":{"a":{"text":"bob@example.net"}}}"#),
        (FieldTable::AnthropicAnswer, r#"{"content":[{"type":"anything","data":"bob@example.net"}]}"#),
        (FieldTable::AnthropicAnswer, r#"{"content":[{"type":"text","text":4111111111111111}]}"#),
    ] {
        let seen = seen(table, body);
        assert!(!seen.contains("bob") && !seen.contains("4111"), "{seen}");
    }
    for (table, body) in [
        (
            FieldTable::OpenAiAnswer,
            r#"{"created":1694268190,"choices":[{"message":{"audio":{"expires_at":1729018505}}}]}"#,
        ),
        (
            FieldTable::AnthropicAnswer,
            r#"{"content":[{"type":"redacted_thinking","data":"b2I4111111111111111="}]}"#,
        ),
        (
            FieldTable::AnthropicAnswer,
            r#"{"delta":{"type":"signature_delta","signature":"4111111111111111"}}"#,
        ),
    ] {
        assert_eq!(seen(table, body), body);
    }
}

#[test]
fn bytes_outside_findings_stay_as_they_were() {
    let body =
        "{ \"messages\":[ {\"content\" : \"mail ann@example.org, caf\\u00e9 1.50e0\"}],\t\"n\": 1.0e5 }";
    let wanted = body.replace("ann@example.org", "[EMAIL]");
    assert_eq!(redacted(body, Action::Label).unwrap(), wanted);
    let clean = r#"{"messages":[{"content":"nothing \ud83d\ude00 here"}]}"#;
    assert_eq!(redacted(clean, Action::Label).unwrap(), clean);
}

#[test]
fn f53_escapes_and_nested_arguments_are_seen_through() {
    let body = r#"{"messages":[{"content":"ann\u0040example.org"},{"tool_calls":[{"function":{"arguments":"{\"to\":\"ann\\u0040example.org\",\"ssn\":536228726}"}}]}]}"#;
    let text = redacted(body, Action::Label).unwrap();
    assert!(!text.contains("example.org") && !text.contains("536228726"), "{text}");
    assert!(text.contains(r#"{\"to\":\"[EMAIL]\",\"ssn\":\"[SSN]\"}"#), "{text}");
}

#[test]
fn messages_of_the_neutral_api_are_read_as_those_of_a_chat() {
    let body = r#"{"prompt":[{"role":"user","content":"{\"ssn\":536228726}"},{"tool_calls":[{"id":"call_4111111111111111","function":{"name":"f","arguments":"{\"ssn\":536228726}"}}]}],"parameters":{"responseFormat":{"json_schema":{"schema":{"enum":["ann@example.org"]}}}}}"#;
    let wanted = body.replace("536228726", r#"\"[SSN]\""#);
    assert_eq!(labelled(body, FieldTable::Infer), wanted);
}

#[test]
fn an_identifier_becomes_a_hash_and_block_refuses() {
    let body = r#"{"user":"ann@example.org"}"#;
    let text = redacted(body, Action::Pseudonym).unwrap();
    assert_eq!(text.len(), r#"{"user":""}"#.len() + 16);
    let blocked = Counts::from([((Entity::Email, Action::Block), 1)]);
    assert_eq!(redacted(body, Action::Block), Err(Refused::Blocked(blocked)));
}

#[test]
fn keys_name_what_their_values_are() {
    let body = r#"{"messages":[{"content":"{\"dateOfBirth\":\"1985-03-12\",\"password\":\"hunter2-X9\"}"}]}"#;
    let text = redacted(body, Action::Label).unwrap();
    assert!(text.contains("[DATE_OF_BIRTH]") && text.contains("[SECRET]"), "{text}");
}

#[test]
fn redacting_twice_changes_nothing() {
    let body = r#"{"messages":[{"content":"ann@example.org, +49 30 901820, 4111 1111 1111 1111, ssn 536-22-8726"}]}"#;
    for action in [Action::Mask, Action::Label, Action::Hash, Action::Pseudonym] {
        let once = redacted(body, action).unwrap();
        assert_eq!(redacted(&once, action).unwrap(), once);
    }
}

/// A finder that keeps track of how much it was asked at once.
#[derive(Default)]
struct Counting(AtomicUsize);

impl crate::NameFinder for Counting {
    fn find(&self, text: &str, _: f32, _: &mut Vec<crate::NameSpan>) {
        self.0.fetch_add(text.len(), Ordering::Relaxed);
    }
}

#[test]
fn a_long_string_pauses_as_often_as_many_short_ones() {
    let prose = "Ann wrote 12 words. ".repeat(5_000);
    let nested = serde_json::json!({ "text": prose }).to_string();
    for body in [
        serde_json::json!({"messages": [{"content": prose}]}),
        serde_json::json!({"messages": [{"content": nested}]}),
    ] {
        let (body, names) = (body.to_string(), Counting::default());
        let policy =
            Policy::compile(&PolicySpec { filter: Filter::Balanced, ..PolicySpec::default() }).unwrap();
        let rules = Rules { policy: &policy, table: FieldTable::OpenAiChat, names: Some(&names) };
        let mut vault = vault();
        let mut engine = Engine::new(body.as_bytes(), rules, &mut vault);
        let mut asked = 0;
        while engine.step(512).unwrap() == Progress::More {
            assert!(
                names.0.load(Ordering::Relaxed) - asked <= 1024,
                "{} bytes in one step",
                names.0.load(Ordering::Relaxed) - asked
            );
            asked = names.0.load(Ordering::Relaxed);
        }
        assert!(asked >= prose.len());
    }
}

#[test]
fn a_single_word_is_a_name_only_under_a_key_that_says_so() {
    let names = crate::ner::Tagger::embedded().unwrap();
    let spec = PolicySpec { filter: Filter::Balanced, action: Action::Label, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let rules = Rules { policy: &policy, table: FieldTable::Unknown, names: Some(names) };
    let body = r#"{"args":"args","status":"Mary","firstName":"Mary","text":"Mary Johnson called."}"#;
    let done = redact_json(body.as_bytes(), rules, &mut vault()).unwrap().to_vec();
    let wanted = r#"{"args":"args","status":"Mary","firstName":"[PERSON]","text":"[PERSON] called."}"#;
    assert_eq!(String::from_utf8(done).unwrap(), wanted);
}

#[test]
fn text_that_only_looks_like_json_is_prose() {
    // A quoted word with an escape that JSON does not know.
    let body = r#"{"messages":[{"content":"\"\\c ann@example.org\""}]}"#;
    let text = redacted(body, Action::Label).unwrap();
    assert_eq!(text, body.replace("ann@example.org", "[EMAIL]"));
}

fn labelled(body: &str, table: FieldTable) -> String {
    let spec = PolicySpec { filter: Filter::Balanced, action: Action::Label, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let done = redact_json(body.as_bytes(), Rules { policy: &policy, table, names: None }, &mut vault());
    let text = String::from_utf8(done.unwrap().to_vec()).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    text
}

#[test]
fn f53_numbers_of_unknown_objects_are_read() {
    let card = r#""card":4111111111111111"#;
    let messages = format!(
        r#"{{"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"pay","input":{{{card}}}}}]}}]}}"#
    );
    let schema = format!(
        r#"{{"tools":[{{"name":"pay","input_schema":{{"type":"object","properties":{{"card":{{"default":{{{card}}},"examples":[4111111111111111]}}}}}}}}]}}"#
    );
    for (table, body) in [
        (FieldTable::AnthropicMessages, messages),
        (FieldTable::AnthropicMessages, schema),
        (FieldTable::OpenAiChat, format!(r#"{{"new_field":{{{card}}}}}"#)),
        (FieldTable::OpenAiChat, format!(r#"{{{card}}}"#)),
        (FieldTable::Infer, format!(r#"{{"parameters":{{{card}}}}}"#)),
        (FieldTable::OpenAiChat, format!(r#"{{"metadata":{{{card}}}}}"#)),
    ] {
        let text = labelled(&body, table);
        assert!(!text.contains("4111111111111111"), "{text}");
    }
}

#[test]
fn parameters_that_are_long_numbers_stay_numbers() {
    for (table, body) in [
        (FieldTable::OpenAiChat, r#"{"seed":4111111111111111,"max_tokens":4111111111111111}"#),
        (FieldTable::Infer, r#"{"parameters":{"seed":4111111111111111}}"#),
        (FieldTable::OpenAiChat, r#"{"tools":[{"function":{"parameters":{"maximum":4111111111111111}}}]}"#),
    ] {
        assert_eq!(labelled(body, table), body);
    }
}

#[test]
fn f53_keys_that_no_table_names_are_read() {
    for (table, body) in [
        (FieldTable::OpenAiChat, r#"{"metadata":{"ann@example.org":"x"}}"#),
        (FieldTable::OpenAiChat, r#"{"ann@example.org":1,"messages":[]}"#),
        (FieldTable::OpenAiChat, r#"{"messages":[{"role":"user","ann@example.org":"x"}]}"#),
        (FieldTable::AnthropicMessages, r#"{"system":[{"cache_control":{"ann@example.org":"x"}}]}"#),
        (FieldTable::Infer, r#"{"metadata":{"ann@example.org":"x"}}"#),
    ] {
        let text = labelled(body, table);
        assert!(!text.contains("ann@example.org"), "{text}");
    }
}

#[test]
fn f53_base64_is_seen_through_escapes_and_nesting_and_media_stay() {
    const CARD: &str = "Y2FyZCA0MTExIDExMTEgMTExMSAxMTExIG9r";
    let long = "bG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIHdl".repeat(500);
    let body = format!(
        r#"{{"messages":[{{"content":"see NDExMTExMTExMTExMTExMX4\/Pn4\/Pg\u003d= and {long}{CARD}"}},{{"content":[
        {{"type":"image_url","image_url":{{"url":"data:image/svg+xml;base64,{CARD}"}}}},{{"type":"text","text":"<img src=\"data:image/svg+xml;base64,{CARD}\">"}}]}},
        {{"tool_calls":[{{"function":{{"arguments":"{{\"note\":\"{CARD}\"}}"}}}}]}}]}}"#
    );
    let wanted = body.replace(r"NDExMTExMTExMTExMTExMX4\/Pn4\/Pg\u003d=", "[CREDIT_CARD]");
    let wanted = wanted.replace(&format!("{long}{CARD}"), "[CREDIT_CARD]");
    let wanted = wanted.replace(&format!(r#"\"note\":\"{CARD}"#), r#"\"note\":\"[CREDIT_CARD]"#);
    let spec = PolicySpec { filter: Filter::Strict, action: Action::Label, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let rules = Rules { policy: &policy, table: FieldTable::OpenAiChat, names: None };
    for budget in [1, 100, usize::MAX] {
        let mut vault = vault();
        let mut engine = Engine::new(body.as_bytes(), rules, &mut vault);
        while engine.step(budget).unwrap() == Progress::More {}
        let done = engine.finish().unwrap();
        assert_eq!(String::from_utf8(done.to_vec()).unwrap(), wanted, "budget {budget}");
        assert_eq!(done.counts().values().sum::<u32>(), 3);
    }
}
