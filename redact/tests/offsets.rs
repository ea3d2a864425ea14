//! Laws of finding and replacing, on random text.
#![cfg(test)]

use chaperone_redact::ner::Tagger;
use chaperone_redact::{
    Action, CustomSpec, Engine, FieldTable, Filter, Landing, Policy, PolicySpec, Progress, PseudonymKey,
    Query, Rules, Score, StreamRedactor, StreamRestorer, Vault, find, redact_json, redact_text,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn policy(action: Action) -> Policy {
    Policy::compile(&PolicySpec { filter: Filter::Balanced, action, ..PolicySpec::default() }).unwrap()
}

fn vault() -> Vault {
    Vault::new(PseudonymKey::new([1; 32]), "alpha", "")
}

fn rules(policy: &Policy) -> Rules<'_> {
    Rules { policy, table: FieldTable::OpenAiChat, names: None }
}

/// Text from pieces that findings are made of, and from anything.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("ann@example.org".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("+49 30 901820".to_owned()),
        Just("ssn 536-22-8726".to_owned()),
        Just("日本語 \u{200b}é\u{1f600} ".to_owned()),
        Just(" ".to_owned()),
        Just("\n\n".to_owned()),
        "[a-z \\\\\"0-9@.:=-]{0,12}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn spans_are_disjoint_and_on_characters(text in text()) {
        let policy = policy(Action::Mask);
        let mut last = 0;
        for span in find(&text, &Query::new(&policy)).unwrap().spans {
            prop_assert!(span.range.start >= last && span.range.start < span.range.end);
            prop_assert!(text.get(span.range.clone()).is_some());
            last = span.range.end;
        }
    }

    #[test]
    fn escaping_hides_nothing_and_bodies_stay_json(text in text()) {
        let policy = policy(Action::Label);
        let plain = redact_text(text.as_bytes(), rules(&policy), &mut vault()).unwrap().to_vec();
        let body = json!({"messages": [{"content": ["x", text]}]}).to_string();
        let done = redact_json(body.as_bytes(), rules(&policy), &mut vault()).unwrap().to_vec();
        let value: Value = serde_json::from_slice(&done).unwrap();
        prop_assert_eq!(value["messages"][0]["content"][1].as_str().unwrap().as_bytes(), plain);
    }

    #[test]
    fn pausing_changes_nothing(text in text(), budget in 1_usize..2000, times in 1_usize..40) {
        let mut policy = PolicySpec { filter: Filter::Strict, action: Action::Pseudonym, ..PolicySpec::default() };
        policy.custom.push(CustomSpec {
            name: "Digits".into(),
            pattern: "[0-9]{3}-[a-z]+".into(),
            context: vec!["ann".into()],
            score: Score::percent(60),
        });
        let policy = Policy::compile(&policy).unwrap();
        let names = Tagger::embedded().unwrap();
        let long = text.repeat(times);
        let body = json!({"messages": [
            {"content": [long, "Ann Lee lives in Berlin"]},
            {"tool_calls": [{"function": {"arguments": json!({"born": text, "n": 536_228_726, "deep": [long]}).to_string()}}]},
        ]})
        .to_string();
        let rules = Rules { names: Some(names), ..rules(&policy) };
        let (mut one, mut two) = (vault(), vault());
        let whole = redact_json(body.as_bytes(), rules, &mut one).map(|done| (done.to_vec(), done.counts().clone()));
        let mut engine = Engine::new(body.as_bytes(), rules, &mut two);
        let paused = loop {
            match engine.step(budget) {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => break engine.finish().map(|done| (done.to_vec(), done.counts().clone())),
                Err(refused) => break Err(refused),
            }
        };
        prop_assert_eq!(paused, whole);
    }

    #[test]
    fn without_findings_every_byte_stays(text in "[a-z ,\\\\\"\n\u{e9}]{0,60}") {
        let policy = policy(Action::Label);
        let body = json!({"messages": [{"content": text}]}).to_string();
        let done = redact_json(body.as_bytes(), rules(&policy), &mut vault()).unwrap();
        prop_assert!(done.is_unchanged());
        prop_assert_eq!(done.to_vec(), body.into_bytes());
    }

    #[test]
    fn an_echoing_partner_gives_the_text_back(text in text()) {
        let policy = policy(Action::Pseudonym);
        let mut vault = vault();
        let sent = redact_text(text.as_bytes(), rules(&policy), &mut vault).unwrap().to_vec();
        let mut restorer = StreamRestorer::new(&vault, Landing::Text);
        let mut back = restorer.push(&sent);
        back.extend(restorer.flush());
        // A placeholder stays where a link's target begins, or a letter touches it.
        if restorer.kept_in_urls() == 0 && usize::try_from(restorer.restored()).unwrap() == find(&text, &Query::new(&policy)).unwrap().spans.len() {
            prop_assert_eq!(comparable(&back), comparable(text.as_bytes()));
        }
    }

    #[test]
    fn f53_streams_do_not_depend_on_their_cuts(text in text(), cuts in proptest::collection::vec(0_usize..400, 0..6)) {
        let policy = std::sync::Arc::new(policy(Action::Label));
        let stream = |cuts: &[usize]| {
            let (mut redactor, mut vault, mut out) = (StreamRedactor::new(std::sync::Arc::clone(&policy), None), vault(), Vec::new());
            let mut from = 0;
            for cut in cuts.iter().copied().filter(|cut| *cut <= text.len()).chain([text.len()]) {
                out.extend(redactor.push(&text.as_bytes()[from..cut], &mut vault).unwrap());
                from = cut;
            }
            out.extend(redactor.flush(&mut vault).unwrap());
            out
        };
        let mut cuts = cuts;
        cuts.sort_unstable();
        prop_assert_eq!(stream(&cuts), stream(&[]));
        prop_assert_eq!(stream(&(0..text.len()).collect::<Vec<_>>()), stream(&[]));
    }
}

/// One value has one placeholder, so spellings of one number come back as the first one.
fn comparable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).to_lowercase()
}
