//! Processes of a test: started, signalled and ended by their own id, also after a panic.
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::usage::Usage;
use crate::{settings, wait};

/// Lines of output that a failed test shows of each process.
const TAIL_LINES: usize = 40;

/// A child process with its output. Killed when dropped; a panicking test shows the tail of its output.
pub struct Process {
    name: String,
    child: Child,
    folder: PathBuf,
    /// Removes `folder`, where it is the process's own.
    _own: Option<TempDir>,
}

/// A process that must not outlive the test binary, whatever ends it.
pub struct Tethered<'a> {
    /// What it is called in errors; its output stands in `<folder>/<name>.{stdout,stderr}`.
    pub name: &'a str,
    /// What to run.
    pub program: &'a Path,
    /// With these arguments.
    pub arguments: Vec<String>,
    /// Beside `PATH` and `HOME`.
    pub environment: Vec<(String, String)>,
    /// Its working directory and home; outlives it.
    pub folder: &'a Path,
}

impl Process {
    /// Starts `program`. The child gets `PATH` and `environment`, and nothing else of ours.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let own = tempfile::tempdir()?;
        let mut command = bare(program, own.path());
        command.args(arguments).env("RUST_BACKTRACE", "1").envs(environment.iter().copied());
        Self::start(name, command, own.path().to_owned(), Some(own))
    }

    /// Starts a process that the kernel kills when the thread that called this ends, and with it the whole test binary.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn tether(launch: Tethered<'_>) -> Result<Self> {
        // Of util-linux; a call between fork and exec would be `unsafe`.
        let mut command = bare(Path::new("setpriv"), launch.folder);
        command.args(["--pdeathsig", "KILL", "--"]).arg(launch.program).args(launch.arguments);
        command.envs(launch.environment).current_dir(launch.folder);
        Self::start(launch.name, command, launch.folder.to_owned(), None)
    }

    fn start(name: &str, mut command: Command, folder: PathBuf, own: Option<TempDir>) -> Result<Self> {
        // A process that is started again goes on in the same files.
        let output = |stream: &str| {
            File::options().create(true).append(true).open(folder.join(format!("{name}.{stream}")))
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(output("stdout")?)
            .stderr(output("stderr")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, folder, _own: own })
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, stream: &str) -> String {
        let bytes = std::fs::read(self.folder.join(format!("{}.{stream}", self.name))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that its standard error goes to.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.stderr", self.name))
    }

    /// The last lines of both streams, under its name.
    #[must_use]
    pub fn tail(&self) -> String {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        format!("--- {0} stdout\n{1}\n--- {0} stderr\n{2}\n", self.name, tail(&stdout), tail(&stderr))
    }

    /// Its process id; `None` once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for a line of output that contains `prefix`, and returns the word that follows.
    ///
    /// # Errors
    /// If the process ends first, or does not say it in time.
    pub async fn announced(&self, prefix: &str, patience: Duration) -> Result<String> {
        wait::until(&format!("{} to say {prefix:?}", self.name), patience, || async {
            let (stdout, stderr) = (self.stdout(), self.stderr());
            let said = word_after(&stdout, prefix).or_else(|| word_after(&stderr, prefix));
            if said.is_none() && self.has_ended() {
                bail!("{} ended: {}", self.name, tail(&stderr));
            }
            Ok(said)
        })
        .await
        .with_context(|| format!("stderr of {}:\n{}", self.name, tail(&self.stderr())))
    }

    /// Whether it has ended (zombies included).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let Some(id) = self.id() else { return true };
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z') || rest.is_empty())
    }

    /// What it uses now.
    ///
    /// # Errors
    /// If it has ended.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.id().with_context(|| format!("{} has ended", self.name))?)
    }

    /// Resident memory in bytes, the most it ever was.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        Ok(self.usage()?.peak)
    }

    /// Resident memory in bytes, now.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn memory(&self) -> Result<u64> {
        Ok(self.usage()?.resident)
    }

    /// Time that it has used of processors so far, in ticks of 10 ms.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn cpu_ticks(&self) -> Result<u64> {
        Ok(self.usage()?.ticks)
    }

    /// Sends `SIGTERM`.
    ///
    /// # Errors
    /// If it has ended.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends `SIGSTOP`: the process freezes with its sockets open.
    ///
    /// # Errors
    /// If it has ended.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Sends `SIGCONT`: a frozen process goes on.
    ///
    /// # Errors
    /// If it has ended.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends `SIGKILL` and waits.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id().with_context(|| format!("{} has ended", self.name))?;
        let pid = Pid::from_raw(i32::try_from(id)?).context("process id 0")?;
        kill_process(pid, signal).with_context(|| format!("signal to {}", self.name))
    }

    /// Waits until it ends, however long that takes.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.context("waiting for a child")
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn ended(&mut self, patience: Duration) -> Result<ExitStatus> {
        tokio::time::timeout(patience, self.child.wait())
            .await
            .with_context(|| format!("{} still runs after {patience:?}", self.name))?
            .context("waiting for a child")
    }
}

/// `program` with `PATH` and a home, and nothing else of our environment.
fn bare(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", settings::search_path()).env("HOME", home);
    command
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show();
        }
    }
}

impl Process {
    /// Shows the tail of the output: a failed test needs it. `kill_on_drop` ends the process.
    fn show(&self) {
        // Nobody is left to tell that standard error is closed.
        let _ = write!(std::io::stderr(), "{}", self.tail());
    }
}

fn word_after(output: &str, prefix: &str) -> Option<String> {
    // Only whole lines: the address may still be on its way.
    let line = output.split_inclusive('\n').find(|line| line.contains(prefix) && line.ends_with('\n'))?;
    let (_, rest) = line.split_once(prefix)?;
    rest.split(['"', ' ', '\n', '\r']).next().map(|word| word.trim_end_matches('/').to_owned())
}

/// The last lines of a file; nothing where there is none.
pub(crate) fn tail_of(file: &Path) -> String {
    tail(&String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()))
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.iter().skip(from).copied().collect::<Vec<_>>().join("\n")
}

/// The scripted partner, built beside the tests by cargo.
///
/// # Errors
/// If it is not there.
pub fn partner_binary() -> Result<PathBuf> {
    beside_tests("chaperone-e2e-partner").context("run the tests with `cargo test -p chaperone-e2e`")
}

/// The application that runs in Pods of tests, built beside the tests by cargo.
///
/// # Errors
/// If it is not there.
pub fn app_binary() -> Result<PathBuf> {
    beside_tests("chaperone-e2e-app").context("run the tests with `cargo test -p chaperone-e2e`")
}

/// The product: `CHAPERONE_BIN`, else the one in the target folder, which is built first.
///
/// # Errors
/// If it is missing and cannot be built.
pub fn chaperone_binary() -> Result<PathBuf> {
    if let Some(named) = settings::chaperone_binary() {
        if named.is_file() {
            return Ok(named);
        }
        bail!("CHAPERONE_BIN names {}, which is no file", named.display());
    }
    static BUILT: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    built(&BUILT, "chaperone")
}

/// The operator, built first.
///
/// # Errors
/// If it cannot be built.
pub fn operator_binary() -> Result<PathBuf> {
    static BUILT: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    built(&BUILT, "chaperone-operator")
}

/// The sidecar, built first.
///
/// # Errors
/// If it cannot be built.
pub fn sidecar_binary() -> Result<PathBuf> {
    static BUILT: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    built(&BUILT, "chaperone-sidecar")
}

fn built(once: &std::sync::OnceLock<Result<(), String>>, package: &str) -> Result<PathBuf> {
    once.get_or_init(|| build(package).map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)?;
    beside_tests(package).with_context(|| format!("`cargo build -p {package}` built no `{package}`"))
}

/// Always asks cargo: a stale binary would test yesterday's product.
fn build(package: &str) -> Result<()> {
    let output = cargo()
        .args(["build", "--quiet", "--package", package])
        // The command line as it is released.
        .args((package == "chaperone").then_some(["--features", "cluster"]).into_iter().flatten())
        // As what asks for it was built: it stands in the same folder.
        .args((!cfg!(debug_assertions)).then_some("--profile=bench"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .context("running cargo")?;
    if !output.status.success() {
        bail!("cargo build -p {package} failed: {}", tail(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}

/// Cargo, as it runs outside a test.
pub(crate) fn cargo() -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO"));
    // What cargo tells tests of their own package. Build scripts that look at it, as ring's, would run again here and
    // once more in the next build outside, and with them all that stands on theirs.
    let of_tests = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        name.to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    });
    for name in of_tests {
        command.env_remove(name);
    }
    command
}

/// A binary in the folder above that of the running test (`target/debug/deps`).
fn beside_tests(name: &str) -> Result<PathBuf> {
    let folders = folders_of_tests()?;
    let mut candidates = folders.iter().map(|folder| folder.join(name));
    candidates.find(|candidate| candidate.is_file()).with_context(|| format!("no {name} beside the tests"))
}

/// Where cargo puts what it builds (`target`).
pub(crate) fn build_folder() -> Result<PathBuf> {
    let folders = folders_of_tests()?;
    let root = folders.last().and_then(|profile| profile.parent());
    root.map(Path::to_owned).context("the tests are in no folder of cargo's")
}

/// The folders around the running test, up to that of its profile.
fn folders_of_tests() -> Result<Vec<PathBuf>> {
    let this = std::env::current_exe()?;
    let mut folders = Vec::new();
    for folder in this.ancestors().skip(1) {
        folders.push(folder.to_owned());
        if folder.join(".cargo-lock").exists() {
            break;
        }
    }
    Ok(folders)
}
