//! `chaperone check` on one manifest after another: `cases/<name>.yaml`, and what it prints in `<name>.expected`.
//!
//! With `BLESS` in the environment the outputs are written instead of compared; read the difference before committing.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    cases
}

/// Exit code and output of `chaperone check`, run beside the case and without any variable.
fn check(case: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_chaperone"))
        .args(["check", "-f"])
        .arg(case.file_name().unwrap())
        .current_dir(case.parent().unwrap())
        .env_clear()
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("exit {}\n{}", output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_case_prints_its_findings() {
    let mut failures = Vec::new();
    for case in cases() {
        let actual = check(&case);
        let expected = case.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &actual).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != actual {
            failures.push(format!("{} differs; now:\n{actual}", expected.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_finding_quotes_a_secret() {
    for case in cases() {
        let text = std::fs::read_to_string(&case).unwrap();
        assert!(!check(&case).contains("canary"), "{text}");
    }
}
