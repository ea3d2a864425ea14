//! Overlapping findings become disjoint spans; the whole union is covered, so nothing is left over.

use std::cmp::Reverse;

use crate::finding::Span;

/// Unites what overlaps. The best evidence names the union: checksum before form in context before
/// form before words, then the nearer cue, then the higher score, then the earlier entity.
pub(crate) fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.range.start, Reverse(span.range.end)));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut().filter(|last| span.range.start < last.range.end) {
            Some(last) => *last = unite(last, span),
            None => merged.push(span),
        }
    }
    merged
}

fn unite(left: &Span, right: Span) -> Span {
    let range = left.range.start.min(right.range.start)..left.range.end.max(right.range.end);
    let better = if rank(&right) > rank(left) { right } else { left.clone() };
    Span { range, ..better }
}

fn rank(span: &Span) -> impl Ord + use<> {
    (span.evidence, Reverse(span.cue_distance), span.score, Reverse(span.entity.index()))
}
