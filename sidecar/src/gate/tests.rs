use std::num::NonZeroU32;

use chaperone_protocol::name::TenantId;
use chaperone_protocol::snapshot::{QueuePolicy, RateLimit};

use super::permit::Used;
use super::*;
use crate::clock;

const SECOND: Duration = Duration::from_secs(1);
const LOAD: Load = Load { tokens: 100, prompt: 10, bytes: 1_000 };

fn gate(change: impl FnOnce(&mut Protection)) -> Arc<Gate> {
    let mut protection = Protection::default();
    change(&mut protection);
    let key = GateKey { partner: "team/alpha".parse().unwrap(), origin: String::new(), drill: None };
    let metrics = crate::metrics::Metrics::new().unwrap().gates;
    Arc::new(Gate::new(key, protection, (metrics, Arc::default()), clock::now()))
}

fn limited(requests: u32, max_wait: Duration) -> Arc<Gate> {
    gate(|protection| {
        protection.rate_limit =
            Some(RateLimit { requests_per_minute: NonZeroU32::new(requests), ..RateLimit::default() });
        protection.queue = QueuePolicy { max_requests: 3, max_wait };
    })
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn asking(tenant: &TenantId, deadline: Duration) -> Asking<'_> {
    Asking { tenant, load: LOAD, deadline: clock::now() + deadline }
}

fn pass(gate: &Arc<Gate>) -> Result<Permit, Closed> {
    let mut permit = gate.pass(LOAD, clock::now())?;
    permit.sent();
    Ok(permit)
}

fn trip(gate: &Arc<Gate>) {
    for _ in 0..5 {
        pass(gate).unwrap().failed(Said::Failure, None, Cost::Tokens(0));
    }
    assert!(matches!(gate.check(clock::now()), Err(Closed::Breaker { until: Some(_) })));
}

#[tokio::test(start_paused = true)]
async fn a_burst_waits_for_its_rate_and_leaves_in_turn() {
    let gate = limited(2, 120 * SECOND);
    let _held = [pass(&gate).unwrap(), pass(&gate).unwrap()];
    assert!(matches!(pass(&gate), Err(Closed::Busy { .. })));
    let (tenant, began) = (tenant(), clock::now());
    let first = gate.wait(asking(&tenant, 300 * SECOND)).await.unwrap();
    let waited = clock::now() - began;
    assert!(waited >= 60 * SECOND && waited < 61 * SECOND, "{waited:?}");
    drop(first);
    assert_eq!(gate.gauges(clock::now()).1, 0);
}

#[tokio::test(start_paused = true)]
async fn rule_8_3_nobody_waits_who_could_not_be_answered_in_time() {
    let gate = limited(1, 300 * SECOND);
    pass(&gate).unwrap().committed(20 * SECOND);
    let now = clock::now();
    assert_eq!(gate.patience(now + 30 * SECOND, now), 10 * SECOND);
    assert_eq!(gate.patience(now + 15 * SECOND, now), Duration::ZERO);
    assert_eq!(gate.patience(now + 900 * SECOND, now), 300 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn rule_8_4_one_that_has_waited_as_long_as_it_may_costs_the_partner_nothing() {
    let gate = limited(1, 5 * SECOND);
    let _held = pass(&gate).unwrap();
    let tenant = tenant();
    let began = clock::now();
    let closed = gate.wait(asking(&tenant, 300 * SECOND)).await.unwrap_err();
    assert!(matches!(closed, Closed::Waited { ready_at } if ready_at > clock::now()), "{closed:?}");
    assert_eq!(clock::now() - began, 5 * SECOND);
    assert_eq!(gate.gauges(clock::now()).1, 0);
}

#[tokio::test(start_paused = true)]
async fn rule_8_3_a_full_queue_says_when_there_may_be_room() {
    let gate = limited(1, 300 * SECOND);
    let _held = pass(&gate).unwrap();
    let tenant = tenant();
    let full = async {
        tokio::task::yield_now().await;
        gate.wait(asking(&tenant, 600 * SECOND)).await
    };
    let one = || gate.wait(asking(&tenant, 600 * SECOND));
    let (_, _, _, full) = tokio::join!(one(), one(), one(), full);
    assert!(matches!(full, Err(Closed::Full { .. })));
}

#[tokio::test(start_paused = true)]
async fn rule_8_6_a_waiter_that_is_dropped_leaves_at_once_and_wakes_the_next() {
    let gate = limited(1, 300 * SECOND);
    let held = pass(&gate).unwrap();
    let tenant = tenant();
    let leaves = tokio::time::timeout(SECOND, gate.wait(asking(&tenant, 600 * SECOND)));
    let stays = gate.wait(asking(&tenant, 600 * SECOND));
    let (left, stayed) = tokio::join!(leaves, stays);
    assert!(left.is_err() && stayed.is_ok());
    drop(held);
    assert_eq!(gate.gauges(clock::now()).1, 0);
}

#[tokio::test(start_paused = true)]
async fn rule_4_10_a_waiter_is_the_probe_and_those_behind_it_follow_its_commit() {
    let gate = gate(|protection| protection.queue.max_wait = 60 * SECOND);
    trip(&gate);
    let tenant = tenant();
    let first = async {
        let mut probe = gate.wait(asking(&tenant, 300 * SECOND)).await.unwrap();
        assert_eq!(gate.gauges(clock::now()).0, crate::breaker::Phase::Probing);
        tokio::time::sleep(SECOND).await;
        probe.committed(SECOND);
        clock::now()
    };
    let second = async {
        tokio::task::yield_now().await;
        gate.wait(asking(&tenant, 300 * SECOND)).await.unwrap();
        clock::now()
    };
    let began = clock::now();
    let (committed, followed) = tokio::join!(first, second);
    assert_eq!(committed, followed);
    assert!((9 * SECOND..=13 * SECOND).contains(&(committed - began)), "{:?}", committed - began);
}

#[tokio::test(start_paused = true)]
async fn a_permit_without_a_verdict_says_nothing_and_frees_a_probe() {
    let gate = gate(|_| {});
    trip(&gate);
    tokio::time::sleep(13 * SECOND).await;
    drop(pass(&gate).unwrap());
    let mut probe = pass(&gate).unwrap();
    assert!(pass(&gate).is_err());
    probe.committed(SECOND);
    probe.ended(Used { prompt: None, output: 7 });
    assert!(pass(&gate).is_ok());
    assert_eq!(gate.usual_answer(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn rule_2_5_a_late_token_has_one_verdict() {
    let gate = gate(|protection| protection.breaker.consecutive_failures = NonZeroU32::MIN);
    let mut late = pass(&gate).unwrap();
    late.late();
    assert!(gate.check(clock::now()).is_err());
    late.committed(30 * SECOND);
    late.broke(Used { prompt: None, output: 1 });
    tokio::time::sleep(13 * SECOND).await;
    assert!(pass(&gate).is_ok(), "it refuses for the first verdict alone");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_uses_nothing() {
    let gate = limited(1, SECOND);
    drop(gate.pass(LOAD, clock::now()).unwrap());
    drop(pass(&gate).unwrap());
    assert!(pass(&gate).is_err(), "what was sent counts, whatever became of it");
}

#[tokio::test(start_paused = true)]
async fn rule_4_11_settings_change_and_what_was_learned_stays() {
    let gate = gate(|_| {});
    for _ in 0..2 {
        pass(&gate).unwrap().failed(Said::Failure, None, Cost::Tokens(0));
    }
    let mut protection = Protection::default();
    protection.breaker.consecutive_failures = NonZeroU32::new(3).unwrap();
    gate.configure(&protection);
    pass(&gate).unwrap().failed(Said::Failure, None, Cost::Tokens(0));
    assert!(gate.check(clock::now()).is_err());
}
