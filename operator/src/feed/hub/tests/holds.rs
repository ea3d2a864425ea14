//! What becomes of an object that sidecars refuse, and when it is tried again.

use super::*;

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
