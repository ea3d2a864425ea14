//! `chaperone drill` as a shell sees it: what its card says of a route with a fallback, and of one without.
#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const MANIFESTS: &str = r#"
apiVersion: chaperone.dev/v1alpha1
kind: Partner
metadata: {name: alpha}
spec:
  adapter: OpenAI
  endpoint: https://alpha.invalid/v1
  apiKeySecretRef: {name: alpha, key: key}
  models: [{name: m, capabilities: [Streaming]}]
  timeouts: {firstToken: 300ms}
---
apiVersion: chaperone.dev/v1alpha1
kind: Partner
metadata: {name: beta}
spec:
  adapter: Mock
  models: [{name: m, capabilities: [Streaming]}]
  timeouts: {firstToken: 300ms}
  mock: {reply: Text, text: "one two three"}
---
apiVersion: v1
kind: Secret
metadata: {name: alpha, labels: {chaperone.dev/credential: "true"}}
stringData: {key: canary}
---
apiVersion: chaperone.dev/v1alpha1
kind: ModelRoute
metadata: {name: safe}
spec:
  alias: safe
  targets: [{partner: alpha}]
  fallbackChain: [{partner: beta}]
  faults: [{percent: 1, kind: Status, status: 429, retryAfter: 20m, window: {start: "2020-01-01T00:00:00Z", end: "2020-01-02T00:00:00Z"}}]
---
apiVersion: chaperone.dev/v1alpha1
kind: ModelRoute
metadata: {name: alone}
spec: {alias: alone, targets: [{partner: beta}], fallbackChain: []}
---
apiVersion: chaperone.dev/v1alpha1
kind: ModelRoute
metadata: {name: broken}
spec: {alias: broken, targets: [{partner: nobody}]}
---
apiVersion: chaperone.dev/v1alpha1
kind: TenantQuota
metadata: {name: everybody}
spec: {tenants: [acme, globex], limits: {maxTokensPerRequest: 512}}
"#;

fn drill(folder: &Path, arguments: &[&str]) -> Output {
    std::fs::write(folder.join("all.yaml"), MANIFESTS).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaperone"));
    command.env_clear().arg("drill").args(arguments).arg("-f").arg(folder).output().unwrap()
}

/// Fault, who served and whether it passed, of each play.
fn plays(card: &Value) -> Vec<(&str, Option<&str>, bool)> {
    let row = |row: &'_ Value| {
        let text = |key: &str| row[key].as_str().map(|text| &*text.to_owned().leak());
        (text("fault").unwrap(), text("servedBy"), row["passed"].as_bool().unwrap())
    };
    card["plays"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn rule_11_7_each_kind_is_played_once_and_the_fallback_is_seen_to_serve() {
    let folder = tempfile::tempdir().unwrap();
    let output = drill(folder.path(), &["safe", "--mock", "--output", "json"]);
    let card: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &card["passed"]), (Some(0), &json!(true)), "{card}");
    let (alpha, beta) = (Some("alpha"), Some("beta"));
    assert_eq!(
        plays(&card),
        [
            ("none", alpha, true),
            ("StallFirstToken", beta, true),
            ("CutAfterTokens", alpha, true),
            ("MalformedSse", beta, true),
            ("Status", beta, true),
            ("WrongUsage", alpha, true),
            ("Delay", beta, true),
            ("Abort", beta, true),
        ]
    );
    assert!(card["plays"][1]["addedMs"].as_u64().unwrap() >= 200, "{card}");
    assert!(card["plays"][2]["appSaw"].as_str().unwrap().starts_with("200, then an error event"), "{card}");
}

#[test]
fn a_route_without_a_fallback_fails_and_says_what_its_apps_would_see() {
    let folder = tempfile::tempdir().unwrap();
    let output = drill(folder.path(), &["alone"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("FAULT "), "{text}");
    assert!(text.contains("\nStatus: nobody served the request: 502 partner_error\n"), "{text}");
    assert!(text.contains("\nAbort: nobody served the request: 502 partner_unavailable\n"), "{text}");
}

#[test]
fn a_real_partner_that_does_not_answer_fails_without_a_fault_already() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = MANIFESTS.replace("  fallbackChain: [{partner: beta}]\n", "  fallbackChain: []\n");
    std::fs::write(folder.path().join("all.yaml"), manifests).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaperone"));
    let output = command.env_clear().args(["drill", "safe", "-f"]).arg(folder.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("\nnone: nobody served the request: 502 partner_unavailable\n"), "{text}");
}

#[test]
fn what_cannot_be_drilled_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cases =
        [("nobody", r#"no route has the alias "nobody""#), ("broken", r#"the route of "broken" is refused"#)];
    for (alias, message) in cases {
        let output = drill(folder.path(), &[alias, "--mock"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains(message), "{text}");
        assert!(!text.contains("canary"));
    }
}

#[cfg(feature = "cluster")]
#[test]
fn a_cluster_that_is_named_beside_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [["--kubeconfig", "config"], ["--context", "production"]] {
        let output = drill(folder.path(), &[&["safe", "--mock"], flags.as_slice()].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--from-cluster") && !said.contains("panicked"), "{said}");
        assert!(output.stdout.is_empty());
    }
}
