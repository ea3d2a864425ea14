//! Finds personal data in one text: scan, judge by context, merge.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::context::Context;
use crate::entity::Entity;
use crate::finding::{Candidate, Doubt, Evidence, NearMiss, Score, Span, Why};
use crate::merge::merge;
use crate::names::{NameFinder, NameKind, NameSpan};
use crate::policy::Policy;
use crate::recognizer;
use crate::scan::{Candidates, Progress, Scan};
use crate::view::{Escapes, InvalidText, View};

/// Most findings that one value may have.
const MAX_FINDINGS: usize = 4096;
/// A negative cue takes this much.
const DOUBT: u8 = 30;
/// Longest piece of text that the tagger sees at once.
const NAME_PIECE: usize = 512;
/// Custom patterns search in windows of this size, so that no pattern makes the work quadratic.
const PATTERN_WINDOW: usize = 4096;
/// Longest match of a custom pattern.
const PATTERN_MATCH: usize = 256;

/// What a text holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Disjoint, in order.
    pub spans: Vec<Span>,
    /// What looked like personal data and was left alone; only if it was asked for.
    pub near_misses: Vec<NearMiss>,
    /// Bytes that recognizers looked at: a measure of work that needs no clock.
    pub work: u64,
}

/// Why a text cannot be scanned: it must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unscannable {
    /// The bytes have no view.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// More findings than the bound.
    #[error("a value holds more than 4096 pieces of personal data")]
    TooManyFindings,
    /// Not JSON.
    #[error("the body is not JSON, at byte {0}")]
    NotJson(usize),
    /// JSON that is nested too deep.
    #[error("the body is nested deeper than 64 levels")]
    TooDeep,
}

/// How to look at one text.
#[derive(Clone, Copy)]
pub struct Query<'q> {
    /// What to look for.
    pub policy: &'q Policy,
    /// Finds names; without it names are not found.
    pub names: Option<&'q dyn NameFinder>,
    /// The JSON key of the text, a cue; empty if there is none.
    pub key: &'q str,
    /// Whether near misses are wanted.
    pub near_misses: NearMisses,
}

/// Whether to explain what was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NearMisses {
    /// Do not collect them.
    Skip,
    /// Collect them.
    Collect,
}

impl<'q> Query<'q> {
    /// A query without key, names and near misses.
    #[must_use]
    pub const fn new(policy: &'q Policy) -> Self {
        Self { policy, names: None, key: "", near_misses: NearMisses::Skip }
    }
}

/// Finds personal data in `text`.
///
/// # Errors
/// More than 4,096 findings in one text.
pub fn find(text: &str, query: &Query<'_>) -> Result<Findings, Unscannable> {
    find_raw(text.as_bytes(), Escapes::None, query)
}

/// The same for bytes that may hold escapes; ranges are those of the raw bytes.
pub(crate) fn find_raw(raw: &[u8], escapes: Escapes, query: &Query<'_>) -> Result<Findings, Unscannable> {
    let view = View::new(raw, escapes)?;
    let mut findings = find_in_view(view.bytes(), query)?;
    for span in &mut findings.spans {
        span.range = view.raw_range(&span.range);
    }
    for miss in &mut findings.near_misses {
        miss.range = view.raw_range(&miss.range);
    }
    Ok(findings)
}

fn find_in_view(text: &[u8], query: &Query<'_>) -> Result<Findings, Unscannable> {
    if query.policy.entities.is_empty() {
        return Ok(Findings::default());
    }
    let near = (query.near_misses == NearMisses::Collect).then(Vec::new);
    let mut out = Candidates { text, found: Vec::new(), near, settled_to: 0, assigned_to: 0, work: 0 };
    recognizer::keyed(&mut out, query.key);
    let context = Context::new(query.key);
    let near = (query.near_misses == NearMisses::Collect).then(Vec::new);
    let mut judge = Judge { text, policy: query.policy, context, near, births: BTreeMap::new() };
    let mut spans = Vec::new();
    let mut scan = Scan::default();
    loop {
        let progress = scan.run(&mut out);
        let mut batch = std::mem::take(&mut out.found);
        batch.sort_by_key(|candidate| candidate.range.start);
        spans.extend(batch.into_iter().filter_map(|candidate| judge.span(candidate)));
        if spans.len() > MAX_FINDINGS {
            return Err(Unscannable::TooManyFindings);
        }
        if progress == Progress::Done {
            break;
        }
    }
    judge.keep_nearest_birth(&mut spans);
    custom(text, query, &mut spans);
    names(text, query, &mut spans);
    spans.retain(|span| !query.policy.allows(&text[span.range.clone()]));
    let work = out.work + judge.context.work() + text.len() as u64;
    let mut near_misses = out.near.unwrap_or_default();
    near_misses.extend(judge.near.unwrap_or_default());
    Ok(Findings { spans: merge(spans), near_misses, work })
}

struct Judge<'j> {
    text: &'j [u8],
    policy: &'j Policy,
    context: Context,
    near: Option<Vec<NearMiss>>,
    /// Birth cue -> distance of the nearest date.
    births: BTreeMap<usize, usize>,
}

impl Judge<'_> {
    fn span(&mut self, candidate: Candidate) -> Option<Span> {
        let Candidate { range, rule } = candidate;
        if !self.policy.entities.contains(rule.entity) {
            return None;
        }
        let support = self.context.support(self.text, &range, rule.cues);
        let doubt = match rule.doubt {
            Doubt::Unmoved => None,
            Doubt::Lowered => self.context.doubt(self.text, &range),
        };
        // The word that stands nearer decides: "order, card 4111…" against "card order 4111…".
        let doubt = doubt.filter(|(_, distance)| support.is_none_or(|support| *distance < support.distance));
        let score = if support.is_some() { rule.cued } else { rule.base };
        let score = if doubt.is_some() { score.minus(DOUBT) } else { score };
        let threshold = self.policy.filter.threshold();
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
        })
    }

    /// Of several dates near one birth cue, the nearest is the birthday.
    fn keep_nearest_birth(&self, spans: &mut Vec<Span>) {
        spans.retain(|span| {
            let dates = span.entity == Entity::DateOfBirth && span.cue_distance > 0;
            !dates || self.births.values().any(|nearest| *nearest == span.cue_distance)
        });
    }
}

fn custom(text: &[u8], query: &Query<'_>, spans: &mut Vec<Span>) {
    for (at, row) in (0..).zip(&query.policy.custom) {
        let mut from = 0;
        while from < text.len() {
            let window = &text[from..text.len().min(from + PATTERN_WINDOW)];
            let last = from + window.len() == text.len();
            // What begins in the overlap belongs to the next window, where it is whole.
            let own = if last { window.len() } else { window.len() - PATTERN_MATCH };
            let mut done = own;
            for found in row.regex.find_iter(window).take_while(|found| found.start() < own) {
                done = done.max(found.end());
                let range = found.start() + from..found.end() + from;
                let near = String::from_utf8_lossy(
                    &text[range.start.saturating_sub(48)..(range.end + 24).min(text.len())],
                );
                let cued = row.context.iter().any(|word| {
                    near.to_lowercase().contains(word) || query.key.to_lowercase().contains(word)
                });
                let score = if cued { Score::percent(100).min(plus(row.score, 35)) } else { row.score };
                if score >= query.policy.filter.threshold() {
                    spans.push(plain(range, Entity::Custom(at), score, "custom"));
                }
            }
            from += done;
        }
    }
}

fn plus(score: Score, percent: u8) -> Score {
    Score::from_probability(score.as_f32() + f32::from(percent) / 100.0)
}

fn plain(range: Range<usize>, entity: Entity, score: Score, rule: &'static str) -> Span {
    let evidence = if entity.is_name() { Evidence::Words } else { Evidence::FormInContext };
    Span { range, entity, score, evidence, rule, validator: "", cue: None, cue_distance: usize::MAX }
}

/// Asks the tagger piece by piece: a line, or the part of one that ends at a space.
fn names(text: &[u8], query: &Query<'_>, spans: &mut Vec<Span>) {
    let (Some(finder), true) = (query.names, query.policy.entities.wants_names()) else { return };
    let mut found: Vec<NameSpan> = Vec::new();
    let mut from = 0;
    while from < text.len() {
        let piece = piece(&text[from..]);
        if let Ok(piece) = std::str::from_utf8(&text[from..from + piece]) {
            found.clear();
            finder.find(piece, query.policy.filter.recall_bias(), &mut found);
            let named = found.iter().map(|name| {
                let entity = match name.kind {
                    NameKind::Person => Entity::Person,
                    NameKind::Location => Entity::Location,
                    NameKind::Organization => Entity::Organization,
                };
                plain(
                    from + name.start..from + name.end,
                    entity,
                    Score::from_probability(name.score),
                    "tagger",
                )
            });
            let (places, others): (Vec<Span>, Vec<Span>) =
                named.partition(|span| span.entity == Entity::Location);
            join_places(text, spans, &places);
            let wanted = others.into_iter().chain(places);
            spans.extend(wanted.filter(|span| query.policy.entities.contains(span.entity)));
        }
        from += piece;
    }
}

/// A place that follows a street, after a comma or a line's end, belongs to the address.
fn join_places(text: &[u8], spans: &mut [Span], places: &[Span]) {
    for place in places {
        let follows = |address: &&mut Span| {
            let gap = text.get(address.range.end..place.range.start);
            address.entity == Entity::Address
                && gap.is_some_and(|gap| gap.len() <= 3 && gap.iter().all(|byte| b" ,\n".contains(byte)))
        };
        if let Some(address) = spans.iter_mut().find(follows) {
            address.range.end = place.range.end;
        }
    }
}

fn piece(rest: &[u8]) -> usize {
    let window = &rest[..rest.len().min(NAME_PIECE)];
    if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
        return end + 1;
    }
    if window.len() == rest.len() {
        return rest.len();
    }
    let space = window.iter().rposition(|byte| *byte == b' ').map(|at| at + 1);
    // Without a space the cut must still fall between characters.
    let boundary = (1..=window.len()).rev().find(|at| rest.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80));
    space.or(boundary).unwrap_or(window.len())
}

#[cfg(test)]
mod tests;
