//! The embedded tagger on sentences of our own, and laws that hold for every text.
#![expect(clippy::string_slice, reason = "a slice off a boundary fails the test, as it should")]

use proptest::prelude::{any, proptest};

use super::{Progress, Scan, Tagger};
use crate::names::NameKind;

fn tagger() -> &'static Tagger {
    Tagger::embedded().unwrap()
}

fn names(text: &str) -> Vec<(&str, NameKind)> {
    tagger().spans(text, 0.0).iter().map(|span| (&text[span.start..span.end], span.kind)).collect()
}

#[test]
fn it_finds_people_places_and_companies() {
    let text =
        "Yesterday Maria Gonzalez flew from Berlin to Chicago. She works for Northwind Industries Inc. now.";
    let found = names(text);
    assert!(found.contains(&("Maria Gonzalez", NameKind::Person)), "{found:?}");
    assert!(found.contains(&("Berlin", NameKind::Location)), "{found:?}");
    assert!(found.contains(&("Chicago", NameKind::Location)), "{found:?}");
}

#[test]
fn it_finds_nothing_where_there_is_no_name() {
    assert_eq!(names("Please write a function that sorts the list and returns the largest value."), []);
    assert_eq!(names(""), []);
    assert_eq!(names(" \n\t "), []);
}

#[test]
fn more_bias_never_finds_fewer_tokens() {
    let text = "Meet robert and Priya Raman at the Harbour Grill in lisbon, or call Acme.";
    let covered = |bias| tagger().spans(text, bias).iter().map(|span| span.end - span.start).sum::<usize>();
    assert!(covered(0.0) <= covered(2.0) && covered(2.0) <= covered(4.0));
}

#[test]
fn the_weights_name_their_licence_and_inputs() {
    assert_eq!(tagger().licence(), "CC-BY-SA-4.0");
    assert!(tagger().manifest().lines().filter(|line| line.starts_with("input ")).count() > 10);
    assert!(super::WEIGHTS.len() <= super::model::MAX_BYTES);
}

#[test]
fn a_scan_of_another_text_ends() {
    let mut scan = Scan::new(tagger(), 0.0);
    let mut spans = Vec::new();
    assert_eq!(scan.step(&"word ".repeat(500), &mut spans), Progress::More);
    assert_eq!(scan.step("short", &mut spans), Progress::Done);
}

#[test]
fn steps_are_short_on_one_endless_line() {
    for text in ["x".repeat(100_000), " ".repeat(100_000), "Ada ".repeat(25_000), "é".repeat(50_000)] {
        let mut scan = Scan::new(tagger(), 0.0);
        let (mut spans, mut steps) = (Vec::new(), 1);
        while scan.step(&text, &mut spans) == Progress::More {
            steps += 1;
        }
        assert!(steps >= 150, "{steps} steps");
        assert!(steps <= 1_000, "{steps} steps");
    }
}

proptest! {
    #[test]
    fn spans_are_ordered_disjoint_and_on_characters(text in any::<String>(), bias in 0.0_f32..5.0) {
        let mut end = 0;
        for span in tagger().spans(&text, bias) {
            assert!(span.start >= end && span.end > span.start);
            assert!(text.get(span.start..span.end).is_some());
            assert!(span.score > 0.0 && span.score <= 1.0, "{}", span.score);
            end = span.end;
        }
    }

    #[test]
    fn the_same_text_gives_the_same_spans(text in "([A-Z]?[a-zé'.-]{1,9}[ \n,]){0,40}") {
        assert_eq!(tagger().spans(&text, 1.0), tagger().spans(&text, 1.0));
    }
}
