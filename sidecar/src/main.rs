//! The sidecar's process: arguments in, exit code out. `chaperone local` runs the same library on files.

mod args;

use std::io;
use std::process::ExitCode;

use chaperone_sidecar::{Sidecar, log_warnings_to_stderr};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    log_warnings_to_stderr();
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "the sidecar cannot run");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM or SIGINT, then lets requests under way finish. A second signal ends at once.
fn run(args: Args) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything else: as process 1, one without a handler is not ended by SIGTERM at all.
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let grace = args.grace();
    let sidecar = Sidecar::start(args.settings())?;
    let code = runtime.block_on(async {
        signals.next().await;
        let drained = tokio::task::spawn_blocking(move || sidecar.drain(grace));
        tokio::select! {
            () = signals.next() => ExitCode::FAILURE,
            drained = drained => if drained.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        }
    });
    runtime.shutdown_background();
    Ok(code)
}

/// What asks the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
