#![cfg(test)]
//! Alerts are raised when they should be and at no other time, by the rule engine of Prometheus itself: `promtool`.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use chaperone_crds::read_documents;
use chaperone_e2e::tier::{self, Tier};
use chaperone_e2e::tools::{self, Tool};
use serde_json::{Value, json};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The chart's alerts as a rule file.
fn rules() -> Result<Value> {
    let groups = fs::read_to_string(Path::new(HERE).join("../charts/chaperone/monitoring/alerts.yaml"))?;
    Ok(read_documents(&format!("groups:\n{groups}"))?.remove(0).value)
}

fn cases() -> Result<String> {
    Ok(fs::read_to_string(Path::new(HERE).join("tests/alerts/cases.yaml"))?)
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

#[test]
fn every_alert_is_seen_silent_and_raised() -> Result<()> {
    let (mut silent, mut raised) = (BTreeSet::new(), BTreeSet::new());
    let cases = read_documents(&cases()?)?.remove(0).value;
    for case in list(&cases, "tests").flat_map(|test| list(test, "alert_rule_test")) {
        let is_raised = list(case, "exp_alerts").next().is_some();
        let seen = if is_raised { &mut raised } else { &mut silent };
        seen.insert(case["alertname"].as_str().context("a name")?.to_owned());
    }
    let rules = rules()?;
    let alerts = list(&rules, "groups").flat_map(|group| list(group, "rules"));
    let alerts: BTreeSet<String> =
        alerts.filter_map(|rule| Some(rule["alert"].as_str()?.to_owned())).collect();
    assert!(alerts.len() > 10, "only {alerts:?}");
    assert_eq!(silent, alerts, "silent");
    assert_eq!(raised, alerts, "raised");
    Ok(())
}

fn promtool(arguments: &[&str], file: &Path) -> Result<()> {
    let output = Command::new(tools::ensure_built(Tool::Promtool)?).args(arguments).arg(file).output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "promtool {arguments:?}: {}", String::from_utf8_lossy(&said));
    Ok(())
}

#[test]
fn alerts_are_raised_by_what_they_name_and_by_nothing_else() -> Result<()> {
    let test = "alerts_are_raised_by_what_they_name_and_by_nothing_else";
    if !tier::is_selected(test, Tier::ControlPlane)? {
        return Ok(());
    }
    if let Some(remedy) = tools::what_is_missing() {
        return tier::cannot_run(test, &remedy);
    }
    let folder = tempfile::tempdir()?;
    let whole = folder.path().join("whole.yaml");
    let mut rules = rules()?;
    fs::write(&whole, rules.to_string())?;
    promtool(&["check", "rules", "--lint-fatal"], &whole)?;

    for group in rules["groups"].as_array_mut().context("groups")? {
        for rule in group["rules"].as_array_mut().context("rules")? {
            // Nothing of it is computed, so that no case need repeat it.
            let description = rule["annotations"]["description"].take();
            ensure!(!description.as_str().context("a description")?.contains("{{"), "{description}");
            rule["annotations"] = json!({"summary": rule["annotations"]["summary"]});
        }
    }
    let (rules_file, cases_file) = (folder.path().join("rules.yaml"), folder.path().join("cases.yaml"));
    fs::write(rules_file, rules.to_string())?;
    fs::write(&cases_file, cases()?)?;
    promtool(&["test", "rules"], &cases_file)
}
