//! Recall and precision of every structured entity on our own corpus, at Balanced.
//!
//! `cargo test -p chaperone-redact --test corpus -- --nocapture` prints the table.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;

use chaperone_redact::{Entity, Filter, Policy, PolicySpec, Query, find};
use serde_json::Value;

/// The least that recall and precision may be.
const GATE: f64 = 0.98;

#[derive(Default)]
struct Tally {
    found: u32,
    missed: Vec<String>,
    wrong: Vec<String>,
    hits: u32,
    near_misses: u32,
}

/// Start, end in code points, and label.
type Marked = (usize, usize, String);

fn marked(row: &Value) -> Vec<Marked> {
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let spans = row["spans"].as_array().unwrap().iter();
    spans
        .map(|span| {
            (number(&span["start"]), number(&span["end"]), span["entity"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn found(text: &str, policy: &Policy) -> Vec<Marked> {
    let point = |byte: usize| text.get(..byte).unwrap().chars().count();
    let spans = find(text, &Query::new(policy)).unwrap().spans;
    spans
        .iter()
        .map(|span| (point(span.range.start), point(span.range.end), span.entity.label().to_owned()))
        .collect()
}

#[test]
fn every_structured_entity_passes_the_gate_at_balanced() {
    let spec = PolicySpec {
        filter: Filter::Balanced,
        entities: Some(Entity::BUILT_IN.to_vec()),
        ..PolicySpec::default()
    };
    let policy = Policy::compile(&spec).unwrap();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let label = path.file_stem().unwrap().to_str().unwrap().to_uppercase();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = row["text"].as_str().unwrap();
            let (wanted, got) = (marked(&row), found(text, &policy));
            let tally = tallies.entry(label.clone()).or_default();
            *(if wanted.is_empty() { &mut tally.near_misses } else { &mut tally.hits }) += 1;
            for span in &wanted {
                if got.contains(span) {
                    tally.found += 1
                } else {
                    tally.missed.push(format!("{}: {text:?}", row["id"]))
                }
            }
            for span in got.iter().filter(|span| !wanted.contains(span)) {
                tally.wrong.push(format!("{}: {span:?} in {text:?}", row["id"]));
            }
        }
    }
    println!("{:<16} {:>5} {:>5} {:>7} {:>9}", "entity", "hits", "near", "recall", "precision");
    let mut below = Vec::new();
    for (label, tally) in &tallies {
        let found = f64::from(tally.found);
        let share = |others: usize| found / (found + f64::from(u32::try_from(others).unwrap()));
        let (recall, precision) = (share(tally.missed.len()), share(tally.wrong.len()));
        println!("{label:<16} {:>5} {:>5} {recall:>7.3} {precision:>9.3}", tally.hits, tally.near_misses);
        tally.missed.iter().for_each(|line| println!("  missed {line}"));
        tally.wrong.iter().for_each(|line| println!("  wrong  {line}"));
        if recall < GATE || precision < GATE || tally.hits < 20 || tally.near_misses < 20 {
            below.push(label);
        }
    }
    assert!(below.is_empty(), "below the gate: {below:?}");
    assert_eq!(tallies.len(), 14, "every structured entity has a corpus");
}
