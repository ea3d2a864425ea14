//! A limit per minute as slots: one sliding window of 60 seconds, exact, without a clock of its own.
//!
//! Admitting uses slots; a used slot rests for 60 s from the end of its bucket and can then be used again. Hence each
//! slot admits at most once in any 60 s, and at most as many are admitted in every window as slots are held.
//! All times are monotonic and count from any one fixed point.

use std::collections::VecDeque;
use std::time::Duration;

/// Uses of one bucket are forgotten together.
pub const BUCKET: Duration = Duration::from_millis(250);
/// How long a used slot rests.
pub const REST: Duration = Duration::from_secs(60);

/// The slots that one holder has of one limit.
#[derive(Debug, Clone)]
pub struct Slots {
    held: u64,
    /// Uses that still rest, oldest first: at most one entry for each bucket of [`REST`], and one under way.
    uses: VecDeque<Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    number: u64,
    used: u64,
}

/// A use, to be corrected once its true cost is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    bucket: u64,
    cost: u64,
}

impl Bucket {
    fn rested_at(self) -> Duration {
        let end = self.number.saturating_add(1).saturating_mul(millis(BUCKET));
        Duration::from_millis(end.saturating_add(millis(REST)))
    }
}

impl Slots {
    /// `held` slots, all of them rested.
    #[must_use]
    pub fn new(held: u64) -> Self {
        Self { held, uses: VecDeque::new() }
    }

    /// How many are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Holds another number from now on. What was used stays used.
    pub fn hold(&mut self, held: u64) {
        self.held = held;
    }

    /// Uses `cost` slots, and never more than are held; or says from when on that many will have rested.
    ///
    /// # Errors
    /// When to ask again, if nothing else is admitted before.
    pub fn admit(&mut self, cost: u64, now: Duration) -> Result<Use, Duration> {
        // Whoever holds nothing admits nothing, but for what costs nothing.
        let cost = cost.min(self.held.max(1));
        self.forget(now);
        match self.free_at(cost, now) {
            at if at > now => Err(at),
            _ => Ok(self.add(cost, now)),
        }
    }

    /// From when on `cost` slots are free, beside those that rest now: `now` if they are.
    ///
    /// A cost above what is held takes as many further windows as it needs.
    #[must_use]
    pub fn free_at(&self, cost: u64, now: Duration) -> Duration {
        if cost == 0 {
            return now;
        }
        if self.held == 0 {
            return Duration::MAX;
        }
        let windows = (cost - 1) / self.held;
        let rest = cost - windows * self.held;
        let resting = self.uses.iter().filter(|bucket| bucket.rested_at() > now);
        let used: u64 = resting.clone().map(|bucket| bucket.used).fold(0, u64::saturating_add);
        let mut missing = used.saturating_add(rest).saturating_sub(self.held);
        let mut at = now;
        for bucket in resting {
            if missing == 0 {
                break;
            }
            missing = missing.saturating_sub(bucket.used);
            at = bucket.rested_at();
        }
        let more = u32::try_from(windows).unwrap_or(u32::MAX);
        at.saturating_add(REST.saturating_mul(more))
    }

    /// Corrects a use to its true cost. A surplus is free at once, unless it has rested meanwhile; an excess is a debt
    /// that enters now and blocks until it has rested.
    pub fn correct(&mut self, before: Use, cost: u64, now: Duration) {
        self.forget(now);
        let Use { bucket: number, cost: charged } = before;
        if cost > charged {
            self.add(cost - charged, now);
        } else if let Some(bucket) = self.uses.iter_mut().find(|bucket| bucket.number == number) {
            bucket.used = bucket.used.saturating_sub(charged - cost);
        }
    }

    /// Slots whose use still counts.
    #[must_use]
    pub fn busy(&self, now: Duration) -> u64 {
        let resting = self.uses.iter().filter(|bucket| bucket.rested_at() > now);
        resting.map(|bucket| bucket.used).fold(0, u64::saturating_add)
    }

    fn add(&mut self, cost: u64, now: Duration) -> Use {
        let number = millis(now) / millis(BUCKET);
        match self.uses.back_mut() {
            // A clock that reads earlier than before must not shorten anybody's rest.
            Some(last) if last.number >= number => last.used = last.used.saturating_add(cost),
            _ => self.uses.push_back(Bucket { number, used: cost }),
        }
        Use { bucket: self.uses.back().map_or(number, |last| last.number), cost }
    }

    fn forget(&mut self, now: Duration) {
        while self.uses.front().is_some_and(|bucket| bucket.rested_at() <= now) {
            self.uses.pop_front();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
