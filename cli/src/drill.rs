//! `chaperone drill`: plays every kind of fault once against a route, and prints a report card.
//!
//! A fallback that was never seen to work is a hope. The route is compiled as for a sidecar and served in this process;
//! for each play a sidecar of its own starts, so that no play meets what another one has taught a breaker.

mod card;
#[cfg(feature = "cluster")]
mod cluster;
mod plan;
mod play;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chaperone_operator::compile::compile;
#[cfg(feature = "cluster")]
use chaperone_operator::world::ObjectKey;
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
#[cfg_attr(feature = "cluster", expect(clippy::struct_excessive_bools, reason = "flags, each typed by name"))]
pub(crate) struct Args {
    /// The route's alias.
    #[arg(value_name = "ALIAS")]
    alias: Alias,
    /// File, or folder that is searched for *.yaml and *.yml; may be repeated.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    #[cfg_attr(not(feature = "cluster"), arg(required = true))]
    #[cfg_attr(
        feature = "cluster",
        arg(required_unless_present = "from_cluster", conflicts_with = "from_cluster")
    )]
    filename: Vec<PathBuf>,
    /// Namespace to act in [default: the manifests' only namespace, else `default`; of a cluster, that of the context].
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<ObjectName>,
    /// Drill the route as it stands in a cluster, with your own rights; its partners are called from here.
    #[cfg(feature = "cluster")]
    #[arg(long)]
    from_cluster: bool,
    /// Write the result into the route's status, where the condition Drilled comes from. Not with --mock: partners that
    /// are played prove nothing about those that are not.
    #[cfg(feature = "cluster")]
    #[arg(long, requires = "from_cluster", conflicts_with = "mock")]
    report_status: bool,
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    cluster: crate::cluster::Args,
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
    /// The object that is drilled, where it stands in a cluster.
    #[cfg(feature = "cluster")]
    route: Option<ObjectKey>,
}

/// Plays all kinds, and prints the card.
pub(crate) fn run(args: &Args, environment: &Environment, output: &Output) -> Result<ExitCode> {
    chaperone_sidecar::log_warnings_to_stderr();
    let mut stage = stage(args, environment, output)?;
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
    #[cfg(feature = "cluster")]
    if args.report_status {
        cluster::report(args, stage.route.as_ref(), &card)?;
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

fn stage(args: &Args, environment: &Environment, output: &Output) -> Result<Stage> {
    #[cfg(feature = "cluster")]
    if args.from_cluster {
        return cluster::stage(args, output);
    }
    // Silence would let a reader believe that the cluster was drilled.
    #[cfg(feature = "cluster")]
    if args.cluster.is_named() {
        bail!(
            "--kubeconfig and --context go with --from-cluster: add it, and leave out --filename, or remove them"
        );
    }
    from_files(args, environment, output)
}

fn from_files(args: &Args, environment: &Environment, output: &Output) -> Result<Stage> {
    let manifests = Manifests { filename: args.filename.clone(), namespace: args.namespace.clone() };
    let loaded = manifests::read(&manifests, environment)?;
    let scope = Scope { namespace: loaded.namespace.clone(), service_account: args.service_account.clone() };
    let mut compiled = compile(&manifests::world(&loaded, [scope.clone()]));
    let notes = loaded.notes_with(&compiled.findings);
    if Tally::of(&notes).errors > 0 {
        let text: String = notes.iter().map(ToString::to_string).collect();
        output.aside(&text)?;
    }
    let document = compiled.snapshots.remove(&scope).context("the scope was not compiled")?;
    let keys = manifests::keys(&loaded);
    Ok(Stage {
        document,
        keys,
        #[cfg(feature = "cluster")]
        route: None,
    })
}
