//! The log: one JSON object a line, on standard error.

use std::{panic, thread};

use chaperone_protocol::sensitive::tellable;
use tracing::Level;

/// Begins to log, and keeps content out of what panics write: a process that holds keys must not have one without the
/// other. A second call does nothing.
pub fn log_to_stderr() {
    let builder = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(std::io::stderr).json();
    // Whoever set a subscriber before keeps it.
    let _ = builder.with_target(false).try_init();
    panic::set_hook(Box::new(|info| {
        let (thread, place) = (thread::current(), info.location().map(ToString::to_string));
        tracing::error!(
            thread = thread.name(),
            place,
            "a panic, which is a defect: {}",
            tellable(info.payload())
        );
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::Value;

    use super::*;

    /// Set in the child.
    const CHILD: &str = "CHAPERONE_TEST_PANICS";
    const KEY: &str = "sk-canary";

    /// Runs itself again, because the panic hook belongs to a process.
    #[test]
    fn f49_a_panic_of_the_operator_shows_its_place_and_no_key() {
        if std::env::var_os(CHILD).is_some() {
            return child();
        }
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", thread::current().name().unwrap(), "--nocapture", "--test-threads=1"])
            .envs([(CHILD, "1"), ("RUST_BACKTRACE", "full")])
            .output()
            .unwrap();
        let log = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.success() && !log.contains(KEY), "{log}");
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{log}");
        for line in &lines {
            assert_eq!(
                (&line["level"], &line["fields"]["thread"]),
                (&"ERROR".into(), &"broken".into()),
                "{log}"
            );
            assert!(line["fields"]["place"].as_str().unwrap().starts_with(file!()), "{log}");
        }
        assert!(lines[1]["fields"]["message"].as_str().unwrap().contains("the list is empty"), "{log}");
    }

    fn child() {
        log_to_stderr();
        let broken =
            |defect: fn()| thread::Builder::new().name("broken".to_owned()).spawn(defect).unwrap().join();
        assert!(broken(|| assert!(KEY.is_empty(), "{KEY} {}", KEY.len())).is_err());
        assert!(broken(|| panic!("the list is empty")).is_err());
    }
}
