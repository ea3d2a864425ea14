//! Two network namespaces of the test's own, joined by a cable: what one Pod sees of another.
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::Process;
use crate::wait;

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network namespace; it ends with the process that holds it.
pub struct Namespace {
    holder: Process,
    /// Its address on the cable.
    pub address: String,
}

/// Two that reach each other by their addresses; `None` without the rights for it.
///
/// # Errors
/// If one can be made and the other, or the cable, cannot.
pub async fn pair() -> Result<Option<(Namespace, Namespace)>> {
    let mut probe = Command::new("unshare");
    let probe = probe.args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let one = Namespace::hold("10.99.0.1").await?;
    let other = Namespace::hold("10.99.0.2").await?;
    let peer = other.id()?.to_string();
    one.ip(&["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &peer])?;
    for namespace in [&one, &other] {
        namespace.ip(&["addr", "add", &format!("{}/24", namespace.address), "dev", "cable"])?;
        namespace.ip(&["link", "set", "cable", "up"])?;
        namespace.ip(&["link", "set", "lo", "up"])?;
    }
    Ok(Some((one, other)))
}

impl Namespace {
    async fn hold(address: &str) -> Result<Self> {
        let holder = Process::spawn("namespace", Path::new("unshare"), &["-n", "sleep", "infinity"], &[])?;
        let namespace = Self { holder, address: address.to_owned() };
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        let own = format!("/proc/{}/ns/net", namespace.id()?);
        wait::until("a network namespace", PATIENCE, || async {
            Ok((std::fs::read_link(&own)? != ours).then_some(()))
        })
        .await?;
        Ok(namespace)
    }

    fn id(&self) -> Result<u32> {
        self.holder.id().context("the namespace's process runs")
    }

    /// Starts a process inside, as [`Process::spawn`].
    ///
    /// # Errors
    /// If the namespace is gone, or the process cannot be started.
    pub fn spawn(&self, name: &str, program: &Path, environment: &[(&str, &str)]) -> Result<Process> {
        let (id, program) = (self.id()?.to_string(), program.to_str().context("the path is no text")?);
        Process::spawn(name, Path::new("nsenter"), &["-t", &id, "-n", program], environment)
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        let id = self.id()?.to_string();
        let output = Command::new("nsenter").args(["-t", &id, "-n", "ip"]).args(arguments).output()?;
        ensure!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Runs `work` with this namespace's network, on a thread that ends with it.
    ///
    /// # Errors
    /// If the namespace cannot be entered, or `work` fails.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(format!("/proc/{}/ns/net", self.id()?))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
        })
    }
}
