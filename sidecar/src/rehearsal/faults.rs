//! Faults of partners, F26 to F36, on the whole data path in paused time. The partners' own log is the truth.

use serde_json::json;

use super::partner::{Act, WELL};
use super::*;

const FIRST: &str = "first.test";
const SECOND_HOST: &str = "second.test";

/// `chat` goes to the first and then to the second, `alone` to the first only, `other` to the second only.
fn two(protection: Value) -> Value {
    document(
        &[("team/first", openai(FIRST, protection)), ("team/second", openai(SECOND_HOST, json!({})))],
        &[("chat", &["team/first", "team/second"]), ("alone", &["team/first"]), ("other", &["team/second"])],
    )
}

/// The first does `act`, the second is well.
fn failing(act: Act) -> World {
    World::new(&two(json!({})), move |arrival| match (&arrival.body, &act) {
        (None, Act::Refuse | Act::Swallow) if arrival.host == FIRST => act.clone(),
        (None, _) => Act::Accept,
        (Some(_), act) if arrival.host == FIRST => act.clone(),
        (Some(_), _) => WELL,
    })
}

const ALL: &str = "one two three four five six seven eight ";

#[tokio::test(start_paused = true)]
async fn f26_a_partner_that_refuses_connections_trips_and_no_user_notices() {
    let world = failing(Act::Refuse);
    for _ in 0..20 {
        let got = world.stream("chat").await;
        assert_eq!((got.status, got.words().as_str()), (200, ALL));
        assert!(got.took < 2 * SECOND, "{:?}", got.took);
    }
    assert_eq!(world.breaker("first"), "refusing");
    assert_eq!((world.arrived(FIRST), world.arrived(SECOND_HOST)), (0, 20));
    assert_eq!(world.metric("chaperone_breaker_transitions_total{cause=\"run\""), 1);
    let fallback = world.stream("chat").await;
    assert_eq!(fallback.header("x-chaperone-fallback"), "breaker_open");
    assert_eq!(fallback.header("x-chaperone-attempts"), "1");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn f27_a_partner_that_swallows_packets_costs_its_connect_limit() {
    let world = failing(Act::Swallow);
    let got = world.stream("chat").await;
    assert_eq!(got.words(), ALL);
    // One quick retry, so twice 2 s; never the kernel's minutes.
    assert!((4 * SECOND..6 * SECOND).contains(&got.took), "{:?}", got.took);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn f28_a_first_token_after_5_1_s_falls_back_and_one_after_4_9_s_does_not() {
    for (first, host) in [(5_100, SECOND_HOST), (4_900, FIRST)] {
        let first = Duration::from_millis(first);
        let world = failing(Act::Say { words: partner::WORDS, first, each: Duration::ZERO });
        let got = world.stream("chat").await;
        assert_eq!((got.status, got.words().as_str()), (200, ALL));
        let partner = if host == FIRST { "team/first" } else { "team/second" };
        assert_eq!(got.header("x-chaperone-partner"), partner);
        assert_eq!(world.arrived(FIRST), 1, "a partner that may be generating is not asked again");
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn f29_a_stream_that_stalls_ends_with_an_error_and_no_retry() {
    let world = failing(Act::Stall { after: 5 });
    let got = world.stream("chat").await;
    assert_eq!(got.words(), "one two three four five ");
    assert!(got.body.contains("idle_timeout") && !got.body.contains("[DONE]"), "{}", got.body);
    assert!((30 * SECOND..31 * SECOND).contains(&got.took), "{:?}", got.took);
    assert_eq!((world.arrived(FIRST), world.arrived(SECOND_HOST)), (1, 0));
    let records = world.settle().await;
    assert_eq!((&records[0]["ending"], &records[0]["reason"]), (&json!("broken"), &json!("idle_timeout")));
}

#[tokio::test(start_paused = true)]
async fn f30_a_200_whose_first_event_is_an_error_is_that_error() {
    let world = failing(Act::Events(&[
        "data: {\"error\":{\"type\":\"server_error\",\"code\":\"overloaded_error\",\"message\":\"abandoned\"}}\n\n",
    ]));
    let got = world.stream("chat").await;
    assert_eq!((got.status, got.words().as_str()), (200, ALL));
    assert!(!got.body.contains("abandoned"));
    assert_eq!(got.header("x-chaperone-fallback"), "partner_overloaded");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn f31_an_error_after_some_tokens_ends_the_answer_without_a_replay() {
    let world = failing(Act::Events(&[
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one \"}}]}\n\n",
        "data: {\"error\":{\"type\":\"server_error\",\"message\":\"x\"}}\n\n",
    ]));
    let got = world.stream("chat").await;
    assert_eq!(got.words(), "one ");
    assert!(got.body.contains("\"error\"") && !got.body.contains("[DONE]"), "{}", got.body);
    assert_eq!((world.arrived(FIRST), world.arrived(SECOND_HOST)), (1, 0));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn f32_a_stream_without_its_terminal_event_is_broken_and_counts_as_a_failure() {
    let world = failing(Act::Cut { after: 3 });
    for _ in 0..5 {
        let got = world.stream("chat").await;
        assert_eq!(got.words(), "one two three ");
        assert!(got.body.contains("\"error\""), "{}", got.body);
    }
    // Five breaks in a row, though each of them had committed.
    assert_eq!(world.breaker("first"), "refusing");
    assert_eq!(world.stream("chat").await.words(), ALL);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn f33_a_wait_is_honoured_and_other_partners_do_not_wait() {
    let cases = [
        ("retry-after: 3\r\n", 3..4),
        ("retry-after-ms: 2500\r\n", 2..4),
        ("retry-after: 3600\r\n", 0..1),
        ("retry-after: soon\r\n", 0..1),
        ("retry-after: -5\r\n", 0..1),
        ("retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 0..1),
    ];
    for (headers, waits) in cases {
        let world = World::new(&two(json!({})), move |arrival| match (&arrival.body, arrival.number) {
            (None, _) => Act::Accept,
            (Some(_), 0) if arrival.host == FIRST => Act::Status(429, headers, "{}"),
            _ => WELL,
        });
        let began = world.time();
        let got = world.stream("alone").await;
        let fits = !headers.contains("3600");
        assert_eq!(got.status, if fits { 200 } else { 429 }, "{headers} {got:?}");
        if !fits {
            assert_eq!((got.header("retry-after"), got.header("x-should-retry")), ("300", "false"));
            let during = world.stream("alone").await;
            assert_eq!((during.status, during.header("x-chaperone-reason")), (429, "queue_wait"));
            assert_eq!(world.arrived(FIRST), 1, "nothing is sent during a pause");
        }
        let second =
            world.arrivals.lock().unwrap().iter().filter(|it| it.host == FIRST).nth(1).map(|it| it.at);
        let waited = second.unwrap_or(began) - began;
        assert!(waits.contains(&waited.as_secs()), "{headers} {waited:?}");
        assert!(world.stream("other").await.took < SECOND);
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn f34_spent_credit_rests_the_credential_until_a_new_key_comes() {
    let world = World::new(&two(json!({})), |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.key.contains("old") && arrival.host == FIRST => {
            Act::Status(429, "", "{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}")
        }
        Some(_) => WELL,
    });
    for _ in 0..10 {
        assert_eq!(world.stream("chat").await.words(), ALL);
    }
    assert_eq!((world.arrived(FIRST), world.arrived(SECOND_HOST)), (1, 10));
    let refused = world.stream("alone").await;
    assert_eq!((refused.status, refused.header("x-chaperone-reason")), (503, "partner_credit"));
    assert_eq!(world.breaker("first"), "admitting", "spent credit is no verdict on the partner");
    tokio::time::sleep(301 * SECOND).await;
    world.stream("chat").await;
    world.stream("chat").await;
    assert_eq!(world.arrived(FIRST), 2, "one trial");
    world.apply(&two(json!({})), "sk-new");
    assert_eq!(world.stream("alone").await.status, 200);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn f35_a_partner_that_fails_half_of_its_calls_gets_few_retries_and_recovers() {
    let sick = 600 * SECOND;
    let world = World::new(&two(json!({})), move |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.host == FIRST && arrival.at < sick && arrival.number % 2 == 0 => {
            Act::Status(500, "", "{}")
        }
        Some(_) => WELL,
    });
    while world.time() < sick {
        let got = world.stream("chat").await;
        assert_eq!(got.words(), ALL);
        tokio::time::sleep(SECOND / 2).await;
    }
    let commits = world.metric("chaperone_attempts_total{outcome=\"committed\",partner=\"team/first\"}");
    let retries = world.metric("chaperone_retries_total{partner=\"team/first\"}");
    assert!(10 * retries <= commits + 50, "{retries} retries, {commits} commits");
    assert!(retries >= 4, "the budget is used: {retries}");
    let began = world.time();
    while world.stream("chat").await.header("x-chaperone-partner") != "team/first" {
        assert!(world.time() - began < 30 * SECOND, "not recovered");
        tokio::time::sleep(SECOND).await;
    }
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn f36_a_partner_that_flaps_changes_its_breaker_at_most_once_in_eight_seconds_and_is_probed_once() {
    let down = |at: Duration| (at.as_secs() / 5) % 2 == 1;
    let world = World::new(&two(json!({})), move |arrival| match &arrival.body {
        None if arrival.host == FIRST && down(arrival.at) => Act::Refuse,
        Some(_) if arrival.host == FIRST && down(arrival.at) => Act::Close,
        None => Act::Accept,
        Some(_) => WELL,
    });
    while world.time() < 300 * SECOND {
        assert_eq!(world.stream("chat").await.words(), ALL);
    }
    let tripped = world.metric("chaperone_breaker_transitions_total{cause=\"run\"")
        + world.metric("chaperone_breaker_transitions_total{cause=\"ratio\"")
        + world.metric("chaperone_breaker_transitions_total{cause=\"probe_failed\"");
    // A reset timeout of 10 s less its jitter of a fifth.
    assert!((3..=300 / 8).contains(&tripped), "{tripped} trips in 300 s");
    let probes = world.metric("chaperone_breaker_transitions_total{cause=\"timer\"");
    assert!(probes <= tripped, "{probes} probes after {tripped} trips");
    world.settle().await;
}
