//! All scopes, sidecars and streams of one leadership. Pure: takes `now`, and says by channels what streams should have.
//!
//! One process holds all streams, so that what is counted here is the truth about acknowledgements.

mod health;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chaperone_protocol::snapshot::{Scope, Version};
use chaperone_protocol::wire::feed::{GoAwayReason, Held, Nack};
use tokio::sync::watch;
use tokio::time::Instant;

use super::canary::{InForce, Rollout, StreamId};
use super::hold::{Form, Holds};
use super::learned::{Acquaintance, Hints, Learned};
use super::publish::{Edition, Generations, KeySet, Offer, Secrets};
use super::roster::{Inside, Pod, Refusal, Roster, Tally};
use crate::compile::{Compiled, ObjectRef, compile};
use crate::world::World;

/// What one pass works on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pass {
    pub(crate) world: Arc<World>,
    pub(crate) generations: Generations,
    pub(crate) secrets: Secrets,
}

/// What a stream should do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signal {
    /// What it should have.
    pub(crate) offer: Option<Offer>,
    /// What it should know of partners.
    pub(crate) hints: Option<Arc<Hints>>,
    /// Why it should end.
    pub(crate) close: Option<GoAwayReason>,
}

/// A stream that was admitted.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: StreamId,
    pub(crate) signal: watch::Receiver<Signal>,
    /// Whether to compile: there is nothing for its scope yet, or what its Pod refused before may be tried again.
    pub(crate) compiles: bool,
}

#[derive(Debug, Default)]
struct ScopeState {
    rollout: Rollout,
    holds: Holds,
    /// Nobody can be blamed: the scope stays as it was until its content changes.
    unattributed: bool,
    keys: Option<Arc<KeySet>>,
    /// What should be in it.
    objects: BTreeSet<ObjectRef>,
    /// Whom its sidecars may have something to say of.
    acquaintance: Acquaintance,
    /// What is in the versions that are held somewhere.
    known: BTreeMap<Version, Arc<Generations>>,
}

/// One leadership.
#[derive(Debug)]
pub(crate) struct Hub {
    epoch: u64,
    scopes: BTreeMap<Scope, ScopeState>,
    roster: Roster,
    learned: Learned,
    streams: BTreeMap<StreamId, watch::Sender<Signal>>,
    /// As of the last pass.
    secrets: Secrets,
    last_id: StreamId,
}

impl Hub {
    /// Begins the leadership of `epoch`.
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            scopes: BTreeMap::new(),
            roster: Roster::default(),
            learned: Learned::default(),
            streams: BTreeMap::new(),
            secrets: Secrets::default(),
            last_id: 0,
        }
    }

    /// The number that stands on every frame.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Open streams.
    pub(crate) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// For whom snapshots are wanted, besides `unseen`.
    pub(crate) fn scopes(&self) -> BTreeSet<Scope> {
        self.roster.scopes().cloned().collect()
    }

    /// Whether the Pod's sidecar has ever had a stream.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        self.roster.knows(uid)
    }

    /// Admits a stream.
    pub(crate) fn connect(&mut self, pod: &Pod, scope: &Scope, now: Instant) -> Connection {
        self.last_id += 1;
        let id = self.last_id;
        let is_new_scope = !self.roster.has(scope);
        if let Some(before) = self.roster.connected(pod, scope, id) {
            self.close(before, GoAwayReason::Replaced);
        }
        let (sender, signal) = watch::channel(Signal::default());
        self.streams.insert(id, sender);
        let state = self.scopes.entry(scope.clone()).or_default();
        let is_free = state.holds.forget(&pod.uid);
        if is_free {
            state.rollout.forgive();
        }
        if state.rollout.tick(self.roster.streams(scope), now) {
            self.refresh(scope);
        } else {
            self.offer(scope, id);
        }
        self.hint(scope, &[id].into());
        Connection { id, signal, compiles: is_free || is_new_scope }
    }

    /// A stream has ended. Returns whether to compile again.
    pub(crate) fn disconnected(&mut self, pod: &Pod, id: StreamId, fate: PodFate, now: Instant) -> bool {
        let Some(scope) = self.roster.lost(&pod.uid, id) else { return false };
        self.streams.remove(&id);
        match fate {
            PodFate::Gone => self.pod_deleted(&pod.uid, now),
            PodFate::Exists => {
                self.look(&scope, now);
                false
            }
        }
    }

    /// A Pod was deleted: its stream ends at once, whatever its token says. Returns whether to compile again.
    pub(crate) fn pod_deleted(&mut self, uid: &str, now: Instant) -> bool {
        let Some(member) = self.roster.removed(uid) else { return false };
        if let Some(id) = member.stream {
            self.close(id, GoAwayReason::PodDeleted);
        }
        self.look(&member.scope, now);
        let Some(state) = self.scopes.get_mut(&member.scope) else { return false };
        let is_free = state.holds.forget(uid) || (state.unattributed && member.has_refused());
        if is_free {
            state.rollout.forgive();
        }
        is_free
    }

    /// Ends every stream.
    pub(crate) fn close_all(&mut self, reason: GoAwayReason) {
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            self.close(id, reason);
        }
    }

    fn close(&mut self, id: StreamId, reason: GoAwayReason) {
        if let Some(sender) = self.streams.remove(&id) {
            sender.send_modify(|signal| signal.close = Some(reason));
        }
    }

    /// A sidecar says what it has in force, by greeting or by acknowledging.
    pub(crate) fn holds(&mut self, pod: &Pod, id: StreamId, held: &Held, now: Instant) {
        let Some(member) = self.roster.of_stream(&pod.uid, id) else { return };
        let scope = member.scope.clone();
        let state = self.scopes.get_mut(&scope);
        let inside = state.as_ref().and_then(|state| state.known.get(&held.snapshot)).cloned();
        member.acknowledged(&held.snapshot, inside.as_deref());
        let Some(state) = state else { return };
        let in_force = InForce { version: &held.snapshot, inside: inside.as_deref() };
        if state.rollout.acknowledged(id, in_force, self.roster.streams(&scope), now) {
            self.refresh(&scope);
        } else {
            // It may be one that keeps what it came with.
            self.offer(&scope, id);
        }
    }

    /// A sidecar refuses a snapshot. The scope goes back, and the object that is to blame is held back.
    /// Returns whether to compile again.
    pub(crate) fn refuses(&mut self, pod: &Pod, id: StreamId, nack: &Nack) -> bool {
        let Some(member) = self.roster.of_stream(&pod.uid, id) else { return false };
        let scope = member.scope.clone();
        let Some(state) = self.scopes.get_mut(&scope) else { return false };
        let Some(edition) = state.rollout.edition(&nack.version).cloned() else { return false };
        let refusal =
            |generation| Refusal { generation, path: nack.path.clone(), problem: nack.problem.clone() };
        let blamed = edition.contents.at(&nack.path).and_then(|object| {
            let whole = edition.whole.as_ref().unwrap_or(&edition);
            let generation = edition.generations.get(&object)?.clone();
            Some((Form::of(&object, whole, &self.secrets)?, generation, object))
        });
        let is_news = match blamed {
            Some((form, generation, object)) => {
                member.refuses(object.clone(), refusal(generation));
                state.holds.add(object, form, &pod.uid)
            }
            None => {
                let before = state.rollout.promoted().map(|promoted| Arc::clone(&promoted.generations));
                for (object, generation) in edition.generations.iter() {
                    if before.as_ref().is_none_or(|before| before.get(object) != Some(generation)) {
                        member.refuses(object.clone(), refusal(generation.clone()));
                    }
                }
                state.unattributed = true;
                false
            }
        };
        state.rollout.refused(&nack.version);
        self.refresh(&scope);
        is_news
    }

    /// Publishes what was compiled from the pass: outside, because streams wait while the hub is in use.
    pub(crate) fn publish(&mut self, pass: &Pass, compiled: &Compiled, now: Instant) {
        // Whoever has connected meanwhile is compiled for in the next pass.
        self.scopes.retain(|scope, _| compiled.snapshots.contains_key(scope) || self.roster.has(scope));
        let mut is_news = false;
        for (scope, document) in &compiled.snapshots {
            let contents = compiled.contents.get(scope).cloned().unwrap_or_default();
            let state = self.scopes.entry(scope.clone()).or_default();
            state.objects = contents.objects();
            state.acquaintance = Acquaintance::of(contents.partners(), compiled, &pass.secrets.keys);
            for met in self.roster.judge_again(scope, &state.acquaintance) {
                is_news |= self.learned.add(&met, &scope.namespace, now);
            }
            let whole = Edition::new(document, contents, &pass.world, &pass.generations, self.epoch);
            if state.holds.release(|object| Form::of(object, &whole, &pass.secrets)) {
                // With another Secret the same snapshot may do.
                state.rollout.forgive();
            }
            let edition = if state.holds.is_empty() {
                whole
            } else {
                match state.without_held(scope, pass, self.epoch) {
                    Some(edition) => Edition { whole: Some(Arc::new(whole)), ..edition },
                    None => continue,
                }
            };
            state.unattributed = state.rollout.has_refused(&edition.version);
            let held: BTreeSet<_> = self.roster.of(scope).filter_map(|member| member.held.as_ref()).collect();
            state.known.retain(|version, _| held.contains(version));
            state.known.insert(edition.version.clone(), Arc::clone(&edition.generations));
            state.rollout.publish(Arc::new(edition), self.roster.streams(scope), now);
            if let Some(promoted) = state.rollout.promoted() {
                state.known.insert(promoted.version.clone(), Arc::clone(&promoted.generations));
            }
            state.select_keys(scope, &pass.secrets);
        }
        self.secrets = pass.secrets.clone();
        for scope in compiled.snapshots.keys() {
            self.refresh(scope);
        }
        if is_news {
            self.hint_others(None);
        }
    }

    /// Starts the waves that are due.
    pub(crate) fn tick(&mut self, now: Instant) {
        for scope in self.scopes.keys().cloned().collect::<Vec<_>>() {
            let due = self.scopes.get(&scope).and_then(|state| state.rollout.deadline());
            if due.is_some_and(|due| due <= now) {
                self.look(&scope, now);
            }
        }
    }

    /// When [`Hub::tick`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.scopes.values().filter_map(|state| state.rollout.deadline()).min()
    }

    /// Sidecars that do not have in force what names these authorities of the feed.
    pub(crate) fn unaware(&self, authorities: &str) -> Unaware {
        let mut unaware = Unaware::default();
        for (scope, state) in &self.scopes {
            let editions = [state.rollout.promoted(), state.rollout.newest()];
            let naming =
                editions.into_iter().flatten().filter(|it| it.world.feed_ca.as_deref() == Some(authorities));
            let versions: BTreeSet<_> = naming.map(|edition| &edition.version).collect();
            let knows = |held: &Option<Version>| held.as_ref().is_some_and(|held| versions.contains(held));
            for member in self.roster.of(scope).filter(|member| !knows(&member.held)) {
                match member.stream {
                    Some(_) => unaware.connected += 1,
                    None => unaware.missing += 1,
                }
            }
        }
        unaware
    }

    /// How every object stands. `unseen` are injected Pods that run and never had a stream, by scope.
    pub(crate) fn tallies(
        &self,
        generations: &Generations,
        unseen: &BTreeMap<Scope, usize>,
    ) -> BTreeMap<ObjectRef, Tally> {
        let mut tallies = BTreeMap::new();
        for (scope, state) in &self.scopes {
            let inside = Inside { objects: &state.objects, wanted: generations, known: &state.known };
            self.roster.tally(scope, &inside, &mut tallies);
            for object in &state.objects {
                let tally: &mut Tally = tallies.entry(object.clone()).or_default();
                tally.stale += unseen.get(scope).copied().unwrap_or_default();
                if state.is_frozen() && !state.holds.objects().contains(object) {
                    tally.held_back_by = state.holds.first().cloned();
                }
            }
        }
        tallies
    }

    /// Starts the next wave of `scope` where its time has come, or its members have left.
    fn look(&mut self, scope: &Scope, now: Instant) {
        let Some(state) = self.scopes.get_mut(scope) else { return };
        if state.rollout.tick(self.roster.streams(scope), now) {
            self.refresh(scope);
        }
    }

    /// Tells the streams of `scope` what they should have now.
    fn refresh(&mut self, scope: &Scope) {
        let Some(state) = self.scopes.get_mut(scope) else { return };
        // An edition that is through needs no keys of the one before it.
        state.select_keys(scope, &self.secrets);
        for id in self.roster.streams(scope) {
            self.offer(scope, *id);
        }
    }

    /// Tells one stream of `scope` what it should have now.
    fn offer(&self, scope: &Scope, id: StreamId) {
        let Some(state) = self.scopes.get(scope) else { return };
        let (Some(sender), Some(keys)) = (self.streams.get(&id), &state.keys) else { return };
        let target = state.rollout.target(id);
        let offer = target.map(|edition| Offer { edition: Arc::clone(edition), keys: Arc::clone(keys) });
        sender.send_if_modified(|signal| {
            let is_new = signal.offer.as_ref().map(Offer::held) != offer.as_ref().map(Offer::held);
            signal.offer = offer;
            is_new
        });
    }
}

/// How many sidecars do not know something yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unaware {
    /// With a stream: they will soon, unless they refuse it.
    pub(crate) connected: usize,
    /// Without one, though their Pods exist: nobody can say when.
    pub(crate) missing: usize,
}

/// Whether a Pod is there after its stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodFate {
    /// It is: its sidecar is stale.
    Exists,
    /// It is not, or nobody watches it: nothing is expected of it any more.
    Gone,
}

impl ScopeState {
    /// The scope with the objects that were refused as they were when they were good.
    fn without_held(&self, scope: &Scope, pass: &Pass, epoch: u64) -> Option<Edition> {
        let good = self.rollout.proven().map(AsRef::as_ref);
        let (mut world, generations) = self.holds.apply(&pass.world, &pass.generations, good);
        world.scopes = BTreeSet::from([scope.clone()]);
        let mut compiled = compile(&world);
        let (document, contents) = (compiled.snapshots.remove(scope)?, compiled.contents.remove(scope)?);
        let edition = Edition::new(&document, contents, &Arc::new(world), &generations, epoch);
        Some(Edition { lacks: self.holds.lacking(good), ..edition })
    }

    /// Takes the keys that the scope needs: while an edition is on its way, those of the one before it too.
    fn select_keys(&mut self, scope: &Scope, secrets: &Secrets) {
        let names: BTreeSet<_> = self.rollout.editions().flat_map(|edition| &edition.credentials).collect();
        let keys = secrets.of(scope, names);
        if self.keys.as_ref().is_none_or(|before| before.version != keys.version()) {
            self.keys = Some(Arc::new(KeySet::new(keys)));
        }
    }

    /// Whether what should be sent is refused as well, or lacks too much, so that sidecars stay as they were.
    fn is_frozen(&self) -> bool {
        (self.unattributed || self.rollout.has_frozen()) && !self.holds.is_empty()
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
