//! The command line as a shell sees it: exit codes, streams, colour, help.
#![cfg(test)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn chaperone() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaperone"));
    command.env_clear();
    command
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

fn run(arguments: &[&str]) -> Output {
    chaperone().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

const BROKEN: &str = "unknown-partner.yaml";
const SOUND: &str = "others-are-left-alone.yaml";

#[test]
fn exit_codes_are_as_help_says() {
    let [broken, sound] = [BROKEN, SOUND].map(|name| case(name).to_str().unwrap().to_owned());
    assert_eq!(code(&run(&["check", "-f", &sound])), 0);
    assert_eq!(code(&run(&["check", "-f", &broken])), 1);
    assert_eq!(code(&run(&["compile", "-f", &sound])), 0);
    assert_eq!(code(&run(&["compile", "-f", &broken])), 1);
    assert_eq!(code(&run(&["check"])), 2);
    assert_eq!(code(&run(&["check", "-f", "/nowhere/at/all.yaml"])), 2);
    assert_eq!(code(&run(&["check", "-f", &sound, "--namespace", "Team_A"])), 2);
    assert_eq!(code(&run(&["compile", "-f", &sound, "-o", "/nowhere/at/all.json"])), 2);
    for command in ["check", "compile", "crds"] {
        let help = text(&run(&[command, "--help"]).stdout);
        assert!(help.contains("Exit codes:") && help.contains("Examples:"), "{help}");
    }
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let output = run(&["check", "-f", "/nowhere/at/all.yaml"]);
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).starts_with("error: cannot read /nowhere/at/all.yaml: "));
}

#[test]
fn findings_are_also_json() {
    let output =
        chaperone().args(["check", "--output", "json", "-f", BROKEN]).current_dir(case("")).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), &report["errors"], &report["warnings"]), (1, &1.into(), &0.into()));
    let expected = serde_json::json!({
        "file": BROKEN,
        "line": 15,
        "object": "ModelRoute default/chat",
        "path": "spec.targets[1].partner",
        "severity": "error",
        "reason": "UnknownPartner",
        "message": "names partner \"acme\", which namespace default does not have",
        "remedy": "create it, or remove the reference",
    });
    assert_eq!(report["findings"], serde_json::json!([expected]));
    assert!(report["aliases"][0]["refused"].as_str().unwrap().contains("acme"));
}

#[test]
fn compile_prints_the_snapshot_and_says_what_is_wrong_beside_it() {
    let output = chaperone().args(["compile", "-f"]).arg(case(BROKEN)).output().unwrap();
    let snapshot = chaperone_protocol::snapshot::Snapshot::from_bytes(&output.stdout).unwrap();
    assert_eq!(snapshot.scope().to_string(), "default/default");
    assert!(text(&output.stderr).contains("[UnknownPartner]"));
}

#[test]
fn compile_takes_a_scope_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    let output = chaperone()
        .args(["compile", "--namespace", "team-x", "--service-account", "checkout", "-o"])
        .arg(&file)
        .arg("-f")
        .arg(case(SOUND))
        .output()
        .unwrap();
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let snapshot =
        chaperone_protocol::snapshot::Snapshot::from_bytes(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(snapshot.scope().to_string(), "team-x/checkout");
    // The manifests name no namespace, so that they stand in the one that was asked for.
    assert_eq!(snapshot.routes().len(), 1);
}

#[test]
fn definitions_are_printed_as_yaml_or_json() {
    let yaml = text(&run(&["crds"]).stdout);
    assert_eq!(yaml.matches("kind: CustomResourceDefinition").count(), 3);
    let json: serde_json::Value = serde_json::from_slice(&run(&["crds", "--output", "json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
}

#[test]
fn what_is_not_a_terminal_gets_no_colour() {
    let plain = run(&["check", "-f", case(BROKEN).to_str().unwrap()]);
    assert!(!plain.stdout.contains(&0x1b));
    // Where colour is forced, as in CI that shows it, NO_COLOR still wins.
    let with = |name: &str, also: Option<&str>| {
        let mut command = chaperone();
        command.args(["check", "-f"]).arg(case(BROKEN)).env(name, "1");
        if let Some(also) = also {
            command.env(also, "1");
        }
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(with("CLICOLOR_FORCE", None));
    assert!(!with("NO_COLOR", None));
}

#[test]
fn a_reader_that_leaves_early_changes_nothing_but_the_output() {
    let mut child = chaperone().args(["crds"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The definitions are larger than a pipe, so that the rest is written to nobody.
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_kubectl_plugin_calls_itself_as_it_was_called() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-chaperone");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_chaperone"), &plugin).unwrap();
    let output = Command::new(plugin).arg("--help").output().unwrap();
    assert!(text(&output.stdout).contains("Usage: kubectl chaperone "));
}

#[test]
fn variables_are_taken_from_the_environment() {
    let output = chaperone()
        .args(["check", "-f"])
        .arg(case("variable-missing.yaml"))
        .env("ALPHA_ENDPOINT", "https://alpha.example/v1")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0);
    assert!(text(&output.stdout).contains("https://alpha.example/v1/chat/completions"));
}

#[test]
fn several_paths_are_one_set_of_manifests() {
    let output = chaperone()
        .args(["check", "-f", SOUND, "-f", "fallback-cycle.yaml"])
        .current_dir(case(""))
        .output()
        .unwrap();
    let found = text(&output.stdout);
    assert!(found.contains("is already defined at others-are-left-alone.yaml:1;"), "{found}");
    assert!(found.contains("2 errors, 0 warnings in 3 objects"), "{found}");
}
