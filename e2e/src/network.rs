//! A network of a test's own, with rules that drop or reject packets. It ends with the test; nothing outside is touched.
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::{settings, tier};

/// Sets up the loopback interface and a table of rules, then goes on.
const ENTER: &str = "ip link set lo up && nft add table inet e2e && \
    nft add chain inet e2e input '{ type filter hook input priority 0; }' && exec \"$@\"";

/// What becomes of packets.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Nobody hears of them again.
    Dropped,
    /// Answered by a reset.
    Reset,
    /// Answered by "port unreachable".
    Unreachable,
}

/// Runs `test`, a test of the calling binary, in a network of its own. True inside of there: go on; false outside, when
/// the test has passed in there or cannot run, with a line that says why.
///
/// # Errors
/// If it fails in there, or must run and cannot.
pub fn is_inside(test: &str) -> Result<bool> {
    if settings::is_inside_network() {
        return Ok(true);
    }
    let enter = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-c", ENTER, "sh"]).args(arguments).stdin(Stdio::null());
        command
    };
    let can_enter = enter(&["true"]).output().is_ok_and(|output| output.status.success());
    if !can_enter {
        return tier::cannot_run(test, "needs root, iproute2 and nftables").map(|()| false);
    }
    let program = std::env::current_exe()?;
    let program = program.to_str().context("the path of the test is no text")?;
    let output =
        enter(&[program, "--exact", test, "--nocapture"]).env(settings::INSIDE_NETWORK, "1").output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(output.status.success() && said.contains("1 passed"), "in its network:\n{said}");
    writeln!(std::io::stdout(), "{said}")?;
    Ok(false)
}

/// From now on this becomes of packets to the port of `address`. Only inside.
///
/// # Errors
/// If there is no port, or the rule cannot be made.
pub fn rule(address: &str, fate: Fate) -> Result<()> {
    ensure!(settings::is_inside_network(), "a rule outside of a network of one's own");
    let port: u16 = address.rsplit(':').next().unwrap_or_default().parse()?;
    let verdict = match fate {
        Fate::Dropped => "drop",
        Fate::Reset => "reject with tcp reset",
        Fate::Unreachable => "reject",
    };
    let rule = format!("add rule inet e2e input tcp dport {port} {verdict}");
    let status = Command::new("nft").arg(rule).status()?;
    ensure!(status.success(), "nft: {status}");
    Ok(())
}
