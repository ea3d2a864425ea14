//! What the environment says about a run of the tests. Read here and nowhere else.
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

/// Reads one variable; an empty one counts as absent.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a test that cannot run must fail: `CHAPERONE_E2E_REQUIRED=1`, or `CI=true`.
#[must_use]
pub fn everything_is_required() -> bool {
    variable("CHAPERONE_E2E_REQUIRED").is_some_and(|value| value == "1")
        || variable("CI").is_some_and(|value| value == "true")
}

/// Whether golden files are to be written instead of compared: `CHAPERONE_E2E_BLESS=1`.
#[must_use]
pub fn golden_files_are_written() -> bool {
    variable("CHAPERONE_E2E_BLESS").is_some_and(|value| value == "1")
}

/// The `chaperone` to test, where the caller names one: `CHAPERONE_BIN`.
#[must_use]
pub fn chaperone_binary() -> Option<PathBuf> {
    variable("CHAPERONE_BIN").map(PathBuf::from)
}

/// Whether a test may wait for what takes minutes by its nature, as the life of a token: `CHAPERONE_E2E_LONG=1`.
#[must_use]
pub fn minutes_are_spent() -> bool {
    variable("CHAPERONE_E2E_LONG").is_some_and(|value| value == "1")
}

/// How long tests of endurance take, where the caller wants more than seconds: `CHAPERONE_SOAK_MINUTES`.
///
/// # Errors
/// If it is no number: a run of seconds would prove nothing.
pub fn soak() -> Result<Option<Duration>> {
    let Some(minutes) = variable("CHAPERONE_SOAK_MINUTES") else { return Ok(None) };
    let minutes: u64 = minutes.parse().context("CHAPERONE_SOAK_MINUTES is a number")?;
    Ok(Some(Duration::from_secs(60 * minutes)))
}

/// Which tests may run: `CHAPERONE_E2E`, see [`crate::tier`].
#[must_use]
pub fn tests_to_run() -> Option<String> {
    variable("CHAPERONE_E2E")
}

/// Set by the harness itself for what it runs in the node's namespaces: the images for the node.
pub(crate) const IMAGES_OF_NODE: &str = "CHAPERONE_E2E_NODE_IMAGES";

/// The images that this process, if it runs in the node's namespaces, is to give to the node.
#[must_use]
pub fn images_of_node() -> Option<Vec<PathBuf>> {
    variable(IMAGES_OF_NODE).map(|paths| std::env::split_paths(&paths).collect())
}

/// Set by the harness itself for what it runs in a network of its own.
pub(crate) const INSIDE_NETWORK: &str = "CHAPERONE_E2E_INSIDE_NETWORK";

/// Whether this process runs in a network of its own.
#[must_use]
pub fn is_inside_network() -> bool {
    variable(INSIDE_NETWORK).is_some()
}

/// The user's cluster, touched only where `CHAPERONE_E2E=cluster` says so too: `KUBECONFIG`.
#[must_use]
pub fn users_kubeconfig() -> Option<PathBuf> {
    variable("KUBECONFIG").map(PathBuf::from)
}

/// A Presidio analyzer on loopback, where the caller runs one: `CHAPERONE_PRESIDIO`, as `http://127.0.0.1:3000`.
#[must_use]
pub fn presidio() -> Option<String> {
    variable("CHAPERONE_PRESIDIO")
}

/// Where an application finds its sidecar, as the injector tells it: `OPENAI_BASE_URL`.
#[must_use]
pub fn openai_base_url() -> Option<String> {
    variable("OPENAI_BASE_URL")
}

/// Where things live that are built once: `${XDG_CACHE_HOME:-~/.cache}/chaperone`.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(cache.join("chaperone"))
}

/// The `PATH` that children inherit.
#[must_use]
pub fn search_path() -> String {
    variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned())
}
