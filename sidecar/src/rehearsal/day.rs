//! A scripted day: partners that misbehave in thirty ways, and what the apps see of it, in paused time.
//!
//! `CHAPERONE_DAY` sets the number of requests; `make soak` runs all 100,000.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::partner::{Act, WELL, WORDS};
use super::*;
use crate::exchange::Mode;
use crate::jitter;

/// Requests where nobody says how many.
const REQUESTS: usize = 4_000;
/// Apps that ask at the same time.
const APPS: usize = 20;
const HOSTS: [&str; 3] = ["alpha.test", "beta.test", "gamma.test"];
/// How long each behaviour lasts before the next one begins.
const SPELL: Duration = Duration::from_secs(60);

/// Each host comes to each behaviour, with a good spell behind it.
const DAY: Duration = SPELL.saturating_mul(2 * 30);

/// One way to misbehave, by the time within its spell and the number of the request.
type Behaviour = (&'static str, fn(Duration, usize) -> Option<Act>);

fn every(number: usize, nth: usize, act: Act) -> Option<Act> {
    number.is_multiple_of(nth).then_some(act)
}

fn while_it_lasts(at: Duration, from: u64, to: u64, act: Act) -> Option<Act> {
    (from..to).contains(&at.as_secs()).then_some(act)
}

const SLOW: Act =
    Act::Say { words: WORDS, first: Duration::from_millis(4_800), each: Duration::from_millis(5) };
const LATE: Act =
    Act::Say { words: WORDS, first: Duration::from_millis(7_000), each: Duration::from_millis(5) };
const HALTING: Act =
    Act::Say { words: WORDS, first: Duration::from_millis(100), each: Duration::from_millis(3_000) };
const SPENT: Act = Act::Status(429, "", "{\"error\":{\"code\":\"insufficient_quota\"}}");
const POLICY: Act = Act::Status(400, "", "{\"error\":{\"code\":\"content_filter\",\"message\":\"no\"}}");
const FIRST_EVENT: Act =
    Act::Events(&["data: {\"error\":{\"type\":\"server_error\",\"message\":\"x\"}}\n\n"]);
const LATER_EVENT: Act = Act::Events(&[
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one \"}}]}\n\n",
    "data: {\"error\":{\"type\":\"server_error\",\"message\":\"x\"}}\n\n",
]);

const BEHAVIOURS: [Behaviour; 30] = [
    ("well", |_, _| None),
    ("refuses connections", |_, _| Some(Act::Refuse)),
    ("swallows packets", |_, _| Some(Act::Swallow)),
    ("black hole behind the handshake", |_, _| Some(Act::Silence)),
    ("flaps each 5 s", |at, _| {
        while_it_lasts(at, at.as_secs() / 10 * 10 + 5, at.as_secs() / 10 * 10 + 10, Act::Close)
    }),
    ("refuses for 20 s", |at, _| while_it_lasts(at, 10, 30, Act::Refuse)),
    ("brown-out: one in three", |_, number| every(number, 3, Act::Status(500, "", "{}"))),
    ("fails half of its calls", |_, number| every(number, 2, Act::Status(502, "", "<html>"))),
    ("fails all of its calls", |_, _| Some(Act::Status(503, "", "{}"))),
    ("503 with Retry-After", |_, number| every(number, 2, Act::Status(503, "retry-after: 2\r\n", "{}"))),
    ("overloaded", |_, number| every(number, 2, Act::Status(529, "", "{}"))),
    ("first token just in time", |_, _| Some(SLOW)),
    ("first token too late", |_, number| every(number, 2, LATE)),
    ("pings and no token", |_, number| every(number, 2, Act::Ping)),
    ("halting between tokens", |_, number| every(number, 4, HALTING)),
    ("429 wave without advice", |at, _| while_it_lasts(at, 10, 20, Act::Status(429, "", "{}"))),
    ("429 wave with Retry-After", |at, _| {
        while_it_lasts(at, 10, 20, Act::Status(429, "retry-after: 3\r\n", "{}"))
    }),
    ("429 with a long Retry-After", |_, number| {
        every(number, 20, Act::Status(429, "retry-after: 40\r\n", "{}"))
    }),
    ("429 with garbage", |_, number| every(number, 5, Act::Status(429, "retry-after: soon\r\n", "{}"))),
    ("cuts before the first token", |_, number| every(number, 2, Act::Cut { after: 0 })),
    ("cuts in mid-stream", |_, number| every(number, 3, Act::Cut { after: 4 })),
    ("cuts every stream", |_, _| Some(Act::Cut { after: 2 })),
    ("stalls in mid-stream", |_, number| every(number, 10, Act::Stall { after: 3 })),
    ("error as first event", |_, number| every(number, 2, FIRST_EVENT)),
    ("error in mid-stream", |_, number| every(number, 4, LATER_EVENT)),
    ("closes behind the request", |_, number| every(number, 3, Act::Close)),
    ("not an event", |_, number| every(number, 3, Act::Events(&["data: {broken\n\n"]))),
    ("refuses by its content policy", |_, number| every(number, 10, POLICY)),
    ("credential revoked", |at, _| while_it_lasts(at, 0, 20, Act::Status(401, "", "{}"))),
    ("credit spent", |at, _| while_it_lasts(at, 0, 20, SPENT)),
];

/// What a host does at a time: each host goes through all behaviours, ten spells apart from the others.
fn behaviour(host: &str, at: Duration) -> (&'static Behaviour, Duration) {
    let index = HOSTS.iter().position(|it| *it == host).unwrap();
    let spell = usize::try_from(at.as_millis() / SPELL.as_millis()).unwrap();
    let within = at - SPELL * u32::try_from(spell).unwrap();
    // Each bad spell is followed by a good one, so that what was learned must be unlearned.
    let good = &BEHAVIOURS[0];
    let turn = (spell / 2 + 10 * index) % BEHAVIOURS.len();
    // One host goes through them backwards: while a credential rests, nobody meets what comes next.
    let bad = &BEHAVIOURS[if index == 1 { BEHAVIOURS.len() - 1 - turn } else { turn }];
    (if spell % 2 == 0 { bad } else { good }, within)
}

/// What happens to an arrival; `met` collects the behaviours that were.
fn act(arrival: &Arrival, met: &Mutex<BTreeSet<&'static str>>) -> Act {
    let ((name, play), within) = behaviour(&arrival.host, arrival.at);
    met.lock().unwrap().insert(name);
    let played = play(within, arrival.number);
    match (&arrival.body, played) {
        (None, Some(act @ (Act::Refuse | Act::Swallow))) => act,
        (None, _) => Act::Accept,
        (Some(_), Some(Act::Refuse | Act::Swallow)) => Act::Close,
        (Some(_), played) => played.unwrap_or(WELL),
    }
}

fn day() -> Value {
    let names = HOSTS.map(|host| format!("team/{}", host.split('.').next().unwrap()));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let partners: Vec<_> =
        names.iter().zip(HOSTS).map(|(name, host)| (*name, openai(host, json!({})))).collect();
    let chains: Vec<Vec<&str>> =
        (0..3).map(|first| (0..3).map(|next| names[(first + next) % 3]).collect()).collect();
    document(&partners, &[("a", &chains[0]), ("b", &chains[1]), ("c", &chains[2]), ("alone", &names[..1])])
}

/// Words come in order, each once, from the first on: a second try that had shown anything would repeat some.
fn is_a_beginning(words: &str) -> bool {
    WORDS.concat().starts_with(words)
}

#[derive(Default)]
struct Report {
    outcomes: BTreeMap<String, u64>,
    slowest: Duration,
}

async fn app(world: &World, number: usize, requests: usize) -> Report {
    let mut report = Report::default();
    for turn in 0..requests {
        let drawn = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_mul(turn as u64 + 1);
        tokio::time::sleep(jitter::up_to(DAY * 2 / u32::try_from(requests).unwrap(), drawn)).await;
        let alias = ["a", "b", "c", "a", "b", "c", "a", "alone"][turn % 8];
        if turn % 50 == 49 {
            let left =
                world.send("/v1/chat/completions", "x-tenant-id: acme\r\n", &chat(alias, Mode::Stream)).await;
            tokio::time::sleep(jitter::up_to(6 * SECOND, drawn >> 7)).await;
            drop(left);
            *report.outcomes.entry("left by the app".to_owned()).or_default() += 1;
            continue;
        }
        let tenant =
            if number.is_multiple_of(3) { "x-tenant-id: globex\r\n" } else { "x-tenant-id: acme\r\n" };
        let got = world
            .ask_with(
                "/v1/chat/completions",
                tenant,
                &chat(alias, if turn.is_multiple_of(3) { Mode::Whole } else { Mode::Stream }),
            )
            .await;
        assert!(is_a_beginning(&got.words()), "{got:?}");
        let outcome = match got.status {
            200 if got.words() == WORDS.concat() => "served",
            200 => "broken after it had begun",
            _ => got.header("x-chaperone-reason"),
        };
        *report.outcomes.entry(outcome.to_owned()).or_default() += 1;
        report.slowest = report.slowest.max(got.took);
        if turn % 100 == 0 {
            world.check();
            world.collect();
        }
    }
    report
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "how long the day is, is for whoever starts the test to say")]
async fn a_day_with_thirty_kinds_of_trouble() {
    let requests = std::env::var("CHAPERONE_DAY").ok().and_then(|number| number.parse().ok());
    let each = requests.unwrap_or(REQUESTS) / APPS;
    let met = Arc::<Mutex<BTreeSet<&'static str>>>::default();
    let script = {
        let met = Arc::clone(&met);
        move |arrival: &Arrival| act(arrival, &met)
    };
    let world = Arc::new(World::new(&day(), script));
    let apps = (0..APPS).map(|number| {
        let world = Arc::clone(&world);
        let tasks = &world.shared.pools.clone();
        tasks.spawn(async move { app(&world, number, each).await })
    });
    let mut report = Report::default();
    for app in apps.collect::<Vec<_>>() {
        let Report { outcomes, slowest } = app.await.unwrap();
        outcomes.into_iter().for_each(|(name, count)| *report.outcomes.entry(name).or_default() += count);
        report.slowest = report.slowest.max(slowest);
    }
    let lasted = world.time();
    let records = world.settle().await;
    assert_eq!(records.len(), each * APPS);
    let unmet = |name: &&str| !met.lock().unwrap().contains(name);
    let unmet: Vec<&str> = BEHAVIOURS.iter().map(|(name, _)| *name).filter(unmet).collect();
    assert!(unmet.is_empty(), "nobody met {unmet:?}");
    no_retry_after_commit(&records);
    let mut lines = vec![format!(
        "{} requests in {} s of {} behaviours",
        records.len(),
        lasted.as_secs(),
        BEHAVIOURS.len()
    )];
    lines.extend(report.outcomes.iter().map(|(outcome, count)| format!("{outcome}: {count}")));
    for host in HOSTS {
        let name = format!("team/{}", host.split('.').next().unwrap());
        let commits =
            world.metric(&format!("chaperone_attempts_total{{outcome=\"committed\",partner=\"{name}\""));
        let retries = world.metric(&format!("chaperone_retries_total{{partner=\"{name}\""));
        assert_eq!(retries, same_partner_again(&records, &name), "{name}: what is counted is what was sent");
        assert!(10 * retries <= commits + 50, "{name}: {retries} retries, {commits} commits");
        lines
            .push(format!("{name}: {} arrived, {commits} committed, {retries} retries", world.arrived(host)));
    }
    let served = report.outcomes.get("served").copied().unwrap_or_default();
    assert!(served * 10 >= records.len() as u64 * 8, "with two fallbacks most are served: {lines:#?}");
    println!("{}\nslowest answer: {:?}", lines.join("\n"), report.slowest);
}

/// In every record the attempt that committed is the last one.
fn no_retry_after_commit(records: &[Value]) {
    for record in records {
        let attempts = record["attempts"].as_array().unwrap();
        let committed = attempts.iter().position(|attempt| attempt["outcome"] == "committed");
        assert!(committed.is_none_or(|at| at + 1 == attempts.len()), "{record}");
        assert!(attempts.len() <= 3, "{record}");
    }
}

/// How often a partner was asked right behind an attempt at itself.
fn same_partner_again(records: &[Value], name: &str) -> u64 {
    let pairs = |record: &Value| {
        let attempts = record["attempts"].as_array().unwrap();
        let at = |attempt: &Value| attempt["partner"] == name;
        attempts.windows(2).filter(|pair| pair.iter().all(at)).count() as u64
    };
    records.iter().map(pairs).sum()
}
