//! A leader that knows nothing yet, and sidecars that return to it with what they have.

use super::*;

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
        assert_eq!(
            [0, 1, 2].map(|index| fleet.offered(index)),
            [None, None, None],
            "a route must not vanish"
        );
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
