//! Removes a folder when the test binary ends, whatever ends it.
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

/// Starts a shell that waits for our end, which closes its standard input, and then removes `folder`.
///
/// Components that the kernel kills in the same moment may still write, so it tries for a while.
pub(super) fn remove_when_we_end(folder: &Path) -> Result<()> {
    // A signal to the whole group must not take the janitor along.
    const SCRIPT: &str = "trap '' HUP INT TERM; cat >/dev/null; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf \"$0\" && exit; sleep 0.5; done";
    let child = Command::new("sh")
        .args(["-c", SCRIPT])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Its standard input stays open for as long as we live.
    Box::leak(Box::new(child));
    Ok(())
}
