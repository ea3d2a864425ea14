//! Names that somebody else has found beforehand.

use super::*;
use crate::names::{NameKind, NameSpan, Unanalyzed};
use crate::policy::{Filter, PolicySpec};

/// Knows one text, and finds nothing by itself.
struct Knows {
    text: &'static str,
    names: Vec<NameSpan>,
}

impl NameFinder for Knows {
    fn find(&self, _: &str, _: f32, _: &mut Vec<NameSpan>) {}

    fn known(&self, value: &str, out: &mut Vec<NameSpan>) -> Result<(), Unanalyzed> {
        if value != self.text {
            return Err(Unanalyzed);
        }
        out.extend(self.names.iter().copied());
        Ok(())
    }
}

/// What is found in `text`, where `names` are known beforehand.
fn found(text: &'static str, names: &[(&str, NameKind)]) -> Vec<String> {
    let place = |(name, kind): &(&str, NameKind)| {
        let start = text.find(name).unwrap();
        NameSpan { start, end: start + name.len(), kind: *kind, score: 0.85 }
    };
    let knows = Knows { text, names: names.iter().map(place).collect() };
    let policy = Policy::compile(&PolicySpec { filter: Filter::Balanced, ..PolicySpec::default() }).unwrap();
    let query = Query { names: Some(&knows), ..Query::new(&policy) };
    let spans = find(text, &query).unwrap().spans;
    spans.iter().map(|span| format!("{}:{}", span.entity, text.get(span.range.clone()).unwrap())).collect()
}

#[test]
fn known_names_count_in_any_script_case_and_surroundings() {
    use NameKind::{Location, Person};
    let text = "zoë müller met 𠮷田太郎 and call(bob) in paris";
    let names = [("zoë müller", Person), ("𠮷田太郎", Person), ("bob", Person), ("paris", Location)];
    let wanted = ["PERSON:zoë müller", "PERSON:𠮷田太郎", "PERSON:bob"];
    assert_eq!(found(text, &names), wanted, "places are not wanted at Balanced");
}

#[test]
fn a_known_name_takes_nothing_from_a_rule_and_leaves_nothing_beside_it() {
    let text = "ann lee ann.lee@example.org wrote";
    let wanted = ["PERSON:ann lee", "EMAIL:ann.lee@example.org"];
    assert_eq!(found(text, &[("ann lee ann.lee@example.org", NameKind::Person)]), wanted);
}

#[test]
fn a_known_place_completes_an_address() {
    let text = "12 Elm Street, bad homburg";
    assert_eq!(found(text, &[("bad homburg", NameKind::Location)]), ["ADDRESS:12 Elm Street, bad homburg"]);
}

#[test]
fn a_value_that_nobody_analyzed_or_that_does_not_fit_is_not_scanned() {
    let policy = Policy::compile(&PolicySpec { filter: Filter::Balanced, ..PolicySpec::default() }).unwrap();
    let scanned = |text: &str, start, end| {
        let name = NameSpan { start, end, kind: NameKind::Person, score: 1.0 };
        let knows = Knows { text: "zoë", names: vec![name] };
        find(text, &Query { names: Some(&knows), ..Query::new(&policy) }).map(|found| found.spans.len())
    };
    assert_eq!(scanned("zoë", 0, 4), Ok(1));
    assert_eq!(scanned("", 0, 0), Ok(0), "there is nothing to find in nothing");
    let unanalyzed = Err(Unscannable::Unanalyzed(Unanalyzed));
    for (text, start, end) in [("zoe", 0, 3), ("zoë", 0, 3), ("zoë", 3, 4), ("zoë", 0, 5), ("zoë", 2, 2)]
    {
        assert_eq!(scanned(text, start, end), unanalyzed, "{text} {start} {end}");
    }
}
