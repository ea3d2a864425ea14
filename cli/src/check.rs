//! `chaperone check`: all mistakes with their places, and what the manifests come to if there are none.

mod overview;

use std::process::ExitCode;

use anyhow::Result;
use chaperone_operator::compile::compile;
use chaperone_protocol::snapshot::Scope;
use serde::Serialize;

use self::overview::{AliasRow, PartnerRow};
use crate::args::{Check, Environment, FOUND_ERRORS, Format};
use crate::manifests::{self, Loaded};
use crate::note::{Note, NoteJson, Tally};
use crate::output::{Output, table};

#[derive(Serialize)]
struct Report<'r> {
    findings: Vec<NoteJson<'r>>,
    #[serde(flatten)]
    tally: Tally,
    objects: usize,
    aliases: Vec<AliasRow>,
    partners: Vec<PartnerRow>,
}

/// Checks manifests and prints what it found.
pub(crate) fn run(args: &Check, environment: &Environment, output: &Output) -> Result<ExitCode> {
    let loaded = manifests::read(&args.manifests, environment)?;
    let compiled = compile(&manifests::world(&loaded, scopes(&loaded)));
    let notes = loaded.notes_with(&compiled.findings);
    let report = Report {
        findings: notes.iter().map(NoteJson::from).collect(),
        tally: Tally::of(&notes),
        objects: loaded.objects.len(),
        aliases: overview::aliases(&compiled),
        partners: overview::partners(&compiled),
    };
    match output.format() {
        Format::Text => output.text(&text(&report, &notes))?,
        Format::Json => output.json(&report)?,
    }
    Ok(if report.tally.errors > 0 { ExitCode::from(FOUND_ERRORS) } else { ExitCode::SUCCESS })
}

/// One scope for each namespace: what a ServiceAccount may do changes no finding.
fn scopes(loaded: &Loaded) -> Vec<Scope> {
    let service_account: chaperone_protocol::name::ObjectName =
        "default".parse().expect("the constant is a name");
    let scope = |namespace: &chaperone_protocol::name::ObjectName| Scope {
        namespace: namespace.clone(),
        service_account: service_account.clone(),
    };
    loaded.objects.keys().map(|id| scope(&id.key.namespace)).collect()
}

fn text(report: &Report<'_>, notes: &[Note]) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !notes.is_empty() {
        parts.push(notes.iter().map(ToString::to_string).collect());
    }
    if !report.aliases.is_empty() {
        let header = ["NAMESPACE", "ALIAS", "EVERY TARGET SERVES", "ONLY SOME SERVE"];
        parts.push(table(header, report.aliases.iter().map(AliasRow::cells)));
    }
    if !report.partners.is_empty() {
        parts.push(table(["PARTNER", "IS CALLED AT"], report.partners.iter().map(PartnerRow::cells)));
    }
    let plural = if report.objects == 1 { "" } else { "s" };
    parts.push(format!("{} in {} object{plural}\n", report.tally, report.objects));
    parts.join("\n")
}
