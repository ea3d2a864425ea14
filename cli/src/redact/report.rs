//! What was found in a text and what was left alone, in words.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chaperone_redact::{CodePoints, Entity, EntitySet, NearMiss, NearMisses, Span};

/// What was found in one text.
pub(super) struct Report {
    /// In order, disjoint.
    pub(super) spans: Vec<Span>,
    /// In order; of one entity the longest, and none where something was found after all.
    pub(super) misses: Vec<NearMiss>,
    /// Whether anybody wants to know why.
    explain: NearMisses,
}

/// Where a text stands.
pub(super) enum Place<'p> {
    /// In a file, from this line on.
    Lines {
        /// The file's name.
        name: &'p str,
        /// From 1.
        first: u64,
    },
    /// In a row with this id.
    Row(&'p str),
}

impl Report {
    /// A report without near misses of what nobody wants.
    pub(super) fn new(
        spans: Vec<Span>,
        mut misses: Vec<NearMiss>,
        wanted: EntitySet,
        explain: NearMisses,
    ) -> Self {
        misses.sort_by_key(|miss| (miss.range.start, Reverse(miss.range.end)));
        let mut ends: BTreeMap<Entity, usize> = BTreeMap::new();
        misses.retain(|miss| {
            let end = ends.entry(miss.entity).or_default();
            let longer = miss.range.end > *end;
            *end = miss.range.end.max(*end);
            longer && wanted.contains(miss.entity) && !is_covered(&spans, miss)
        });
        Self { spans, misses, explain }
    }

    /// Whether anybody wants to know why.
    pub(super) fn explains(&self) -> bool {
        self.explain == NearMisses::Collect
    }

    /// A line for each finding and each near miss; nothing unless explanations are wanted.
    pub(super) fn explanations(&self, text: &str, place: &Place<'_>) -> String {
        if !self.explains() {
            return String::new();
        }
        let mut points = CodePoints::new(text);
        let spans = self.spans.iter().map(|span| (&span.range, span.explain()));
        let misses = self.misses.iter().map(|miss| (&miss.range, miss.explain()));
        let mut all: Vec<_> = spans.chain(misses).collect();
        all.sort_by_key(|(range, _)| range.start);
        let line = |(range, why): (&std::ops::Range<usize>, String)| {
            let [start, end] = [range.start, range.end].map(|byte| points.before(byte).unwrap_or_default());
            match place {
                Place::Row(id) => format!("{id}: characters {start} to {end}: {why}\n"),
                Place::Lines { name, first } => {
                    let before = text.get(..range.start).unwrap_or_default();
                    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                    let lines = before.bytes().filter(|byte| *byte == b'\n').count();
                    let column = before.get(line_start..).unwrap_or_default().chars().count();
                    let line = first + u64::try_from(lines).unwrap_or_default();
                    format!("{name}:{line}:{}: {} characters: {why}\n", column + 1, end - start)
                }
            }
        };
        all.into_iter().map(line).collect()
    }
}

fn is_covered(spans: &[Span], miss: &NearMiss) -> bool {
    let next = spans.partition_point(|span| span.range.end <= miss.range.start);
    spans.get(next).is_some_and(|span| span.range.start < miss.range.end)
}
