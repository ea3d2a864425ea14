use proptest::prelude::*;

use super::*;
use crate::clock;

const SECOND: Duration = Duration::from_secs(1);

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn load(tokens: u64) -> Load {
    Load { tokens, prompt: 0, bytes: 100 }
}

/// Everybody leaves, in turn.
fn order(queue: &mut Queue, now: Instant) -> Vec<u64> {
    let mut order = Vec::new();
    while let Some(id) = queue.head() {
        assert_eq!(queue.head(), Some(id), "a turn is not lost by asking");
        queue.leave(id, now);
        order.push(id);
    }
    assert!(queue.is_empty() && queue.bytes == 0 && queue.lanes.is_empty() && queue.turns.is_empty());
    order
}

#[test]
fn rule_8_1_requests_and_bytes_are_bounded() {
    let (mut queue, now) = (Queue::default(), clock::now());
    for _ in 0..3 {
        queue.enter(&tenant("acme"), load(1), 3, now).unwrap();
    }
    assert_eq!(queue.enter(&tenant("acme"), load(1), 3, now), Err(Full));
    let mut queue = Queue::default();
    let large = Load { tokens: 1, prompt: 0, bytes: limits::QUEUE_BYTES };
    let id = queue.enter(&tenant("acme"), large, 256, now).unwrap();
    assert_eq!(queue.enter(&tenant("acme"), load(1), 256, now), Err(Full));
    queue.remove(id);
    assert!(queue.enter(&tenant("acme"), load(1), 256, now).is_ok());
    assert_eq!(Queue::default().enter(&tenant("acme"), load(1), 0, now), Err(Full));
}

#[test]
fn rule_8_2_a_thousand_of_one_tenant_delay_another_by_one_quantum() {
    let (mut queue, now) = (Queue::default(), clock::now());
    for _ in 0..1_000 {
        queue.enter(&tenant("greedy"), load(512), 4_096, now).unwrap();
    }
    for _ in 0..5 {
        let head = queue.head().unwrap();
        queue.leave(head, now);
    }
    let modest = queue.enter(&tenant("modest"), load(512), 4_096, now).unwrap();
    let before = order(&mut queue, now).iter().position(|id| *id == modest).unwrap();
    assert!(before as u64 * 512 <= QUANTUM, "{before} went first");
}

#[test]
fn rule_8_2_first_come_first_served_within_a_tenant() {
    let (mut queue, now) = (Queue::default(), clock::now());
    let ids: Vec<_> = [9_000, 1, 5_000, 1]
        .map(|tokens| queue.enter(&tenant("acme"), load(tokens), 256, now).unwrap())
        .into();
    assert_eq!(order(&mut queue, now), ids);
}

#[test]
fn rule_8_5_a_standing_queue_sheds_the_newest_of_the_heaviest_one_per_100_ms() {
    let (mut queue, start) = (Queue::default(), clock::now());
    for _ in 0..200 {
        queue.enter(&tenant("heavy"), load(1_000), 4_096, start).unwrap();
        queue.enter(&tenant("light"), load(1), 4_096, start).unwrap();
    }
    // One leaves each second: all but the first have waited for more than one.
    let mut now = start;
    while now < start + 11 * SECOND {
        now += SECOND;
        assert_eq!(queue.shed(now), None, "after {:?}", now - start);
        let head = queue.head().unwrap();
        queue.leave(head, now);
    }
    now += SECOND;
    let newest = queue.lanes[&tenant("heavy")].waiting.back().unwrap().id;
    assert_eq!(queue.shed(now), Some(newest));
    assert_eq!(queue.shed(now + Duration::from_millis(99)), None);
    assert!(queue.shed(now + Duration::from_millis(100)).is_some());
    // Somebody gets through in time again: nobody else is shed.
    let quick = queue.enter(&tenant("quick"), load(1), 4_096, now).unwrap();
    while queue.head() != Some(quick) {
        let head = queue.head().unwrap();
        queue.leave(head, now);
    }
    queue.leave(quick, now + Duration::from_millis(500));
    assert_eq!(queue.shed(now + 5 * SECOND), None);
}

#[test]
fn rule_8_6_one_that_leaves_is_gone_at_once() {
    let (mut queue, now) = (Queue::default(), clock::now());
    let ids: Vec<_> = (0..3).map(|_| queue.enter(&tenant("acme"), load(1), 256, now).unwrap()).collect();
    queue.remove(ids[0]);
    queue.remove(ids[0]);
    assert!(!queue.has(ids[0]) && queue.has(ids[1]));
    assert_eq!(queue.ahead(), Ahead { requests: 2, tokens: 2 });
    assert_eq!(order(&mut queue, now), ids[1..]);
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, u64),
    Leave,
    Remove(usize),
    Wait(u64),
    Shed,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_u8..5, 1_u64..20_000).prop_map(|(tenant, tokens)| Step::Enter(tenant, tokens)),
        3 => Just(Step::Leave),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => (0_u64..3_000).prop_map(Step::Wait),
        1 => Just(Step::Shed),
    ]
}

proptest! {
    /// Nobody is lost, nobody is served twice, sums stay true, within a tenant the order is that of arrival, and while
    /// two tenants wait neither gets ahead of the other by more than a quantum and its largest request.
    #[test]
    fn every_history_keeps_the_rules(steps in proptest::collection::vec(step(), 1..400)) {
        let (mut queue, mut now) = (Queue::default(), clock::now());
        let mut waiting: Vec<(u64, u8, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Enter(owner, tokens) => {
                    if let Ok(id) = queue.enter(&tenant(&format!("t{owner}")), load(tokens), 64, now) {
                        waiting.push((id, owner, tokens));
                    } else {
                        prop_assert_eq!(waiting.len(), 64);
                    }
                }
                Step::Leave => match queue.head() {
                    None => prop_assert!(waiting.is_empty()),
                    Some(id) => {
                        let at = waiting.iter().position(|(other, ..)| *other == id).expect("waits");
                        let (_, owner, _) = waiting.remove(at);
                        prop_assert!(!waiting[..at].iter().any(|(_, other, _)| *other == owner), "overtaken");
                        queue.leave(id, now);
                    }
                },
                Step::Remove(which) => if !waiting.is_empty() {
                    let (id, ..) = waiting.remove(which % waiting.len());
                    queue.remove(id);
                },
                Step::Wait(milliseconds) => now += Duration::from_millis(milliseconds),
                Step::Shed => if let Some(id) = queue.shed(now) {
                    waiting.retain(|(other, ..)| *other != id);
                },
            }
            let tokens: u64 = waiting.iter().map(|(.., tokens)| tokens).sum();
            prop_assert_eq!(queue.ahead(), Ahead { requests: waiting.len() as u64, tokens });
            prop_assert_eq!(queue.bytes, waiting.len() * 100);
        }
        prop_assert_eq!(order(&mut queue, now).len(), waiting.len());
    }

    /// Fairness: of two tenants that both wait all the time, neither is ahead by more than a quantum and a request.
    #[test]
    fn two_busy_tenants_share_alike(costs in proptest::collection::vec((1_u64..8_000, 1_u64..8_000), 50..200)) {
        let (mut queue, now) = (Queue::default(), clock::now());
        let mut owner = BTreeMap::new();
        for (left, right) in &costs {
            owner.insert(queue.enter(&tenant("left"), load(*left), 4_096, now).unwrap(), (0, *left));
            owner.insert(queue.enter(&tenant("right"), load(*right), 4_096, now).unwrap(), (1, *right));
        }
        let mut served = [0_u64; 2];
        while queue.lanes.len() == 2 {
            let head = queue.head().unwrap();
            let (side, cost) = owner[&head];
            served[side] += cost;
            queue.leave(head, now);
            prop_assert!(served[0].abs_diff(served[1]) <= 2 * (QUANTUM + 8_000), "{served:?}");
        }
    }
}
