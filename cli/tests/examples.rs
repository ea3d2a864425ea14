//! What users copy must pass `chaperone check` without a finding, and name nothing that the environment lacks.
#![cfg(test)]

use std::path::Path;
use std::process::Command;

/// What the README of each example tells the user to set.
const EXAMPLES: [(&str, &[(&str, &str)]); 3] = [
    ("quickstart", &[]),
    ("partnership", &[("PARTNER_ALPHA_KEY", "sk-canary"), ("PARTNER_BETA_KEY", "sk-canary")]),
    (
        "gateway",
        &[
            ("PROVIDER_A_ENDPOINT", "https://api.provider-a.com/v1"),
            ("PROVIDER_A_KEY", "sk-canary"),
            ("PROVIDER_B_ENDPOINT", "https://api.provider-b.com"),
            ("PROVIDER_B_KEY", "sk-canary"),
            ("PROVIDER_C_ENDPOINT", "https://api.provider-c.com/v1"),
            ("PROVIDER_C_KEY", "sk-canary"),
        ],
    ),
];

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples")
}

fn chaperone(arguments: &[&str], example: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_chaperone"))
        .args(arguments)
        .arg("-f")
        .arg(examples().join(example))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_example_passes_without_a_finding() {
    for (example, variables) in EXAMPLES {
        let (code, text) = chaperone(&["check", "--output", "json"], example, variables);
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, &report["findings"]), (Some(0), &serde_json::json!([])), "{example}");
    }
}

#[test]
fn every_example_compiles_to_a_snapshot_without_a_secret() {
    for (example, variables) in EXAMPLES {
        let (code, text) = chaperone(&["compile"], example, variables);
        assert_eq!(code, Some(0), "{example}");
        let snapshot = chaperone_protocol::snapshot::Snapshot::from_bytes(text.as_bytes()).unwrap();
        assert!(snapshot.routes().len() >= 2, "{example}");
        assert!(!snapshot.tenants().is_empty(), "{example}");
        assert!(!text.contains("canary"), "{example}");
    }
}

#[test]
fn every_folder_of_examples_is_listed_here() {
    let mut folders: Vec<_> = std::fs::read_dir(examples())
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let mut listed = EXAMPLES.map(|(example, _)| example);
    listed.sort_unstable();
    assert_eq!(folders, listed);
}

#[test]
fn the_quick_start_falls_back_and_knows_its_only_tenant() {
    let (_, text) = chaperone(&["compile"], "quickstart", &[]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let first = &document["routes"]["resilient"]["targets"][0];
    assert_eq!((&first["partner"], &first["fallbacks"][0]["partner"]), (&"broken".into(), &"backup".into()));
    assert_eq!(document["partners"]["broken"]["mock"]["failPercent"], 100);
    assert_eq!(document["tenants"]["named"].as_object().unwrap().keys().collect::<Vec<_>>(), ["demo"]);
    assert_eq!(document["tenants"].get("default"), None);
}
