//! Who gets a new edition first: one stream, then a tenth, then all. A refusal stops it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::publish::Edition;
use chaperone_protocol::snapshot::Version;

/// After this long without a refusal the next wave starts, acknowledged or not.
const PATIENCE: Duration = Duration::from_secs(2);
/// Refused versions that are remembered. A scope that has more was edited as often meanwhile.
const REFUSED: usize = 64;

/// Names a stream. Ascending: an older one has a lower number.
pub(crate) type StreamId = u64;

/// The editions of one scope.
#[derive(Debug, Default)]
pub(crate) struct Rollout {
    /// What has proven itself, or was the first. Newcomers get it.
    promoted: Option<Arc<Edition>>,
    /// Whether a sidecar has acknowledged it. The first edition of a leadership goes to all without a try.
    is_proven: bool,
    candidate: Option<Candidate>,
    /// What streams got of a candidate that a newer one replaced: they keep it until their turn comes.
    kept: BTreeMap<StreamId, Arc<Edition>>,
    /// Since when streams have owed an acknowledgement: those that are late are not the ones to try an edition.
    owing: BTreeMap<StreamId, Instant>,
    refused: BTreeSet<Version>,
}

#[derive(Debug)]
struct Candidate {
    edition: Arc<Edition>,
    wave: Wave,
    /// Whose turn has come.
    members: BTreeSet<StreamId>,
    /// Who has acknowledged it.
    acknowledged: BTreeSet<StreamId>,
    /// Members that have not. Kept beside the two, so that one of ten thousand acknowledgements costs no look at all.
    waiting: BTreeSet<StreamId>,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wave {
    One,
    Tenth,
    All,
}

impl Rollout {
    /// What newcomers get.
    pub(crate) fn promoted(&self) -> Option<&Arc<Edition>> {
        self.promoted.as_ref()
    }

    /// What has proven itself: what to go back to.
    pub(crate) fn proven(&self) -> Option<&Arc<Edition>> {
        self.promoted.as_ref().filter(|_| self.is_proven)
    }

    /// Every edition that a stream should have.
    pub(crate) fn editions(&self) -> impl Iterator<Item = &Arc<Edition>> {
        [self.newest(), self.promoted()].into_iter().flatten().chain(self.kept.values())
    }

    /// What is on its way, or else what has arrived.
    pub(crate) fn newest(&self) -> Option<&Arc<Edition>> {
        self.candidate.as_ref().map(|candidate| &candidate.edition).or(self.promoted.as_ref())
    }

    /// An edition with this version, if streams may have been sent it.
    pub(crate) fn edition(&self, version: &Version) -> Option<&Arc<Edition>> {
        self.editions().find(|edition| edition.version == *version)
    }

    /// Whether a sidecar has refused this version.
    pub(crate) fn has_refused(&self, version: &Version) -> bool {
        self.refused.contains(version)
    }

    /// Starts to bring `edition` to `streams`. A newer one starts the waves again; a refused one is not tried.
    pub(crate) fn publish(&mut self, edition: Arc<Edition>, streams: &BTreeSet<StreamId>, now: Instant) {
        let is_promoted = self.promoted.as_ref().is_some_and(|promoted| promoted.version == edition.version);
        if is_promoted || self.promoted.is_none() {
            // Of equal content, but perhaps of later generations.
            self.is_proven &= is_promoted;
            self.promoted = Some(edition);
            self.candidate = None;
            self.kept.clear();
            return;
        }
        if self.refused.contains(&edition.version) {
            self.candidate = None;
            return;
        }
        if let Some(candidate) = &mut self.candidate
            && candidate.edition.version == edition.version
        {
            candidate.edition = edition;
            return;
        }
        if let Some(Candidate { edition, members, .. }) = self.candidate.take() {
            self.kept.extend(members.into_iter().map(|stream| (stream, Arc::clone(&edition))));
        }
        self.candidate = Some(Candidate {
            edition,
            wave: Wave::One,
            members: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            waiting: BTreeSet::new(),
            since: now,
        });
        self.advance(streams, now);
    }

    /// A stream acknowledged `version`. Returns whether others' targets may have changed.
    pub(crate) fn acknowledged(
        &mut self,
        stream: StreamId,
        version: &Version,
        streams: &BTreeSet<StreamId>,
        now: Instant,
    ) -> bool {
        self.owing.remove(&stream);
        self.is_proven |= self.promoted.as_ref().is_some_and(|promoted| promoted.version == *version);
        let Some(candidate) = self.candidate.as_mut().filter(|it| it.edition.version == *version) else {
            return false;
        };
        candidate.acknowledged.insert(stream);
        candidate.waiting.remove(&stream);
        candidate.waiting.is_empty() && self.advance(streams, now)
    }

    /// Lets everything be tried again: who refused it is gone.
    pub(crate) fn forgive(&mut self) {
        self.refused.clear();
    }

    /// A stream refused `version`: nobody else gets it, and who has it goes back.
    pub(crate) fn refused(&mut self, version: &Version) {
        if self.refused.len() >= REFUSED {
            self.refused.pop_first();
        }
        self.refused.insert(version.clone());
        if self.candidate.as_ref().is_some_and(|candidate| candidate.edition.version == *version) {
            self.candidate = None;
        }
        self.kept.retain(|_, edition| edition.version != *version);
        if !self.is_proven && self.promoted.as_ref().is_some_and(|promoted| promoted.version == *version) {
            self.promoted = None;
        }
    }

    /// Looks at who is there and what time it is. Returns whether targets may have changed.
    pub(crate) fn tick(&mut self, streams: &BTreeSet<StreamId>, now: Instant) -> bool {
        self.advance(streams, now)
    }

    /// When [`Rollout::tick`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.candidate.as_ref().map(|candidate| candidate.since + PATIENCE)
    }

    /// What `stream` should have.
    pub(crate) fn target(&self, stream: StreamId) -> Option<&Arc<Edition>> {
        match &self.candidate {
            Some(candidate) if candidate.members.contains(&stream) => Some(&candidate.edition),
            _ => self.kept.get(&stream).or(self.promoted.as_ref()),
        }
    }

    fn advance(&mut self, streams: &BTreeSet<StreamId>, now: Instant) -> bool {
        let mut has_changed = false;
        self.kept.retain(|stream, _| streams.contains(stream));
        self.owing.retain(|stream, _| streams.contains(stream));
        while let Some(candidate) = &mut self.candidate {
            has_changed |= candidate.fill(streams, &mut self.owing, now);
            if !candidate.waiting.is_empty() && now < candidate.since + PATIENCE {
                break;
            }
            has_changed = true;
            match candidate.wave {
                Wave::One if streams.len() > 10 => candidate.wave = Wave::Tenth,
                // A tenth of ten is the one that has had its turn.
                Wave::One | Wave::Tenth => candidate.wave = Wave::All,
                Wave::All => {
                    self.is_proven = !candidate.acknowledged.is_empty();
                    self.promoted = Some(Arc::clone(&candidate.edition));
                    self.candidate = None;
                    self.kept.clear();
                    break;
                }
            }
            candidate.since = now;
        }
        has_changed
    }
}

impl Candidate {
    /// Drops members that have left, and gives others their turn. Returns whether it did.
    fn fill(&mut self, streams: &BTreeSet<StreamId>, owing: &mut BTreeMap<StreamId, Instant>, now: Instant) -> bool {
        self.members.retain(|stream| streams.contains(stream));
        self.waiting.retain(|stream| streams.contains(stream));
        let size = match self.wave {
            Wave::One => 1,
            Wave::Tenth => streams.len().div_ceil(10),
            Wave::All => streams.len(),
        };
        let missing = size.saturating_sub(self.members.len());
        if missing == 0 {
            return false;
        }
        // Who is late comes last: one frozen sidecar must not be the one that every edition waits for.
        let is_late = |stream: &StreamId| owing.get(stream).is_some_and(|since| now >= *since + PATIENCE);
        let (late, ready): (Vec<_>, Vec<_>) = streams.difference(&self.members).partition(|stream| is_late(stream));
        let more: Vec<_> = ready.into_iter().chain(late).take(missing).collect();
        for stream in &more {
            if !self.acknowledged.contains(stream) {
                self.waiting.insert(*stream);
                owing.entry(*stream).or_insert(now);
            }
        }
        self.members.extend(&more);
        !more.is_empty()
    }
}

#[cfg(test)]
mod tests {
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
                self.rollout.acknowledged(stream, &edition("new").version, &self.streams, self.start);
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
}
