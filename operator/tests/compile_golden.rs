//! Whole Worlds and what becomes of them: `cases/<name>/in.yaml`, `out.json` (snapshots) and `out.txt` (findings).
//!
//! With `BLESS` in the environment the outputs are written instead of compared; read the difference before committing.
#![cfg(test)]

#[path = "support/world.rs"]
mod world;

use std::path::Path;

use chaperone_operator::compile::{Compiled, compile};
use chaperone_protocol::snapshot::Snapshot;

fn snapshots(compiled: &Compiled) -> String {
    let by_scope: std::collections::BTreeMap<_, _> =
        compiled.snapshots.iter().map(|(scope, document)| (scope.to_string(), document)).collect();
    serde_json::to_string_pretty(&by_scope).unwrap() + "\n"
}

fn findings(compiled: &Compiled) -> String {
    let line = |finding: &chaperone_operator::compile::Finding| {
        format!(
            "{} {} {} {}\n  {}\n  {}\n",
            finding.severity.as_str(),
            finding.reason.code(),
            finding.object,
            finding.path,
            finding.message,
            finding.remedy
        )
    };
    compiled.findings.iter().map(line).collect()
}

fn compare(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, actual).unwrap();
        return Ok(());
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == actual { Ok(()) } else { Err(format!("{} differs; now:\n{actual}", path.display())) }
}

#[test]
fn every_case_compiles_to_its_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "cases are missing");
    let mut failures = Vec::new();
    for case in cases {
        let text = std::fs::read_to_string(case.join("in.yaml")).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let compiled = compile(&world::of(&documents));
        for document in compiled.snapshots.values() {
            Snapshot::try_from(document.clone()).expect("the sidecar takes what the compiler makes");
        }
        failures.extend(compare(&case.join("out.json"), &snapshots(&compiled)).err());
        failures.extend(compare(&case.join("out.txt"), &findings(&compiled)).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
