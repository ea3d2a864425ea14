//! The only clock of the harness.
use std::time::{Duration, Instant};

/// Now, on a clock that never goes back.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Now, in whole seconds of the calendar, as Kubernetes writes it.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the clock")]
#[must_use]
pub fn timestamp() -> jiff::Timestamp {
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or_default()
}

/// How long ago `start` was.
#[must_use]
pub fn since(start: Instant) -> Duration {
    now().saturating_duration_since(start)
}

/// A moment by which something must have happened.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `after` from now.
    #[must_use]
    pub fn after(after: Duration) -> Self {
        Self(now() + after)
    }

    /// What is left of it; zero once it has passed.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}
