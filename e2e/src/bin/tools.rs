//! `chaperone-e2e-tools`: builds what the tests of the selected tier need, and prints where it is.
//! Tests build what they miss themselves; this does it before them, where its progress is seen.
use std::io::Write as _;

use anyhow::Result;
use chaperone_e2e::node::images;
use chaperone_e2e::previous::Previous;
use chaperone_e2e::tier::{Selection, Tier};
use chaperone_e2e::tools::{self, CONTROL_PLANE, MONITORING, NODE, SCALE};

fn main() -> Result<()> {
    let selection = Selection::of_environment()?;
    let tiers = [
        (Tier::ControlPlane, &CONTROL_PLANE[..]),
        (Tier::ControlPlane, &MONITORING[..]),
        (Tier::Scale, &SCALE[..]),
        (Tier::Node, &NODE[..]),
    ];
    for (tier, tools) in tiers {
        if !selection.includes(tier) {
            continue;
        }
        if let Some(remedy) = tools::what_is_missing() {
            return chaperone_e2e::tier::cannot_run("tests on a real API server", &remedy);
        }
        for tool in tools {
            writeln!(std::io::stdout(), "{}", tools::ensure_built(*tool)?.display())?;
        }
    }
    if selection.includes(Tier::ControlPlane)
        && let Some(previous) = Previous::for_test("tests of two versions")?
    {
        writeln!(std::io::stdout(), "{}", previous.operator().display())?;
        writeln!(std::io::stdout(), "{}", previous.sidecar().display())?;
    }
    if selection.includes(Tier::Node) {
        writeln!(std::io::stderr(), "building static programs for the node's images")?;
        for image in images::make()? {
            writeln!(std::io::stdout(), "{}", image.display())?;
        }
    }
    Ok(())
}
