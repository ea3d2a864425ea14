//! The log: warnings, on standard error. Records are apart from it.

use std::io::IsTerminal;

use tracing::Level;

/// Sends warnings to standard error. A second call does nothing.
pub fn log_warnings_to_stderr() {
    let builder = tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(std::io::stderr);
    // Whoever set a subscriber before keeps it.
    let _ = builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init();
}
