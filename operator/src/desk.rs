//! What the feed and the controller share: the hub of this leadership, and who wants to hear of what.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::feed::Hub;
use crate::leader::Leadership;
use crate::metrics::Metrics;

/// One for the process.
pub(crate) struct Desk {
    hub: Mutex<Option<Hub>>,
    leadership: watch::Receiver<Leadership>,
    /// Something must be compiled again.
    pub(crate) compile: Notify,
    /// Sidecars said something that status should say.
    pub(crate) report: Notify,
    pub(crate) metrics: Metrics,
}

impl Desk {
    /// Nobody leads yet.
    pub(crate) fn new(leadership: watch::Receiver<Leadership>, metrics: Metrics) -> Self {
        Self { hub: Mutex::new(None), leadership, compile: Notify::new(), report: Notify::new(), metrics }
    }

    /// Works on the hub, if this process leads at `now`. A leader that was paused beyond its Lease does not.
    pub(crate) fn lead<T>(&self, now: Instant, work: impl FnOnce(&mut Hub) -> T) -> Option<T> {
        let epoch = self.leadership.borrow().epoch(now)?;
        self.hub().as_mut().filter(|hub| hub.epoch() == epoch).map(work)
    }

    /// Works on the hub of a leadership that may be over: what ended must be noted all the same.
    pub(crate) fn after<T>(&self, epoch: u64, work: impl FnOnce(&mut Hub) -> T) -> Option<T> {
        self.hub().as_mut().filter(|hub| hub.epoch() == epoch).map(work)
    }

    /// Begins or ends a leadership; returns the hub of that before.
    pub(crate) fn replace(&self, hub: Option<Hub>) -> Option<Hub> {
        std::mem::replace(&mut *self.hub(), hub)
    }

    /// Whether this process leads at `now`.
    pub(crate) fn is_leading(&self, now: Instant) -> bool {
        self.leadership.borrow().epoch(now).is_some()
    }

    fn hub(&self) -> std::sync::MutexGuard<'_, Option<Hub>> {
        // A panic while it was held ended one task; what the hub says is still the best there is.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
