//! What sidecars have met at partners, between them, their operator and each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::feed::{Health, RestingCause};
use tokio::time::Instant;

use super::super::canary::StreamId;
use super::super::learned::{Met, Standing};
use super::super::roster::Pod;
use super::{Hub, ScopeState};
use crate::world::ObjectKey;

impl Hub {
    /// A sidecar says what it has met at partners. Returns whether that is anything else than before.
    pub(crate) fn learns(&mut self, pod: &Pod, id: StreamId, health: &Health, now: Instant) -> bool {
        let Some(member) = self.roster.of_stream(&pod.uid, id) else { return false };
        let Some(state) = self.scopes.get(&member.scope) else { return false };
        let met = Met::of(health, &state.acquaintance, now);
        let is_news_for_others = self.learned.add(&met, &member.scope.namespace, now);
        let is_change = member.met != met;
        (member.met, member.said) = (met, Some((health.clone(), now)));
        if is_news_for_others {
            // Who said so knows it.
            self.hint_others(Some(id));
        }
        is_change
    }

    pub(super) fn hint_others(&self, than: Option<StreamId>) {
        for scope in self.scopes.keys() {
            let streams = self.roster.streams(scope).iter().copied();
            self.hint(scope, &streams.filter(|stream| Some(*stream) != than).collect());
        }
    }

    /// How sidecars get on with each partner that one of them has.
    pub(crate) fn standings(&self, now: Instant) -> BTreeMap<ObjectKey, Standing> {
        let mut standings = BTreeMap::<_, Standing>::new();
        for (scope, ScopeState { acquaintance, .. }) in &self.scopes {
            let size = self.roster.streams(scope).len();
            for partner in acquaintance.partners.values().filter(|_| size > 0) {
                let standing = standings.entry(partner.clone()).or_default();
                standing.total += size;
                match self.learned.resting(partner, acquaintance, &scope.namespace, now) {
                    Some(RestingCause::Credential) => standing.refused_credential += size,
                    Some(RestingCause::Credit) => standing.spent_credit += size,
                    None => {}
                }
            }
            let connected = self.roster.of(scope).filter(|member| member.stream.is_some());
            for member in connected.filter(|member| member.met != Met::default()) {
                member.met.count(acquaintance, &mut standings);
            }
        }
        standings
    }

    /// Tells these streams of `scope` what others have met.
    pub(super) fn hint(&self, scope: &Scope, streams: &BTreeSet<StreamId>) {
        let Some(state) = self.scopes.get(scope) else { return };
        let Some(hints) = self.learned.hints(&state.acquaintance, &scope.namespace).map(Arc::new) else {
            return;
        };
        for sender in streams.iter().filter_map(|id| self.streams.get(id)) {
            sender.send_if_modified(|signal| {
                let is_news = signal.hints.as_ref() != Some(&hints);
                signal.hints = Some(Arc::clone(&hints));
                is_news
            });
        }
    }
}
