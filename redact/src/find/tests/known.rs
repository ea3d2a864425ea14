//! Names that somebody else has found beforehand.

use proptest::prelude::*;

use super::*;
use crate::names::{NameKind, NameSpan, Unanalyzed};
use crate::ner::Tagger;
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

/// Finds what the tagger finds, and knows more beforehand.
struct Both(Vec<NameSpan>);

impl NameFinder for Both {
    fn find(&self, text: &str, recall_bias: f32, out: &mut Vec<NameSpan>) {
        Tagger::embedded().unwrap().find(text, recall_bias, out);
    }

    fn known(&self, _: &str, out: &mut Vec<NameSpan>) -> Result<(), Unanalyzed> {
        out.extend(self.0.iter().copied());
        Ok(())
    }
}

fn span((name, kind): &(&str, NameKind), text: &str) -> NameSpan {
    let start = text.find(name).unwrap();
    NameSpan { start, end: start + name.len(), kind: *kind, score: 0.85 }
}

/// What `names` finds in `text`.
fn ranges(text: &str, names: &dyn NameFinder) -> Vec<Span> {
    let policy = Policy::compile(&PolicySpec { filter: Filter::Balanced, ..PolicySpec::default() }).unwrap();
    find(text, &Query { names: Some(names), ..Query::new(&policy) }).unwrap().spans
}

fn shown(text: &str, spans: &[Span]) -> Vec<String> {
    spans.iter().map(|span| format!("{}:{}", span.entity, text.get(span.range.clone()).unwrap())).collect()
}

/// What is found in `text`, where `names` are known beforehand.
fn found(text: &'static str, names: &[(&str, NameKind)]) -> Vec<String> {
    let names = names.iter().map(|name| span(name, text)).collect();
    shown(text, &ranges(text, &Knows { text, names }))
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

#[test]
fn what_the_tagger_finds_shortens_no_known_name_and_the_other_way_round() {
    use NameKind::Person;
    for (text, known, wanted) in [
        ("please ask Gareth abdul karim about it", &["Gareth abdul karim"][..], &["Gareth abdul karim"][..]),
        ("My manager Mary Miller met", &["Miller"], &["Mary Miller"]),
        (
            "My manager Mary Miller met Peter Jackson",
            &["Mary Miller", "Peter Jackson"],
            &["Mary Miller", "Peter Jackson"],
        ),
    ] {
        let known = known.iter().map(|name| span(&(name, Person), text)).collect();
        let wanted: Vec<String> = wanted.iter().map(|name| format!("PERSON:{name}")).collect();
        assert_eq!(shown(text, &ranges(text, &Both(known))), wanted, "{text}");
    }
}

proptest! {
    #[test]
    fn all_that_either_finds_is_covered(
        words in prop::collection::vec(prop::sample::select(WORDS), 1..24),
        known in prop::collection::vec((any::<prop::sample::Index>(), 1..4_usize), 0..4),
    ) {
        let text = words.join(" ");
        let start = |word: usize| words[..word].iter().map(|word| word.len() + 1).sum::<usize>();
        let known: Vec<NameSpan> = known.iter().map(|(first, count)| {
            let first = first.index(words.len());
            let end = start((first + count).min(words.len())) - 1;
            NameSpan { start: start(first), end, kind: NameKind::Person, score: 0.85 }
        }).collect();
        let both = ranges(&text, &Both(known.clone()));
        let alone = ranges(&text, Tagger::embedded().unwrap());
        let wanted = alone.iter().map(|span| span.range.clone()).chain(known.iter().map(|name| name.start..name.end));
        for wanted in wanted {
            let within = |span: &Span| span.range.start <= wanted.start && wanted.end <= span.range.end;
            prop_assert!(both.iter().any(within), "{text}: {wanted:?} in {both:?}");
        }
    }
}

/// What names are made of, and what stands between them; nothing that a rule would find.
const WORDS: &[&str] = &[
    "Mary", "Miller", "Gareth", "Peter", "Jackson", "Juan", "Cruz", "Zoë", "Müller,", "Mr", "van", "den",
    "de", "la", "abdul", "karim", "My", "manager", "met", "and", "please", "ask", "in", "SMITH,", "Jane",
    "Mary-Ann", "-", ".\n",
];
