//! Rules of resilience that only the whole data path can show, in paused time.

use serde_json::json;

use super::partner::{Act, Arrival, WELL, WORDS};
use super::*;

const INFER: &str = "/v1/infer";
const ALL: &str = "one two three four five six seven eight ";

fn partners(first: Value, second: Value) -> Value {
    document(
        &[("team/first", first), ("team/second", second)],
        &[("chat", &["team/first", "team/second"]), ("alone", &["team/first"])],
    )
}

fn usual() -> Value {
    partners(openai("first.test", json!({})), openai("second.test", json!({})))
}

/// The first partner does `act`, the second is well.
fn first(document: &Value, act: Act) -> World {
    World::new(document, move |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.host == "first.test" => act.clone(),
        Some(_) => WELL,
    })
}

fn ask(prompt: &str) -> Value {
    json!({"modelId": "chat", "prompt": prompt, "metadata": {"tenantId": "acme"}})
}

#[tokio::test(start_paused = true)]
async fn rule_1_1_every_request_ends_once_whatever_becomes_of_it() {
    let world = first(&usual(), Act::Stall { after: 2 });
    let (served, gone) = (world.stream("alone"), async {
        let app =
            world.send("/v1/chat/completions", "x-tenant-id: acme\r\n", &chat("alone", Mode::Stream)).await;
        tokio::time::sleep(SECOND).await;
        world.check();
        drop(app);
    });
    let refused = world.stream("unheard-of");
    let (served, (), refused) = tokio::join!(served, gone, refused);
    assert_eq!((served.status, refused.status), (200, 404));
    let records = world.settle().await;
    let mut events: Vec<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    events.sort_unstable();
    assert_eq!(events, ["client_gone", "request_refused", "request_served"]);
}

#[tokio::test(start_paused = true)]
async fn rule_1_2_nothing_of_an_abandoned_attempt_shows() {
    const ABANDONED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"id\":\"abandoned\",\"model\":\"abandoned\",\"usage\":{\"prompt_tokens\":999,\"completion_tokens\":999}}\n\n";
    let world = first(&usual(), Act::Events(&[ABANDONED, "data: {broken\n\n"]));
    let got = world.stream("chat").await;
    assert_eq!(got.words(), ALL);
    assert!(!got.body.contains("abandoned") && !got.head.contains("abandoned"));
    let records = world.settle().await;
    assert_eq!(
        records[0]["tokens"],
        json!({"prompt": 5, "cached": 0, "output": 8, "reasoning": 0, "known": "measured"})
    );
}

#[tokio::test(start_paused = true)]
async fn rule_2_1_an_answer_that_takes_a_minute_is_served() {
    let world = first(&usual(), Act::Say { words: WORDS, first: 4 * SECOND, each: 8 * SECOND });
    let got = world.stream("alone").await;
    assert_eq!((got.words().as_str(), got.took.as_secs()), (ALL, 60));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_2_2_pings_do_not_stop_the_first_token_limit() {
    let world = first(&usual(), Act::Ping);
    let got = world.stream("chat").await;
    assert_eq!(got.header("x-chaperone-fallback"), "first_token_timeout");
    assert!((5 * SECOND..6 * SECOND).contains(&got.took), "{:?}", got.took);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_2_3_a_whole_answer_after_20_s_is_served_and_infer_falls_back_after_5() {
    let slow = Act::Say { words: WORDS, first: 20 * SECOND, each: Duration::ZERO };
    let world = first(&usual(), slow);
    let got = world.whole("chat").await;
    assert_eq!((got.words().as_str(), got.took.as_secs()), (ALL, 20));
    assert_eq!(got.header("x-chaperone-partner"), "team/first");
    for act in [Act::Silence, Act::Ping] {
        let world = first(&usual(), act);
        let got = world.ask_with(INFER, "", &ask("hello")).await;
        assert_eq!(got.words(), ALL, "{got:?}");
        assert_eq!(got.header("x-chaperone-fallback"), "first_token_timeout");
        assert!((5 * SECOND..6 * SECOND).contains(&got.took), "{:?}", got.took);
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn rule_2_3_a_route_can_ask_for_streams_to_assemble() {
    let mut document = usual();
    document["routes"]["chat"]["wholeAnswers"] = json!("Stream");
    let world = first(&document, Act::Silence);
    let got = world.whole("chat").await;
    assert_eq!(got.words(), ALL);
    assert!((5 * SECOND..6 * SECOND).contains(&got.took), "{:?}", got.took);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_2_4_a_model_that_thinks_has_a_first_token_limit_of_its_own() {
    let mut thinker = openai("first.test", json!({}));
    thinker["models"]["m"]["firstToken"] = json!(60_000);
    let document = partners(thinker, openai("second.test", json!({})));
    let world = first(&document, Act::Say { words: WORDS, first: 50 * SECOND, each: Duration::ZERO });
    assert_eq!(world.stream("chat").await.header("x-chaperone-partner"), "team/first");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_2_5_the_last_target_goes_on_and_its_breaker_learns_of_it_all_the_same() {
    let mut document = usual();
    document["partners"]["team/first"]["protection"]["breaker"]["consecutiveFailures"] = json!(1);
    let world = first(&document, Act::Say { words: WORDS, first: 20 * SECOND, each: Duration::ZERO });
    let got = world.stream("alone").await;
    assert_eq!((got.status, got.words().as_str()), (200, ALL));
    assert!((20 * SECOND..21 * SECOND).contains(&got.took), "{:?}", got.took);
    assert_eq!(world.metric("chaperone_breaker_transitions_total{cause=\"run\""), 1);
    // Its own end gives no second verdict: nothing else has happened to the breaker.
    assert_eq!(world.metric("chaperone_breaker_transitions_total{"), 1);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_2_6_no_attempt_begins_with_less_than_a_connect_left() {
    let world = first(&usual(), Act::Silence);
    let deadline = "x-tenant-id: acme\r\nx-chaperone-deadline: 6500\r\n";
    let got = world.ask_with("/v1/chat/completions", deadline, &chat("chat", Mode::Stream)).await;
    assert_eq!((got.status, got.header("x-chaperone-reason")), (504, "deadline"));
    assert_eq!((got.took.as_secs(), world.arrived("second.test")), (5, 0));
    let short = "x-tenant-id: acme\r\nx-chaperone-deadline: 1999\r\n";
    let got = world.ask_with("/v1/chat/completions", short, &chat("chat", Mode::Stream)).await;
    assert_eq!((got.status, got.header("x-chaperone-attempts")), (504, "0"));
    assert_eq!(world.breaker("first"), "admitting");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_2_7_an_idle_limit_does_not_restart_the_total() {
    let mut slow = openai("first.test", json!({}));
    slow["timeouts"] =
        json!({"connect": 2_000, "firstToken": 5_000, "whole": 5_000, "idle": 30_000, "total": 60_000});
    let document = partners(slow, openai("second.test", json!({})));
    let world = first(&document, Act::Say { words: WORDS, first: SECOND, each: 20 * SECOND });
    let got = world.stream("alone").await;
    assert_eq!(got.words(), "one two three ");
    assert!(got.body.contains("total_timeout") && got.took.as_secs() == 60, "{got:?}");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_4_10_where_all_refuse_the_soonest_is_waited_for_or_named() {
    let mut document = usual();
    for partner in ["team/first", "team/second"] {
        document["partners"][partner]["protection"]["breaker"]["consecutiveFailures"] = json!(1);
        document["partners"][partner]["protection"]["retry"]["maxAttempts"] = json!(2);
    }
    let world = World::new(&document, move |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.at < 5 * SECOND => Act::Status(500, "", "{}"),
        Some(_) => WELL,
    });
    assert_eq!(world.stream("chat").await.status, 502);
    assert_eq!((world.breaker("first"), world.breaker("second")), ("refusing".into(), "refusing".into()));
    // The queue's 10 s may or may not reach the jittered timer; a short deadline never does.
    let hasty = "x-tenant-id: acme\r\nx-chaperone-deadline: 6000\r\n";
    let got = world.ask_with("/v1/chat/completions", hasty, &chat("chat", Mode::Stream)).await;
    assert_eq!((got.status, got.header("x-chaperone-reason")), (503, "breaker_open"));
    let wait: u64 = got.header("retry-after").parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    assert_eq!((got.header("x-should-retry"), got.header("x-chaperone-attempts")), ("true", "0"));
    tokio::time::sleep(4 * SECOND).await;
    let got = world.stream("chat").await;
    assert_eq!((got.status, got.words().as_str()), (200, ALL), "{got:?}");
    assert!(got.header("x-chaperone-queue-ms").parse::<u64>().unwrap() > 0, "{got:?}");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_4_12_breakers_are_metrics() {
    let world = first(&usual(), Act::Status(500, "", "{}"));
    for _ in 0..5 {
        world.stream("alone").await;
    }
    assert_eq!(world.breaker("first"), "refusing");
    let text = world.metrics();
    for series in [
        "chaperone_breaker_state{endpoint=\"http://first.test\",partner=\"team/first\",state=\"refusing\"} 1",
        "chaperone_breaker_state{endpoint=\"http://first.test\",partner=\"team/first\",state=\"admitting\"} 0",
        "chaperone_breaker_state{endpoint=\"http://first.test\",partner=\"team/first\",state=\"probing\"} 0",
        "chaperone_breaker_transitions_total{cause=\"run\",from=\"admitting\",partner=\"team/first\",to=\"refusing\"} 1",
    ] {
        assert!(text.lines().any(|line| line == series), "{series}\n{text}");
    }
    assert!(world.metric("chaperone_breaker_refused_total{partner=\"team/first\"}") > 0);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_5_2_a_target_that_does_not_fit_is_passed_over_without_being_asked() {
    let (bare, mut able) = (openai("first.test", json!({})), openai("second.test", json!({})));
    able["models"]["m"]["capabilities"] = json!(["Streaming", "Tools"]);
    let world = first(&partners(bare, able), WELL);
    let request = json!({"model": "chat", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]});
    let got = world.ask_with("/v1/messages", "x-tenant-id: acme\r\n", &request).await;
    assert_eq!((got.status, got.header("x-chaperone-partner")), (200, "team/second"), "{got:?}");
    assert_eq!((world.arrived("first.test"), world.arrived("second.test")), (0, 1));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_5_4_the_fallback_gets_the_body_as_it_was() {
    let world = first(&usual(), Act::Close);
    let mut request = chat("chat", Mode::Stream);
    request["messages"][0]["content"] = json!("x".repeat(1 << 20));
    let got = world.ask_with("/v1/chat/completions", "x-tenant-id: acme\r\n", &request).await;
    assert_eq!(got.words(), ALL);
    let arrivals = world.arrivals.lock().unwrap().clone();
    assert_eq!(arrivals.len(), 2);
    assert_eq!(arrivals[0].body, arrivals[1].body);
    assert_eq!(arrivals[0].request_id, arrivals[1].request_id);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_6_5_an_sdks_own_retry_costs_a_token() {
    let world = first(&usual(), Act::Status(500, "", "{}"));
    let again = "x-tenant-id: acme\r\nx-stainless-retry-count: 1\r\n";
    for _ in 0..3 {
        world.ask_with("/v1/chat/completions", again, &chat("chat", Mode::Stream)).await;
    }
    // Ten tokens, less one for each retry of the SDK and one for each failure of ours: at the second request five are
    // left, and a retry needs more. Untaxed, it would have had one.
    assert_eq!(world.metric("chaperone_retries_total{partner=\"team/first\"}"), 1);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_6_6_after_any_attempt_the_app_is_told_not_to_retry() {
    let world = first(&usual(), Act::Status(503, "retry-after: 2\r\n", "{}"));
    let got = world.stream("alone").await;
    assert_eq!((got.header("x-should-retry"), got.header("retry-after")), ("false", "2"), "{got:?}");
    for _ in 0..3 {
        world.stream("alone").await;
    }
    let hasty = "x-tenant-id: acme\r\nx-chaperone-deadline: 2500\r\n";
    let kept_out = world.ask_with("/v1/chat/completions", hasty, &chat("alone", Mode::Stream)).await;
    assert_eq!(kept_out.header("x-chaperone-attempts"), "0", "{kept_out:?}");
    assert_eq!(kept_out.header("x-should-retry"), "true");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_8_7_queued_requests_finish_while_draining() {
    let slow = openai(
        "first.test",
        json!({
            "rateLimit": {"requestsPerMinute": 1}, "queue": {"maxWait": 120_000},
        }),
    );
    let world = first(&partners(slow, openai("second.test", json!({}))), WELL);
    world.stream("alone").await;
    let queued = world.stream("alone");
    let drained = async {
        tokio::time::sleep(SECOND).await;
        world.shared.draining.cancel();
        world.stream("alone").await
    };
    let (queued, refused) = tokio::join!(queued, drained);
    assert_eq!((queued.status, queued.words().as_str()), (200, ALL));
    assert!(queued.took > 59 * SECOND, "{:?}", queued.took);
    assert_eq!((refused.status, refused.header("x-chaperone-reason")), (503, "draining"));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn rule_11_3_a_drill_on_one_route_refuses_nobody_on_another() {
    let mut document = usual();
    document["routes"]["chat"]["faults"] = json!([{"percent": 100, "kind": "Status", "status": 503}]);
    let world = first(&document, WELL);
    for _ in 0..20 {
        world.stream("chat").await;
    }
    let page: Vec<_> =
        world.shared.gates.all().iter().map(|gate| gate.gauges(clock::now()).0.code()).collect();
    assert!(page.contains(&"refusing"), "the drilled route has a breaker of its own: {page:?}");
    assert_eq!(world.stream("alone").await.header("x-chaperone-partner"), "team/first");
    assert_eq!(world.breaker("first"), "admitting");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_outlives_a_swap_of_snapshots_and_another_endpoint_is_another_breaker() {
    let world = first(&usual(), Act::Status(500, "", "{}"));
    for _ in 0..5 {
        world.stream("alone").await;
    }
    world.apply(&usual(), "sk-new");
    assert_eq!(world.breaker("first"), "refusing");
    let mut moved = usual();
    moved["partners"]["team/first"]["endpoint"] = json!("http://elsewhere.test");
    world.apply(&moved, "sk-new");
    assert_eq!(world.stream("alone").await.status, 200);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_renewed_meanwhile_is_tried_at_once() {
    let world = Arc::new(World::new(&usual(), |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.key.contains("old") => Act::Later(SECOND, 401),
        Some(_) => WELL,
    }));
    let asking = world.stream("alone");
    let renewing = async {
        // While the request with the old key is on its way.
        while world.arrived("first.test") == 0 {
            tokio::time::sleep(SECOND / 1_000).await;
        }
        world.apply(&usual(), "sk-new");
    };
    let (got, ()) = tokio::join!(asking, renewing);
    assert_eq!((got.status, got.header("x-chaperone-attempts")), (200, "2"));
    world.settle().await;
}

/// More than is held back while an answer is searched, and then an address.
const WITH_ADDRESS: &[&str] = &["word "; 80];

#[tokio::test(start_paused = true)]
async fn what_our_policy_keeps_back_says_nothing_of_the_partner() {
    let mut document = usual();
    let responses = json!({"entities": ["Email"], "action": "Block"});
    document["requires"] = json!(["redaction"]);
    document["routes"]["alone"]["pii"]["team/first"] = json!({"filter": "Lenient", "responses": responses});
    document["partners"]["team/first"]["protection"]["breaker"]["consecutiveFailures"] = json!(1);
    let words = [WITH_ADDRESS, &["ann@example.org ", "and more"]].concat().leak();
    let world = first(&document, Act::Say { words, first: SECOND, each: Duration::ZERO });
    let got = world.stream("alone").await;
    assert!(got.words().starts_with("word ") && got.body.contains("pii_blocked"), "{got:?}");
    assert!(!got.body.contains("example.org"), "{got:?}");
    assert_eq!(world.breaker("first"), "admitting");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_app_that_leaves_costs_what_the_partner_bills() {
    // Room for one request in a minute, unless the partner bills nothing for what is cancelled.
    for (billing, waits) in [("None", false), ("Unknown", true)] {
        let mut document = usual();
        let protection = &mut document["partners"]["team/first"]["protection"];
        protection["cancelBilling"] = json!(billing);
        protection["rateLimit"] = json!({"tokensPerMinute": 1_500});
        let world = first(&document, Act::Stall { after: 2 });
        let asked = chat("alone", Mode::Stream);
        let app = world.send("/v1/chat/completions", "x-tenant-id: acme\r\n", &asked).await;
        tokio::time::sleep(2 * SECOND).await;
        drop(app);
        tokio::time::sleep(SECOND).await;
        let next = world.stream("alone").await;
        assert_eq!(next.header("x-chaperone-reason") == "queue_wait", waits, "{billing}: {next:?}");
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_option_that_one_app_gets_wrong_is_not_taken_from_the_others() {
    let refusal = r#"{"error":{"message":"unknown parameter: 'stream_options.bogus'"}}"#;
    let world = World::new(&usual(), move |arrival| match &arrival.body {
        None => Act::Accept,
        Some(body) if body["stream_options"]["bogus"].is_null() => WELL,
        Some(_) => Act::Status(400, "content-type: application/json\r\n", refusal),
    });
    let mut wrong = chat("alone", Mode::Stream);
    wrong["stream_options"] = json!({"bogus": 1});
    let got = world.ask_with("/v1/chat/completions", "x-tenant-id: acme\r\n", &wrong).await;
    assert_eq!((got.status, got.words().as_str()), (200, ALL));
    world.stream("alone").await;
    let options = |arrival: &Arrival| Some(arrival.body.as_ref()?["stream_options"].clone());
    let options: Vec<_> = world.arrivals.lock().unwrap().iter().filter_map(options).collect();
    assert_eq!(
        options,
        [json!({"bogus": 1, "include_usage": true}), json!(null), json!({"include_usage": true})]
    );
    world.settle().await;
}

/// A partner that takes 8 s over its answer and bills what is cancelled as `billing`.
fn leisurely(billing: &str, act: Act) -> World {
    let mut document = usual();
    document["partners"]["team/first"]["protection"]["cancelBilling"] = json!(billing);
    first(&document, act)
}

const LEISURELY: Act = Act::Say { words: WORDS, first: SECOND, each: SECOND };

/// Apps that leave two seconds after they have asked.
async fn leave(world: &World, apps: usize) {
    let mut asking = Vec::new();
    for _ in 0..apps {
        let chat = chat("alone", Mode::Stream);
        asking.push(world.send("/v1/chat/completions", "x-tenant-id: acme\r\n", &chat).await);
    }
    tokio::time::sleep(2 * SECOND).await;
}

/// How often answers were read on with this outcome.
fn read_on(world: &World, outcome: &str) -> u64 {
    let name = format!("chaperone_abandoned_answers_total{{outcome=\"{outcome}\",partner=\"team/first\"}}");
    world.metric(&name)
}

#[tokio::test(start_paused = true)]
async fn rule_10_1_an_abandoned_answer_is_read_to_its_usage_where_it_is_billed_anyway() {
    for (billing, known, seconds) in [
        ("None", "estimated", 2),
        ("Partial", "estimated", 2),
        ("Full", "drained", 8),
        ("Unknown", "drained", 8),
    ] {
        let world = leisurely(billing, LEISURELY);
        leave(&world, 1).await;
        let records = world.settle().await;
        let (tokens, took) = (&records[0]["tokens"], records[0]["ms"]["total"].as_f64().unwrap());
        assert_eq!(
            (&records[0]["event"], &tokens["known"]),
            (&json!("client_gone"), &json!(known)),
            "{billing}"
        );
        assert_eq!((took / 1_000.0).round(), f64::from(seconds), "{billing}");
        assert_eq!(tokens["output"] == 8, known == "drained", "{billing}: {tokens}");
        assert_eq!(read_on(&world, "read"), u64::from(known == "drained"), "{billing}");
        assert_eq!(world.breaker("first"), "admitting");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_10_1_an_abandoned_answer_is_read_within_bounds() {
    // It falls silent: until `idle`, or for half a minute.
    let world = leisurely("Unknown", Act::Stall { after: 2 });
    leave(&world, 1).await;
    let records = world.settle().await;
    assert_eq!(records[0]["tokens"]["known"], "estimated");
    let took = records[0]["ms"]["total"].as_f64().unwrap();
    assert!((30_000.0..33_000.0).contains(&took), "{took}");
    assert_eq!(read_on(&world, "given_up"), 1);
    // More than there are places for.
    let world = leisurely("Unknown", LEISURELY);
    leave(&world, 18).await;
    world.settle().await;
    assert_eq!((read_on(&world, "read"), read_on(&world, "no_room")), (16, 2));
    // Not while the process ends.
    let world = leisurely("Unknown", LEISURELY);
    leave(&world, 1).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.shared.metrics.gauges.in_flight.get(), 1);
    world.shared.draining.cancel();
    tokio::time::sleep(SECOND / 100).await;
    assert_eq!(world.shared.metrics.gauges.in_flight.get(), 0);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_never_sent_is_not_counted() {
    let mut document = usual();
    document["partners"]["team/first"]["protection"]["breaker"]["consecutiveFailures"] = json!(1);
    let world = first(&document, Act::Status(500, "", "{}"));
    assert_eq!(world.stream("alone").await.status, 502);
    assert_eq!(world.arrived("first.test"), 1, "its breaker kept the retry back");
    assert_eq!(world.metric("chaperone_retries_total{partner=\"team/first\"}"), 0);
    world.settle().await;
}
