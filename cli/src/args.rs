//! The command line and the environment, read once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use chaperone_protocol::name::ObjectName;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Exit code: the manifests have errors.
pub(crate) const FOUND_ERRORS: u8 = 1;
/// Exit code: wrong usage, or something could not be read or written. clap uses the same.
pub(crate) const FAILED: u8 = 2;
/// Exit code: something could not be scanned for personal data.
pub(crate) const UNSCANNABLE: u8 = 3;

const EXIT_CODES: &str = "Exit codes:
  0  no errors; warnings do not count
  1  the manifests have errors
  2  wrong usage, or a file that cannot be read or written";

const CHECK_EXAMPLES: &str = "Examples:
  chaperone check -f examples/quickstart
  ALPHA_KEY=... chaperone check -f partners/ -f routes.yaml
  chaperone check -f . --output json | jq '.findings[] | select(.severity == \"error\")'

`${NAME}` in any string is taken from the environment.

Exit codes:
  0  no errors; warnings do not count
  1  the manifests have errors
  2  wrong usage, or a file that cannot be read";

const COMPILE_EXAMPLES: &str = "Examples:
  chaperone compile -f examples/quickstart
  chaperone compile -f . --namespace team-a --service-account checkout -o snapshot.json

The snapshot names credentials and holds none. Findings go to standard error.

Exit codes:
  0  no errors; warnings do not count
  1  the manifests have errors; the snapshot refuses what they break
  2  wrong usage, or a file that cannot be read or written";

const LOCAL_EXAMPLES: &str = "Examples:
  chaperone local -f examples/quickstart
  ALPHA_KEY=... chaperone local -f partners/ -f routes.yaml --listen 127.0.0.1:8080

Then point an SDK at it:
  export OPENAI_BASE_URL=http://127.0.0.1:4141/v1 ANTHROPIC_BASE_URL=http://127.0.0.1:4141

Edits are in force within a second. One that cannot be used keeps the last good version and says why.
Records go to standard output, one JSON line for each request; everything else to standard error,
with `--output json` as JSON lines too.

Exit codes:
  0  ended by SIGTERM or Ctrl-C, after the requests under way
  1  ended at once, by a second signal
  2  wrong usage, nothing to serve, a port in use, or a file that cannot be read";

const DRILL_EXAMPLES: &str = "Examples:
  chaperone drill chat -f examples/quickstart
  chaperone drill fast-text -f partners/ -f routes.yaml --mock
  ALPHA_KEY=... chaperone drill fast-text -f . --output json | jq '.plays[] | select(.passed | not)'
  chaperone drill fast-text --from-cluster -n shop --report-status   (in a build with feature `cluster`)

The route is compiled and served in this process, and asked once without a fault and once for each kind:
faults that the route declares as it declares them, the others as usual. Each request may reach the real
partners, and costs a few tokens there; with --mock nothing is sent.

Exit codes:
  0  every play was answered, or, behind its first token, broken off with an error that the app can see
  1  a play was not
  2  wrong usage, a route that is refused or does not exist, or a file that cannot be read";

const CRDS_EXAMPLES: &str = "Examples:
  chaperone crds | kubectl apply --server-side -f -

Exit codes:
  0  printed
  2  wrong usage, or nothing to print to";

const EXAMPLES: &str = "Examples:
  chaperone check -f examples/quickstart
  chaperone local -f examples/quickstart
  kubectl chaperone crds | kubectl apply --server-side -f -
";

/// Use AI partners safely: check, compile and serve Partners, ModelRoutes and TenantQuotas.
#[derive(Debug, Parser)]
#[command(name = "chaperone", version, after_help = format!("{EXAMPLES}\n{EXIT_CODES}"), subcommand_required = true)]
pub(crate) struct Cli {
    /// For people or for programs.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find mistakes in manifests, with file and line, before a cluster sees them.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Print the snapshot that a sidecar would get.
    #[command(after_help = COMPILE_EXAMPLES)]
    Compile(Compile),
    /// Print the CustomResourceDefinitions.
    #[command(after_help = CRDS_EXAMPLES)]
    Crds,
    /// Play every kind of fault once against a route, and print what its apps would see.
    #[command(after_help = DRILL_EXAMPLES)]
    Drill(crate::drill::Args),
    /// Serve on this machine, without Kubernetes.
    #[command(after_help = LOCAL_EXAMPLES)]
    Local(crate::local::Args),
    /// Try a policy: find personal data in your own samples, and print them without.
    #[command(after_help = crate::redact::EXAMPLES)]
    Redact(crate::redact::Args),
    /// Show partners, routes and sidecars of a cluster: what is ready, who serves, and who is behind.
    #[cfg(feature = "cluster")]
    #[command(after_help = crate::status::EXAMPLES)]
    Status(crate::status::Args),
}

/// Which manifests to read.
#[derive(Debug, Args)]
pub(crate) struct Manifests {
    /// File, or folder that is searched for *.yaml and *.yml; may be repeated.
    #[arg(short = 'f', long = "filename", required = true, value_name = "PATH")]
    pub(crate) filename: Vec<PathBuf>,
    /// Namespace of objects that name none [default: the manifests' only namespace, else `default`].
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<ObjectName>,
}

/// Arguments of `chaperone check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
}

/// Arguments of `chaperone compile`.
#[derive(Debug, Args)]
pub(crate) struct Compile {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Whose snapshot: the Pod's ServiceAccount in that namespace.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) service_account: ObjectName,
    /// Write to this file instead of standard output.
    #[arg(short = 'o', long = "output-file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

impl Cli {
    /// Parses the process's arguments; prints help or a usage error and ends the process where there is nothing to run.
    pub(crate) fn from_command_line() -> Self {
        let mut command = Self::command();
        let name = std::env::args_os().next();
        if is_kubectl_plugin(name.as_deref()) {
            // kubectl finds its plugins by file name; help must show what the user typed.
            command = command.bin_name("kubectl chaperone");
        }
        let matches = command.get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

fn is_kubectl_plugin(program: Option<&OsStr>) -> bool {
    let stem = program.and_then(|program| Path::new(program).file_stem()).and_then(OsStr::to_str);
    stem.is_some_and(|stem| stem.replace('_', "-") == "kubectl-chaperone")
}

/// Variables that manifests may use. Their values may be secret, so that `Debug` shows names alone.
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process that are text.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_kubectl_plugin_is_known_by_its_name() {
        assert!(is_kubectl_plugin(Some(OsStr::new("/usr/bin/kubectl-chaperone"))));
        assert!(is_kubectl_plugin(Some(OsStr::new("kubectl_chaperone"))));
        assert!(!is_kubectl_plugin(Some(OsStr::new("/usr/bin/chaperone"))));
    }

    #[test]
    fn debug_does_not_show_a_variable() {
        let environment = Environment::from([("ALPHA_KEY", "sk-canary")]);
        assert_eq!(format!("{environment:?}"), r#"{"ALPHA_KEY"}"#);
    }
}
