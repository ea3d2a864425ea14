mod health;

use std::time::Duration;

use super::testing::{generation, made_anew, object, pass, pass_beside, pod, scope, with_partner};
use super::*;
use chaperone_crds::condition::{BehindState, Sidecars};
use chaperone_protocol::keys::Credential;
use chaperone_protocol::limits;
use chaperone_protocol::sensitive::Sensitive;
use chaperone_protocol::snapshot::Snapshot;
use crate::compile::Kind;

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
fn the_changes_of_others_go_out_when_one_object_is_refused() {
    let mut fleet = Fleet::of(3, &[("chat", 1), ("code", 1)]);
    let edited = [("chat", 2), ("code", 2)];
    fleet.publish(&edited);
    assert!(fleet.refuse(0, "routes.chat"));
    fleet.publish(&edited);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("code", &edited)), (3, 0, 0));
    assert_eq!(counts(&fleet.tally("chat", &edited)), (0, 1, 2));
}

/// An older sidecar says where the value stands that it cannot read, and that leads to the object.
#[test]
fn f58_a_value_that_a_sidecar_does_not_know_holds_its_object_back_alone() {
    let mut fleet = Fleet::of(3, &[("gpt-4", 1), ("gpt-4.1", 1)]);
    let edited = [("gpt-4", 2), ("gpt-4.1", 2)];
    let document = compile(&pass(&edited).world).snapshots[&scope("shop", "app")].to_bytes();
    let mut later: serde_json::Value = serde_json::from_slice(&document).unwrap();
    later["routes"]["gpt-4.1"]["dataClass"] = "TopSecret".into();
    let refused = Snapshot::from_bytes(later.to_string().as_bytes()).unwrap_err();
    fleet.publish(&edited);
    assert!(fleet.refuse(0, &refused[0].path), "it is to be compiled again: {refused:?}");
    fleet.publish(&edited);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("gpt-4", &edited)), (3, 0, 0));
    assert_eq!(counts(&fleet.tally("gpt-4.1", &edited)), (0, 1, 2));
}

#[test]
fn an_object_that_was_new_is_left_out_when_it_is_refused() {
    let mut fleet = Fleet::of(3, &[("chat", 1)]);
    let before = fleet.offered(1);
    let edited = [("chat", 1), ("new", 1)];
    fleet.publish(&edited);
    assert!(fleet.refuse(0, "routes.new"));
    fleet.publish(&edited);
    assert_eq!(fleet.offered(0), before);
    assert_eq!(counts(&fleet.tally("new", &edited)), (0, 1, 2));
    assert_eq!(counts(&fleet.tally("chat", &edited)), (3, 0, 0));
}

#[test]
fn a_refusal_that_names_no_object_keeps_the_scope_as_it_was() {
    let mut fleet = Fleet::of(3, &[("chat", 1)]);
    let before = fleet.offered(1);
    let edited = [("chat", 2)];
    fleet.publish(&edited);
    assert!(!fleet.refuse(0, ""), "there is nothing to compile differently");
    assert_eq!(fleet.offered(0), before);
    fleet.publish(&edited);
    assert_eq!(fleet.offered(0), before);
    assert_eq!(counts(&fleet.tally("chat", &edited)), (0, 1, 2));
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
    let said: Vec<_> = sidecars.behind.iter().map(|it| (it.pod.as_str(), it.state, it.message.as_str())).collect();
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
fn a_sidecar_that_returns_to_a_new_leader_with_the_same_content_is_programmed() {
    let old = Fleet::of(1, &[("chat", 1)]);
    let held = old.sidecars[0].held.clone().unwrap();
    let mut new = Fleet { hub: Hub::new(8), now: old.now, sidecars: Vec::new() };
    new.publish(&[("chat", 1)]);
    new.connect("pod-0");
    new.hub.holds(&pod("pod-0"), new.sidecars[0].connection.id, &held, new.now);
    assert_eq!(counts(&new.tally("chat", &[("chat", 1)])), (1, 0, 0));
}

/// A new leader, to whom sidecars return that have acknowledged `routes` under another.
fn after_election(size: usize, routes: &[(&str, i64)]) -> Fleet {
    let old = Fleet::of(size, routes);
    let mut new = Fleet { hub: Hub::new(8), now: old.now, sidecars: Vec::new() };
    for sidecar in old.sidecars {
        new.come_back(&sidecar.pod.name, sidecar.held.unwrap());
    }
    new
}

#[test]
fn what_a_new_leader_brings_first_goes_by_waves_to_those_that_return() {
    let (before, after) = ([("chat", 1)], [("chat", 2)]);
    let mut fleet = after_election(3, &before);
    fleet.publish(&after);
    fleet.connect("newcomer");
    let with_it = |fleet: &Fleet| (0..4).filter(|index| fleet.offered(*index).is_some()).collect::<Vec<_>>();
    assert_eq!(with_it(&fleet), [0, 3], "one tries it, and who has nothing gets it");
    fleet.acknowledge(0);
    assert_eq!(with_it(&fleet), [0, 1, 2, 3]);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &after)), (4, 0, 0));
}

#[test]
fn those_that_return_to_a_new_leader_keep_what_is_refused_of_its_first_edition() {
    let edited = [("chat", 2), ("code", 1)];
    for is_published_first in [true, false] {
        let mut fleet = after_election(0, &[]);
        if is_published_first {
            fleet.publish(&edited);
        }
        let old = Fleet::of(3, &[("chat", 1), ("code", 1)]);
        for sidecar in old.sidecars {
            fleet.come_back(&sidecar.pod.name, sidecar.held.unwrap());
        }
        fleet.publish(&edited);
        assert!(fleet.refuse(0, "routes.chat"));
        fleet.publish(&edited);
        fleet.connect("newcomer");
        let later = [("chat", 2), ("code", 2)];
        fleet.publish(&later);
        fleet.acknowledge(3);
        for _ in 0..4 {
            fleet.later(2);
        }
        assert_eq!([0, 1, 2].map(|index| fleet.offered(index)), [None, None, None], "a route must not vanish");
        fleet.acknowledge_all();
        assert_eq!(counts(&fleet.tally("code", &later)), (1, 0, 3), "who has nothing gets what there is");
        assert_eq!(counts(&fleet.tally("chat", &later)), (0, 1, 3));
        assert!(fleet.tally("code", &later).held_back_by.is_some());

        let repaired = [("chat", 3), ("code", 2)];
        fleet.publish(&repaired);
        fleet.acknowledge_all();
        assert_eq!(counts(&fleet.tally("chat", &repaired)), (4, 0, 0));
    }
}

#[test]
fn a_route_that_is_deleted_leaves_those_that_kept_it_over_an_election() {
    let mut fleet = after_election(2, &[("chat", 1), ("code", 1)]);
    let edited = [("chat", 2), ("code", 1)];
    fleet.publish(&edited);
    assert!(fleet.refuse(0, "routes.chat"));
    fleet.publish(&edited);
    assert_eq!(fleet.offered(1), None);
    let without = [("code", 1)];
    fleet.publish(&without);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("code", &without)), (2, 0, 0));
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
    assert_eq!(fleet.hub.unaware("old and new"), unaware(1, 0), "one that has just come has said nothing yet");
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
fn who_has_nothing_gets_the_first_edition_without_what_is_refused() {
    let routes = [("chat", 1), ("bad", 1)];
    let mut fleet = Fleet::of(0, &routes);
    fleet.connect("pod-0");
    let refused = fleet.offered(0).unwrap().snapshot;
    assert!(fleet.refuse(0, "routes.bad"));
    fleet.publish(&routes);
    assert_ne!(fleet.offered(0).unwrap().snapshot, refused);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &routes)), (1, 0, 0));
    assert_eq!(counts(&fleet.tally("bad", &routes)), (0, 1, 0));
}

#[test]
fn an_object_is_tried_again_when_who_refused_it_is_gone_or_begins_anew() {
    let edited = [("chat", 2)];
    let refused = || {
        let mut fleet = Fleet::of(3, &[("chat", 1)]);
        fleet.publish(&edited);
        assert!(fleet.refuse(0, "routes.chat"));
        fleet.publish(&edited);
        fleet
    };
    let mut fleet = refused();
    assert!(fleet.hub.pod_deleted("uid-of-pod-0", fleet.now), "it is to be compiled again");
    fleet.publish(&edited);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &edited)), (2, 0, 0));

    let mut fleet = refused();
    fleet.connect("pod-0");
    assert!(fleet.sidecars[3].connection.compiles);
    fleet.publish(&edited);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &edited)), (3, 0, 0));
}

#[test]
fn a_route_is_tried_again_when_its_partner_was_edited_and_not_when_another_was() {
    let refused = [("chat", 2)];
    let mut fleet = Fleet::of(3, &[("chat", 1)]);
    fleet.publish(&refused);
    assert!(fleet.refuse(0, "routes.chat"));
    fleet.publish(&refused);
    fleet.acknowledge_all();

    let beside = with_partner(&pass(&refused), "other", 100_000);
    fleet.publish_pass(&beside);
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &refused)), (0, 1, 2), "it does not stand on that partner");

    fleet.publish_pass(&with_partner(&beside, "mock", 100_000));
    fleet.acknowledge_all();
    assert_eq!(counts(&fleet.tally("chat", &refused)), (3, 0, 0));
}

#[test]
fn an_object_stays_held_back_while_one_that_it_stands_on_is_too() {
    let edited = [("chat", 2), ("code", 1)];
    let mut fleet = Fleet::of(3, &[("chat", 1), ("code", 1)]);
    let changed = with_partner(&pass(&edited), "mock", 100_000);
    fleet.publish_pass(&changed);
    assert!(fleet.refuse(0, "partners.mock"));
    fleet.publish_pass(&changed);
    assert!(fleet.refuse(0, "routes.chat"), "with the partner as it was");
    fleet.publish_pass(&changed);
    let good = fleet.offered(0);
    fleet.acknowledge_all();
    fleet.publish_pass(&changed);
    assert_eq!(fleet.offered(0), good, "nothing has changed");
    let tallies = fleet.hub.tallies(&changed.generations, &BTreeMap::new());
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "code")]), (3, 0, 0));
    assert_eq!(counts(&tallies[&object(Kind::ModelRoute, "chat")]), (0, 1, 2));
}

#[test]
fn an_object_is_tried_again_when_what_it_names_in_a_config_map_or_secret_has_changed() {
    let [bad, good] = ["one", "other"].map(|name| crate::certificate::for_test(name).1);
    for repaired in [pass_beside(&good, "key"), pass_beside(&bad, "other key")] {
        let refused = pass_beside(&bad, "key");
        let mut fleet = Fleet::of(3, &[]);
        fleet.publish_pass(&refused);
        assert!(fleet.refuse(0, "partners.alpha.tls.ca"));
        fleet.publish_pass(&refused);
        fleet.acknowledge_all();
        let tallies = fleet.hub.tallies(&refused.generations, &BTreeMap::new());
        assert_eq!(counts(&tallies[&object(Kind::Partner, "alpha")]), (0, 1, 2), "it is held back");
        let held = fleet.offered(0);
        fleet.publish_pass(&refused);
        assert_eq!(fleet.offered(0), held, "as long as nothing has changed");

        fleet.publish_pass(&repaired);
        fleet.acknowledge_all();
        let tallies = fleet.hub.tallies(&repaired.generations, &BTreeMap::new());
        assert_eq!(counts(&tallies[&object(Kind::Partner, "alpha")]), (3, 0, 0));
    }
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

#[test]
fn keys_beyond_what_a_frame_holds_are_left_out() {
    let mut large = pass(&[]);
    let mut world = (*large.world).clone();
    for index in 0..9 {
        let partner = object(Kind::Partner, &format!("partner-{index}"));
        let spec = serde_json::json!({
            "adapter": "OpenAI", "endpoint": "https://api.example", "models": [{"name": "m1"}],
            "apiKeySecretRef": {"name": partner.key.name.as_str(), "key": "key"},
        });
        let spec = serde_json::from_value(spec).unwrap();
        world.partners.insert(partner.key.clone(), crate::world::Object { created: None, spec });
        let route = serde_json::json!({
            "alias": partner.key.name.as_str(), "targets": [{"partner": partner.key.name.as_str()}],
        });
        let spec = serde_json::from_value(route).unwrap();
        world.routes.insert(partner.key.clone(), crate::world::Object { created: None, spec });
        let name = format!("{}/key", partner.key).parse().unwrap();
        large.secrets.keys.insert(name, Credential::new(vec![b'k'; limits::CREDENTIAL_BYTES]));
    }
    large.world = Arc::new(world);
    let mut fleet = Fleet::of(1, &[]);
    fleet.publish_pass(&large);
    fleet.acknowledge_all();
    let offer = fleet.sidecars[0].connection.signal.borrow().offer.clone().unwrap();
    let frame = offer.keys.frame(&offer.edition.version, 7);
    assert!(frame.len() <= limits::LEADER_FRAME_BYTES, "{} bytes", frame.len());
    assert!(frame.len() > limits::KEYS_BYTES / 2, "most of them are there: {} bytes", frame.len());
}

#[test]
fn pods_of_a_namespace_share_a_key_of_pseudonyms_that_survives_a_leader() {
    let keys_under = |root: u8| {
        let mut pass = pass(&[("chat", 1)]);
        pass.secrets.root = Some(Arc::new(Sensitive::new([root; 32])));
        let mut world = (*pass.world).clone();
        let scopes = [scope("shop", "app"), scope("shop", "batch"), scope("bank", "app")];
        world.scopes.extend(scopes.clone());
        pass.world = Arc::new(world);
        let (mut hub, now) = (Hub::new(1), crate::clock::now());
        hub.publish(&pass, &compile(&pass.world), now);
        scopes.map(|scope| hub.scopes[&scope].keys.as_ref().unwrap().version.clone())
    };
    let [app, batch, bank] = keys_under(7);
    assert_eq!(app, batch);
    assert_ne!(app, bank);
    assert_eq!(keys_under(7), [app.clone(), batch, bank], "the next leader derives the same");
    assert_ne!(keys_under(8)[0], app);
}
