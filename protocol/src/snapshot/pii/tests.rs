use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::snapshot::Tls;

/// Every field, once.
const FULL: &str = r#"{
  "filter": "Balanced",
  "entities": ["Ssn", "Email", "Person"],
  "actions": {"Email": "Hash", "Person": "Pseudonym"},
  "restore": ["Text", "Urls"],
  "ner": {"Presidio": [
    {"endpoint": "http://127.0.0.1:3000", "timeoutMs": 2000, "language": "en", "scorePercent": 40},
    {"endpoint": "https://presidio.pii.svc/de", "tls": {"clientCertificate": "pii/mtls/tls.crt", "clientKey": "pii/mtls/tls.key"},
     "timeoutMs": 5000, "language": "de", "scorePercent": 60}
  ]},
  "keepLast": 4,
  "scope": "Conversation",
  "format": "Surrogate",
  "partsOfNames": "Linked",
  "hint": true,
  "allow": ["help@ourco.test"],
  "custom": [{"name": "EmployeeId", "pattern": "E-[0-9]{6}", "context": ["badge"], "scorePercent": 60, "action": "Block"}],
  "responses": {"entities": ["Secret"], "action": "Label"},
  "nonText": "Block"
}"#;

fn problems(pii: &Pii) -> Vec<String> {
    let mut problems = Problems::default();
    pii.check("p", &mut problems);
    problems.finish(()).err().unwrap_or_default().into_iter().map(|it| it.path).collect()
}

#[test]
fn the_written_form_is_stable() {
    let full: Pii = serde_json::from_str(FULL).unwrap();
    let wanted: serde_json::Value = serde_json::from_str(FULL).unwrap();
    assert_eq!(serde_json::to_value(&full).unwrap(), wanted);
    assert_eq!(problems(&full), [""; 0]);
}

#[test]
fn the_least_form_is_the_default() {
    assert_eq!(serde_json::from_str::<Pii>(r#"{"filter": "Lenient"}"#).unwrap(), Pii::default());
}

#[test]
fn every_bound_is_held_by_its_path() {
    let full: Pii = serde_json::from_str(FULL).unwrap();
    let pattern = full.custom[0].clone();
    let long = CustomPattern { pattern: "a".repeat(limits::PII_PATTERN_BYTES + 1), ..pattern.clone() };
    let words = (0..=limits::PII_CONTEXT).map(|at| at.to_string()).collect();
    let wordy = CustomPattern { context: words, ..pattern.clone() };
    let sure = CustomPattern { score_percent: 101, ..pattern.clone() };
    let answers = ResponsePii { entities: BTreeSet::new(), action: Action::Pseudonym };
    let beyond = [
        (
            "p.allow",
            Pii { allow: (0..=limits::PII_ALLOW).map(|at| at.to_string()).collect(), ..full.clone() },
        ),
        ("p.custom", Pii { custom: vec![pattern; limits::PII_CUSTOM + 1], ..full.clone() }),
        ("p.keepLast", Pii { keep_last: limits::PII_KEEP_LAST + 1, ..full.clone() }),
        ("p.custom[0].pattern", Pii { custom: vec![long], ..full.clone() }),
        ("p.custom[0].context", Pii { custom: vec![wordy], ..full.clone() }),
        ("p.custom[0].scorePercent", Pii { custom: vec![sure], ..full.clone() }),
        ("p.responses.action", Pii { responses: Some(answers), ..full }),
    ];
    for (path, pii) in beyond {
        assert_eq!(problems(&pii), [path]);
    }
}

#[test]
fn an_analyzer_that_must_not_be_asked_is_refused_by_its_path() {
    let full: Pii = serde_json::from_str(FULL).unwrap();
    let sound = &full.ner.analyzers()[0];
    let at = |endpoint: &str| Analyzer { endpoint: endpoint.parse().unwrap(), ..sound.clone() };
    let mutual = full.ner.analyzers()[1].tls.clone();
    let shown = |analyzer: Analyzer| Analyzer { tls: mutual.clone(), ..analyzer };
    let half = Tls { client_key: Some("pii/mtls/tls.key".parse().unwrap()), ..Tls::default() };
    let cases = [
        (vec![], "p.ner"),
        (vec![sound.clone(); limits::PII_ANALYZERS + 1], "p.ner"),
        (vec![at("http://presidio.pii.svc:3000")], "p.ner[0].endpoint"),
        (vec![at("http://10.0.0.1:3000")], "p.ner[0].endpoint"),
        (vec![at("https://presidio.pii.svc")], "p.ner[0].tls"),
        (vec![shown(at("https://169.254.169.254"))], "p.ner[0].endpoint"),
        (vec![shown(at("https://2852039166"))], "p.ner[0].endpoint"),
        (vec![sound.clone(), Analyzer { tls: half, ..sound.clone() }], "p.ner[1].tls"),
        (vec![Analyzer { timeout: Duration::ZERO, ..sound.clone() }], "p.ner[0].timeoutMs"),
        (vec![Analyzer { timeout: Duration::from_millis(10_001), ..sound.clone() }], "p.ner[0].timeoutMs"),
        (vec![Analyzer { language: "e".repeat(17), ..sound.clone() }], "p.ner[0].language"),
        (vec![Analyzer { score_percent: 101, ..sound.clone() }], "p.ner[0].scorePercent"),
    ];
    for (analyzers, path) in cases {
        let pii = Pii { ner: Ner::Presidio(analyzers), ..Pii::default() };
        assert_eq!(problems(&pii), [path], "{pii:?}");
    }
}

fn entities() -> impl Strategy<Value = BTreeSet<Entity>> {
    prop::collection::btree_set(prop::sample::select(Entity::ALL), 0..6)
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![Action::Pseudonym, Action::Hash, Action::Mask, Action::Label, Action::Block])
}

prop_compose! {
    fn pii()(
        filter in prop::sample::select(vec![Filter::Off, Filter::Lenient, Filter::Balanced, Filter::Strict]),
        entities in prop::option::of(entities()),
        actions in prop::collection::btree_map(prop::sample::select(Entity::ALL), action(), 0..4),
        restore in prop::collection::btree_set(
            prop::sample::select(vec![Restored::Text, Restored::ToolArguments, Restored::Urls]), 0..3),
        scope in prop::sample::select(
            vec![PseudonymScope::Partner, PseudonymScope::Conversation, PseudonymScope::Request]),
        format in prop::sample::select(vec![PseudonymFormat::Surrogate, PseudonymFormat::Tag]),
        parts_of_names in prop::sample::select(vec![PartsOfNames::Linked, PartsOfNames::Apart]),
        (hint, keep_last) in (any::<bool>(), 0..5_u8),
        allow in prop::collection::btree_set(".{1,8}", 0..3),
        custom in prop::collection::vec(("[A-Z][a-z]{1,6}", ".{1,8}", 0..=100_u8, action()), 0..3),
        responses in prop::option::of((entities(), action())),
    ) -> Pii {
        let custom = custom.into_iter().map(|(name, pattern, score_percent, action)| CustomPattern {
            name, pattern, context: BTreeSet::from(["badge".to_owned()]), score_percent, action,
        });
        Pii {
            filter, entities, actions, restore, ner: Ner::Embedded, keep_last, scope, format, parts_of_names, hint, allow,
            custom: custom.collect(),
            responses: responses.map(|(entities, action)| ResponsePii { entities, action }),
            non_text: NonText::Allow,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(pii in pii()) {
        let written = serde_json::to_string(&pii).unwrap();
        prop_assert_eq!(serde_json::from_str::<Pii>(&written).unwrap(), pii);
    }
}
