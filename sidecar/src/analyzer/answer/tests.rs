//! Against bodies that were recorded from presidio-analyzer 2.2.366 with a small English model of spaCy 3.8.

use std::time::Duration;

use chaperone_protocol::snapshot::Tls;
use serde_json::Value;

use super::*;
use crate::analyzer::question::questions;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/", $name, ".json"))
    };
}

fn analyzer() -> Analyzer {
    Analyzer {
        endpoint: "http://127.0.0.1:3000".parse().unwrap(),
        tls: Tls::default(),
        timeout: Duration::from_secs(2),
        language: "en".to_owned(),
        score_percent: 40,
    }
}

/// What a recorded answer finds in the text of its request.
fn found(asked: &str, answered: &str) -> Vec<(NameKind, String)> {
    let asked: Value = serde_json::from_str(asked).unwrap();
    let text = asked["text"].as_str().unwrap();
    let questions = questions(&[text.to_owned()]);
    let mut names = vec![Vec::new()];
    questions[0].spread(&findings(answered.as_bytes()).unwrap(), &mut names).unwrap();
    names[0].iter().map(|name| (name.kind, text.get(name.start..name.end).unwrap().to_owned())).collect()
}

#[test]
fn a_question_is_worded_as_it_was_when_presidio_answered() {
    for recorded in [golden!("names.request"), golden!("nothing.request")] {
        let recorded: Value = serde_json::from_str(recorded).unwrap();
        let ours = request(&analyzer(), recorded["text"].as_str().unwrap());
        let ours: Value = serde_json::from_slice(&ours).unwrap();
        let threshold = |value: &Value| value["score_threshold"].as_f64().unwrap();
        assert!((threshold(&ours) - threshold(&recorded)).abs() < 1e-6);
        for field in ["text", "language", "entities"] {
            assert_eq!(ours[field], recorded[field], "{field}");
        }
    }
    assert!(String::from_utf8(request(&analyzer(), "x")).unwrap().ends_with("\"score_threshold\":0.4}"));
}

#[test]
fn what_presidio_found_is_found_where_it_stands() {
    use NameKind::{Location, Organization, Person};
    let wanted = [
        (Person, "Anna Schmidt"),
        (Organization, "Siemens"),
        (Location, "Paris"),
        (Location, "Berlin"),
        (Person, "Bob Stone"),
        (Person, "François Dupont"),
        (Location, "New York"),
    ];
    // The last two stand behind characters outside of the basic plane, joined ones and combining ones.
    let wanted = wanted.map(|(kind, text)| (kind, text.to_owned()));
    assert_eq!(found(golden!("names.request"), golden!("names.response")), wanted);
    assert_eq!(found(golden!("nothing.request"), golden!("nothing.response")), []);
}

#[test]
fn what_is_no_list_of_findings_is_not_used() {
    let cases = [
        golden!("unknown_language.response"),
        "",
        "{}",
        "null",
        "[[]]",
        r#"[{"entity_type": "PERSON", "start": -1, "end": 3, "score": 1}]"#,
        r#"[{"entity_type": "PERSON", "start": 0, "end": 3}]"#,
        r#"[{"entity_type": "PERSON", "start": 0, "end": 3, "score": 1.01}]"#,
        r#"[{"entity_type": "PERSON", "start": 0, "end": 3, "score": null}]"#,
        r#"[{"entity_type": "PERSON", "start": 3, "end": 3, "score": 1}]"#,
        r#"[{"entity_type": "PERSON", "start": 3, "end": 2, "score": 1}]"#,
        r#"[{"entity_type": "PERSON", "start": 0, "end": 3, "score": 1}"#,
    ];
    for case in cases {
        assert!(findings(case.as_bytes()).is_err(), "{case}");
    }
    let other = r#"[{"entity_type": "DATE_TIME", "start": 0, "end": 3, "score": 0.85, "new": {}}]"#;
    assert_eq!(findings(other.as_bytes()), Ok(Vec::new()), "what was not asked for is left out");
}
