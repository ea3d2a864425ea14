//! Who holds what, and who refused what: one member for each Pod whose sidecar has ever had a stream. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chaperone_crds::condition::{Behind, BehindState, Sidecars};
use chaperone_protocol::name::ObjectName;
use chaperone_protocol::snapshot::{Scope, Version};
use chaperone_protocol::wire::feed::Health;
use tokio::time::Instant;

use super::canary::StreamId;
use super::learned::{Acquaintance, Met};
use super::publish::{Generation, Generations};
use crate::compile::ObjectRef;

/// Objects that one member refuses at a time; more are not told apart.
const REFUSALS: usize = 16;

/// A Pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pod {
    pub(crate) namespace: ObjectName,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// One sidecar.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) pod: Pod,
    pub(crate) scope: Scope,
    /// Its stream. `None`: lost, and the Pod still exists.
    pub(crate) stream: Option<StreamId>,
    /// The snapshot that it has in force.
    pub(crate) held: Option<Version>,
    /// What it has met at partners, as it said last, and when.
    pub(super) said: Option<(Health, Instant)>,
    /// The part of it that it can know.
    pub(super) met: Met,
    refusals: BTreeMap<ObjectRef, Refusal>,
}

/// That a sidecar refused an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) generation: Generation,
    pub(crate) path: String,
    pub(crate) problem: String,
}

/// How an object stands with the sidecars of all its scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Have acknowledged it in its present generation.
    pub(crate) programmed: usize,
    /// Have refused it in its present generation.
    pub(crate) refused: usize,
    /// Neither, or cannot be heard.
    pub(crate) stale: usize,
    /// Which Pod refused it, and why.
    pub(crate) first_refusal: Option<(Pod, Refusal)>,
    /// What keeps it from being sent, if that is another object.
    pub(crate) held_back_by: Option<ObjectRef>,
    /// The first that do not have it, in no order.
    pub(crate) behind: Vec<Behind>,
}

/// The numbers that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TallyCounts {
    /// Sidecars that should have it.
    pub(crate) total: usize,
    /// Those that have it.
    pub(crate) programmed: usize,
}

impl Tally {
    /// The numbers that decide.
    pub(crate) fn counts(&self) -> TallyCounts {
        TallyCounts { total: self.programmed + self.refused + self.stale, programmed: self.programmed }
    }

    /// As a status shows it.
    pub(crate) fn sidecars(&self) -> Sidecars {
        let count = |count| i32::try_from(count).unwrap_or(i32::MAX);
        let mut behind = self.behind.clone();
        behind.sort_unstable_by(|one, other| (one.state, &one.pod).cmp(&(other.state, &other.pod)));
        let counts = Sidecars::new(count(self.programmed), count(self.refused), count(self.stale));
        Sidecars { behind, ..counts }
    }

    /// Names a sidecar that does not have it, as long as there is room; one that refuses it takes another's.
    fn is_behind(&mut self, member: &Member, refusal: Option<&Refusal>) {
        let (state, message) = match refusal {
            Some(Refusal { generation: _, path, problem }) if path.is_empty() => {
                (BehindState::Refused, problem.clone())
            }
            Some(Refusal { generation: _, path, problem }) => {
                (BehindState::Refused, format!("{path}: {problem}"))
            }
            None if member.stream.is_none() => (BehindState::Stale, "its stream is lost".to_owned()),
            None => (BehindState::Stale, "has not acknowledged it yet".to_owned()),
        };
        let pod = format!("{}/{}", member.pod.namespace, member.pod.name);
        let behind = Behind { pod, state, message };
        if self.behind.len() < Sidecars::BEHIND {
            self.behind.push(behind);
        } else if state == BehindState::Refused
            && let Some(stale) = self.behind.iter_mut().rev().find(|it| it.state == BehindState::Stale)
        {
            *stale = behind;
        }
    }
}

/// What should be in a scope, and what is in the versions that its members hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside<'a> {
    pub(crate) objects: &'a BTreeSet<ObjectRef>,
    pub(crate) wanted: &'a Generations,
    pub(crate) known: &'a BTreeMap<Version, Arc<Generations>>,
}

/// All members, by the uid of their Pod; and by scope, so that what one scope does costs the others nothing.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: BTreeMap<String, Member>,
    scopes: BTreeMap<Scope, Belonging>,
}

/// What belongs to one scope.
#[derive(Debug, Default)]
struct Belonging {
    /// Uids of its members.
    members: BTreeSet<String>,
    streams: BTreeSet<StreamId>,
}

impl Roster {
    /// A stream has begun. Returns the stream that the Pod had before.
    pub(crate) fn connected(&mut self, pod: &Pod, scope: &Scope, stream: StreamId) -> Option<StreamId> {
        let before = self.removed(&pod.uid).and_then(|before| before.stream);
        let belonging = self.scopes.entry(scope.clone()).or_default();
        belonging.members.insert(pod.uid.clone());
        belonging.streams.insert(stream);
        let member = Member {
            pod: pod.clone(),
            scope: scope.clone(),
            stream: Some(stream),
            held: None,
            said: None,
            met: Met::default(),
            refusals: BTreeMap::new(),
        };
        self.members.insert(pod.uid.clone(), member);
        before
    }

    /// A stream has ended, and its Pod still exists. Returns its scope, unless the Pod has another stream by now.
    pub(crate) fn lost(&mut self, uid: &str, stream: StreamId) -> Option<Scope> {
        let member = self.of_stream(uid, stream)?;
        member.stream = None;
        let scope = member.scope.clone();
        if let Some(belonging) = self.scopes.get_mut(&scope) {
            belonging.streams.remove(&stream);
        }
        Some(scope)
    }

    /// The member with this stream.
    pub(crate) fn of_stream(&mut self, uid: &str, stream: StreamId) -> Option<&mut Member> {
        self.members.get_mut(uid).filter(|member| member.stream == Some(stream))
    }

    /// The Pod is gone. Returns what its sidecar was.
    pub(crate) fn removed(&mut self, uid: &str) -> Option<Member> {
        let member = self.members.remove(uid)?;
        if let Some(belonging) = self.scopes.get_mut(&member.scope) {
            belonging.members.remove(uid);
            if let Some(stream) = member.stream {
                belonging.streams.remove(&stream);
            }
            if belonging.members.is_empty() {
                self.scopes.remove(&member.scope);
            }
        }
        Some(member)
    }

    /// Whether this Pod has ever had a stream.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        self.members.contains_key(uid)
    }

    /// Scopes that have members.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.keys()
    }

    /// Whether the scope has members.
    pub(crate) fn has(&self, scope: &Scope) -> bool {
        self.scopes.contains_key(scope)
    }

    /// Streams of a scope.
    pub(crate) fn streams(&self, scope: &Scope) -> &BTreeSet<StreamId> {
        static NONE: BTreeSet<StreamId> = BTreeSet::new();
        self.scopes.get(scope).map_or(&NONE, |belonging| &belonging.streams)
    }

    /// Members of a scope.
    pub(crate) fn of(&self, scope: &Scope) -> impl Iterator<Item = &Member> {
        let uids = self.scopes.get(scope).into_iter().flat_map(|belonging| &belonging.members);
        uids.filter_map(|uid| self.members.get(uid))
    }

    /// Judges again what members of `scope` have said, now that it has this acquaintance: a sidecar speaks once, perhaps
    /// before anything was compiled for it. Returns what is not nothing.
    pub(super) fn judge_again(&mut self, scope: &Scope, acquaintance: &Acquaintance) -> Vec<Met> {
        let uids = self.scopes.get(scope).into_iter().flat_map(|belonging| &belonging.members);
        let mut judged = Vec::new();
        for uid in uids {
            let Some(member) = self.members.get_mut(uid) else { continue };
            let Some((health, at)) = &member.said else { continue };
            member.met = Met::of(health, acquaintance, *at);
            judged.push(member.met.clone());
        }
        judged
    }

    /// Adds what the members of `scope` have of what should be in it.
    pub(crate) fn tally(&self, scope: &Scope, inside: &Inside<'_>, tallies: &mut BTreeMap<ObjectRef, Tally>) {
        let Inside { objects, wanted, known } = *inside;
        // Members that have the same in force are counted together: thousands of them differ in a few versions.
        let mut groups: BTreeMap<Option<&Version>, Vec<&Member>> = BTreeMap::new();
        let (mut lost, mut refusing) = (Vec::new(), Vec::new());
        for member in self.of(scope) {
            match (member.stream, member.refusals.is_empty()) {
                (_, false) => refusing.push(member),
                (Some(_), true) => groups.entry(member.held.as_ref()).or_default().push(member),
                (None, true) => lost.push(member),
            }
        }
        let has = |held: Option<&Version>, object: &ObjectRef, generation: &Generation| {
            let inside = held.and_then(|held| known.get(held)).and_then(|inside| inside.get(object));
            inside.is_some_and(|held| held.includes(generation))
        };
        for object in objects {
            let Some(generation) = wanted.get(object) else { continue };
            let tally = tallies.entry(object.clone()).or_default();
            tally.stale += lost.len();
            lost.iter().take(Sidecars::BEHIND).for_each(|member| tally.is_behind(member, None));
            for (held, members) in &groups {
                if has(*held, object, generation) {
                    tally.programmed += members.len();
                } else {
                    tally.stale += members.len();
                    members.iter().take(Sidecars::BEHIND).for_each(|member| tally.is_behind(member, None));
                }
            }
            for member in &refusing {
                match member.refusals.get(object).filter(|refusal| refusal.generation == *generation) {
                    Some(refusal) => {
                        tally.refused += 1;
                        tally.is_behind(member, Some(refusal));
                        tally.first_refusal.get_or_insert_with(|| (member.pod.clone(), refusal.clone()));
                    }
                    None if member.stream.is_some() && has(member.held.as_ref(), object, generation) => {
                        tally.programmed += 1;
                    }
                    None => {
                        tally.stale += 1;
                        tally.is_behind(member, None);
                    }
                }
            }
        }
    }
}

impl Member {
    /// It acknowledged a snapshot with these objects: what it refused of them is past.
    pub(crate) fn acknowledged(&mut self, version: &Version, inside: Option<&Generations>) {
        self.held = Some(version.clone());
        if let Some(inside) = inside {
            self.refusals.retain(|object, refusal| {
                inside.get(object).is_none_or(|generation| !generation.includes(&refusal.generation))
            });
        }
    }

    /// Whether there is something that it refuses.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// It refused an object.
    pub(crate) fn refuses(&mut self, object: ObjectRef, refusal: Refusal) {
        if self.refusals.len() < REFUSALS {
            self.refusals.insert(object, refusal);
        }
    }
}
