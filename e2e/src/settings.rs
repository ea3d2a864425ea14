//! What the environment says about a run of the tests. Read here and nowhere else.
use std::path::PathBuf;

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

/// Where the environments of the SDK clients live: `${XDG_CACHE_HOME:-~/.cache}/chaperone/clients`.
#[must_use]
pub fn clients_cache() -> Option<PathBuf> {
    let cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(cache.join("chaperone").join("clients"))
}

/// The `PATH` that children inherit.
#[must_use]
pub fn search_path() -> String {
    variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned())
}
