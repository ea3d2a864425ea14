//! `chaperone drill`: plays every kind of fault once against a route, and prints a report card.
//!
//! A fallback that was never seen to work is a hope. The route is compiled as for a sidecar and served in this process;
//! for each play a sidecar of its own starts, so that no play meets what another one has taught a breaker.

mod card;
mod plan;
mod play;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chaperone_operator::compile::compile;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::name::{Alias, ObjectName};
use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::Document;

use self::card::Card;
use crate::args::{Environment, FOUND_ERRORS, Format, Manifests};
use crate::manifests;
use crate::note::Tally;
use crate::output::Output;

/// Arguments of `chaperone drill`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route's alias.
    #[arg(value_name = "ALIAS")]
    alias: Alias,
    #[command(flatten)]
    manifests: Manifests,
    /// ServiceAccount to act as.
    #[arg(long, default_value = "default", value_name = "NAME")]
    service_account: ObjectName,
    /// Play against built-in partners that answer at once, instead of the real ones.
    #[arg(long)]
    mock: bool,
}

/// What is drilled: a snapshot, and the keys that it names.
struct Stage {
    document: Document,
    keys: Keys,
}

/// Plays all kinds, and prints the card.
pub(crate) fn run(args: &Args, environment: &Environment, output: &Output) -> Result<ExitCode> {
    chaperone_sidecar::log_warnings_to_stderr();
    let mut stage = from_files(args, environment, output)?;
    if let Some(problem) = stage.document.refused.get(&args.alias) {
        bail!("the route of {:?} is refused: {problem}", args.alias.as_str());
    }
    if args.mock {
        plan::mock(&mut stage.document);
    }
    let plays = plan::plays(&stage.document, &args.alias)?;
    let card = card(args, &stage, plays)?;
    match output.format() {
        Format::Text => output.text(&card.to_string())?,
        Format::Json => output.json(&card)?,
    }
    Ok(if card.passed { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
}

fn card(args: &Args, stage: &Stage, plays: Vec<plan::Play>) -> Result<Card> {
    let mut seen = Vec::new();
    for play in plays {
        let name = play.name();
        let shown = play::run(&stage.document, &stage.keys, &args.alias, &play);
        seen.push((play, shown.with_context(|| format!("cannot play {name}"))?));
    }
    Ok(Card::of(&args.alias, seen))
}

fn from_files(args: &Args, environment: &Environment, output: &Output) -> Result<Stage> {
    let loaded = manifests::read(&args.manifests, environment)?;
    let scope = Scope { namespace: loaded.namespace.clone(), service_account: args.service_account.clone() };
    let mut compiled = compile(&manifests::world(&loaded, [scope.clone()]));
    let notes = loaded.notes_with(&compiled.findings);
    if Tally::of(&notes).errors > 0 {
        let text: String = notes.iter().map(ToString::to_string).collect();
        output.aside(&text)?;
    }
    let document = compiled.snapshots.remove(&scope).context("the scope was not compiled")?;
    Ok(Stage { document, keys: manifests::keys(&loaded) })
}
