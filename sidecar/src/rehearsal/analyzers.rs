//! Requests that an analyzer must read first: what it finds is not sent, and what it does not answer is not either.

use super::partner::{Act, WELL};
use super::*;

/// Where the analyzer is played.
const ANALYZER: &str = "127.0.0.1";
const AT_ONCE: Duration = Duration::ZERO;

/// A policy that has the analyzer at `endpoint` read requests.
fn analyzed_by(endpoint: &str) -> Value {
    let analyzer = json!({"endpoint": endpoint, "timeoutMs": 2000, "language": "en", "scorePercent": 40});
    json!({"filter": "Balanced", "actions": {"Person": "Label"}, "ner": {"Presidio": [analyzer]}})
}

/// Two partners, each under its policy, on one route.
fn usual(first: &Value, second: &Value) -> Value {
    let mut document = document(
        &[("team/first", openai("first.test", json!({}))), ("team/second", openai("second.test", json!({})))],
        &[("chat", &["team/first", "team/second"])],
    );
    document["routes"]["chat"]["pii"] = json!({"team/first": first, "team/second": second});
    document
}

fn analyzed() -> Value {
    let policy = analyzed_by("http://127.0.0.1:3000");
    usual(&policy, &policy)
}

/// What Presidio would answer if it knew these names.
fn found_in(text: &str) -> String {
    let find = |name: &&str| {
        let at = text.find(name)?;
        let start = text.get(..at)?.chars().count();
        Some(
            json!({"entity_type": "PERSON", "start": start, "end": start + name.chars().count(), "score": 0.85}),
        )
    };
    let names = ["zoë mu\u{308}ller", "𠮷田", "bob"];
    Value::from(names.iter().filter_map(find).collect::<Vec<_>>()).to_string()
}

/// An analyzer that is well.
fn reads(arrival: &Arrival) -> Act {
    Act::Answer(Duration::from_millis(300), found_in(question(arrival)))
}

fn question(arrival: &Arrival) -> &str {
    arrival.body.as_ref().and_then(|body| body["text"].as_str()).unwrap_or_default()
}

/// Partners that are well, and an analyzer that does `act`.
fn sidecar(document: &Value, act: impl Fn(&Arrival) -> Act + Send + Sync + 'static) -> World {
    World::new(document, move |arrival| match &arrival.body {
        _ if arrival.host == ANALYZER => act(arrival),
        None => Act::Accept,
        Some(_) => WELL,
    })
}

/// For what the analyzer does with a question; its connections are accepted.
fn answers(act: Act) -> impl Fn(&Arrival) -> Act {
    move |arrival| if arrival.body.is_some() { act.clone() } else { Act::Accept }
}

impl World {
    async fn says(&self, messages: &[&str]) -> Got {
        let messages: Vec<_> = messages.iter().map(|text| json!({"role": "user", "content": text})).collect();
        let body = json!({"model": "chat", "messages": messages});
        self.ask_with("/v1/chat/completions", "x-tenant-id: acme\r\n", &body).await
    }

    /// Asks, and goes away after a while.
    async fn leaves(&self, after: Duration) {
        assert!(tokio::time::timeout(after, self.says(&["hello there"])).await.is_err(), "it was answered");
        // Its side of the connection is closed; until that is noticed.
        tokio::time::sleep(SECOND / 100).await;
    }

    /// The bodies that came to a host.
    fn bodies(&self, host: &str) -> Vec<Value> {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals
            .iter()
            .filter(|arrival| arrival.host == host)
            .filter_map(|arrival| arrival.body.clone())
            .collect()
    }

    /// Questions that ended so.
    fn questions(&self, outcome: &str) -> u64 {
        self.metric(&format!("chaperone_pii_analyzer_seconds_count{{outcome=\"{outcome}\"}}"))
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_analyzer_finds_never_reaches_the_partner() {
    let world = sidecar(&analyzed(), reads);
    let got = world.says(&["𠮷田 asked zoë mu\u{308}ller \"why\"", "call(bob) at bob@example.org now"]).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let sent = world.bodies("first.test");
    assert_eq!(sent[0]["messages"][0]["content"], "[PERSON] asked [PERSON] \"why\"");
    assert_eq!(sent[0]["messages"][1]["content"], "call([PERSON]) at **** now");
    let asked = world.bodies(ANALYZER);
    let wanted = json!({
        "text": "𠮷田 asked zoë mu\u{308}ller \"why\"\n\ncall(bob) at bob@example.org now",
        "language": "en", "entities": ["PERSON", "LOCATION", "ORGANIZATION"], "score_threshold": 0.4,
    });
    assert_eq!(asked, [wanted], "one question about all of it");
    assert_eq!(world.questions("ok"), 1);
    assert!(!world.metrics().contains("bob"));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_analyzer_does_not_answer_is_not_sent() {
    let out_of_range = r#"[{"entity_type": "PERSON", "start": 0, "end": 24, "score": 1}]"#;
    let long = format!("[{}]", " ".repeat(chaperone_protocol::limits::PII_FINDINGS_BYTES));
    let encoded = Act::Status(200, "content-encoding: gzip\r\n", "[]");
    let cases = [
        (Act::Status(500, "", r#"{"error": "No text provided"}"#), "status", AT_ONCE),
        (Act::Status(204, "", ""), "status", AT_ONCE),
        (Act::Status(301, "location: http://127.0.0.1:3000/analyze\r\n", ""), "status", AT_ONCE),
        (Act::Answer(AT_ONCE, "<html>hello there zoë</html>".to_owned()), "invalid", AT_ONCE),
        (Act::Answer(AT_ONCE, out_of_range.to_owned()), "invalid", AT_ONCE),
        (Act::Answer(AT_ONCE, long), "invalid", AT_ONCE),
        (encoded, "invalid", AT_ONCE),
        (Act::Close, "unreachable", AT_ONCE),
        (Act::Silence, "timeout", 2 * SECOND),
        (Act::Answer(3 * SECOND, "[]".to_owned()), "timeout", 2 * SECOND),
    ];
    for (act, outcome, took) in cases {
        let world = sidecar(&analyzed(), answers(act.clone()));
        let got = world.says(&["hello there zoë mueller"]).await;
        assert_eq!((got.status, got.header("x-chaperone-reason")), (503, "pii_backend"), "{act:?}");
        assert_eq!((got.took, got.header("retry-after")), (took, "1"), "{act:?}");
        assert_eq!(world.questions(outcome), 1, "{act:?} {}", world.metrics());
        for host in ["first.test", "second.test"] {
            assert_eq!((world.arrived(host), world.breaker(host)), (0, "admitting".to_owned()), "{act:?}");
        }
        assert!(!got.body.contains("zoë"), "{}", got.body);
        world.settle().await;
    }
    for (dialled, took) in [(Act::Refuse, AT_ONCE), (Act::Swallow, 2 * SECOND)] {
        let world = sidecar(&analyzed(), move |_| dialled.clone());
        let got = world.says(&["hello there zoë"]).await;
        assert_eq!((got.header("x-chaperone-reason"), got.took), ("pii_backend", took));
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_analyzer_that_fails_is_left_alone_and_then_tried_by_one_request() {
    let until = 15 * SECOND;
    let world = sidecar(&analyzed(), move |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.at < until => Act::Status(503, "", "{}"),
        Some(_) => reads(arrival),
    });
    for _ in 0..5 {
        assert_eq!(world.says(&["hello there"]).await.header("x-chaperone-reason"), "pii_backend");
    }
    assert_eq!(world.arrived(ANALYZER), 5);
    let got = world.says(&["hello there"]).await;
    let wait: u64 = got.header("retry-after").parse().unwrap();
    assert!((8..=12).contains(&wait), "{wait}");
    assert_eq!((got.header("x-chaperone-reason"), world.arrived(ANALYZER)), ("pii_backend", 5));
    assert_eq!(world.metric("chaperone_pii_analyzer_refused_total"), 1);
    world.apply(&analyzed(), "sk-new");
    assert_eq!(world.says(&["hello there"]).await.status, 503, "it outlives a swap of snapshots");
    tokio::time::sleep(16 * SECOND).await;
    let (one, other) = tokio::join!(world.says(&["hello there"]), world.says(&["hello there"]));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!((statuses, world.arrived(ANALYZER)), ([200, 503], 6), "one at a time finds out");
    assert_eq!(world.says(&["hello there"]).await.status, 200);
    assert_eq!(world.metric("chaperone_pii_analyzer_breaker_transitions_total"), 3, "{}", world.metrics());
    world.settle().await;
}

/// Whoever asks is gone before it has failed, each time.
#[tokio::test(start_paused = true)]
async fn an_analyzer_that_hangs_is_left_alone_though_nobody_waits_for_it_to_the_end() {
    let mut policy = analyzed_by("http://127.0.0.1:3000");
    policy["ner"]["Presidio"][0]["timeoutMs"] = json!(10_000);
    let world = sidecar(&usual(&policy, &policy), answers(Act::Silence));
    for _ in 0..5 {
        world.leaves(3 * SECOND / 2).await;
    }
    assert_eq!((world.arrived(ANALYZER), world.questions("abandoned")), (5, 5), "{}", world.metrics());
    let got = world.says(&["hello there"]).await;
    assert_eq!((got.header("x-chaperone-reason"), got.took), ("pii_backend", AT_ONCE));
    assert_eq!(world.arrived(ANALYZER), 5);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn callers_who_leave_at_once_say_nothing_about_an_analyzer() {
    let world = sidecar(&analyzed(), answers(Act::Silence));
    for _ in 0..8 {
        world.leaves(SECOND * 9 / 10).await;
    }
    assert_eq!((world.arrived(ANALYZER), world.questions("abandoned")), (8, 8), "{}", world.metrics());
    world.settle().await;
}

/// Of the questions that are given up with the first one that fails, none counts.
#[tokio::test(start_paused = true)]
async fn a_request_counts_once_against_an_analyzer() {
    let world = sidecar(&analyzed(), answers(Act::Silence));
    let long = "Nobody said a word. ".repeat(1_000);
    for asked in 1..=4 {
        assert_eq!(world.says(&[&long]).await.took, 2 * SECOND);
        assert_eq!(world.arrived(ANALYZER), 4 * asked);
    }
    assert_eq!((world.questions("timeout"), world.questions("abandoned")), (4, 12));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_questions_take_too_long_together_is_counted() {
    let world = sidecar(&analyzed(), answers(Act::Answer(1_900 * SECOND / 1_000, "[]".to_owned())));
    let got = world.says(&[&"Nobody said a word. ".repeat(12_000)]).await;
    assert_eq!((got.header("x-chaperone-reason"), got.took), ("pii_backend", 20 * SECOND));
    assert_eq!((world.questions("busy"), world.questions("abandoned")), (1, 4));
    world.settle().await;
}

/// One tenant's text must not keep all others from their analyzer.
#[tokio::test(start_paused = true)]
async fn a_text_that_an_analyzer_cannot_read_is_refused_alone() {
    for poison in [Act::Status(500, "", "{}"), Act::Answer(AT_ONCE, "{}".to_owned())] {
        let world = sidecar(&analyzed(), move |arrival| match &arrival.body {
            None => Act::Accept,
            Some(_) if question(arrival).contains("poison") => poison.clone(),
            Some(_) => reads(arrival),
        });
        for number in 0..20 {
            let got = world.says(&[&format!("poison of kind {number}")]).await;
            assert_eq!(got.header("x-chaperone-reason"), "pii_backend");
        }
        assert_eq!(world.says(&["hello bob"]).await.status, 200);
        assert_eq!(world.metric("chaperone_pii_analyzer_refused_total"), 0);
        world.settle().await;
    }
}

/// Its other questions must not give up the one that is the probe.
#[tokio::test(start_paused = true)]
async fn a_request_of_several_questions_can_be_the_probe() {
    let world = sidecar(&analyzed(), |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.at < 15 * SECOND => Act::Status(503, "", "{}"),
        Some(_) => reads(arrival),
    });
    for _ in 0..5 {
        world.says(&["hello there"]).await;
    }
    tokio::time::sleep(20 * SECOND).await;
    let got = world.says(&[&"Nobody said a word. ".repeat(1_000)]).await;
    assert_eq!(got.status, 200, "{}", got.body);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_fallback_asks_no_second_time() {
    let failing = |act: fn(&Arrival) -> Act| {
        World::new(&analyzed(), move |arrival| match arrival.host.as_str() {
            _ if arrival.body.is_none() => Act::Accept,
            ANALYZER => act(arrival),
            "first.test" => Act::Status(400, "", r#"{"error":{"code":"model_not_found"}}"#),
            _ => WELL,
        })
    };
    let world = failing(reads);
    let got = world.says(&["hello there bob"]).await;
    assert_eq!(got.header("x-chaperone-partner"), "team/second", "{}", got.body);
    assert_eq!(world.bodies("second.test")[0]["messages"][0]["content"], "hello there [PERSON]");
    assert_eq!(world.arrived(ANALYZER), 1);
    world.settle().await;
    // Nor does it wait again for one that did not answer.
    let world = failing(|_| Act::Silence);
    let got = world.says(&["hello there bob"]).await;
    assert_eq!((got.status, got.took, world.arrived(ANALYZER)), (503, 2 * SECOND, 1));
    world.settle().await;
}

/// A partner that sees no names looked for must not decide what an analyzer reads for the next.
#[tokio::test(start_paused = true)]
async fn a_policy_that_wants_names_in_answers_alone_asks_nobody() {
    let mut answers = analyzed_by("http://127.0.0.1:3000");
    answers["entities"] = json!(["Email"]);
    answers["responses"] = json!({"entities": ["Person"], "action": "Label"});
    let document = usual(&answers, &analyzed_by("http://127.0.0.1:3000"));
    let world = World::new(&document, |arrival| match arrival.host.as_str() {
        _ if arrival.body.is_none() => Act::Accept,
        ANALYZER => reads(arrival),
        "first.test" => Act::Status(400, "", r#"{"error":{"code":"model_not_found"}}"#),
        _ => WELL,
    });
    let got = world.says(&["hello there bob"]).await;
    assert_eq!(got.header("x-chaperone-partner"), "team/second", "{}", got.body);
    assert_eq!(world.bodies("first.test")[0]["messages"][0]["content"], "hello there bob");
    assert_eq!(world.bodies("second.test")[0]["messages"][0]["content"], "hello there [PERSON]");
    assert_eq!(world.arrived(ANALYZER), 1);
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_partner_whose_policy_has_no_analyzer_may_serve_without_it() {
    let document = usual(&analyzed_by("http://127.0.0.1:3000"), &json!({"filter": "Balanced"}));
    let world = sidecar(&document, answers(Act::Status(500, "", "{}")));
    let got = world.says(&["hello there"]).await;
    assert_eq!(got.header("x-chaperone-partner"), "team/second");
    assert_eq!(got.header("x-chaperone-fallback"), "pii_backend");
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_request_is_several_questions_of_which_few_are_asked_at_a_time() {
    let world = sidecar(&analyzed(), |arrival| Act::Answer(SECOND, found_in(question(arrival))));
    let text = "Nobody said a word. ".repeat(2_000) + "but bob did";
    let got = world.says(&[&text]).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let asked = world.arrived(ANALYZER);
    assert!((10..=12).contains(&asked), "{asked}");
    let at = |second: u64| {
        let arrivals = world.arrivals.lock().unwrap();
        arrivals.iter().filter(|it| it.host == ANALYZER && it.at.as_secs() == second).count()
    };
    assert_eq!((at(0), at(1)), (4, 4), "the others wait");
    let sent = world.bodies("first.test")[0]["messages"][0]["content"].as_str().unwrap().to_owned();
    assert!(sent.ends_with("but [PERSON] did"), "{}", sent.len());
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_long_for_an_analyzer_is_neither_analyzed_nor_sent() {
    let world = sidecar(&analyzed(), reads);
    let most = chaperone_protocol::limits::PII_ANALYZED_BYTES;
    let got = world.says(&[&"hello there ".repeat(most / 12 + 1)]).await;
    assert_eq!((got.status, got.header("x-chaperone-reason")), (400, "pii_unscannable"));
    assert_eq!(world.metric("chaperone_pii_bound_hits_total{bound=\"analyzed\"}"), 1);
    assert_eq!((world.arrived(ANALYZER), world.arrived("first.test")), (0, 0));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_too_many_texts_for_an_analyzer_is_neither_analyzed_nor_sent() {
    let world = sidecar(&analyzed(), reads);
    let most = chaperone_protocol::limits::PII_ANALYZED_TEXTS;
    let texts: Vec<String> = (0..=most).map(|index| format!("say hello {index}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let got = world.says(&texts).await;
    assert_eq!((got.status, got.header("x-chaperone-reason")), (400, "pii_unscannable"));
    assert_eq!((world.arrived(ANALYZER), world.arrived("first.test")), (0, 0));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_blocked_anyway_is_not_shown_to_an_analyzer() {
    let mut policy = analyzed_by("http://127.0.0.1:3000");
    policy["actions"]["Email"] = json!("Block");
    let world = sidecar(&usual(&policy, &policy), reads);
    let got = world.says(&["write to bob@example.org today"]).await;
    assert_eq!((got.header("x-chaperone-reason"), world.arrived(ANALYZER)), ("pii_blocked", 0));
    world.settle().await;
}

#[tokio::test(start_paused = true)]
async fn an_analyzer_can_be_named_moved_and_removed_while_requests_are_under_way() {
    let plain = json!({"filter": "Balanced"});
    let world = sidecar(&usual(&plain, &plain), reads);
    assert_eq!((world.says(&["hello bob"]).await.status, world.arrived(ANALYZER)), (200, 0));
    world.apply(&analyzed(), "sk-old");
    let (got, ()) = tokio::join!(world.says(&["hello bob"]), async {
        tokio::time::sleep(SECOND / 10).await;
        world.apply(&usual(&plain, &plain), "sk-old");
    });
    assert_eq!((got.status, world.arrived(ANALYZER)), (200, 1), "it ends as it began");
    assert_eq!(world.bodies("first.test")[1]["messages"][0]["content"], "hello [PERSON]");
    let moved = analyzed_by("http://localhost:3000");
    world.apply(&usual(&moved, &moved), "sk-old");
    let got = world.says(&["hello bob"]).await;
    assert_eq!(
        (got.status, world.arrived(ANALYZER), world.arrived("localhost")),
        (503, 1, 1),
        "no analyzer is played there"
    );
    world.settle().await;
}

/// A server may close a connection that was idle just when it is used.
#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_under_a_question_does_not_fail_it() {
    let world = sidecar(&analyzed(), |arrival| match (&arrival.body, arrival.number) {
        (None, _) => Act::Accept,
        (Some(_), 0) => Act::Close,
        (Some(_), _) => reads(arrival),
    });
    assert_eq!((world.says(&["hello bob"]).await.status, world.arrived(ANALYZER)), (200, 2));
    world.settle().await;
}
