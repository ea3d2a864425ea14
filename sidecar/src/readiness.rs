//! When a sidecar is ready: it listens, and has a configuration, pushed or last good. Pure.
//!
//! How old that configuration is does not matter: an outage of the operator must not end Pods.

use std::time::Duration;

use tokio::time::Instant;

/// How long [`Start::BestEffort`] waits for a configuration.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an outage of the operator does to new Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// They wait: ready with a configuration, and not before.
    #[default]
    RequireConfig,
    /// They start: ready after 10 s without one. Requests are refused with a reason until there is one.
    BestEffort,
}

/// What decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readiness {
    pub(crate) start: Start,
    pub(crate) started: Instant,
}

/// Whether there is something to serve by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Configuration {
    Present,
    Absent,
}

impl Readiness {
    /// Ready, or why not.
    pub(crate) fn judge(self, configuration: Configuration, now: Instant) -> Result<(), &'static str> {
        match (configuration, self.start) {
            (Configuration::Present, _) => Ok(()),
            (Configuration::Absent, Start::BestEffort) if now >= self.started + PATIENCE => Ok(()),
            (Configuration::Absent, _) => Err("no configuration yet\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_effort_is_ready_after_ten_seconds_and_require_config_with_a_configuration() {
        let started = crate::clock::now();
        let judge = |start, seconds, configuration| {
            Readiness { start, started }.judge(configuration, started + Duration::from_secs(seconds)).is_ok()
        };
        for start in [Start::RequireConfig, Start::BestEffort] {
            assert!(judge(start, 0, Configuration::Present));
            assert!(!judge(start, 9, Configuration::Absent));
        }
        assert!(judge(Start::BestEffort, 10, Configuration::Absent));
        assert!(!judge(Start::RequireConfig, 3_600, Configuration::Absent));
    }
}
