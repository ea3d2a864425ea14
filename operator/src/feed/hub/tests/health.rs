//! What sidecars have met at partners.

use chaperone_protocol::wire::feed::{Health, Withheld};

use super::*;

fn health(partner: &str, minutes: u64) -> Health {
    Health {
        breakers: [(partner.parse().unwrap(), Withheld::Refusing)].into(),
        pauses: [(partner.parse().unwrap(), Duration::from_secs(minutes * 60).into())].into(),
        ..Health::default()
    }
}

#[test]
fn what_one_sidecar_meets_is_counted_and_told_to_the_others_and_to_those_that_come() {
    let mut fleet = Fleet::of(3, &[("chat", 1)]);
    let (pod, id) = (fleet.sidecars[0].pod.clone(), fleet.sidecars[0].connection.id);
    assert!(fleet.hub.learns(&pod, id, &health("mock", 1), fleet.now));
    assert!(!fleet.hub.learns(&pod, id, &health("mock", 1), fleet.now), "it is known");
    let mock = object(Kind::Partner, "mock").key;
    let standing = fleet.hub.standings(fleet.now)[&mock];
    assert_eq!((standing.total, standing.refusing, standing.probing), (3, 1, 0));
    let hinted =
        |fleet: &Fleet, index: usize| fleet.sidecars[index].connection.signal.borrow().hints.is_some();
    assert_eq!([0, 1, 2].map(|index| hinted(&fleet, index)), [false, true, true], "who said it knows it");
    fleet.connect("late");
    assert!(hinted(&fleet, 3));
    fleet.hub.disconnected(&pod, id, PodFate::Exists, fleet.now);
    let standing = fleet.hub.standings(fleet.now)[&mock];
    assert_eq!((standing.total, standing.refusing), (3, 0), "who cannot be heard is not counted");
    fleet.hub.learns(&pod, id, &health("mock", 5), fleet.now);
    assert_eq!(fleet.hub.standings(fleet.now)[&mock].refusing, 0, "a stream that has ended says nothing");
}

#[test]
fn what_a_sidecar_met_before_its_scope_was_compiled_is_heard() {
    let mut fleet = Fleet { hub: Hub::new(7), now: crate::clock::now(), sidecars: Vec::new() };
    fleet.connect("pod-0");
    let (pod, id) = (fleet.sidecars[0].pod.clone(), fleet.sidecars[0].connection.id);
    fleet.hub.learns(&pod, id, &health("mock", 1), fleet.now);
    fleet.publish(&[("chat", 1)]);
    assert_eq!(fleet.hub.standings(fleet.now)[&object(Kind::Partner, "mock").key].refusing, 1);
}
