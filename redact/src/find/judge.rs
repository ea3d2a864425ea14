//! Judges candidates by what stands near them.

use std::collections::BTreeMap;

use super::{NearMisses, Query};
use crate::context::Context;
use crate::entity::Entity;
use crate::finding::{Candidate, Doubt, Evidence, NearMiss, Span, Why};

/// A negative cue takes this much.
const DOUBT: u8 = 30;

/// What is known of one value's surroundings so far.
#[derive(Debug)]
pub(super) struct Judge {
    context: Context,
    near: Option<Vec<NearMiss>>,
    /// Birth cue -> distance of the nearest date.
    births: BTreeMap<usize, usize>,
}

impl Judge {
    pub(super) fn new(query: &Query<'_>) -> Self {
        let near = (query.near_misses == NearMisses::Collect).then(Vec::new);
        Self { context: Context::new(query.key), near, births: BTreeMap::new() }
    }

    /// Bytes searched for cues.
    pub(super) const fn work(&self) -> u64 {
        self.context.work()
    }

    /// What was left alone because of its score.
    pub(super) fn into_near_misses(self) -> Vec<NearMiss> {
        self.near.unwrap_or_default()
    }

    /// The finding that a candidate turns out to be. Candidates come in the order of their starts.
    pub(super) fn span(&mut self, text: &[u8], query: &Query<'_>, candidate: Candidate) -> Option<Span> {
        let Candidate { range, rule } = candidate;
        if !query.policy.entities.contains(rule.entity) {
            return None;
        }
        let support = self.context.support(text, &range, rule.cues);
        let doubt = match rule.doubt {
            Doubt::Unmoved => None,
            Doubt::Lowered => self.context.doubt(text, &range),
        };
        // The word that stands nearer decides: "order, card 4111…" against "card order 4111…".
        let doubt = doubt.filter(|(_, distance)| support.is_none_or(|support| *distance < support.distance));
        let support = support.filter(|_| doubt.is_none());
        let score = if support.is_some() { rule.cued } else { rule.base };
        let score = if doubt.is_some() { score.minus(DOUBT) } else { score };
        let threshold = query.policy.filter.threshold();
        if score < threshold {
            let negative = doubt.map(|(word, _)| word);
            if let Some(near) = &mut self.near {
                let why = Why::BelowThreshold { score, threshold, negative };
                near.push(NearMiss { range, entity: rule.entity, rule: rule.id, why });
            }
            return None;
        }
        if let (Entity::DateOfBirth, Some(at)) = (rule.entity, support.and_then(|support| support.at)) {
            let distance = support.map_or(0, |support| support.distance);
            let nearest = self.births.entry(at).or_insert(distance);
            *nearest = distance.min(*nearest);
        }
        let evidence = match (rule.evidence, support) {
            (Evidence::Checksum, _) => Evidence::Checksum,
            (_, Some(_)) => Evidence::FormInContext,
            (evidence, None) => evidence,
        };
        Some(Span {
            range,
            entity: rule.entity,
            score,
            evidence,
            rule: rule.id,
            validator: rule.validator,
            cue: support.map(|support| support.word.trim_end_matches('*')),
            cue_distance: support.map_or(usize::MAX, |support| support.distance),
            cue_at: support.and_then(|support| support.at),
        })
    }

    /// Of several dates near one birth cue, the nearest is the birthday.
    pub(super) fn keep_nearest_birth(&self, spans: &mut Vec<Span>) {
        spans.retain(|span| match (span.entity, span.cue_at) {
            (Entity::DateOfBirth, Some(cue)) => self.births.get(&cue) == Some(&span.cue_distance),
            _ => true,
        });
    }
}
