//! What stands between requests and one analyzer: its breaker, and how many questions it is asked at a time.
//!
//! An analyzer is no partner: what it does wrong opens no partner's breaker, and costs no partner's retries.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaperone_protocol::limits;
use chaperone_protocol::snapshot::BreakerPolicy;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::breaker::{Breaker, Phase, Refused, Ticket, Transition};
use crate::clock;

/// Between two lines in the log about one analyzer that fails.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// Survives snapshots, as long as the endpoint stays.
#[derive(Debug)]
pub(super) struct Guard {
    breaker: Mutex<Breaker>,
    /// When a failure was last written to the log.
    warned: Mutex<Option<Instant>>,
    places: Semaphore,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            breaker: Mutex::new(Breaker::new()),
            warned: Mutex::new(None),
            places: Semaphore::new(limits::PII_QUESTIONS),
        }
    }
}

/// Leave for one question. Dropped without a verdict it says nothing about the analyzer.
#[must_use]
pub(super) struct Pass<'g> {
    guard: &'g Guard,
    ticket: Option<Ticket>,
    _place: SemaphorePermit<'g>,
}

impl Guard {
    /// Waits for a place. Whoever calls bounds the wait.
    ///
    /// # Errors
    /// The breaker refuses, until then.
    pub(super) async fn enter(self: &Arc<Self>) -> Result<(Pass<'_>, Option<Transition>), Refused> {
        // Before the wait too: nobody waits for an analyzer that is left alone.
        self.with(|breaker| breaker.check(clock::now()))?;
        let place = self.places.acquire().await.expect("the places are never closed");
        let (ticket, change) = self.with(|breaker| breaker.admit(clock::now()))?;
        Ok((Pass { guard: self, ticket: Some(ticket), _place: place }, change))
    }

    /// Whether fewer questions are let through than there are places.
    pub(super) fn is_on_trial(&self) -> bool {
        self.with(|breaker| breaker.phase(clock::now())) != Phase::Admitting
    }

    /// Whether a failure is worth a line in the log: many requests may fail for one reason.
    pub(super) fn may_warn(&self, now: Instant) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = warned.is_none_or(|last| now.saturating_duration_since(last) >= BETWEEN_WARNINGS);
        if is_due {
            *warned = Some(now);
        }
        is_due
    }

    fn with<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        // A panic under the lock leaves counters that are off by one at worst.
        change(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pass<'_> {
    /// It answered.
    pub(super) fn answered(mut self, now: Instant) -> Option<Transition> {
        let mut ticket = self.ticket.take()?;
        self.guard.with(|breaker| {
            let change = breaker.commit(&mut ticket, &BreakerPolicy::default(), now);
            breaker.ended(ticket);
            change
        })
    }

    /// It did not, or not so that it can be used.
    pub(super) fn failed(mut self, now: Instant) -> Option<Transition> {
        let ticket = self.ticket.take()?;
        let at = (now, clock::random_number());
        self.guard.with(|breaker| breaker.fail(ticket, &BreakerPolicy::default(), None, at))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.with(|breaker| breaker.forget(ticket));
        }
    }
}
