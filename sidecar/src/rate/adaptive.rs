//! The rate that a partner's 429s have left: halved by each, and slowly back. Additive increase, multiplicative decrease.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Between two halvings: one burst of 429s is one message.
const HALVING: Duration = Duration::from_secs(1);
/// Thousandths of requests per second: one each 10 s.
const FLOOR: u64 = 100;
/// Of the grant, per second.
const RISE_PERCENT: u64 = 5;
/// Without a declared limit, the rate of so many seconds is where it starts.
const SECONDS: usize = 10;

/// What was learned, if anything.
#[derive(Debug, Default)]
pub(super) struct Adaptive {
    lowered: Option<Lowered>,
    /// Requests sent in each of the last seconds.
    sent: VecDeque<(Instant, u64)>,
}

/// All rates in thousandths of requests per second.
#[derive(Debug, Clone, Copy)]
struct Lowered {
    grant: u64,
    rate: u64,
    since: Instant,
}

impl Lowered {
    fn at(self, now: Instant) -> u64 {
        let elapsed = u64::try_from((now - self.since).as_millis()).unwrap_or(u64::MAX);
        let risen = (self.grant * RISE_PERCENT).saturating_mul(elapsed) / 100_000;
        self.rate.saturating_add(risen)
    }
}

impl Adaptive {
    /// Takes note of a request.
    pub(super) fn sent(&mut self, now: Instant) {
        match self.sent.back_mut() {
            Some((began, count)) if now < *began + Duration::from_secs(1) => *count += 1,
            _ => self.sent.push_back((now, 1)),
        }
        self.forget(now);
    }

    /// The partner limits us. `declared`: requests per minute that we were told to keep to.
    pub(super) fn limited(&mut self, declared: Option<u64>, now: Instant) {
        self.forget(now);
        let recent = self.sent.iter().map(|(_, count)| count).sum::<u64>() * 1_000 / SECONDS as u64;
        let grant = match (declared, self.lowered) {
            (Some(declared), _) => declared * 1_000 / 60,
            // What is sent now is what is left of it.
            (None, Some(lowered)) => lowered.grant,
            (None, None) => recent,
        };
        let grant = grant.max(FLOOR);
        let rate = match self.lowered {
            Some(lowered) if now < lowered.since + HALVING => return,
            Some(lowered) => lowered.at(now).min(grant),
            None => grant,
        };
        self.lowered = Some(Lowered { grant, rate: (rate / 2).max(FLOOR), since: now });
    }

    /// The rate, as long as it is below the grant.
    pub(super) fn lowered_to(&self, now: Instant) -> Option<u64> {
        let lowered = self.lowered?;
        Some(lowered.at(now)).filter(|rate| *rate < lowered.grant)
    }

    fn forget(&mut self, now: Instant) {
        let length = Duration::from_secs(SECONDS as u64);
        while self.sent.front().is_some_and(|(began, _)| *began + length <= now) {
            self.sent.pop_front();
        }
    }
}
