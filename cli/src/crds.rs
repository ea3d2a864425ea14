//! `chaperone crds`: the definitions that a cluster needs.

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Format;
use crate::output::Output;

/// Prints the definitions, as YAML or as a JSON list.
pub(crate) fn run(output: &Output) -> Result<ExitCode> {
    match output.format() {
        Format::Text => output.text(&chaperone_crds::yaml())?,
        Format::Json => output.json(&chaperone_crds::crds())?,
    }
    Ok(ExitCode::SUCCESS)
}
