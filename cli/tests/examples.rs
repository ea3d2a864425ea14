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
    // Each sidecar holds a rate by itself: true of every rate, and no mistake of an example.
    let said = String::from_utf8(output.stderr).unwrap();
    let mistakes: Vec<_> = said.lines().filter(|line| !is_of_rates(line)).collect();
    assert!(mistakes.is_empty(), "{said}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Whether a line belongs to findings that say how far a rate reaches, and nothing else.
fn is_of_rates(line: &str) -> bool {
    let remedy = "    divide it by the number of pods that call the partner at the same time";
    let counts = line
        .strip_prefix("0 errors, ")
        .is_some_and(|rest| rest.ends_with(" warnings") || rest == "1 warning");
    line.ends_with("[RatePerSidecar]") || line == remedy || counts || line.is_empty()
}

#[test]
fn every_example_passes_without_a_finding() {
    for (example, variables) in EXAMPLES {
        let (code, text) = chaperone(&["check", "--output", "json"], example, variables);
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let mistakes: Vec<_> =
            findings.iter().filter(|finding| finding["reason"] != "RatePerSidecar").collect();
        assert_eq!((code, mistakes), (Some(0), Vec::new()), "{example}");
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
    let entries = std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    folders.sort();
    let mut listed = EXAMPLES.map(|(example, _)| example);
    listed.sort_unstable();
    assert_eq!(folders, listed);
    let overview = std::fs::read_to_string(examples().join("README.md")).unwrap();
    for folder in folders {
        assert!(overview.contains(&format!("]({folder}/)")), "{folder} is not linked");
        assert!(examples().join(&folder).join("README.md").is_file(), "{folder} has no README");
    }
}

/// What the README says stands beside its manifest.
const BESIDE_THE_README: &str = r#"
---
apiVersion: v1
kind: Secret
metadata: {name: alpha, namespace: shop}
stringData: {key: "${ALPHA_KEY}"}
---
apiVersion: chaperone.dev/v1alpha1
kind: Partner
metadata: {name: beta, namespace: shop}
spec: {adapter: Mock, models: [{name: m1, maxOutputTokens: 16384}]}
"#;

#[test]
fn the_manifest_of_the_readme_passes_without_a_finding() {
    let readme = std::fs::read_to_string(examples().parent().unwrap().join("README.md")).unwrap();
    let (_, after) = readme.split_once("```yaml\n").unwrap();
    let (manifest, _) = after.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.yaml"), format!("{manifest}{BESIDE_THE_README}")).unwrap();
    let folder = folder.path().to_str().unwrap(); // Absolute, so that it is not looked for among the examples.
    let (code, text) = chaperone(&["check", "--output", "json"], folder, &[("ALPHA_KEY", "sk-canary")]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["findings"]), (Some(0), &serde_json::json!([])));
    assert_eq!(report["aliases"][0]["alias"], "fast-text");
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

/// What is redacted on a route, by partner.
fn policy(example: usize, alias: &str, partner: &str) -> serde_json::Value {
    let (example, variables) = EXAMPLES[example];
    let (_, text) = chaperone(&["compile"], example, variables);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["routes"][alias]["pii"][partner].clone()
}

#[test]
fn the_examples_redact_what_their_old_configuration_says() {
    let secure = policy(1, "secure-code", "partner-beta");
    assert_eq!((&secure["filter"], &secure["ner"]), (&"Strict".into(), &"Embedded".into()));
    assert_eq!(policy(1, "fast-text", "partner-beta")["filter"], "Lenient", "nobody said anything");
    let gateway = policy(2, "chat-assistant", "model-provider-a");
    assert_eq!(gateway["entities"], serde_json::json!(["Ssn", "Phone", "Email"]));
    assert_eq!(gateway.get("actions"), None, "all are masked");
}
