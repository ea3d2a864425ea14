//! Overlapping findings become disjoint spans; the whole union is covered, so nothing is left over.
//!
//! Names give way: what a rule found keeps its own bounds, and a name that reaches into it keeps what
//! lies outside.

use std::cmp::Reverse;
use std::ops::Range;

use crate::finding::{ANALYZER, Span};

/// Unites what overlaps. The best evidence names the union: checksum before form in context before
/// form before words, then the nearer cue, then the higher score, then the earlier entity.
pub(crate) fn merge(text: &[u8], spans: Vec<Span>) -> Vec<Span> {
    let (names, rules): (Vec<Span>, Vec<Span>) = spans.into_iter().partition(|span| span.entity.is_name());
    let mut merged = unite_all(rules);
    let mut outside = Vec::new();
    for name in names {
        let parts = pieces(&name.range, &merged).into_iter();
        let capital = if name.rule == ANALYZER { Capital::Indifferent } else { Capital::Needed };
        let kept = parts
            .filter_map(|part| if part == name.range { Some(part) } else { trimmed(text, part, capital) });
        outside.extend(kept.map(|range| Span { range, ..name.clone() }));
    }
    merged.extend(outside);
    unite_all(merged)
}

fn unite_all(mut spans: Vec<Span>) -> Vec<Span> {
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

/// The parts of a range that no span covers; `spans` are disjoint and in order.
fn pieces(whole: &Range<usize>, spans: &[Span]) -> Vec<Range<usize>> {
    let first = spans.partition_point(|span| span.range.end <= whole.start);
    let mut parts = Vec::new();
    let mut at = whole.start;
    for span in spans[first..].iter().take_while(|span| span.range.start < whole.end) {
        parts.push(at..span.range.start.max(at));
        at = span.range.end;
    }
    parts.push(at..whole.end.max(at));
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether what is left of a name must begin with a capital letter to be one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Capital {
    Needed,
    Indifferent,
}

/// What a rule left of a name, without what stands around it.
fn trimmed(text: &[u8], part: Range<usize>, capital: Capital) -> Option<Range<usize>> {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    let piece = &text[part.clone()];
    let start = part.start + piece.iter().position(belongs)?;
    let end = part.start + piece.iter().rposition(belongs)? + 1;
    let is_capital = text[start].is_ascii_uppercase() || text[start] >= 0x80;
    (is_capital || capital == Capital::Indifferent).then_some(start..end)
}
