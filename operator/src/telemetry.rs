//! The log: one JSON object a line, on standard error.

use tracing::Level;

/// Begins to log. A second call does nothing.
pub fn log_to_stderr() {
    let builder = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(std::io::stderr).json();
    // Whoever set a subscriber before keeps it.
    let _ = builder.with_target(false).try_init();
}
