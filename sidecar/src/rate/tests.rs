use std::num::{NonZeroU32, NonZeroU64};

use proptest::prelude::*;

use super::*;
use crate::clock;

const SECOND: Duration = Duration::from_secs(1);

fn limit(requests: Option<u32>, tokens: Option<u64>, burst: Option<u32>) -> RateLimit {
    RateLimit {
        requests_per_minute: requests.and_then(NonZeroU32::new),
        tokens_per_minute: tokens.and_then(NonZeroU64::new),
        burst: burst.and_then(NonZeroU32::new),
    }
}

/// Sends as fast as it may for `time`, asking whenever it was told to: how many left.
fn send_for(rate: &mut Rate, time: Duration, start: Instant) -> u64 {
    let (mut now, mut sent) = (start, 0);
    while now < start + time {
        match rate.admit(1, now) {
            Ok(_) => sent += 1,
            Err(at) => now = at,
        }
    }
    sent
}

#[test]
fn without_a_limit_nothing_waits() {
    let now = clock::now();
    let mut rate = Rate::new(None, now);
    assert!((0..10_000).all(|_| rate.admit(1_000_000, now).is_ok()));
}

#[test]
fn a_rate_is_paced_with_a_burst_and_holds_in_every_minute() {
    let now = clock::now();
    let mut rate = Rate::new(Some(&limit(Some(600), None, None)), now);
    assert_eq!((0..100).filter(|_| rate.admit(1, now).is_ok()).count(), 10);
    let mut rate = Rate::new(Some(&limit(Some(600), None, None)), now);
    let sent = send_for(&mut rate, 60 * SECOND, now);
    assert!((590..=600).contains(&sent), "{sent}");
}

#[test]
fn a_handful_of_slots_and_a_burst_of_all_are_not_paced() {
    let now = clock::now();
    for limit in [limit(Some(19), None, None), limit(Some(600), None, Some(600))] {
        let mut rate = Rate::new(Some(&limit), now);
        let all = limit.requests_per_minute.unwrap().get();
        assert!((0..all).all(|_| rate.admit(1, now).is_ok()));
        assert_eq!(rate.admit(1, now), Err(now + Duration::from_millis(60_250)));
    }
}

#[test]
fn tokens_are_charged_settled_and_released() {
    let now = clock::now();
    let mut rate = Rate::new(Some(&limit(None, Some(1_000), None)), now);
    let spent = rate.admit(900, now).unwrap();
    assert!(rate.admit(200, now).is_err());
    rate.settle(spent, 700, now);
    let second = rate.admit(200, now).unwrap();
    assert!(rate.admit(200, now).is_err());
    rate.release(second, now);
    assert!(rate.admit(300, now).is_ok());
    // One that is larger than the whole limit waits for all of it, and is not refused for ever.
    let at = rate.admit(5_000, now).unwrap_err();
    assert!(rate.admit(5_000, at).is_ok());
}

#[test]
fn the_wait_of_a_request_counts_what_is_ahead_of_it() {
    let now = clock::now();
    let mut rate = Rate::new(Some(&limit(Some(10), None, None)), now);
    assert_eq!(rate.ready_at(Ahead { requests: 9, tokens: 0 }, 1, now), now);
    let eleventh = rate.ready_at(Ahead { requests: 10, tokens: 0 }, 1, now);
    assert_eq!(eleventh, now + 60 * SECOND);
    assert!((0..10).all(|_| rate.admit(1, now).is_ok()));
    assert_eq!(rate.ready_at(Ahead::default(), 1, now), now + Duration::from_millis(60_250));
}

#[test]
fn rule_7_1_a_429_halves_the_rate_once_per_second_down_to_its_floor() {
    let start = clock::now();
    let mut rate = Rate::new(Some(&limit(Some(600), None, None)), start);
    assert_eq!(rate.lowered_to(start), None);
    for _ in 0..50 {
        rate.limited(None, start);
    }
    assert_eq!(rate.lowered_to(start), Some(5_000));
    let mut now = start;
    for _ in 0..20 {
        now += SECOND;
        rate.limited(None, now);
    }
    // 5 % of the grant are back after each second: 0.5 per second, of which half is left.
    assert_eq!(rate.lowered_to(now), Some(500));
    let mut slow = Rate::new(Some(&limit(Some(6), None, None)), start);
    slow.limited(None, start);
    assert_eq!(slow.lowered_to(start), None, "the floor is its grant");
}

#[test]
fn rule_7_1_the_rate_rises_by_a_twentieth_of_the_grant_per_second_and_never_above_it() {
    let start = clock::now();
    let mut rate = Rate::new(Some(&limit(Some(600), None, None)), start);
    rate.limited(None, start);
    assert_eq!(rate.lowered_to(start + SECOND), Some(5_500));
    assert_eq!(rate.lowered_to(start + 9 * SECOND), Some(9_500));
    assert_eq!(rate.lowered_to(start + 10 * SECOND), None);
    let sent = send_for(&mut rate, 10 * SECOND, start);
    assert!((70..=77).contains(&sent), "{sent}");
}

#[test]
fn rule_7_1_without_a_declared_rate_the_last_ten_seconds_are_the_start() {
    let start = clock::now();
    let mut rate = Rate::new(None, start);
    for second in 0..20 {
        for _ in 0..8 {
            rate.admit(1, start + second * SECOND).unwrap();
        }
    }
    let now = start + 19 * SECOND;
    rate.limited(None, now);
    assert_eq!(rate.lowered_to(now), Some(4_000));
    assert_eq!(rate.lowered_to(now + 10 * SECOND), None);
}

#[test]
fn rule_7_2_nothing_is_sent_during_a_pause_which_a_second_429_only_lengthens() {
    let start = clock::now();
    let mut rate = Rate::new(None, start);
    rate.limited(Some(30 * SECOND), start);
    assert_eq!(rate.admit(1, start), Err(start + 30 * SECOND));
    rate.limited(Some(5 * SECOND), start + SECOND);
    assert_eq!(rate.paused(start + SECOND), Some(start + 30 * SECOND));
    rate.limited(Some(40 * SECOND), start + 2 * SECOND);
    assert_eq!(rate.paused(start + 2 * SECOND), Some(start + 42 * SECOND));
    assert!(rate.admit(1, start + 41 * SECOND).is_err());
    assert!(rate.admit(1, start + 60 * SECOND).is_ok());
    rate.limited(Some(3_600 * SECOND), start);
    assert!(rate.paused(start).unwrap() <= start + limits::RETRY_AFTER);
}

proptest! {
    /// Whatever is asked for, and whatever the partner says: no minute sees more than was declared, no request waits
    /// for ever, and none leaves during a pause.
    #[test]
    fn no_minute_sees_more_than_was_declared(
        requests in 1_u32..100,
        burst in 1_u32..100,
        steps in proptest::collection::vec((0_u64..4_000, 0_u8..20, 0_u64..20), 1..300),
    ) {
        let start = clock::now();
        let mut rate = Rate::new(Some(&limit(Some(requests), None, Some(burst.min(requests)))), start);
        let (mut now, mut sent): (Instant, Vec<Instant>) = (start, Vec::new());
        for (wait, event, asked) in steps {
            now += Duration::from_millis(wait);
            if event == 0 {
                rate.limited(Some(Duration::from_secs(asked)), now);
            }
            match rate.admit(1, now) {
                Ok(_) => {
                    prop_assert!(rate.paused(now).is_none());
                    sent.push(now);
                }
                Err(at) => prop_assert!(at > now && at <= now + limits::RETRY_AFTER + SECOND),
            }
            let minute = sent.iter().filter(|at| **at + 60 * SECOND > now).count();
            prop_assert!(minute <= requests as usize);
        }
    }
}
