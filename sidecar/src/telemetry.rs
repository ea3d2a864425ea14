//! The log: warnings, on standard error. Records are apart from it.

use std::io::IsTerminal;

use tracing::Level;

use crate::defect;

/// Sends warnings to standard error, and keeps content out of what panics write there: a process that serves must not
/// have one without the other. A second call does nothing.
pub fn log_warnings_to_stderr() {
    defect::keep_content_out_of_panics();
    let builder = tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(std::io::stderr);
    // Whoever set a subscriber before keeps it.
    let _ = builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init();
}
