#![cfg(test)]
//! Recall and precision of every structured entity on our own corpora, at Balanced, with the names
//! of the embedded tagger in play.
//!
//! `corpus/*.jsonl` was written with the parsers, `corpus/blind/` by somebody who had not read them (who had
//! read some of them by the rows `third` and `fourth`), `corpus/hard/` afterwards, by families of traps.
//! `cargo test -p chaperone-redact --test corpus -- --nocapture` prints the table.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chaperone_redact::ner::Tagger;
use chaperone_redact::{Entity, Filter, Policy, PolicySpec, Query, code_points, find};
use serde_json::Value;

/// The least that recall and precision may be.
const GATE: f64 = 0.98;
/// The least number of hits and of near misses.
const LEAST: u32 = 20;
/// The folders with a file for each entity, and how many of the entities each of them covers.
const SETS: [(&str, usize); 2] = [("", 14), ("blind", 15)];

#[derive(Default)]
struct Tally {
    found: u32,
    missed: Vec<String>,
    wrong: Vec<String>,
    hits: u32,
    near_misses: u32,
}

impl Tally {
    fn recall(&self) -> f64 {
        self.share(&self.missed)
    }

    fn precision(&self) -> f64 {
        self.share(&self.wrong)
    }

    fn share(&self, others: &[String]) -> f64 {
        let found = f64::from(self.found);
        if self.found == 0 && others.is_empty() {
            return 1.0;
        }
        found / (found + f64::from(u32::try_from(others.len()).unwrap()))
    }

    fn passes(&self) -> bool {
        self.recall() >= GATE && self.precision() >= GATE && self.hits >= LEAST && self.near_misses >= LEAST
    }

    fn add(&mut self, row: &Value, policy: &Policy) {
        let (id, text) = (&row["id"], row["text"].as_str().unwrap());
        let (wanted, got) = (marked(row), found(text, policy));
        *(if wanted.is_empty() { &mut self.near_misses } else { &mut self.hits }) += 1;
        for span in &wanted {
            if got.contains(span) {
                self.found += 1;
            } else {
                self.missed.push(format!("{id}: {span:?} in {text:?}"));
            }
        }
        let wrong = got.iter().filter(|span| !wanted.contains(span));
        self.wrong.extend(wrong.map(|span| format!("{id}: {span:?} in {text:?}")));
    }
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

/// Everything but names, whose figures come from labelled text.
fn found(text: &str, policy: &Policy) -> Vec<Marked> {
    let query = Query { names: Some(Tagger::embedded().unwrap()), ..Query::new(policy) };
    let spans = find(text, &query).unwrap().spans;
    spans
        .iter()
        .filter(|span| !span.entity.is_name())
        .map(|span| {
            let points = code_points(text, &span.range).unwrap();
            (points.start, points.end, span.entity.label().to_owned())
        })
        .collect()
}

fn tallies(folder: &Path, policy: &Policy) -> BTreeMap<String, Tally> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| {
            let mut tally = Tally::default();
            for line in fs::read_to_string(&path).unwrap().lines() {
                tally.add(&serde_json::from_str(line).unwrap(), policy);
            }
            (path.file_stem().unwrap().to_str().unwrap().to_uppercase(), tally)
        })
        .collect()
}

/// Every structured kind, at Balanced.
fn everything() -> Policy {
    let spec = PolicySpec {
        filter: Filter::Balanced,
        entities: Some(Entity::BUILT_IN.to_vec()),
        ..PolicySpec::default()
    };
    Policy::compile(&spec).unwrap()
}

/// Prints the rows of one folder.
fn report(set: &str, tallies: &BTreeMap<String, Tally>) {
    println!("{:<6} {:<16} {:>5} {:>5} {:>7} {:>9}", "set", "entity", "hits", "near", "recall", "precision");
    for (label, tally) in tallies {
        let Tally { hits, near_misses, .. } = tally;
        let (recall, precision) = (tally.recall(), tally.precision());
        println!("{set:<6} {label:<16} {hits:>5} {near_misses:>5} {recall:>7.3} {precision:>9.3}");
        tally.missed.iter().for_each(|line| println!("  missed {line}"));
        tally.wrong.iter().for_each(|line| println!("  wrong  {line}"));
    }
}

fn folder(set: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(set)
}

#[test]
fn every_structured_entity_passes_the_gate_at_balanced() {
    let mut below = Vec::new();
    for (set, entities) in SETS {
        let tallies = tallies(&folder(set), &everything());
        report(set, &tallies);
        let failing = tallies.iter().filter(|(_, tally)| !tally.passes());
        below.extend(failing.map(|(label, _)| format!("{set} {label}")));
        assert_eq!(tallies.len(), entities, "entities with cases in {set:?}");
    }
    assert!(below.is_empty(), "below the gate: {below:?}");
}

#[test]
fn traps_by_family_and_whole_documents_pass_the_gate() {
    let tallies = tallies(&folder("hard"), &everything());
    report("hard", &tallies);
    let near_misses: u32 = tallies.values().map(|tally| tally.near_misses).sum();
    let documents = &tallies["DOCUMENTS"];
    let trapped: usize =
        tallies.values().filter(|tally| tally.hits == 0).map(|tally| tally.wrong.len()).sum();
    assert!(near_misses >= 400 && documents.hits >= 90, "the cases are gone");
    assert!(documents.recall() >= GATE && documents.precision() >= GATE);
    assert!(trapped * 100 <= near_misses as usize, "{trapped} of {near_misses} near misses have a finding");
}
