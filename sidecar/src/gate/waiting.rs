//! Waiting for a gate to open: the queue's shell. A waiter that is dropped leaves at once.

use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::name::TenantId;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Closed, Gate, Permit};
use crate::clock;
use crate::queue::Load;

/// A request that would wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) load: Load,
    /// Nobody waits beyond it.
    pub(crate) deadline: Instant,
}

/// A place in the queue; dropped, it is free.
struct Place<'a> {
    gate: &'a Gate,
    id: u64,
    waker: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.with(|core| {
            core.wakers.remove(&self.id);
            core.queue.remove(self.id);
        });
    }
}

/// What a waiter does next.
enum Turn {
    Go(Permit),
    Give(Closed),
    Wait(Option<Instant>),
}

impl Gate {
    /// How long a request may wait here: as long as there is still time for an answer.
    pub(crate) fn patience(&self, deadline: Instant, now: Instant) -> Duration {
        let left = deadline.saturating_duration_since(now).saturating_sub(self.usual_first_token());
        self.lock().protection.queue.max_wait.min(left)
    }

    /// Waits for the rate, and for the breaker if it keeps the request out.
    pub(crate) async fn wait(self: &Arc<Self>, asking: Asking<'_>) -> Result<Permit, Closed> {
        let entered = clock::now();
        let until = entered + self.patience(asking.deadline, entered);
        let place = self.enter(asking, entered)?;
        loop {
            let at = match self.turn(&place, asking.load, until) {
                Turn::Go(permit) => return Ok(permit),
                Turn::Give(closed) => return Err(closed),
                Turn::Wait(at) => at.unwrap_or(until),
            };
            // Whichever comes first: the time, or somebody who says that it may have come.
            let _ = timeout_at(at.min(until), place.waker.notified()).await;
        }
    }

    fn enter(&self, asking: Asking<'_>, now: Instant) -> Result<Place<'_>, Closed> {
        let waker = Arc::new(Notify::new());
        let id = self.with(|core| {
            let most = core.protection.queue.max_requests;
            let ready_at = core.ready_at(asking.load, now);
            let id = core.queue.enter(asking.tenant, asking.load, most, now);
            let id = id.map_err(|_| Closed::Full { ready_at })?;
            core.wakers.insert(id, Arc::clone(&waker));
            Ok(id)
        })?;
        Ok(Place { gate: self, id, waker })
    }

    fn turn(self: &Arc<Self>, place: &Place<'_>, load: Load, until: Instant) -> Turn {
        let now = clock::now();
        let mut core = self.lock();
        if let Some(shed) = core.queue.shed(now)
            && let Some(waker) = core.wakers.get(&shed)
        {
            waker.notify_one();
        }
        if !core.queue.has(place.id) {
            return Turn::Give(Closed::Shed);
        }
        if now >= until {
            let ready_at = core.rate.ready_at(crate::rate::Ahead::default(), load.tokens, now);
            return Turn::Give(match core.breaker.check(now) {
                Err(refused) => Closed::Breaker { until: refused.until },
                Ok(()) => Closed::Waited { ready_at },
            });
        }
        if core.queue.head() != Some(place.id) {
            return Turn::Wait(None);
        }
        match core.take(load, now) {
            Ok((taken, change)) => {
                core.queue.leave(place.id, now);
                drop(core);
                Turn::Go(self.permit(taken, change, load))
            }
            // The head also sees to it that a standing queue sheds.
            Err(Closed::Busy { ready_at }) => {
                Turn::Wait(Some(core.queue.shed_at().map_or(ready_at, |shed| shed.max(now).min(ready_at))))
            }
            Err(Closed::Breaker { until }) => Turn::Wait(until),
            Err(closed) => Turn::Give(closed),
        }
    }
}
