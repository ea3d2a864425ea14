//! What becomes of editions, and what is known of who has them.

mod election;
mod health;
mod holds;
mod keys;

use std::time::Duration;

use super::testing::{generation, made_anew, object, pass, pass_beside, pod, scope, with_partner};
use super::*;
use crate::compile::Kind;
use chaperone_crds::condition::{BehindState, Sidecars};
use chaperone_protocol::keys::Credential;
use chaperone_protocol::limits;
use chaperone_protocol::sensitive::Sensitive;
use chaperone_protocol::snapshot::Snapshot;

/// A leadership with sidecars that answer as told.
struct Fleet {
    hub: Hub,
    now: Instant,
    sidecars: Vec<Sidecar>,
}

struct Sidecar {
    pod: Pod,
    connection: Connection,
    held: Option<Held>,
}

impl Fleet {
    /// `size` sidecars that have acknowledged `routes`.
    fn of(size: usize, routes: &[(&str, i64)]) -> Self {
        let mut fleet = Self { hub: Hub::new(7), now: crate::clock::now(), sidecars: Vec::new() };
        for index in 0..size {
            fleet.connect(&format!("pod-{index}"));
        }
        fleet.publish(routes);
        fleet.acknowledge_all();
        fleet
    }

    fn connect(&mut self, name: &str) {
        let pod = pod(name);
        let connection = self.hub.connect(&pod, &scope("shop", "app"), self.now);
        self.sidecars.push(Sidecar { pod, connection, held: None });
    }

    /// A sidecar greets with what it has.
    fn come_back(&mut self, name: &str, have: Held) {
        self.connect(name);
        let sidecar = self.sidecars.last_mut().unwrap();
        self.hub.holds(&sidecar.pod, sidecar.connection.id, &have, self.now);
        sidecar.held = Some(have);
    }

    fn publish(&mut self, routes: &[(&str, i64)]) {
        self.publish_pass(&pass(routes));
    }

    fn publish_pass(&mut self, pass: &Pass) {
        self.hub.publish(pass, &compile(&pass.world), self.now);
    }

    fn offered(&self, index: usize) -> Option<Held> {
        self.sidecars[index].connection.signal.borrow().offer.as_ref().map(Offer::held)
    }

    fn acknowledge(&mut self, index: usize) -> bool {
        let offered = self.offered(index);
        let sidecar = &mut self.sidecars[index];
        if offered.is_none() || offered == sidecar.held {
            return false;
        }
        sidecar.held.clone_from(&offered);
        self.hub.holds(&sidecar.pod, sidecar.connection.id, &offered.unwrap(), self.now);
        true
    }

    /// Until nobody has anything new.
    fn acknowledge_all(&mut self) {
        while (0..self.sidecars.len()).any(|index| self.acknowledge(index)) {}
    }

    /// The sidecar refuses what it is offered, as `path`.
    fn refuse(&mut self, index: usize, path: &str) -> bool {
        let version = self.offered(index).unwrap().snapshot;
        let nack = Nack { version, path: path.to_owned(), problem: "is not understood".to_owned() };
        let sidecar = &self.sidecars[index];
        self.hub.refuses(&sidecar.pod, sidecar.connection.id, &nack)
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.hub.tick(self.now);
    }

    fn tally(&self, alias: &str, routes: &[(&str, i64)]) -> Tally {
        let tallies = self.hub.tallies(&pass(routes).generations, &BTreeMap::new());
        tallies.get(&object(Kind::ModelRoute, alias)).cloned().unwrap_or_default()
    }
}

fn counts(tally: &Tally) -> (usize, usize, usize) {
    (tally.programmed, tally.refused, tally.stale)
}

#[test]
fn an_edit_is_programmed_when_all_have_acknowledged_it() {
    let mut fleet = Fleet::of(5, &[("chat", 1)]);
    assert_eq!(counts(&fleet.tally("chat", &[("chat", 1)])), (5, 0, 0));
    let edited = [("chat", 2)];
    fleet.publish(&edited);
    assert_eq!(counts(&fleet.tally("chat", &edited)), (0, 0, 5));
    assert!(fleet.acknowledge(0));
    assert_eq!(counts(&fleet.tally("chat", &edited)), (1, 0, 4));
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &edited)), (5, 0, 0));
}

#[test]
fn an_edit_of_one_object_leaves_the_other_programmed() {
    let mut fleet = Fleet::of(2, &[("chat", 1), ("code", 1)]);
    let edited = [("chat", 1), ("code", 2)];
    fleet.publish(&edited);
    assert_eq!(counts(&fleet.tally("chat", &edited)), (2, 0, 0));
    assert_eq!(counts(&fleet.tally("code", &edited)), (0, 0, 2));
}

#[test]
fn a_new_generation_of_equal_content_needs_no_new_acknowledgement() {
    let mut fleet = Fleet::of(2, &[("chat", 1)]);
    let before = fleet.offered(0);
    let mut same = pass(&[("chat", 1)]);
    same.generations.insert(object(Kind::ModelRoute, "chat"), generation(2));
    fleet.publish_pass(&same);
    assert_eq!(fleet.offered(0), before);
    let tallies = fleet.hub.tallies(&same.generations, &BTreeMap::new());
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "chat")]), (2, 0, 0));
}

#[test]
fn who_has_a_route_of_which_another_of_its_name_was_made_does_not_have_that() {
    let mut fleet = Fleet::of(2, &[("chat", 3)]);
    let again = made_anew(pass(&[("chat", 1)]), "chat");
    fleet.publish_pass(&again);
    assert!(fleet.acknowledge(0));
    let tallies = fleet.hub.tallies(&again.generations, &BTreeMap::new());
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "chat")]), (1, 0, 1));
}

#[test]
fn a_route_made_anew_that_is_refused_is_not_programmed_where_its_predecessor_is() {
    let mut fleet = Fleet::of(2, &[("chat", 1), ("code", 1)]);
    let again = made_anew(pass(&[("chat", 2), ("code", 1)]), "chat");
    fleet.publish_pass(&again);
    assert!(fleet.refuse(0, "routes.chat"));
    let again = made_anew(pass(&[("chat", 2), ("code", 2)]), "chat");
    fleet.publish_pass(&again);
    fleet.acknowledge_all();
    let tallies = fleet.hub.tallies(&again.generations, &BTreeMap::new());
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "code")]), (2, 0, 0));
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "chat")]), (0, 1, 1));
}

#[test]
fn a_frozen_sidecar_is_stale_and_one_that_refuses_is_named() {
    let edited = [("chat", 2)];
    let mut fleet = Fleet::of(5, &[("chat", 1)]);
    fleet.publish(&edited);
    // The first is frozen, so the waves wait for it; the third refuses.
    fleet.later(2);
    fleet.acknowledge(1);
    fleet.later(2);
    assert!(fleet.refuse(2, "routes.chat.targets[0]"), "it is to be compiled again");
    fleet.publish(&edited);
    let tally = fleet.tally("chat", &edited);
    assert_eq!(tally.refused, 1);
    assert_eq!(tally.programmed + tally.refused + tally.stale, 5);
    let (pod, refusal) = tally.first_refusal.unwrap();
    assert_eq!((pod.name.as_str(), refusal.path.as_str()), ("pod-2", "routes.chat.targets[0]"));
    let repaired = [("chat", 3)];
    fleet.publish(&repaired);
    fleet.later(2);
    fleet.later(2);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &repaired)), (5, 0, 0));
}

#[test]
fn a_lost_stream_is_stale_until_its_pod_is_gone() {
    let mut fleet = Fleet::of(2, &[("chat", 1)]);
    let (pod, id) = (fleet.sidecars[0].pod.clone(), fleet.sidecars[0].connection.id);
    fleet.hub.disconnected(&pod, id, PodFate::Exists, fleet.now);
    assert_eq!(counts(&fleet.tally("chat", &[("chat", 1)])), (1, 0, 1));
    fleet.hub.pod_deleted(&pod.uid, fleet.now);
    assert_eq!(counts(&fleet.tally("chat", &[("chat", 1)])), (1, 0, 0));
}

#[test]
fn who_is_behind_is_named_with_the_reason_and_those_that_refuse_come_first() {
    let edited = [("chat", 2)];
    let mut fleet = Fleet::of(12, &[("chat", 1)]);
    let (pod, id) = (fleet.sidecars[11].pod.clone(), fleet.sidecars[11].connection.id);
    fleet.hub.disconnected(&pod, id, PodFate::Exists, fleet.now);
    fleet.publish(&edited);
    assert!(fleet.refuse(0, "routes.chat"));
    fleet.publish(&edited);
    let sidecars = fleet.tally("chat", &edited).sidecars();
    assert_eq!((sidecars.refused, sidecars.stale, sidecars.behind.len()), (1, 11, Sidecars::BEHIND));
    let said: Vec<_> =
        sidecars.behind.iter().map(|it| (it.pod.as_str(), it.state, it.message.as_str())).collect();
    assert_eq!(said[0], ("shop/pod-0", BehindState::Refused, "routes.chat: is not understood"));
    assert!(said.contains(&("shop/pod-1", BehindState::Stale, "has not acknowledged it yet")), "{said:?}");
    assert!(said.contains(&("shop/pod-11", BehindState::Stale, "its stream is lost")), "{said:?}");
    assert!(fleet.tally("unheard-of", &edited).sidecars().behind.is_empty());
}

#[test]
fn a_deleted_pod_loses_its_stream() {
    let mut fleet = Fleet::of(1, &[("chat", 1)]);
    fleet.hub.pod_deleted("uid-of-pod-0", fleet.now);
    assert_eq!(fleet.sidecars[0].connection.signal.borrow().close, Some(GoAwayReason::PodDeleted));
}

#[test]
fn a_pod_has_one_stream_and_the_older_one_ends() {
    let mut fleet = Fleet::of(1, &[("chat", 1)]);
    fleet.connect("pod-0");
    assert_eq!(fleet.sidecars[0].connection.signal.borrow().close, Some(GoAwayReason::Replaced));
    let old = fleet.sidecars[0].connection.id;
    fleet.hub.disconnected(&pod("pod-0"), old, PodFate::Exists, fleet.now);
    assert!(fleet.offered(1).is_some(), "the end of the old stream does not end the new one");
    assert_eq!(fleet.hub.streams(), 1);
}

#[test]
fn a_wave_does_not_wait_for_a_pod_that_was_deleted() {
    let mut fleet = Fleet::of(3, &[("chat", 1)]);
    let before = fleet.offered(2);
    fleet.publish(&[("chat", 2)]);
    assert_eq!(fleet.offered(2), before, "the first of them is to try it");
    fleet.hub.pod_deleted("uid-of-pod-0", fleet.now);
    fleet.acknowledge(1);
    assert_ne!(fleet.offered(2), before);
}

#[test]
fn who_has_not_acknowledged_authorities_is_counted_and_who_is_missing_apart() {
    let naming = |authorities: &str| {
        let mut pass = pass(&[("chat", 1)]);
        let world = World { feed_ca: Some(authorities.to_owned()), ..(*pass.world).clone() };
        pass.world = Arc::new(world);
        pass
    };
    let unaware = |connected, missing| Unaware { connected, missing };
    let mut fleet = Fleet::of(2, &[("chat", 1)]);
    assert_eq!(fleet.hub.unaware("old"), unaware(2, 0), "nothing names any");
    fleet.publish_pass(&naming("old"));
    fleet.acknowledge_all();
    assert_eq!(fleet.hub.unaware("old"), unaware(0, 0));
    fleet.publish_pass(&naming("old and new"));
    assert_eq!(fleet.hub.unaware("old and new"), unaware(2, 0));
    while fleet.acknowledge(0) {}
    assert_eq!(fleet.hub.unaware("old and new"), unaware(1, 0), "the second does not know them");
    let (second, id) = (fleet.sidecars[1].pod.clone(), fleet.sidecars[1].connection.id);
    fleet.hub.disconnected(&second, id, PodFate::Exists, fleet.now);
    assert_eq!(fleet.hub.unaware("old and new"), unaware(0, 1), "it is missing");
    fleet.connect("pod-1");
    fleet.acknowledge_all();
    assert_eq!(fleet.hub.unaware("old and new"), unaware(0, 0));
    fleet.connect("pod-2");
    assert_eq!(
        fleet.hub.unaware("old and new"),
        unaware(1, 0),
        "one that has just come has said nothing yet"
    );
}

#[test]
fn a_newer_edition_takes_nobody_back_who_has_the_one_before() {
    let mut fleet = Fleet::of(3, &[("chat", 1)]);
    let first = fleet.offered(1);
    fleet.publish(&[("chat", 2)]);
    fleet.acknowledge(0);
    fleet.acknowledge(1);
    fleet.publish(&[("chat", 3)]);
    assert_ne!(fleet.offered(1), first);
    let kept = fleet.offered(1);
    fleet.publish(&[("chat", 1)]);
    assert_eq!(fleet.offered(1), first, "but an edit that is taken back is taken back");
    assert_ne!(kept, first);
}

#[test]
fn steady_edits_reach_a_fleet_of_which_one_is_frozen() {
    let mut fleet = Fleet::of(5, &[("chat", 1)]);
    let first = fleet.offered(1);
    for generation in 2..30 {
        fleet.publish(&[("chat", generation)]);
        while (1..5).any(|index| fleet.acknowledge(index)) {}
        fleet.later(1);
    }
    assert_ne!(fleet.offered(1), first);
    assert_eq!(counts(&fleet.tally("chat", &[("chat", 29)])), (4, 0, 1));
}

#[test]
fn what_a_sidecar_says_while_its_scope_is_compiled_is_not_lost() {
    let have = Fleet::of(1, &[("chat", 1)]).sidecars[0].held.clone().unwrap();
    let (now, after) = (crate::clock::now(), pass(&[("chat", 1)]));
    let mut before = after.clone();
    before.world = Arc::new(World { scopes: BTreeSet::new(), ..(*after.world).clone() });
    let mut hub = Hub::new(8);
    let connection = hub.connect(&pod("pod-0"), &scope("shop", "app"), now);
    hub.publish(&before, &compile(&before.world), now);
    hub.holds(&pod("pod-0"), connection.id, &have, now);
    hub.publish(&after, &compile(&after.world), now);
    let tallies = hub.tallies(&after.generations, &BTreeMap::new());
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "chat")]), (1, 0, 0));
}

#[test]
fn the_end_of_a_stream_that_is_not_the_pods_ends_no_other() {
    let mut fleet = Fleet::of(1, &[("chat", 1)]);
    let id = fleet.sidecars[0].connection.id;
    fleet.hub.disconnected(&pod("stranger"), id, PodFate::Exists, fleet.now);
    assert_eq!(fleet.hub.streams(), 1);
}

#[test]
fn pods_that_never_connected_are_stale() {
    let mut fleet = Fleet::of(1, &[("chat", 1)]);
    fleet.publish(&[("chat", 1)]);
    let unseen = BTreeMap::from([(scope("shop", "app"), 2)]);
    let tallies = fleet.hub.tallies(&pass(&[("chat", 1)]).generations, &unseen);
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "chat")]), (1, 0, 2));
}
