//! `chaperone compile`: the snapshot of one scope. It names credentials and holds none.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use chaperone_operator::compile::compile;
use chaperone_protocol::snapshot::Scope;

use crate::args::{Compile, Environment, FOUND_ERRORS, Format};
use crate::manifests;
use crate::note::{Note, NoteJson, Tally};
use crate::output::Output;

/// Prints the snapshot of a scope, and findings beside it.
pub(crate) fn run(args: &Compile, environment: &Environment, output: &Output) -> Result<ExitCode> {
    let loaded = manifests::read(&args.manifests, environment)?;
    let scope = Scope { namespace: loaded.namespace.clone(), service_account: args.service_account.clone() };
    let compiled = compile(&manifests::world(&loaded, [scope.clone()]));
    let notes = loaded.notes_with(&compiled.findings);
    report(&notes, output)?;
    let document = compiled.snapshots.get(&scope).context("the scope was not compiled")?;
    let bytes = document.to_bytes();
    match &args.file {
        Some(file) => {
            fs::write(file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
        }
        None => output.text(&String::from_utf8(bytes).context("the snapshot is not text")?)?,
    }
    Ok(if Tally::of(&notes).errors > 0 { ExitCode::from(FOUND_ERRORS) } else { ExitCode::SUCCESS })
}

fn report(notes: &[Note], output: &Output) -> Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    match output.format() {
        Format::Text => {
            let text: String = notes.iter().map(ToString::to_string).collect();
            output.aside(&format!("{text}{}\n", Tally::of(notes)))
        }
        Format::Json => {
            let notes: Vec<_> = notes.iter().map(NoteJson::from).collect();
            let text = serde_json::to_string_pretty(&serde_json::json!({ "findings": notes }))?;
            output.aside(&(text + "\n"))
        }
    }
}
