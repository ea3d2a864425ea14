//! Presidio's `POST /analyze`: what is sent, and what comes back. Sans-IO.

use chaperone_protocol::snapshot::pii::Analyzer;
use chaperone_redact::NameKind;
use serde::{Deserialize, Serialize};

use super::question::Finding;

/// Its names of what we look for: whatever a policy wants, so that one answer serves all policies of a request.
const ENTITIES: [(&str, NameKind); 3] = [
    ("PERSON", NameKind::Person),
    ("LOCATION", NameKind::Location),
    ("ORGANIZATION", NameKind::Organization),
];

#[derive(Serialize)]
struct Request<'r> {
    text: &'r str,
    language: &'r str,
    entities: [&'static str; 3],
    score_threshold: f32,
}

#[derive(Deserialize)]
struct Found<'f> {
    #[serde(borrow)]
    entity_type: std::borrow::Cow<'f, str>,
    start: usize,
    end: usize,
    score: f32,
}

/// The body of a question about `text`.
pub(super) fn request(analyzer: &Analyzer, text: &str) -> Vec<u8> {
    let request = Request {
        text,
        language: &analyzer.language,
        entities: ENTITIES.map(|(name, _)| name),
        score_threshold: f32::from(analyzer.score_percent) / 100.0,
    };
    serde_json::to_vec(&request).expect("strings and a finite number serialise")
}

/// The names in an answer. What was not asked for is left out.
///
/// # Errors
/// In words for the log, without any of it: what is wrong with the answer.
pub(super) fn findings(body: &[u8]) -> Result<Vec<Finding>, &'static str> {
    let found: Vec<Found<'_>> = serde_json::from_slice(body).map_err(|_| "it is no list of findings")?;
    let mut findings = Vec::new();
    for Found { entity_type, start, end, score } in found {
        if !(0.0..=1.0).contains(&score) {
            return Err("a score is not between 0 and 1");
        }
        if start >= end {
            return Err("a finding has no text");
        }
        let known = ENTITIES.iter().find(|(name, _)| *name == entity_type);
        findings.extend(known.map(|(_, kind)| Finding { start, end, kind: *kind, score }));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;
