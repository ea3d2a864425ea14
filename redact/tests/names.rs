#![cfg(test)]
//! What the whole engine does with names at Balanced, on texts of our own.
//!
//! `corpus/names/sentences.jsonl`: 400 sentences from forty templates that training has not seen, with names,
//! places, companies and addresses of a dozen countries, and 223 with names of many origins, written by somebody
//! who had not read the rules. `corpus/names/near_misses.jsonl`: headings, products,
//! code, log lines and sentences that hold capitals but no name.
//! `cargo test -p chaperone-redact --test names -- --nocapture` prints the figures.

use std::collections::BTreeMap;
use std::fs;

use chaperone_redact::ner::Tagger;
use chaperone_redact::{Entity, Filter, Policy, PolicySpec, Query, code_points, find};
use serde_json::Value;

/// The least F2 over words, whatever the label: recall weighs double.
const LEAST_F2: f64 = 0.88;
/// The most near misses, in percent, in which a person or a place is found.
const MOST_WRONG_PERCENT: usize = 8;

fn rows(file: &str) -> Vec<Value> {
    let path = format!("{}/corpus/names/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Start and end in code points, and the entity.
type Found = (usize, usize, Entity);

fn found(text: &str) -> Vec<Found> {
    let entities = Some(Entity::BUILT_IN.to_vec());
    let policy =
        Policy::compile(&PolicySpec { filter: Filter::Balanced, entities, ..PolicySpec::default() }).unwrap();
    let query = Query { names: Some(Tagger::embedded().unwrap()), ..Query::new(&policy) };
    let spans = find(text, &query).unwrap().spans.into_iter();
    spans
        .map(|span| {
            let points = code_points(text, &span.range).unwrap();
            (points.start, points.end, span.entity)
        })
        .collect()
}

/// Runs of letters and digits, in code points.
fn words(text: &str) -> Vec<(usize, usize)> {
    let letters: Vec<char> = text.chars().collect();
    let mut words: Vec<(usize, usize)> = Vec::new();
    for (at, _) in
        letters.iter().enumerate().filter(|(_, letter)| letter.is_alphanumeric() || **letter == '_')
    {
        match words.last_mut().filter(|word| word.1 == at) {
            Some(word) => word.1 = at + 1,
            None => words.push((at, at + 1)),
        }
    }
    words
}

#[test]
fn words_of_personal_data_are_covered_in_sentences_of_many_countries() {
    let (mut right, mut wrong, mut missed) = (0_u32, 0_u32, 0_u32);
    let mut by_entity: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for row in rows("sentences.jsonl") {
        let text = row["text"].as_str().unwrap();
        let (spans, gold) = (found(text), row["spans"].as_array().unwrap());
        for (start, end) in words(text) {
            let point = |span: &Value, key: &str| usize::try_from(span[key].as_u64().unwrap()).unwrap();
            let within = |span: &&Value| point(span, "start") <= start && end <= point(span, "end");
            let covered = spans.iter().any(|span| span.0 < end && start < span.1);
            match gold.iter().find(within) {
                Some(span) => {
                    let count = by_entity.entry(span["entity"].to_string()).or_default();
                    count.0 += u32::from(covered);
                    count.1 += 1;
                    *(if covered { &mut right } else { &mut missed }) += 1;
                }
                None => wrong += u32::from(covered),
            }
        }
    }
    let share = |part: u32, others: u32| f64::from(part) / f64::from(part + others);
    let (precision, recall) = (share(right, wrong), share(right, missed));
    let f2 = 5.0 * precision * recall / (4.0 * precision + recall);
    println!("words: precision {precision:.3}, recall {recall:.3}, F2 {f2:.3}");
    for (entity, (covered, all)) in by_entity {
        println!("  {entity:<16} {covered:>5} of {all:>5}");
    }
    assert!(f2 >= LEAST_F2, "F2 {f2:.3}");
}

#[test]
fn capitals_that_are_no_names_are_mostly_left_alone() {
    let rows = rows("near_misses.jsonl");
    let mut wrong = 0;
    for row in &rows {
        let text = row["text"].as_str().unwrap();
        let named = |span: &Found| matches!(span.2, Entity::Person | Entity::Location);
        let spans: Vec<Found> = found(text).into_iter().filter(named).collect();
        if !spans.is_empty() {
            wrong += 1;
            println!("{text:?}: {spans:?}");
        }
    }
    println!("{wrong} of {} near misses have a person or a place", rows.len());
    assert!(rows.len() >= 200 && wrong * 100 <= MOST_WRONG_PERCENT * rows.len());
}
