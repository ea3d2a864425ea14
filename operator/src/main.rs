//! The operator's process: arguments in, exit code out.

use std::process::ExitCode;

use anyhow::Result;
use chaperone_operator::{Args, log_to_stderr, run};
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr();
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(run(args));
    runtime.shutdown_background();
    ended
}
