//! `chaperone local`: operator and sidecar in one process, from a folder of manifests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use chaperone_operator::compile::compile;
use chaperone_protocol::name::ObjectName;
use chaperone_protocol::snapshot::Scope;

use crate::args::{Environment, Manifests};
use crate::manifests;

/// Arguments of `chaperone local`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or folder of manifests; may be repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "PATH")]
    pub(crate) filename: Vec<PathBuf>,
    /// Where applications call.
    #[arg(long, default_value = "127.0.0.1:4141")]
    pub(crate) listen: SocketAddr,
    /// Where metrics and health are.
    #[arg(long, default_value = "127.0.0.1:4142")]
    pub(crate) admin: SocketAddr,
    /// Folder for what outlives the process; default: the user's state folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Namespace to act in; default: the manifests' only one, else `default`.
    #[arg(long)]
    pub(crate) namespace: Option<ObjectName>,
    /// ServiceAccount to act as.
    #[arg(long, default_value = "default")]
    pub(crate) service_account: ObjectName,
}

/// Runs until it is told to end.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let folder = Manifests { filename: args.filename, namespace: args.namespace };
    let loaded = manifests::read(&folder, &Environment::of_process())?;
    let scope = Scope { namespace: loaded.namespace.clone(), service_account: args.service_account };
    let compiled = compile(&manifests::world(&loaded, [scope.clone()]));
    let routes = compiled.snapshots.get(&scope).map_or(0, |document| document.routes.len());
    let keys = manifests::keys(&loaded).names().count();
    let Args { listen, admin, .. } = args;
    let state = args.state.unwrap_or_default();
    bail!(
        "{scope} has {routes} routes and {keys} credentials, but this build cannot serve them at {listen}, \
         with {admin} and {}",
        state.display()
    )
}
