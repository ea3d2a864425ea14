//! What only a node sees of its containers: processes, their files, their connections.
use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Node, SOCKET};

/// In `/proc/net/tcp`.
const ESTABLISHED: &str = "01";

impl Node {
    /// Signals the process of a container, whose id is that of a Pod's status.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, container: &str, signal: &str) -> Result<()> {
        ctr(&["tasks", "kill", "--signal", signal, id(container)]).map(drop)
    }

    /// A file as a container sees it.
    ///
    /// # Errors
    /// If it does not run, or has no such file.
    pub fn read(&self, container: &str, path: &str) -> Result<String> {
        let path = format!("/proc/{}/root{path}", process(container)?);
        std::fs::read_to_string(&path).with_context(|| path)
    }

    /// The local ends of a Pod's connections to a port of others: whoever connects anew has another one.
    ///
    /// # Errors
    /// If the container does not run.
    pub fn connections(&self, container: &str, port: u16) -> Result<BTreeSet<String>> {
        let path = format!("/proc/{}/net/tcp", process(container)?);
        let table = std::fs::read_to_string(&path).with_context(|| path)?;
        let port = format!(":{port:04X}");
        let established = table.lines().filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            (remote.ends_with(&port) && state == ESTABLISHED).then(|| local.to_owned())
        });
        Ok(established.collect())
    }

    /// How often a ServiceAccount has asked the API server about a token.
    ///
    /// # Errors
    /// If there is no audit.
    pub fn token_reviews_by(&self, account: &str) -> Result<usize> {
        let audit = self.plane.audit()?;
        let is_review = |line: &str| {
            // The last line may still be on its way.
            let Ok(event) = serde_json::from_str::<Value>(line) else { return false };
            let user = event["user"]["username"].as_str().unwrap_or_default();
            event["objectRef"]["resource"] == "tokenreviews" && user.ends_with(&format!(":{account}"))
        };
        Ok(audit.lines().filter(|line| is_review(line)).count())
    }
}

fn id(container: &str) -> &str {
    container.trim_start_matches("containerd://")
}

/// The id of a container's process, the same inside and outside of containers' view of this node.
fn process(container: &str) -> Result<u32> {
    let tasks = ctr(&["tasks", "list"])?;
    let task = tasks.lines().find(|line| line.starts_with(id(container))).context("it does not run")?;
    Ok(task.split_whitespace().nth(1).context("a process id")?.parse()?)
}

/// Runs containerd's client; returns what it prints.
pub(super) fn ctr(words: &[&str]) -> Result<String> {
    let output =
        Command::new("ctr").args(["--address", SOCKET, "--namespace", "k8s.io"]).args(words).output()?;
    ensure!(output.status.success(), "ctr {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
