//! How long to wait before the next attempt, and whom to believe then. Pure: random numbers are passed in.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait is below this.
const FIRST: Duration = Duration::from_millis(250);
/// While the outage is young, no wait is longer.
const SHORT: Duration = Duration::from_secs(2);
/// Later, none is longer than this.
const LONG: Duration = Duration::from_secs(30);
/// An outage is young for this long: a new leader comes in less.
const YOUNG: Duration = Duration::from_secs(60);
/// What the operator asks for at most is believed.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Waits of one outage: full jitter, so that thousands of sidecars do not return together.
#[derive(Debug)]
pub(super) struct Reconnect {
    since: Instant,
    bound: Duration,
}

impl Reconnect {
    /// An outage begins.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, bound: FIRST }
    }

    /// The next wait; `below` gives a random number below its argument.
    pub(super) fn next(&mut self, now: Instant, below: impl Fn(u64) -> u64) -> Duration {
        let longest = if now < self.since + YOUNG { SHORT } else { LONG };
        let bound = self.bound.min(longest);
        self.bound = (bound * 2).min(LONG);
        Duration::from_millis(below(milliseconds(bound) + 1))
    }

    /// The wait after the operator has asked for one: half to one and a half of it, and not less than that of the
    /// outage, so that replicas of which none leads are left in peace.
    pub(super) fn after_asked(
        &mut self,
        asked: Duration,
        now: Instant,
        below: impl Fn(u64) -> u64,
    ) -> Duration {
        let milliseconds = milliseconds(asked.min(LONGEST_ASKED));
        let asked = Duration::from_millis(milliseconds / 2 + below(milliseconds + 1));
        asked.max(self.next(now, below))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// After this long without a stream a lower epoch is believed: a restored etcd rewinds it.
const FORGET: Duration = Duration::from_secs(60);

/// The highest epoch of a leader that was heard of: one that was paused must not bring back what others replaced.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    highest: u64,
    heard: Option<Instant>,
}

impl Epochs {
    /// Whether a frame of this epoch may be believed.
    pub(super) fn admit(&mut self, epoch: u64, now: Instant) -> bool {
        let is_old = self.heard.is_none_or(|heard| now >= heard + FORGET);
        if epoch < self.highest && !is_old {
            return false;
        }
        self.highest = epoch;
        self.heard = Some(now);
        true
    }

    /// The stream lives.
    pub(super) fn alive(&mut self, now: Instant) {
        self.heard = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_two_seconds_and_after_a_minute_to_thirty() {
        let start = crate::clock::now();
        let mut reconnect = Reconnect::new(start);
        let longest = |bound: u64| bound - 1;
        let mut wait = |seconds| reconnect.next(start + Duration::from_secs(seconds), longest).as_millis();
        let young: Vec<_> = (0..6).map(&mut wait).collect();
        assert_eq!(young, [250, 500, 1_000, 2_000, 2_000, 2_000]);
        let old: Vec<_> = (60..66).map(wait).collect();
        assert_eq!(old, [4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(Reconnect::new(start).next(start, |_| 0), Duration::ZERO, "the jitter is full");
    }

    #[test]
    fn f61_a_week_without_an_operator_is_asked_for_four_times_a_minute() {
        let start = crate::clock::now();
        let (mut reconnect, mut now, mut attempts) = (Reconnect::new(start), start, 0_u64);
        while now < start + Duration::from_secs(7 * 86_400) {
            now += reconnect.next(now, |bound| bound / 2);
            attempts += 1;
        }
        assert!((40_320..40_450).contains(&attempts), "{attempts} attempts");
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_within_half_of_it() {
        let start = crate::clock::now();
        let mut reconnect = Reconnect::new(start);
        let mut wait = |asked, below: fn(u64) -> u64| reconnect.after_asked(asked, start, below);
        let asked = Duration::from_secs(10);
        assert_eq!(wait(asked, |_| 0), Duration::from_secs(5));
        assert_eq!(wait(asked, |bound| bound - 1), Duration::from_secs(15));
        assert!(wait(Duration::MAX, |bound| bound - 1) <= LONGEST_ASKED * 2);
        assert_eq!(wait(Duration::ZERO, |bound| bound - 1), SHORT, "nobody leads for a while");
    }

    #[test]
    fn a_leader_of_the_past_is_not_believed_until_nobody_was_heard_for_a_minute() {
        let start = crate::clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut epochs = Epochs::default();
        assert!(epochs.admit(7, at(0)));
        assert!(epochs.admit(8, at(1)));
        assert!(!epochs.admit(7, at(2)));
        epochs.alive(at(30));
        assert!(!epochs.admit(7, at(89)));
        assert!(epochs.admit(7, at(90)));
        assert!(epochs.admit(8, at(91)));
    }
}
