use proptest::prelude::*;

use super::*;

const fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn all_slots_may_be_used_at_once_and_rest_from_the_end_of_their_bucket() {
    let mut slots = Slots::new(3);
    for _ in 0..3 {
        slots.admit(1, at(100)).unwrap();
    }
    assert_eq!(slots.admit(1, at(100)), Err(at(60_250)));
    assert_eq!(slots.admit(1, at(60_249)), Err(at(60_250)));
    assert!(slots.admit(3, at(60_250)).is_ok());
}

#[test]
fn a_cost_above_all_slots_waits_for_all_of_them_and_takes_no_more() {
    let mut slots = Slots::new(10);
    slots.admit(1, at(0)).unwrap();
    assert_eq!(slots.admit(1_000, at(0)), Err(at(60_250)));
    assert!(slots.admit(1_000, at(60_250)).is_ok());
    assert_eq!(slots.busy(at(60_250)), 10);
}

#[test]
fn a_surplus_is_free_at_once_and_void_once_it_has_rested() {
    let mut slots = Slots::new(100);
    let used = slots.admit(100, at(0)).unwrap();
    slots.correct(used, 40, at(10_000));
    let second = slots.admit(60, at(10_000)).unwrap();
    // The first use has rested by now: correcting it again must not free what the second one uses.
    slots.correct(used, 0, at(60_250));
    assert_eq!(slots.busy(at(60_250)), 60);
    assert_eq!(slots.admit(41, at(60_250)), Err(at(70_250)));
    slots.correct(second, 60, at(60_250));
    assert!(slots.admit(40, at(60_250)).is_ok());
}

#[test]
fn an_excess_is_a_debt_that_blocks_until_it_has_rested() {
    let mut slots = Slots::new(100);
    let used = slots.admit(10, at(0)).unwrap();
    slots.correct(used, 250, at(30_000));
    assert_eq!(slots.busy(at(30_000)), 250);
    assert_eq!(slots.admit(1, at(60_250)), Err(at(90_250)));
    assert!(slots.admit(100, at(90_250)).is_ok());
}

#[test]
fn no_slots_admit_nothing_ever() {
    let mut slots = Slots::new(0);
    assert_eq!(slots.admit(1, at(0)), Err(Duration::MAX));
    assert!(slots.admit(0, at(0)).is_ok());
}

proptest! {
    /// The claim itself: whatever is asked for and whenever, no window of 60 s admits more than is held.
    #[test]
    fn no_window_of_60_s_admits_more_than_is_held(
        held in 1_u64..20,
        steps in proptest::collection::vec((0_u64..20_000, 1_u64..6), 1..200),
    ) {
        let mut slots = Slots::new(held);
        let (mut now, mut admitted) = (0, Vec::new());
        for (wait, cost) in steps {
            now += wait;
            match slots.admit(cost, at(now)) {
                Ok(used) => admitted.push((now, used.cost)),
                Err(when) => {
                    prop_assert!(when > at(now));
                    // What it says is true, and no later than needed by more than a bucket.
                    prop_assert!(slots.clone().admit(cost, when).is_ok());
                    prop_assert!(when <= at(now) + REST + BUCKET);
                }
            }
            let window: u64 =
                admitted.iter().filter(|(when, _)| when + 60_000 > now).map(|(_, cost)| cost).sum();
            prop_assert!(window <= held, "{window} of {held} in one window");
            prop_assert!(slots.uses.len() <= 241);
        }
    }

    /// Nothing is lost by correcting: the uses that count are the sum of what the corrected requests cost.
    #[test]
    fn corrections_conserve_what_is_used(
        steps in proptest::collection::vec((0_u64..500, 0_u64..50, 0_u64..100), 1..100),
    ) {
        let mut slots = Slots::new(1_000_000);
        let (mut now, mut sum) = (0, 0);
        for (wait, charged, true_cost) in steps {
            now += wait;
            let used = slots.admit(charged, at(now)).unwrap();
            slots.correct(used, true_cost, at(now));
            sum += true_cost;
        }
        // All of it happened within one window.
        prop_assert!(now < 60_000);
        prop_assert_eq!(slots.busy(at(now)), sum);
    }
}
