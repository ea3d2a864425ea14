use super::*;
use crate::feed::hub::testing::edition;

struct Fleet {
    rollout: Rollout,
    streams: BTreeSet<StreamId>,
    start: Instant,
}

impl Fleet {
    /// Has promoted `old` and begun to bring `new`.
    fn of(size: u64) -> Self {
        let start = crate::clock::now();
        let streams = (0..size).collect();
        let mut rollout = Rollout::default();
        rollout.publish(edition("old"), &streams, start);
        rollout.publish(edition("new"), &streams, start);
        Self { rollout, streams, start }
    }

    fn on(&self, name: &str) -> usize {
        let version = &edition(name).version;
        self.streams.iter().filter(|it| self.rollout.target(**it).unwrap().version == *version).count()
    }

    fn acknowledge(&mut self, streams: std::ops::Range<u64>) {
        for stream in streams {
            let in_force = InForce { version: &edition("new").version, inside: None };
            self.rollout.acknowledged(stream, in_force, &self.streams, self.start);
        }
    }
}

#[test]
fn an_edition_goes_to_one_then_to_a_tenth_then_to_all() {
    let mut fleet = Fleet::of(100);
    assert_eq!(fleet.on("new"), 1);
    fleet.acknowledge(0..1);
    assert_eq!(fleet.on("new"), 10);
    fleet.acknowledge(1..9);
    assert_eq!(fleet.on("new"), 10, "one of the wave is missing");
    fleet.acknowledge(9..10);
    assert_eq!(fleet.on("new"), 100);
    assert_eq!(fleet.rollout.promoted().unwrap().version, edition("old").version);
    fleet.acknowledge(10..100);
    assert_eq!(fleet.rollout.promoted().unwrap().version, edition("new").version);
}

#[test]
fn a_silent_stream_holds_a_wave_up_for_two_seconds() {
    let mut fleet = Fleet::of(100);
    let just_before = fleet.start + PATIENCE - Duration::from_millis(1);
    fleet.rollout.tick(&fleet.streams, just_before);
    assert_eq!(fleet.on("new"), 1);
    assert_eq!(fleet.rollout.deadline(), Some(fleet.start + PATIENCE));
    fleet.rollout.tick(&fleet.streams, fleet.start + PATIENCE);
    assert_eq!(fleet.on("new"), 10);
}

#[test]
fn one_silent_stream_of_a_few_holds_the_others_up_once() {
    let mut fleet = Fleet::of(5);
    assert_eq!(fleet.on("new"), 1);
    fleet.rollout.tick(&fleet.streams, fleet.start + PATIENCE);
    assert_eq!(fleet.on("new"), 5);
}

#[test]
fn a_refusal_takes_the_edition_back_and_it_is_not_tried_again() {
    let mut fleet = Fleet::of(100);
    fleet.acknowledge(0..10);
    assert_eq!(fleet.on("new"), 100);
    fleet.rollout.refused(&edition("new").version);
    assert_eq!(fleet.on("old"), 100);
    fleet.rollout.publish(edition("new"), &fleet.streams, fleet.start);
    assert_eq!(fleet.on("old"), 100);
    fleet.rollout.publish(edition("repaired"), &fleet.streams, fleet.start);
    assert_eq!(fleet.on("repaired"), 1);
}

#[test]
fn a_newcomer_gets_what_was_promoted_until_all_do() {
    let mut fleet = Fleet::of(20);
    fleet.streams.insert(20);
    fleet.rollout.tick(&fleet.streams, fleet.start);
    assert_eq!(fleet.rollout.target(20).unwrap().version, edition("old").version);
}

#[test]
fn a_newer_edition_starts_the_waves_again() {
    let mut fleet = Fleet::of(100);
    fleet.acknowledge(0..10);
    fleet.rollout.publish(edition("newer"), &fleet.streams, fleet.start);
    assert_eq!((fleet.on("newer"), fleet.on("new"), fleet.on("old")), (1, 99, 0), "nobody is taken back");
}

#[test]
fn a_scope_without_streams_promotes_at_once_and_so_does_its_first_edition() {
    let mut fleet = Fleet::of(0);
    assert_eq!(fleet.rollout.promoted().unwrap().version, edition("new").version);
    fleet = Fleet { rollout: Rollout::default(), ..Fleet::of(5) };
    fleet.rollout.publish(edition("first"), &fleet.streams, fleet.start);
    assert_eq!(fleet.on("first"), 5);
}

#[test]
fn a_wave_whose_members_left_goes_on_with_others() {
    let mut fleet = Fleet::of(10);
    fleet.streams.remove(&0);
    fleet.rollout.tick(&fleet.streams, fleet.start);
    assert_eq!(fleet.on("new"), 1);
}

#[test]
fn the_oldest_refusal_is_forgotten_first() {
    let mut rollout = Rollout::default();
    let versions: Vec<_> =
        (0..=REFUSED).map(|number| edition(&format!("bad-{number}")).version.clone()).collect();
    versions.iter().for_each(|version| rollout.refused(version));
    let remembered: Vec<_> = versions.iter().map(|version| rollout.has_refused(version)).collect();
    assert!(!remembered[0] && remembered[1..].iter().all(|it| *it), "{remembered:?}");
}
