//! Flags and environment of the sidecar: every path, address and port that it uses stands in one of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chaperone_sidecar::{Feed, Settings, Start};
use clap::{Parser, ValueEnum};

/// Serves the model calls of one Pod under the configuration that the operator sends.
#[derive(Debug, Parser)]
#[command(name = "chaperone-sidecar", version)]
pub(crate) struct Args {
    /// Where applications call; port 0 takes any free one.
    #[arg(long, env = "CHAPERONE_LISTEN", default_value = "127.0.0.1:4141", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where metrics and probes are; port 0 takes any free one.
    #[arg(long, env = "CHAPERONE_ADMIN", default_value = "0.0.0.0:4142", value_name = "ADDRESS")]
    admin: SocketAddr,
    /// Where the operator is dialled.
    #[arg(long, env = "CHAPERONE_FEED_ADDRESS", value_name = "HOST:PORT")]
    feed_address: String,
    /// The name that the operator's certificate must be for.
    #[arg(long, env = "CHAPERONE_FEED_SERVER_NAME", value_name = "NAME")]
    feed_server_name: String,
    /// The authority that must have signed it: certificates in PEM, themselves and not a file.
    #[arg(long, env = "CHAPERONE_FEED_CA", value_name = "PEM", hide_env_values = true)]
    feed_ca: String,
    /// File with the ServiceAccount token that the operator knows this Pod by.
    #[arg(
        long,
        env = "CHAPERONE_TOKEN_FILE",
        default_value = "/var/run/secrets/chaperone.dev/token",
        value_name = "FILE"
    )]
    token_file: PathBuf,
    /// Folder for the last good configuration. Memory-backed: keys are in it.
    #[arg(long, env = "CHAPERONE_STATE_DIR", default_value = "/var/run/chaperone", value_name = "DIR")]
    state_dir: PathBuf,
    /// Whether the sidecar is ready without a configuration.
    #[arg(long, env = "CHAPERONE_START", default_value = "RequireConfig", value_name = "WHEN")]
    start: WrittenStart,
    /// Seconds that requests under way may take to finish after SIGTERM.
    #[arg(long, env = "CHAPERONE_GRACE_SECONDS", default_value_t = 25, value_name = "SECONDS")]
    grace_seconds: u64,
}

/// [`Start`], as it is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum WrittenStart {
    /// Ready with a configuration, and not before.
    RequireConfig,
    /// Ready after 10 s without one; requests get 503 until there is.
    BestEffort,
}

impl Args {
    /// How long a drain may take.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    /// What the library is started with.
    pub(crate) fn settings(self) -> Settings {
        let feed = Feed {
            address: self.feed_address,
            server_name: self.feed_server_name,
            ca: self.feed_ca,
            token: self.token_file,
            state: self.state_dir,
        };
        let start = match self.start {
            WrittenStart::RequireConfig => Start::RequireConfig,
            WrittenStart::BestEffort => Start::BestEffort,
        };
        let settings = Settings::new(self.listen, self.admin, Box::new(std::io::stdout()));
        Settings { feed: Some(feed), start, ..settings }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Kubernetes puts `<SERVICE>_PORT`, `<SERVICE>_SERVICE_HOST` and more into every Pod for each Service beside it,
    /// whatever its name; and the Pods that we are in are others'.
    #[test]
    fn no_variable_is_one_that_a_service_can_set() {
        let command = Args::command();
        let names: Vec<&str> = command.get_arguments().filter_map(|it| it.get_env()?.to_str()).collect();
        assert!(names.contains(&"CHAPERONE_FEED_ADDRESS"), "{names:?}");
        for name in names {
            let is_of_service = ["_PORT", "_SERVICE_HOST"].iter().any(|end| name.ends_with(end));
            assert!(!is_of_service && !name.contains("_PORT_"), "{name}");
        }
    }
}
