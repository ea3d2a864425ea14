//! What sidecars learn from each other: two of them in paused time, and what a leader would carry between them.

use chaperone_protocol::wire::feed::{Health, Hint};
use serde_json::json;

use super::partner::{Act, WELL};
use super::*;

fn usual() -> Value {
    document(
        &[("team/first", openai("first.test", json!({}))), ("team/second", openai("second.test", json!({})))],
        &[("chat", &["team/first", "team/second"]), ("alone", &["team/first"])],
    )
}

/// The first partner does `act`, the second is well.
fn sidecar(act: Act) -> World {
    World::new(&usual(), move |arrival| match &arrival.body {
        None => Act::Accept,
        Some(_) if arrival.host == "first.test" => act.clone(),
        Some(_) => WELL,
    })
}

impl World {
    fn health(&self) -> Health {
        let world = self.shared.live.world().unwrap();
        self.shared.gates.health(&world.snapshot, clock::now())
    }

    /// What a leader passes on of what `other` has met.
    fn hear_of(&self, other: &Self) {
        let Health { breakers: _, credentials, pauses } = other.health();
        let world = self.shared.live.world().unwrap();
        self.shared.gates.heed(&Hint { credentials, pauses }, &world.snapshot, clock::now());
    }
}

#[tokio::test(start_paused = true)]
async fn rule_7_5_a_pause_that_others_met_is_kept_and_ends_by_itself() {
    let limited = sidecar(Act::Status(429, "retry-after: 20\r\n", "{}"));
    let other = sidecar(WELL);
    limited.whole("chat").await;
    other.hear_of(&limited);
    assert_eq!(other.health(), Health::default(), "a hint is not repeated");
    let got = other.whole("chat").await;
    assert_eq!((got.status, other.arrived("first.test")), (200, 0), "the next target serves at once");
    assert_eq!(other.breaker("first"), "admitting");
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(other.whole("chat").await.header("x-chaperone-partner"), "team/first");
    for world in [limited, other] {
        world.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn rule_7_5_a_credential_that_others_met_rests_and_no_other_does() {
    let refused = sidecar(Act::Status(401, "", r#"{"error":{"code":"invalid_api_key"}}"#));
    let other = sidecar(WELL);
    refused.whole("chat").await;
    assert_eq!(refused.health().credentials.len(), 1);
    other.hear_of(&refused);
    let got = other.whole("alone").await;
    assert_eq!(got.header("x-chaperone-reason"), "partner_credential");
    assert_eq!(other.whole("chat").await.header("x-chaperone-partner"), "team/second");
    assert_eq!(other.breaker("first"), "admitting", "whatever is known, it is no verdict of this sidecar's");
    other.apply(&usual(), "sk-new");
    assert_eq!(other.whole("alone").await.status, 200, "a new key is not held responsible for the old one");
    other.apply(&usual(), "sk-old");
    assert_eq!(other.whole("alone").await.status, 502);
    tokio::time::sleep(300 * SECOND).await;
    let (one, two) = tokio::join!(other.whole("alone"), other.whole("alone"));
    assert_eq!((one.status, two.status), (200, 200), "its time is over, so that nobody has to try it first");
    for world in [refused, other] {
        world.settle().await;
    }
}

/// It may be a firewall's, or about one feature: who else has the credential finds out alone.
#[tokio::test(start_paused = true)]
async fn rule_7_5_a_403_is_kept_from_others_whatever_it_says() {
    for body in ["<html>blocked</html>", r#"{"error":{"type":"permission_error","message":"beta"}}"#] {
        let refused = sidecar(Act::Status(403, "", body));
        let other = sidecar(WELL);
        assert_eq!(refused.whole("alone").await.header("x-chaperone-reason"), "partner_credential");
        assert_eq!(refused.health(), Health::default(), "{body}");
        other.hear_of(&refused);
        assert_eq!(other.whole("alone").await.status, 200, "{body}");
        for world in [refused, other] {
            world.settle().await;
        }
    }
}

/// Breakers are reported and never passed on: each sidecar trips by what it met itself.
#[tokio::test(start_paused = true)]
async fn rule_7_5_a_breaker_is_reported_and_opens_no_other() {
    let (failing, other) = (sidecar(Act::Status(500, "", "{}")), sidecar(WELL));
    for _ in 0..5 {
        failing.whole("chat").await;
    }
    let reported: Vec<_> = failing.health().breakers.into_keys().collect();
    assert_eq!(reported, ["team/first".parse().unwrap()]);
    other.hear_of(&failing);
    assert_eq!(other.whole("chat").await.header("x-chaperone-partner"), "team/first");
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!(failing.health(), Health::default(), "its timer has ended: the next request is let through");
    assert_eq!(failing.breaker("first"), "probing");
    for world in [failing, other] {
        world.settle().await;
    }
}
