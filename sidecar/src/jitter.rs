//! Spreads waits, so that many sidecars do not come back at one moment. Pure: the random number is an argument.

use std::time::Duration;

/// A wait from nothing to `most`, both included: full jitter.
pub(crate) fn up_to(most: Duration, random: u64) -> Duration {
    let most = nanoseconds(most);
    let drawn = u128::from(most).saturating_add(1).saturating_mul(random.into()) >> 64;
    Duration::from_nanos(u64::try_from(drawn).unwrap_or(most))
}

/// `wait`, and up to `percent` of it more.
pub(crate) fn longer(wait: Duration, percent: u32, random: u64) -> Duration {
    wait.saturating_add(up_to(wait.saturating_mul(percent) / 100, random))
}

/// `wait`, up to `percent` of it more or less.
pub(crate) fn around(wait: Duration, percent: u32, random: u64) -> Duration {
    let share = wait.saturating_mul(percent.min(100)) / 100;
    wait.saturating_sub(share).saturating_add(up_to(share.saturating_mul(2), random))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_ends_of_each_range_are_reached_and_not_passed() {
        assert_eq!((up_to(SECOND, 0), up_to(SECOND, u64::MAX)), (Duration::ZERO, SECOND));
        assert_eq!(up_to(Duration::ZERO, u64::MAX), Duration::ZERO);
        assert_eq!(
            (longer(SECOND, 10, 0), longer(SECOND, 10, u64::MAX)),
            (SECOND, Duration::from_millis(1_100))
        );
        let (least, most) = (around(SECOND, 20, 0), around(SECOND, 20, u64::MAX));
        assert_eq!((least, most), (Duration::from_millis(800), Duration::from_millis(1_200)));
        assert!(up_to(Duration::MAX, u64::MAX) > SECOND);
    }
}
