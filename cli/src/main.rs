//! `chaperone`, also usable as `kubectl chaperone`: parses, dispatches, turns the outcome into an exit code.
//!
//! Each sub-command has a file of its own. Only `output.rs` prints.

mod args;
mod check;
#[cfg(feature = "cluster")]
mod cluster;
mod compile;
mod crds;
mod drill;
mod local;
mod manifests;
mod note;
mod output;
mod redact;
#[cfg(feature = "cluster")]
mod status;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Cli, Command, Environment};
use crate::output::Output;

fn main() -> ExitCode {
    let cli = Cli::from_command_line();
    let output = Output::new(cli.output);
    match run(cli.command, &output) {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            ExitCode::from(args::FAILED)
        }
    }
}

fn run(command: Command, output: &Output) -> Result<ExitCode> {
    match command {
        Command::Check(args) => check::run(&args, &Environment::of_process(), output),
        Command::Compile(args) => compile::run(&args, &Environment::of_process(), output),
        Command::Crds => crds::run(output),
        Command::Drill(args) => drill::run(&args, &Environment::of_process(), output),
        Command::Local(args) => local::run(args, Environment::of_process(), output),
        Command::Redact(args) => redact::run(&args, output),
        #[cfg(feature = "cluster")]
        Command::Status(args) => status::run(&args, output),
    }
}
