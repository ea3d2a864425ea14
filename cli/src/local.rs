//! `chaperone local`: the operator's compile and the sidecar in one process, on files instead of a cluster.

mod event;
mod source;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use chaperone_protocol::keys::PseudonymKey;
use chaperone_protocol::name::ObjectName;
use chaperone_protocol::sensitive::Sensitive;
use chaperone_sidecar::{Callers, Settings, Sidecar};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::event::Event;
use self::source::{Source, World};
use crate::args::{Environment, Manifests};
use crate::output::Output;

/// How often the files are looked at. Polling sees edits on every file system, also where a mounted ConfigMap is
/// swapped by a link.
const LOOK: Duration = Duration::from_millis(250);
/// Requests under way may finish for this long after SIGTERM or Ctrl-C.
const GRACE: Duration = Duration::from_secs(30);

/// What pseudonyms are derived from.
type Secret = Sensitive<[u8; 32]>;

/// Arguments of `chaperone local`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File, or folder that is searched for *.yaml and *.yml; may be repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "PATH")]
    pub(crate) filename: Vec<PathBuf>,
    /// Where applications call; port 0 takes any free one. On a loopback address only by names of this machine.
    #[arg(long, default_value = "127.0.0.1:4141", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Where metrics and probes are; port 0 takes any free one. On a loopback address only by names of this machine.
    #[arg(long, default_value = "127.0.0.1:4142", value_name = "ADDRESS")]
    pub(crate) admin: SocketAddr,
    /// Folder for what outlives the process [default: the user's state folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Namespace to act in [default: the manifests' only one, else `default`].
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<ObjectName>,
    /// ServiceAccount to act as.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) service_account: ObjectName,
}

/// Serves until SIGTERM or Ctrl-C.
pub(crate) fn run(args: Args, environment: Environment, output: &Output) -> Result<ExitCode> {
    chaperone_sidecar::log_warnings_to_stderr();
    let folder = state::folder(args.state, &environment)?;
    let _lock = state::lock(&folder)?;
    let secret = state::pseudonym_secret(&folder)?;
    let manifests = Manifests { filename: args.filename, namespace: args.namespace };
    let mut source = Source::new(manifests, args.service_account, environment);
    let world = source.load(output)?;
    let settings = Settings {
        callers: callers(args.listen),
        admin_callers: callers(args.admin),
        ..Settings::new(args.listen, args.admin, Box::new(std::io::stdout()))
    };
    let sidecar =
        Sidecar::start(settings).context("cannot serve here; --listen and --admin name other ports")?;
    apply(&sidecar, world, &secret, output)?;
    output.event(&Event::Listening { listen: sidecar.listen(), admin: sidecar.admin() })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            () = signals.next() => {}
            followed = follow(&mut source, &sidecar, &secret, output) => followed?,
        }
        output.event(&Event::Ending)?;
        let drained = tokio::task::spawn_blocking(|| sidecar.drain(GRACE));
        tokio::select! {
            () = signals.next() => Ok(ExitCode::FAILURE),
            drained = drained => drained.map(|()| ExitCode::SUCCESS).context("the sidecar did not end well"),
        }
    })
    .inspect(|_| runtime.shutdown_background())
}

/// Who may ask a port: pages that a browser shows on this machine reach loopback too.
fn callers(address: SocketAddr) -> Callers {
    if address.ip().is_loopback() { Callers::ThisMachine } else { Callers::Anybody }
}

/// Puts every edit in force, as far as it is good.
async fn follow(source: &mut Source, sidecar: &Sidecar, secret: &Secret, output: &Output) -> Result<()> {
    loop {
        tokio::time::sleep(LOOK).await;
        if !source.has_changed() {
            continue;
        }
        match source.load(output) {
            Ok(world) => apply(sidecar, world, secret, output)?,
            Err(error) => output.event(&Event::NothingUsed { error: format!("{error:#}") })?,
        }
    }
}

fn apply(sidecar: &Sidecar, world: World, secret: &Secret, output: &Output) -> Result<()> {
    let World { snapshot, mut keys } = world;
    keys.set_pseudonyms(PseudonymKey::derive(secret.expose(), &snapshot.scope().namespace));
    let (version, routes) = (snapshot.version().short().to_owned(), snapshot.routes().len());
    sidecar.apply(snapshot, keys);
    output.event(&Event::InForce { snapshot: &version, routes })
}

/// What asks the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
