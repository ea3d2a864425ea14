//! Who gets a new edition first: one stream, then a tenth, then all. A refusal stops it. Pure.
//!
//! Who arrives with an edition of an earlier leadership keeps it until something better has proven itself: nobody here
//! knows what is in it, so what replaces it must lack nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::publish::{Edition, Generations};
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
    /// Whether a sidecar has acknowledged it. The first edition of a leadership goes without a try to those that have
    /// nothing to lose.
    is_proven: bool,
    candidate: Option<Candidate>,
    /// What streams keep until their turn comes.
    kept: BTreeMap<StreamId, Kept>,
    /// Since when streams have owed an acknowledgement: those that are late are not the ones to try an edition.
    owing: BTreeMap<StreamId, Instant>,
    /// The oldest first.
    refused: VecDeque<Version>,
}

/// What a sidecar has in force.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InForce<'a> {
    pub(crate) version: &'a Version,
    /// What is in it. `None`: nobody here knows.
    pub(crate) inside: Option<&'a Generations>,
}

#[derive(Debug)]
enum Kept {
    /// A candidate that a newer one replaced.
    Edition(Arc<Edition>),
    /// What a sidecar said that it has, and nobody here knows.
    Unknown(Version),
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
        [self.newest(), self.promoted()]
            .into_iter()
            .flatten()
            .chain(self.kept.values().filter_map(Kept::edition))
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
        // Of equal content, but perhaps of later generations.
        let is_promoted = self.promoted.as_ref().is_some_and(|promoted| promoted.version == edition.version);
        if is_promoted || self.promoted.is_none() {
            let has = |kept: &Kept| matches!(kept, Kept::Unknown(version) if *version == edition.version);
            self.is_proven = (is_promoted && self.is_proven) || self.kept.values().any(has);
            self.promoted = Some(Arc::clone(&edition));
            match &mut self.candidate {
                Some(candidate) if candidate.edition.version == edition.version => {
                    candidate.edition = edition
                }
                _ => {
                    self.candidate = None;
                    let is_safe = self.is_safe();
                    self.kept.retain(|_, kept| !is_safe && kept.edition().is_none() && !has(kept));
                    self.try_promoted(streams, now);
                }
            }
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
            for stream in members {
                // Who came with something unknown keeps the better of the two, which is the one it has.
                self.kept.entry(stream).or_insert_with(|| Kept::Edition(Arc::clone(&edition)));
            }
        }
        self.candidate = Some(Candidate::new(edition, now));
        self.advance(streams, now);
    }

    /// Whether what is promoted takes nothing from anybody.
    fn is_safe(&self) -> bool {
        self.proven().is_some_and(|proven| proven.lacks.is_empty())
    }

    /// Whether a stream that has this in force might lose by what is promoted. `None`: nobody knows what is in it.
    fn may_lose(&self, inside: Option<&Generations>) -> bool {
        let may_have = |object| inside.is_none_or(|inside| inside.contains_key(object));
        match &self.promoted {
            Some(promoted) if !promoted.lacks.is_empty() => promoted.lacks.iter().any(may_have),
            _ => !self.is_safe(),
        }
    }

    /// Brings what is promoted, but has not proven itself, to those that have something to lose. Returns whether
    /// targets may have changed.
    fn try_promoted(&mut self, streams: &BTreeSet<StreamId>, now: Instant) -> bool {
        let Some(promoted) = self.promoted.as_ref().filter(|it| !self.is_proven && it.lacks.is_empty())
        else {
            return false;
        };
        if self.kept.is_empty() || self.candidate.is_some() || self.refused.contains(&promoted.version) {
            return false;
        }
        self.candidate = Some(Candidate::new(Arc::clone(promoted), now));
        self.advance(streams, now)
    }

    /// A stream has acknowledged this, or begins with it. Returns whether others' targets may have changed.
    pub(crate) fn acknowledged(
        &mut self,
        stream: StreamId,
        in_force: InForce<'_>,
        streams: &BTreeSet<StreamId>,
        now: Instant,
    ) -> bool {
        let InForce { version, inside } = in_force;
        self.owing.remove(&stream);
        if self.edition(version).is_none() && self.may_lose(inside) {
            self.kept.insert(stream, Kept::Unknown(version.clone()));
            return self.try_promoted(streams, now);
        }
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
        if !self.refused.contains(version) {
            if self.refused.len() >= REFUSED {
                self.refused.pop_front();
            }
            self.refused.push_back(version.clone());
        }
        if self.candidate.as_ref().is_some_and(|candidate| candidate.edition.version == *version) {
            self.candidate = None;
        }
        self.kept.retain(|_, kept| kept.edition().is_none_or(|edition| edition.version != *version));
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

    /// What `stream` should have. `None`: what it has.
    pub(crate) fn target(&self, stream: StreamId) -> Option<&Arc<Edition>> {
        match &self.candidate {
            Some(candidate) if candidate.members.contains(&stream) => Some(&candidate.edition),
            _ => self.kept.get(&stream).map_or(self.promoted.as_ref(), Kept::edition),
        }
    }

    /// Whether streams keep what they came with, since what is promoted lacks what may be in it.
    pub(crate) fn has_frozen(&self) -> bool {
        let lacks = self.promoted.as_ref().is_some_and(|promoted| !promoted.lacks.is_empty());
        lacks && self.kept.values().any(|kept| kept.edition().is_none())
    }

    fn advance(&mut self, streams: &BTreeSet<StreamId>, now: Instant) -> bool {
        let mut has_changed = false;
        self.kept.retain(|stream, _| streams.contains(stream));
        self.owing.retain(|stream, _| streams.contains(stream));
        while let Some(candidate) = &mut self.candidate {
            let lacks_nothing = candidate.edition.lacks.is_empty();
            let may_lose = |stream| self.kept.get(stream).is_some_and(|kept| kept.edition().is_none());
            let takers: Cow<'_, BTreeSet<_>> = match lacks_nothing {
                true => Cow::Borrowed(streams),
                false => Cow::Owned(streams.iter().filter(|stream| !may_lose(stream)).copied().collect()),
            };
            has_changed |= candidate.fill(&takers, &mut self.owing, now);
            if !candidate.waiting.is_empty() && now < candidate.since + PATIENCE {
                break;
            }
            has_changed = true;
            match candidate.wave {
                Wave::One if takers.len() > 10 => candidate.wave = Wave::Tenth,
                // A tenth of ten is the one that has had its turn.
                Wave::One | Wave::Tenth => candidate.wave = Wave::All,
                Wave::All => {
                    self.is_proven = !candidate.acknowledged.is_empty();
                    self.promoted = Some(Arc::clone(&candidate.edition));
                    self.candidate = None;
                    self.kept.retain(|_, kept| !lacks_nothing && kept.edition().is_none());
                    break;
                }
            }
            candidate.since = now;
        }
        has_changed
    }
}

impl Kept {
    fn edition(&self) -> Option<&Arc<Edition>> {
        match self {
            Self::Edition(edition) => Some(edition),
            Self::Unknown(_) => None,
        }
    }
}

impl Candidate {
    fn new(edition: Arc<Edition>, now: Instant) -> Self {
        Self {
            edition,
            wave: Wave::One,
            members: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            waiting: BTreeSet::new(),
            since: now,
        }
    }

    /// Drops members that have left, and gives others their turn. Returns whether it did.
    fn fill(
        &mut self,
        streams: &BTreeSet<StreamId>,
        owing: &mut BTreeMap<StreamId, Instant>,
        now: Instant,
    ) -> bool {
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
        let (late, ready): (Vec<_>, Vec<_>) =
            streams.difference(&self.members).partition(|stream| is_late(stream));
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
mod tests;
