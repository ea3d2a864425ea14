//! Golden files: every event that an SDK yielded, by scenario.
//!
//! One file per SDK and kind of partner, shared by the languages. What differs from run to run (ids that
//! we mint, the time) is replaced first; nothing else is.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::sdk::Seen;
use crate::settings;

/// Prefixes of ids that are minted per answer.
const MINTED: [&str; 4] = ["chatcmpl-", "cmpl-", "msg_", "req_"];

/// Compares `seen` with the file `name`; writes it instead where the run says so.
///
/// # Errors
/// If they differ; the error lists every event that does.
pub fn compare(name: &str, seen: &Seen) -> Result<()> {
    let path = file(name);
    let seen: Value = json!(
        seen.iter().map(|(scenario, lines)| (scenario, stable(&json!(lines)))).collect::<BTreeMap<_, _>>()
    );
    if settings::golden_files_are_written() {
        let mut text = serde_json::to_string_pretty(&seen)?;
        text.push('\n');
        return std::fs::write(&path, text).context("writing a golden file");
    }
    let golden = read(name)?;
    let differences = differences(&golden, &seen);
    ensure!(differences.is_empty(), "events differ from {}:\n{differences}", path.display());
    Ok(())
}

/// The content of the file `name`.
///
/// # Errors
/// If it is missing.
pub fn read(name: &str) -> Result<Value> {
    let path = file(name);
    let golden = std::fs::read(&path)
        .with_context(|| format!("{} (CHAPERONE_E2E_BLESS=1 writes it)", path.display()))?;
    Ok(serde_json::from_slice(&golden)?)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"))
}

/// Replaces what differs from run to run.
fn stable(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let stable = members.iter().map(|(key, member)| (key.clone(), stable_member(key, member)));
            Value::Object(stable.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(stable).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn stable_member(key: &str, member: &Value) -> Value {
    let minted = member.as_str().and_then(|id| MINTED.iter().find(|prefix| id.starts_with(**prefix)));
    match (key, minted) {
        ("id" | "request_id" | "_request_id", Some(prefix)) => json!(format!("{prefix}minted")),
        ("created" | "created_at", _) => json!("then"),
        _ => stable(member),
    }
}

fn differences(golden: &Value, seen: &Value) -> String {
    let mut report = String::new();
    let empty = Vec::new();
    let scenarios = golden.as_object().into_iter().flatten().chain(seen.as_object().into_iter().flatten());
    let names: BTreeSet<&String> = scenarios.map(|(name, _)| name).collect();
    for name in names {
        let wanted = golden[name].as_array().unwrap_or(&empty);
        let got = seen[name].as_array().unwrap_or(&empty);
        for at in 0..wanted.len().max(got.len()) {
            let (wanted, got) = (wanted.get(at), got.get(at));
            if wanted != got {
                let show = |line: Option<&Value>| line.map_or_else(|| "nothing".to_owned(), Value::to_string);
                // Writing to a String cannot fail.
                let _ =
                    writeln!(report, "{name}, line {at}:\n  wanted {}\n  seen   {}", show(wanted), show(got));
            }
        }
    }
    report
}
