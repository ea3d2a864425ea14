use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::clock;

const SECOND: Duration = Duration::from_secs(1);
/// A random number that makes jitter vanish: the middle of its range.
const MIDDLE: u64 = 1 << 63;

/// A breaker with a clock of its own.
struct Bench {
    breaker: Breaker,
    policy: BreakerPolicy,
    now: Instant,
    random: u64,
}

impl Bench {
    fn new() -> Self {
        let policy = BreakerPolicy::default();
        Self { breaker: Breaker::new(), policy, now: clock::now(), random: MIDDLE }
    }

    fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn admit(&mut self) -> Ticket {
        self.breaker.admit(self.now).expect("is let through").0
    }

    fn commit(&mut self) -> Ticket {
        let mut ticket = self.admit();
        self.breaker.commit(&mut ticket, &self.policy, self.now);
        ticket
    }

    fn fail(&mut self) -> Option<Transition> {
        self.fail_for(None)
    }

    fn fail_for(&mut self, wait: Option<Duration>) -> Option<Transition> {
        let ticket = self.admit();
        self.breaker.fail(ticket, &self.policy, wait, (self.now, self.random))
    }

    fn broke(&mut self, ticket: Ticket) -> Option<Transition> {
        self.breaker.broke(ticket, &self.policy, (self.now, self.random))
    }

    fn trip(&mut self) -> &mut Self {
        for _ in 0..5 {
            self.fail();
        }
        assert_eq!(self.breaker.entered(), Phase::Refusing);
        self
    }

    fn until(&self) -> Duration {
        self.breaker.check(self.now).unwrap_err().until.unwrap() - self.now
    }
}

#[test]
fn rule_4_1_two_runs_are_kept_and_either_trips() {
    let mut bench = Bench::new();
    for _ in 0..4 {
        assert_eq!(bench.fail(), None);
    }
    assert_eq!(bench.fail().map(|change| change.cause), Some(Cause::Run));
    // A partner that cuts every stream after it began: each commit resets the run of failures, none that of breaks.
    let mut bench = Bench::new();
    bench.policy.minimum_requests = NonZeroU32::new(1_000).unwrap();
    for _ in 0..4 {
        let ticket = bench.commit();
        assert_eq!(bench.broke(ticket), None);
    }
    let ticket = bench.commit();
    assert_eq!(bench.broke(ticket).map(|change| change.cause), Some(Cause::Breaks));
}

#[test]
fn rule_4_1_a_commit_and_a_clean_end_each_reset_their_run() {
    let mut bench = Bench::new();
    bench.policy.minimum_requests = NonZeroU32::new(1_000).unwrap();
    for _ in 0..20 {
        for _ in 0..4 {
            assert_eq!(bench.fail(), None);
        }
        bench.commit();
    }
    for _ in 0..20 {
        for _ in 0..4 {
            let ticket = bench.commit();
            assert_eq!(bench.broke(ticket), None);
        }
        let ticket = bench.commit();
        bench.breaker.ended(ticket);
    }
}

/// `failures` of `verdicts`, in an order without runs.
fn mixed(bench: &mut Bench, failures: u32, verdicts: u32) -> Option<Transition> {
    bench.policy.consecutive_failures = NonZeroU32::new(1_000).unwrap();
    let mut last = None;
    for _ in 0..verdicts - failures {
        bench.commit();
    }
    for _ in 0..failures {
        last = bench.fail();
    }
    last
}

#[test]
fn rule_4_2_five_of_ten_stays_and_six_of_eleven_trips() {
    assert_eq!(mixed(&mut Bench::new(), 5, 10), None);
    assert_eq!(mixed(&mut Bench::new(), 6, 11).map(|change| change.cause), Some(Cause::Ratio));
    // 9 of 9 is not enough verdicts, 10 of 10 is.
    assert_eq!(mixed(&mut Bench::new(), 9, 9), None);
    assert_eq!(mixed(&mut Bench::new(), 10, 10).map(|change| change.cause), Some(Cause::Ratio));
    // With 100 % no ratio is above it.
    let mut bench = Bench::new();
    bench.policy.error_threshold_percent = 100;
    assert_eq!(mixed(&mut bench, 500, 500), None);
}

#[test]
fn rule_4_3_only_verdicts_are_counted_by_the_time_of_the_verdict() {
    let mut bench = Bench::new();
    let waiting: Vec<_> = (0..100).map(|_| bench.admit()).collect();
    for ticket in waiting {
        bench.breaker.forget(ticket);
    }
    let late = bench.admit();
    bench.wait(29 * SECOND);
    assert_eq!(bench.breaker.counts(&bench.policy, bench.now), (0, 0));
    bench.breaker.fail(late, &bench.policy, None, (bench.now, MIDDLE));
    bench.wait(29 * SECOND);
    assert_eq!(bench.breaker.counts(&bench.policy, bench.now), (1, 1));
    bench.wait(SECOND);
    assert_eq!(bench.breaker.counts(&bench.policy, bench.now), (0, 0));
}

#[test]
fn rule_4_4_a_break_takes_its_success_back_or_counts_anew() {
    let mut bench = Bench::new();
    let (soon, late) = (bench.commit(), bench.commit());
    bench.wait(10 * SECOND).broke(soon);
    assert_eq!(bench.breaker.counts(&bench.policy, bench.now), (2, 1));
    bench.wait(50 * SECOND).broke(late);
    assert_eq!(bench.breaker.counts(&bench.policy, bench.now), (1, 1));
}

#[test]
fn rule_4_5_refusing_lasts_the_reset_timeout_with_jitter_doubled_up_to_60_s() {
    for (random, least) in [(0, 8), (MIDDLE, 10), (u64::MAX, 12)] {
        let mut bench = Bench::new();
        bench.random = random;
        assert_eq!(bench.trip().until(), least * SECOND);
    }
    let mut bench = Bench::new();
    bench.trip();
    for wait in [20, 40, 60, 60] {
        let until = bench.until();
        bench.wait(until).fail();
        assert_eq!(bench.until(), wait * SECOND);
    }
    let until = bench.until();
    bench.wait(until).commit();
    assert_eq!(bench.trip().until(), 10 * SECOND);
}

#[test]
fn rule_4_5_a_longer_retry_after_wins_up_to_five_minutes() {
    for (asked, lasts) in [(3, 10), (45, 45), (3_600, 300)] {
        let mut bench = Bench::new();
        for _ in 0..5 {
            bench.fail_for(Some(asked * SECOND));
        }
        assert_eq!(bench.until(), Duration::from_secs(lasts));
    }
}

#[test]
fn rule_4_6_probe_is_single() {
    let mut bench = Bench::new();
    bench.trip().wait(10 * SECOND);
    let probe = bench.admit();
    assert_eq!(bench.breaker.entered(), Phase::Probing);
    for _ in 0..100 {
        assert_eq!(bench.breaker.admit(bench.now), Err(Refused { until: None }));
    }
    bench.breaker.forget(probe);
    bench.admit();
}

#[test]
fn rule_4_7_a_probe_that_commits_admits_and_one_that_fails_refuses() {
    let mut bench = Bench::new();
    bench.trip().wait(10 * SECOND).commit();
    assert_eq!(bench.breaker.entered(), Phase::Admitting);
    let change = bench.trip().wait(10 * SECOND).fail().unwrap();
    assert_eq!((change.from, change.to, change.cause), (Phase::Probing, Phase::Refusing, Cause::ProbeFailed));
}

#[test]
fn rule_4_7_a_limited_probe_refuses_for_the_longer_of_both_and_does_not_double() {
    for (asked, lasts) in [(None, 10), (Some(2 * SECOND), 10), (Some(30 * SECOND), 30)] {
        let mut bench = Bench::new();
        bench.trip().wait(10 * SECOND);
        let probe = bench.admit();
        let change = bench.breaker.limited(probe, &bench.policy, asked, (bench.now, MIDDLE)).unwrap();
        assert_eq!((change.to, change.cause), (Phase::Refusing, Cause::ProbeLimited));
        assert_eq!(bench.until(), Duration::from_secs(lasts));
    }
    // Not on a probe, it is no verdict at all.
    let mut bench = Bench::new();
    for _ in 0..100 {
        let ticket = bench.admit();
        assert_eq!(bench.breaker.limited(ticket, &bench.policy, None, (bench.now, MIDDLE)), None);
    }
    assert_eq!(bench.breaker.counts(&bench.policy, bench.now), (0, 0));
}

#[test]
fn rule_4_7_a_probe_without_a_verdict_frees_its_place() {
    let mut bench = Bench::new();
    bench.trip().wait(10 * SECOND);
    let gone = bench.admit();
    bench.breaker.forget(gone);
    assert_eq!(bench.breaker.entered(), Phase::Probing);
    let next = bench.admit();
    // The one that left has no say any more, whatever it still says.
    bench.breaker.forget(gone);
    assert!(bench.breaker.check(bench.now).is_err());
    let (policy, now) = (bench.policy, bench.now);
    assert_eq!(bench.breaker.fail(gone, &policy, None, (now, MIDDLE)), None);
    let mut next = next;
    assert!(bench.breaker.commit(&mut next, &policy, now).is_some());
}

#[test]
fn rule_4_8_a_verdict_of_an_older_generation_is_dropped_and_counted() {
    let mut bench = Bench::new();
    let (mut old, older) = (bench.admit(), bench.admit());
    bench.trip().wait(10 * SECOND);
    bench.admit();
    let (policy, now) = (bench.policy, bench.now);
    assert_eq!(bench.breaker.commit(&mut old, &policy, now), None);
    assert_eq!(bench.breaker.entered(), Phase::Probing);
    assert_eq!(bench.breaker.fail(older, &policy, None, (now, MIDDLE)), None);
    assert_eq!((bench.breaker.entered(), bench.breaker.stale()), (Phase::Probing, 2));
}

#[test]
fn rule_4_9_window_and_runs_are_cleared_on_recovery() {
    let mut bench = Bench::new();
    mixed(&mut bench, 6, 11);
    let ticket = bench.wait(10 * SECOND).commit();
    bench.breaker.ended(ticket);
    assert_eq!(bench.breaker.counts(&bench.policy, bench.now), (0, 0));
    assert_eq!(bench.fail(), None);
}

#[test]
fn rule_4_11_a_new_threshold_applies_from_the_next_verdict() {
    let mut bench = Bench::new();
    mixed(&mut bench, 5, 12);
    bench.policy.error_threshold_percent = 40;
    assert_eq!(bench.breaker.entered(), Phase::Admitting);
    assert_eq!(bench.fail().map(|change| change.cause), Some(Cause::Ratio));
    let mut bench = Bench::new();
    bench.fail();
    bench.fail();
    bench.policy.consecutive_failures = NonZeroU32::new(3).unwrap();
    assert_eq!(bench.fail().map(|change| change.cause), Some(Cause::Run));
}

/// The five of opossum 10 that LLM traffic cannot live with: each fails on what opossum does.
mod opossum {
    use super::*;

    #[test]
    fn case_1_the_first_failed_call_does_not_open() {
        assert_eq!(Bench::new().fail(), None);
    }

    #[test]
    fn case_2_slow_streams_and_refusals_do_not_dilute() {
        let mut bench = Bench::new();
        let _in_flight: Vec<_> = (0..1_000).map(|_| bench.admit()).collect();
        assert_eq!(mixed(&mut bench, 6, 11).map(|change| change.cause), Some(Cause::Ratio));
    }

    #[test]
    fn case_3_a_success_from_before_does_not_close() {
        let mut bench = Bench::new();
        let mut before = bench.admit();
        bench.trip().wait(10 * SECOND);
        let probe = bench.admit();
        let (policy, now) = (bench.policy, bench.now);
        bench.breaker.commit(&mut before, &policy, now);
        assert_eq!(bench.breaker.entered(), Phase::Probing);
        bench.breaker.forget(probe);
    }

    #[test]
    fn case_4_one_failure_after_recovery_does_not_reopen() {
        let mut bench = Bench::new();
        bench.trip().wait(10 * SECOND).commit();
        assert_eq!(bench.fail(), None);
    }

    #[test]
    fn case_5_a_refusal_of_ours_is_no_failure() {
        let mut bench = Bench::new();
        for _ in 0..1_000 {
            let ticket = bench.admit();
            bench.breaker.forget(ticket);
        }
        assert_eq!(bench.fail(), None);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Admit,
    Commit(usize),
    Fail(usize, u64),
    Limited(usize),
    Broke(usize),
    Ended(usize),
    Forget(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u64..15_000).prop_map(Step::Wait),
        6 => Just(Step::Admit),
        3 => any::<usize>().prop_map(Step::Commit),
        3 => (any::<usize>(), 0_u64..20_000).prop_map(|(which, wait)| Step::Fail(which, wait)),
        1 => any::<usize>().prop_map(Step::Limited),
        1 => any::<usize>().prop_map(Step::Broke),
        1 => any::<usize>().prop_map(Step::Ended),
        1 => any::<usize>().prop_map(Step::Forget),
    ]
}

fn take<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    if list.is_empty() { None } else { Some(list.swap_remove(which % list.len())) }
}

proptest! {
    /// Whatever happens in whichever order: one probe at a time, nobody before the timer, a timer within its bounds,
    /// no trip without its cause, and only the probe's verdict ends a probing.
    #[test]
    fn every_history_keeps_the_rules(steps in proptest::collection::vec(step(), 1..300), random in any::<u64>()) {
        let mut bench = Bench::new();
        bench.random = random;
        let (mut asked, mut committed) = (Vec::new(), Vec::new());
        let mut run = 0_u32;
        for step in steps {
            let (before, policy, now) = (bench.breaker.entered(), bench.policy, bench.now);
            let at = (now, random);
            let change = match step {
                Step::Wait(milliseconds) => { bench.wait(Duration::from_millis(milliseconds)); None }
                Step::Admit => match bench.breaker.admit(now) {
                    Ok((ticket, change)) => {
                        if bench.breaker.entered() == Phase::Probing {
                            prop_assert!(bench.breaker.admit(now).is_err(), "two probes");
                            prop_assert!(ticket.probe.is_some());
                        }
                        asked.push(ticket);
                        change
                    }
                    Err(refused) => {
                        prop_assert!(before != Phase::Admitting);
                        prop_assert!(refused.until.is_none_or(|until| until > now && until <= now + 300 * SECOND));
                        None
                    }
                },
                Step::Commit(which) => take(&mut asked, which).and_then(|mut ticket| {
                    if ticket.generation == bench.breaker.generation { run = 0; }
                    let change = bench.breaker.commit(&mut ticket, &policy, now);
                    committed.push(ticket);
                    change
                }),
                Step::Fail(which, wait) => take(&mut asked, which).and_then(|ticket| {
                    if ticket.generation == bench.breaker.generation { run += 1; }
                    bench.breaker.fail(ticket, &policy, Some(Duration::from_millis(wait)), at)
                }),
                Step::Limited(which) => take(&mut asked, which)
                    .and_then(|ticket| bench.breaker.limited(ticket, &policy, None, at)),
                Step::Broke(which) => take(&mut committed, which)
                    .and_then(|ticket| bench.breaker.broke(ticket, &policy, at)),
                Step::Ended(which) => {
                    if let Some(ticket) = take(&mut committed, which) { bench.breaker.ended(ticket); }
                    None
                }
                Step::Forget(which) => {
                    if let Some(ticket) = take(&mut asked, which) { bench.breaker.forget(ticket); }
                    None
                }
            };
            prop_assert_eq!(change.is_some(), before != bench.breaker.entered());
            let Some(change) = change else { continue };
            let legal = match change.cause {
                Cause::Run => before == Phase::Admitting && run >= 5,
                Cause::Breaks | Cause::Ratio => before == Phase::Admitting,
                Cause::Timer => before == Phase::Refusing,
                Cause::ProbeCommitted | Cause::ProbeFailed | Cause::ProbeLimited => before == Phase::Probing,
            };
            prop_assert!(legal, "{change:?} after a run of {run}");
            if change.cause == Cause::Ratio {
                let (completed, failures) = bench.breaker.counts(&policy, now);
                prop_assert!(completed >= 10 && failures * 2 > completed);
            }
            if change.to == Phase::Refusing {
                let least = bench.until();
                prop_assert!(least >= 8 * SECOND && least <= 72 * SECOND, "{least:?}");
            }
            run = 0;
        }
    }
}
