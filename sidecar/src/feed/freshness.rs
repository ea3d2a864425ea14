//! How long ago what is in force was known to be what it should be.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Set by the feed, read by a scrape.
#[derive(Debug, Default)]
pub(crate) struct Freshness(Mutex<State>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is in force, or nobody could say.
    #[default]
    Unknown,
    /// The operator would say if it were not.
    Current,
    /// Since then nobody has said so.
    Since {
        at: Instant,
        /// How old it was then.
        age: Duration,
    },
}

impl Freshness {
    /// The copy on disk is in force, which was written `age` ago.
    pub(crate) fn restored(&self, now: Instant, age: Duration) {
        self.set(|_| State::Since { at: now, age });
    }

    /// The operator has said that it is current.
    pub(crate) fn confirmed(&self) {
        self.set(|_| State::Current);
    }

    /// There is no stream any more, or something newer was refused.
    pub(crate) fn lost(&self, now: Instant) {
        self.set(|state| match state {
            State::Current => State::Since { at: now, age: Duration::ZERO },
            State::Unknown | State::Since { .. } => state,
        });
    }

    /// Its age; `None` where nothing was ever confirmed.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Unknown => None,
            State::Current => Some(Duration::ZERO),
            State::Since { at, age } => Some(now.saturating_duration_since(at) + age),
        }
    }

    fn set(&self, change: impl FnOnce(State) -> State) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = change(*state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_grows_while_nobody_confirms() {
        let start = crate::clock::now();
        let freshness = Freshness::default();
        assert_eq!(freshness.age(start), None);
        freshness.restored(start, Duration::from_secs(100));
        freshness.lost(start + Duration::from_secs(1));
        assert_eq!(freshness.age(start + Duration::from_secs(5)), Some(Duration::from_secs(105)));
        freshness.confirmed();
        assert_eq!(freshness.age(start + Duration::from_secs(6)), Some(Duration::ZERO));
        freshness.lost(start + Duration::from_secs(10));
        freshness.lost(start + Duration::from_secs(20));
        assert_eq!(freshness.age(start + Duration::from_secs(30)), Some(Duration::from_secs(20)));
    }
}
