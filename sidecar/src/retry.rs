//! The retry budget of one partner: a partner that fails must not be asked twice as often for it. Pure.
//!
//! Tokens as in gRPC's retry throttling (proposal A6), counted in tenths. There is no refill by time: idle pods must
//! not save up a storm.

use std::time::Duration;

use chaperone_protocol::snapshot::RetryPolicy;

use crate::jitter;

/// Ten tokens.
const FULL: u32 = 100;
const FAILURE: u32 = 10;
const COMMIT: u32 = 1;
/// A retry needs more than five.
const RESERVE: u32 = 50;
/// How much longer than a partner asks for is waited, in percent.
const SPREAD_PERCENT: u32 = 10;

/// What may still be spent on retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    tenths: u32,
}

impl Budget {
    /// A full one.
    pub(crate) fn full() -> Self {
        Self { tenths: FULL }
    }

    /// Whether the same partner may be asked again.
    pub(crate) fn allows(self) -> bool {
        self.tenths > RESERVE
    }

    /// An attempt failed, or an app's SDK says that it is asking again.
    pub(crate) fn spend(&mut self) {
        self.tenths = self.tenths.saturating_sub(FAILURE);
    }

    /// An attempt committed.
    pub(crate) fn earn(&mut self) {
        self.tenths = (self.tenths + COMMIT).min(FULL);
    }

    /// Tenths of tokens, for the debug page.
    pub(crate) fn tenths(self) -> u32 {
        self.tenths
    }
}

/// How long to wait before retry number `retries + 1`.
pub(crate) fn wait(policy: &RetryPolicy, retries: u32, asked: Option<Duration>, random: u64) -> Duration {
    match asked {
        Some(asked) => jitter::longer(asked, SPREAD_PERCENT, random),
        None => {
            let doubled = policy.base_delay.saturating_mul(1_u32.checked_shl(retries).unwrap_or(u32::MAX));
            jitter::up_to(doubled.min(policy.max_delay), random)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rule_6_2_four_retries_from_a_full_budget_and_then_one_per_hundred_commits() {
        let mut budget = Budget::full();
        let mut retries = 0;
        for _ in 0..100 {
            budget.spend();
            retries += u32::from(budget.allows());
        }
        assert_eq!(retries, 4);
        for _ in 0..50 {
            budget.earn();
        }
        assert!(!budget.allows());
        budget.earn();
        assert!(budget.allows());
    }

    #[test]
    fn rule_6_3_full_jitter_that_doubles_up_to_its_bound() {
        let policy = RetryPolicy::default();
        let most = |retries| wait(&policy, retries, None, u64::MAX).as_millis();
        assert_eq!(
            [0, 1, 2, 4, 5, 6, 31, 32, 99].map(most),
            [250, 500, 1_000, 4_000, 8_000, 8_000, 8_000, 8_000, 8_000]
        );
        assert_eq!(wait(&policy, 5, None, 0), Duration::ZERO);
    }

    #[test]
    fn rule_6_3_what_the_partner_asks_for_and_up_to_a_tenth_more() {
        let policy = RetryPolicy::default();
        let asked = Some(Duration::from_secs(20));
        assert_eq!(wait(&policy, 0, asked, 0), Duration::from_secs(20));
        assert_eq!(wait(&policy, 0, asked, u64::MAX), Duration::from_secs(22));
    }

    proptest! {
        /// Same-partner retries never exceed a tenth of the commits and five, whatever the partner does.
        #[test]
        fn rule_6_2_retries_stay_below_a_tenth_of_the_commits_and_five(outcomes in proptest::collection::vec(any::<bool>(), 0..2_000)) {
            let mut budget = Budget::full();
            let (mut retries, mut commits) = (0_u32, 0_u32);
            for committed in outcomes {
                if committed {
                    budget.earn();
                    commits += 1;
                } else {
                    budget.spend();
                    // Every failure would like one.
                    retries += u32::from(budget.allows());
                }
                prop_assert!(10 * retries <= commits + 50, "{retries} retries, {commits} commits");
            }
        }
    }
}
