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

#[test]
fn small_steps_give_the_same_bytes() {
    let body = r#"{"messages":[{"content":"ann@example.org"},{"content":"call +49 30 901820"}]}"#;
    let policy = Policy::compile(&PolicySpec::default()).unwrap();
    let rules = Rules { policy: &policy, table: FieldTable::OpenAiChat, names: None };
    let (mut one, mut two) = (vault(), vault());
    let mut engine = Engine::new(body.as_bytes(), rules, &mut one);
    while engine.step(1).unwrap() == Progress::More {}
    let whole = redact_json(body.as_bytes(), rules, &mut two).unwrap();
    assert_eq!(engine.finish().unwrap().to_vec(), whole.to_vec());
}

#[test]
fn text_that_only_looks_like_json_is_prose() {
    // A quoted word with an escape that JSON does not know.
    let body = r#"{"messages":[{"content":"\"\\c ann@example.org\""}]}"#;
    let text = redacted(body, Action::Label).unwrap();
    assert_eq!(text, body.replace("ann@example.org", "[EMAIL]"));
}
