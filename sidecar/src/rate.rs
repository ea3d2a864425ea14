//! How fast one partner is asked: declared slots, even pacing, and what its 429s teach. Pure.

mod adaptive;

use std::time::Duration;

use chaperone_protocol::limits;
use chaperone_protocol::quota::slots::{Slots, Use};
use chaperone_protocol::snapshot::RateLimit;
use tokio::time::Instant;

use self::adaptive::Adaptive;

/// With fewer slots, pacing would make a handful of requests wait for nothing.
const PACED_FROM: u64 = 20;
/// Beyond this nobody waits: a bound for sums of times.
const DAY: Duration = Duration::from_secs(86_400);

/// The rate of one partner in this sidecar.
#[derive(Debug)]
pub(crate) struct Rate {
    /// From which slots count their time.
    began: Instant,
    requests: Option<Slots>,
    tokens: Option<Slots>,
    burst: u64,
    adaptive: Adaptive,
    /// When an evenly paced request would leave next.
    next: Instant,
    /// Until when the partner has asked us for patience.
    asked: Option<Instant>,
    /// Until when it has asked others.
    told: Option<Instant>,
}

/// What one attempt used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    requests: Option<Use>,
    tokens: Option<Use>,
}

/// An even pace: one request each `interval`, `burst` of them at once.
#[derive(Debug, Clone, Copy)]
struct Pace {
    interval: Duration,
    burst: u64,
}

impl Pace {
    /// How far ahead of its pace a full burst is.
    fn longest(self) -> Duration {
        times(self.interval, self.burst)
    }
}

impl Rate {
    /// A rate under `limit`.
    pub(crate) fn new(limit: Option<&RateLimit>, now: Instant) -> Self {
        let mut rate = Self {
            began: now,
            requests: None,
            tokens: None,
            burst: 1,
            adaptive: Adaptive::default(),
            next: now,
            asked: None,
            told: None,
        };
        rate.configure(limit);
        rate
    }

    /// Puts another limit in force. What was used stays used.
    pub(crate) fn configure(&mut self, limit: Option<&RateLimit>) {
        let RateLimit { requests_per_minute, tokens_per_minute, burst } = limit.copied().unwrap_or_default();
        let requests = requests_per_minute.map(|limit| u64::from(limit.get()));
        self.requests = held(self.requests.take(), requests);
        self.tokens = held(self.tokens.take(), tokens_per_minute.map(std::num::NonZeroU64::get));
        let even = requests.unwrap_or_default() / 60;
        self.burst = burst.map_or(even, |burst| burst.get().into()).max(1);
    }

    /// Uses what a request of `tokens` needs, or says when it is worth asking again.
    ///
    /// # Errors
    /// The earliest time at which it may leave, if nothing else leaves before.
    pub(crate) fn admit(&mut self, tokens: u64, now: Instant) -> Result<Spent, Instant> {
        let at = self.ready_at(Ahead::default(), tokens, now);
        if at > now {
            return Err(at);
        }
        if let Some(pace) = self.pace(now) {
            self.next = self.next.clamp(now, now + pace.longest()) + pace.interval;
        }
        self.adaptive.sent(now);
        let since = now - self.began;
        let spend = |slots: &mut Option<Slots>, cost| slots.as_mut()?.admit(cost, since).ok();
        Ok(Spent { requests: spend(&mut self.requests, 1), tokens: spend(&mut self.tokens, tokens) })
    }

    /// When a request of `tokens` may leave, once all that is ahead of it has left.
    pub(crate) fn ready_at(&self, ahead: Ahead, tokens: u64, now: Instant) -> Instant {
        let since = now - self.began;
        let free = |slots: &Option<Slots>, cost: u64| match slots {
            // One request never needs more than there is.
            Some(slots) => now + (slots.free_at(cost, since).saturating_sub(since)).min(limits::RETRY_AFTER),
            None => now,
        };
        let own = self.tokens.as_ref().map_or(0, |slots| tokens.min(slots.held()));
        let paced = self.pace(now).map_or(now, |pace| {
            let early = ahead.requests.saturating_add(1).saturating_sub(pace.burst);
            let head_start = pace.burst.saturating_sub(ahead.requests + 1);
            let (late, soon) = (times(pace.interval, early), times(pace.interval, head_start));
            // The pace may have changed since: what was ahead then must not be waited for now.
            (self.next.min(now + pace.longest()) + late).checked_sub(soon).unwrap_or(now)
        });
        [
            self.paused(now).unwrap_or(now),
            free(&self.requests, ahead.requests.saturating_add(1)),
            free(&self.tokens, ahead.tokens.saturating_add(own)),
            paced,
        ]
        .into_iter()
        .fold(now, Instant::max)
    }

    /// The partner asks for patience: nothing is sent before it is over, and then more slowly.
    pub(crate) fn limited(&mut self, asked: Option<Duration>, now: Instant) {
        let declared = self.requests.as_ref().map(Slots::held);
        self.adaptive.limited(declared, now);
        if let Some(asked) = asked {
            let until = now + asked.min(limits::RETRY_AFTER);
            self.asked = self.asked.max(Some(until));
        }
    }

    /// The partner has asked others for patience. Like our own, it is lengthened and never shortened.
    pub(crate) fn told(&mut self, until: Instant) {
        self.told = self.told.max(Some(until));
    }

    /// What an attempt has cost in truth.
    pub(crate) fn settle(&mut self, spent: Spent, tokens: u64, now: Instant) {
        let since = now - self.began;
        if let (Some(slots), Some(used)) = (&mut self.tokens, spent.tokens) {
            slots.correct(used, tokens, since);
        }
    }

    /// The attempt never reached the partner.
    pub(crate) fn release(&mut self, spent: Spent, now: Instant) {
        self.settle(spent, 0, now);
        let since = now - self.began;
        if let (Some(slots), Some(used)) = (&mut self.requests, spent.requests) {
            slots.correct(used, 0, since);
        }
    }

    /// Thousandths of requests per second that 429s have left, if they have.
    pub(crate) fn lowered_to(&self, now: Instant) -> Option<u64> {
        self.adaptive.lowered_to(now)
    }

    /// Until when nothing is sent, if the partner asked for it, us or others.
    pub(crate) fn paused(&self, now: Instant) -> Option<Instant> {
        self.asked.max(self.told).filter(|until| *until > now)
    }

    /// Until when it asked us ourselves for patience.
    pub(crate) fn asked(&self, now: Instant) -> Option<Instant> {
        self.asked.filter(|until| *until > now)
    }

    fn pace(&self, now: Instant) -> Option<Pace> {
        if let Some(milli) = self.adaptive.lowered_to(now) {
            return Some(Pace { interval: interval(1_000, milli), burst: 1 });
        }
        let held = self.requests.as_ref()?.held();
        let even = held.saturating_sub(self.burst);
        (held >= PACED_FROM && even > 0).then(|| Pace { interval: interval(60, even), burst: self.burst })
    }
}

/// What waits before a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// Slots of a limit: those at hand, with another number of them.
fn held(before: Option<Slots>, limit: Option<u64>) -> Option<Slots> {
    let limit = limit?;
    let mut slots = before.unwrap_or_else(|| Slots::new(limit));
    slots.hold(limit);
    Some(slots)
}

/// The time between two of `number` in `seconds`.
fn interval(seconds: u64, number: u64) -> Duration {
    Duration::from_secs(seconds) / u32::try_from(number.max(1)).unwrap_or(u32::MAX)
}

fn times(duration: Duration, number: u64) -> Duration {
    duration.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX)).min(DAY)
}

#[cfg(test)]
mod tests;
