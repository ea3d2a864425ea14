//! What stands between requests and one partner: its breaker, its rate and queue, its budget of retries.
//!
//! The shell around the pure machines: it holds the lock, wakes who waits, and counts. A gate outlives snapshots, and is
//! found by the partner's name and its endpoint's origin. Next: `gate/permit.rs`, what a request holds once it is through.

mod all;
mod health;
mod page;
mod permit;
mod waiting;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chaperone_protocol::name::{Alias, PartnerName};
use chaperone_protocol::snapshot::{Partner, Protection};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use self::all::{CredentialPass, Gates};
pub(crate) use self::permit::{Cost, Permit, Said, Used};
pub(crate) use self::waiting::Asking;
use crate::breaker::{Breaker, Ticket, Transition};
use crate::metrics::GateMetrics;
use crate::queue::{Load, Queue};
use crate::rate::{Rate, Spent};
use crate::retry::Budget;

/// Times to the first token that are remembered, for their median.
const REMEMBERED: usize = 15;

/// Which gate it is. One that `drill` names serves that route alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GateKey {
    pub(crate) partner: PartnerName,
    /// Scheme, host and port; empty for a Mock. Another origin is another breaker.
    pub(crate) origin: String,
    pub(crate) drill: Option<Alias>,
}

impl GateKey {
    fn of(partner: &Partner, drill: Option<&Alias>) -> Self {
        let origin = partner.endpoint.as_ref().map(|endpoint| {
            format!("{}://{}", if endpoint.is_tls() { "https" } else { "http" }, endpoint.authority())
        });
        Self { partner: partner.name.clone(), origin: origin.unwrap_or_default(), drill: drill.cloned() }
    }
}

/// One partner's gate.
#[derive(Debug)]
pub(crate) struct Gate {
    key: GateKey,
    metrics: GateMetrics,
    /// Knocked when there is something to tell the operator.
    news: Arc<Notify>,
    core: Mutex<Core>,
}

/// Who hears of what happens at a gate.
type Watchers = (GateMetrics, Arc<Notify>);

/// What the lock protects. It is never held over an await.
#[derive(Debug)]
struct Core {
    protection: Protection,
    breaker: Breaker,
    budget: Budget,
    rate: Rate,
    queue: Queue,
    /// Who waits, by the queue's number.
    wakers: BTreeMap<u64, Arc<Notify>>,
    first_tokens: Vec<Duration>,
    next_first_token: usize,
    /// Tokens of the answers so far, as a moving average.
    answer: Option<u64>,
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The partner failed too often. `None`: somebody else is finding out whether it still does.
    Breaker { until: Option<Instant> },
    /// Its rate is used up for now.
    Busy { ready_at: Instant },
    /// No more may wait.
    Full { ready_at: Instant },
    /// It waited as long as it may.
    Waited { ready_at: Instant },
    /// It gave up its place, since the queue stands.
    Shed,
}

/// What a request takes along on its way through.
struct Taken {
    ticket: Ticket,
    spent: Spent,
}

impl Gate {
    fn new(key: GateKey, protection: Protection, (metrics, news): Watchers, now: Instant) -> Self {
        let core = Core {
            rate: Rate::new(protection.rate_limit.as_ref(), now),
            protection,
            breaker: Breaker::new(),
            budget: Budget::full(),
            queue: Queue::default(),
            wakers: BTreeMap::new(),
            first_tokens: Vec::new(),
            next_first_token: 0,
            answer: None,
        };
        Self { key, metrics, news, core: Mutex::new(core) }
    }

    /// Puts other settings in force: what was learned stays.
    fn configure(&self, protection: &Protection) {
        self.with(|core| {
            core.protection = *protection;
            core.rate.configure(protection.rate_limit.as_ref());
        });
    }

    /// Whether the breaker would let a request through now.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Closed> {
        let checked = self.lock().breaker.check(now);
        checked.map_err(|refused| Closed::Breaker { until: refused.until })
    }

    /// Lets a request through at once, or says what keeps it.
    pub(crate) fn pass(self: &Arc<Self>, load: Load, now: Instant) -> Result<Permit, Closed> {
        let taken = self.with(|core| {
            core.breaker.check(now).map_err(|refused| Closed::Breaker { until: refused.until })?;
            if !core.queue.is_empty() {
                return Err(Closed::Busy { ready_at: core.ready_at(load, now) });
            }
            core.take(load, now)
        });
        taken.map(|(taken, change)| self.permit(taken, change, load))
    }

    fn permit(self: &Arc<Self>, taken: Taken, change: Option<Transition>, load: Load) -> Permit {
        self.changed(change);
        Permit::new(Arc::clone(self), taken, load)
    }

    /// Whether the same partner may be asked again.
    pub(crate) fn may_retry(&self) -> bool {
        self.lock().budget.allows()
    }

    /// An app's SDK asks again by itself: that is a retry too.
    pub(crate) fn asked_again(&self) {
        self.lock().budget.spend();
    }

    /// The median time to a first token: a request that could not get one in time need not wait.
    pub(crate) fn usual_first_token(&self) -> Duration {
        let core = self.lock();
        let mut times = core.first_tokens.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// The tokens of a usual answer, if there were any.
    pub(crate) fn usual_answer(&self) -> Option<u64> {
        self.lock().answer
    }

    /// Notes that the breaker kept a request out.
    pub(crate) fn refused(&self) {
        self.metrics.refused(&self.key);
    }

    fn changed(&self, change: Option<Transition>) {
        let Some(change) = change else { return };
        self.metrics.changed(&self.key, change);
        self.news.notify_one();
        let Transition { from, to, cause } = change;
        let (partner, from, to) = (self.key.partner.as_str(), from.code(), to.code());
        tracing::warn!(partner, from, to, cause = cause.code(), "breaker changed");
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock leaves counters that are off by one at worst.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the lock protects; whoever may go next is woken to see.
    fn with<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let result = change(&mut core);
        if let Some(head) = core.queue.head()
            && let Some(waker) = core.wakers.get(&head)
        {
            waker.notify_one();
        }
        result
    }
}

impl Core {
    fn ready_at(&self, load: Load, now: Instant) -> Instant {
        self.rate.ready_at(self.queue.ahead(), load.tokens, now)
    }

    /// Takes what a request needs, or nothing.
    fn take(&mut self, load: Load, now: Instant) -> Result<(Taken, Option<Transition>), Closed> {
        let keeps = |refused: crate::breaker::Refused| Closed::Breaker { until: refused.until };
        self.breaker.check(now).map_err(keeps)?;
        let spent = self.rate.admit(load.tokens, now).map_err(|ready_at| Closed::Busy { ready_at })?;
        let (ticket, change) = self.breaker.admit(now).map_err(keeps)?;
        Ok((Taken { ticket, spent }, change))
    }

    fn note_first_token(&mut self, took: Duration) {
        match self.first_tokens.get_mut(self.next_first_token) {
            Some(place) => *place = took,
            None => self.first_tokens.push(took),
        }
        self.next_first_token = (self.next_first_token + 1) % REMEMBERED;
    }

    fn note_answer(&mut self, tokens: u64) {
        self.answer = Some(self.answer.map_or(tokens, |usual| (usual * 7).saturating_add(tokens) / 8));
    }
}

#[cfg(test)]
mod tests;
