//! etcd, the Kubernetes components, CoreDNS, helm, kwok and promtool, built from the Go modules in `e2e/tools/` when first needed.
//!
//! A binary is kept under `${XDG_CACHE_HOME:-~/.cache}/chaperone/tools/<hash>/`, outside the checkout, where the hash
//! covers everything that decides its content. The first build takes minutes, and says so.
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{clock, settings};

/// How often a long build says that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Of each file's hash, what names a folder.
const HASH_BYTES: usize = 8;

/// A program that some tier needs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tool {
    /// The API server's store.
    Etcd,
    /// Restores a store from a snapshot.
    Etcdutl,
    /// `kube-apiserver`
    ApiServer,
    /// `kube-controller-manager`
    ControllerManager,
    /// `kubectl`
    Kubectl,
    /// `kube-scheduler`
    Scheduler,
    /// `kubelet`
    Kubelet,
    /// `kube-proxy`
    Proxy,
    /// Resolves names of Services for Pods.
    CoreDns,
    /// Installs the chart.
    Helm,
    /// Keeps fake Nodes and Pods alive.
    Kwok,
    /// Tries alerts on series.
    Promtool,
}

/// What tier 1 needs, the longest builds first.
pub const CONTROL_PLANE: [Tool; 5] =
    [Tool::Etcd, Tool::ApiServer, Tool::ControllerManager, Tool::Kubectl, Tool::Helm];

/// What tests of alerts need, whose tier is the first as well.
pub const MONITORING: [Tool; 1] = [Tool::Promtool];

/// What tier 2 needs beyond that.
pub const SCALE: [Tool; 2] = [Tool::Scheduler, Tool::Kwok];

/// What tier 3 needs beyond that.
pub const NODE: [Tool; 3] = [Tool::Kubelet, Tool::Proxy, Tool::CoreDns];

impl Tool {
    /// The program's name, and what it is for.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Etcdutl => "etcdutl",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
            Self::CoreDns => "coredns",
            Self::Helm => "helm",
            Self::Kwok => "kwok",
            Self::Promtool => "promtool",
        }
    }

    fn package(self) -> String {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3".to_owned(),
            Self::Etcdutl => "go.etcd.io/etcd/etcdutl/v3".to_owned(),
            Self::CoreDns => "github.com/coredns/coredns".to_owned(),
            Self::Helm => "helm.sh/helm/v4/cmd/helm".to_owned(),
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok".to_owned(),
            Self::Promtool => "github.com/prometheus/prometheus/cmd/promtool".to_owned(),
            _ => format!("k8s.io/kubernetes/cmd/{}", self.name()),
        }
    }

    /// The folder of its module in `e2e/tools/`.
    fn module(self) -> &'static str {
        match self {
            Self::Etcd | Self::Etcdutl => "etcd",
            Self::CoreDns => "coredns",
            Self::Helm => "helm",
            Self::Kwok => "kwok",
            Self::Promtool => "promtool",
            _ => "k8s",
        }
    }

    /// Build tags: without the ways in which a Prometheus finds its targets, promtool takes half the time.
    fn tags(self) -> &'static str {
        match self {
            Self::Promtool => "remove_all_sd",
            _ => "",
        }
    }
}

/// The Kubernetes version that `e2e/tools/k8s/go.mod` pins.
pub const KUBERNETES: &str = "v1.36.4";

/// The helm version that `e2e/tools/helm/go.mod` pins.
pub const HELM: &str = "v4.2.4";

/// Without these values `/version` is empty, and helm believes in a cluster of long ago.
fn linker_flags(module: &str) -> String {
    let set: Vec<(String, &str)> = match module {
        "k8s" => ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
            .iter()
            .flat_map(|package| {
                let values = [
                    ("gitVersion", KUBERNETES),
                    ("gitMajor", "1"),
                    ("gitMinor", "36"),
                    ("gitCommit", "module"),
                    ("gitTreeState", "clean"),
                    ("buildDate", "1970-01-01T00:00:00Z"),
                ];
                values.map(|(name, value)| (format!("{package}.{name}"), value))
            })
            .collect(),
        "helm" => vec![
            ("helm.sh/helm/v4/internal/version.version".to_owned(), HELM),
            ("helm.sh/helm/v4/pkg/chart/common.k8sVersionMajor".to_owned(), "1"),
            ("helm.sh/helm/v4/pkg/chart/common.k8sVersionMinor".to_owned(), "36"),
        ],
        _ => Vec::new(),
    };
    let set: String = set.iter().map(|(name, value)| format!(" -X {name}={value}")).collect();
    format!("-s -w{set}")
}

/// Where a tool's binary is, built first where it is missing.
///
/// Blocks while it is built, here or by another process.
///
/// # Errors
/// If Go is missing or too old, or the build fails.
pub fn ensure_built(tool: Tool) -> Result<PathBuf> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(tool.module());
    let flags = linker_flags(tool.module());
    let folder = settings::cache()
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("tools")
        .join(content_hash(&module, &(flags.clone() + tool.tags()))?);
    let binary = folder.join(tool.name());
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(&folder)?;
    // Held until the file is closed, by the kernel: also when this process is killed.
    let lock = File::create(folder.join(".lock"))?;
    lock.lock()?;
    if !binary.is_file() {
        // Built aside and renamed, so that a half-built binary is never used.
        let draft = folder.join(format!(".{}", tool.name()));
        build(tool, &module, &flags, &draft)?;
        fs::rename(draft, &binary)?;
    }
    Ok(binary)
}

/// Why nothing can be built or started on this machine, with the remedy; `None` if it can.
#[must_use]
pub fn what_is_missing() -> Option<String> {
    if let Err(error) = go_version().and_then(is_new_enough) {
        return Some(format!("{error:#}"));
    }
    let setpriv = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status();
    let is_there = setpriv.is_ok_and(|status| status.success());
    (!is_there).then(|| "setpriv is missing; on Debian: apt-get install util-linux".to_owned())
}

/// The directive in our modules.
const GO: (u32, u32) = (1, 26);

/// `said` begins with a version, as in `go1.26.8`.
fn is_new_enough(said: &str) -> Result<()> {
    let version = said.lines().next().unwrap_or_default();
    let mut numbers = version.trim_start_matches("go").split(['.', 'r', 'b', '-']).map(str::parse);
    if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next())
        && (major, minor) >= GO
    {
        return Ok(());
    }
    bail!("Go is {version:?}; install 1.26 or later: https://go.dev/dl/")
}

fn content_hash(module: &Path, flags: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        hash.update(fs::read(module.join(file)).with_context(|| format!("{file} of {}", module.display()))?);
    }
    hash.update(go_version()?);
    hash.update(flags);
    Ok(hash.finalize().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect())
}

/// Version, system and architecture, a line each; asked once, since every command of a test looks its program up.
fn go_version() -> Result<&'static str> {
    static SAID: OnceLock<Result<String, String>> = OnceLock::new();
    let said = SAID.get_or_init(|| ask_go_version().map_err(|error| format!("{error:#}")));
    said.as_deref().map_err(|error| anyhow::Error::msg(error.clone()))
}

fn ask_go_version() -> Result<String> {
    let output = go().args(["env", "GOVERSION", "GOOS", "GOARCH"]).output();
    let output = output.ok().context("Go is missing; install Go 1.26 or later: https://go.dev/dl/")?;
    ensure!(output.status.success(), "go env: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Go as the one that is installed: a directive that is too new fails loudly and downloads no other compiler.
fn go() -> Command {
    let mut command = Command::new("go");
    command.env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
    command
}

fn build(tool: Tool, module: &Path, flags: &str, target: &Path) -> Result<()> {
    say(&format!(
        "building {} for the tests on a real API server, once; all of them take about ten minutes",
        tool.name()
    ));
    let errors = target.with_extension("log");
    let child = go()
        .args([
            "build",
            "-p",
            "2",
            "-trimpath",
            "-buildvcs=false",
            "-tags",
            tool.tags(),
            "-ldflags",
            flags,
            "-o",
        ])
        .arg(target)
        .arg(tool.package())
        .current_dir(module)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&errors)?)
        .spawn()?;
    let outcome = watch(child, tool.name());
    let said = fs::read_to_string(&errors)?;
    fs::remove_file(&errors)?;
    outcome.with_context(|| format!("building {}: {said}", tool.name()))
}

/// Waits for the compiler, and says now and then that it still runs.
pub(crate) fn watch(mut child: Child, what: &str) -> Result<()> {
    let start = clock::now();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let status = std::thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(HEARTBEAT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                say(&format!("still building {what}, {} s", clock::since(start).as_secs()));
            }
        });
        let status = child.wait();
        drop(done);
        status
    })?;
    if !status.success() {
        bail!("the build ended with {status}");
    }
    say(&format!("built {what} in {} s", clock::since(start).as_secs()));
    Ok(())
}

/// Past the capture of the test runner: ten silent minutes look like a hang.
pub(crate) fn say(message: &str) {
    // Nobody is left to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_told_to_the_linker_are_those_that_are_pinned() {
        let pins = [("k8s", "k8s.io/kubernetes", KUBERNETES), ("helm", "helm.sh/helm/v4", HELM)];
        for (module, package, version) in pins {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(module).join("go.mod");
            let text = fs::read_to_string(file).unwrap();
            assert!(text.contains(&format!("{package} {version}")), "{package} is not at {version}");
        }
    }

    #[test]
    fn an_old_go_is_told_from_a_new_one() {
        let verdicts = ["go1.26.8\nlinux", "go1.27rc1", "go2.0", "go1.25.9", "devel"];
        assert_eq!(verdicts.map(|said| is_new_enough(said).is_ok()), [true, true, true, false, false]);
    }

    #[test]
    fn every_tool_is_a_tool_of_its_module() {
        for tool in
            CONTROL_PLANE.into_iter().chain(MONITORING).chain(SCALE).chain(NODE).chain([Tool::Etcdutl])
        {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(tool.module()).join("go.mod");
            let text = fs::read_to_string(file).unwrap();
            assert!(text.contains(&tool.package()), "{} is no tool of {}", tool.package(), tool.module());
        }
    }
}
