//! Patterns of the user's own, in windows, so that no pattern makes the work quadratic.

use std::ops::Range;

use super::Query;
use crate::entity::Entity;
use crate::finding::{Evidence, Span};

/// Bytes that a pattern sees at once.
const WINDOW: usize = 4096;
/// Longest match of a pattern.
const MATCH: usize = 256;
/// Bytes around a match in which its context words count.
const NEAR: (usize, usize) = (48, 24);
/// What a context word adds.
const SUPPORT: u8 = 35;

/// Searches one window of one pattern, from `from` on; returns where the next one begins.
pub(super) fn window(text: &[u8], from: usize, row: u8, query: &Query<'_>, spans: &mut Vec<Span>) -> usize {
    let Some(pattern) = query.policy.custom.get(usize::from(row)) else { return text.len() };
    let window = &text[from..text.len().min(from + WINDOW)];
    let last = from + window.len() == text.len();
    // What begins in the overlap belongs to the next window, where it is whole.
    let own = if last { window.len() } else { window.len() - MATCH };
    let mut done = own;
    for found in pattern.regex.find_iter(window).take_while(|found| found.start() < own) {
        done = done.max(found.end());
        let range = found.start() + from..found.end() + from;
        let cued = supported(text, &range, &pattern.context, query.key);
        let score = if cued { pattern.score.plus(SUPPORT) } else { pattern.score };
        if score >= query.policy.filter.threshold() {
            spans.push(Span::plain(range, Entity::Custom(row), score, Evidence::FormInContext, "custom"));
        }
    }
    from + done
}

fn supported(text: &[u8], range: &Range<usize>, words: &[String], key: &str) -> bool {
    if words.is_empty() {
        return false;
    }
    let near = &text[range.start.saturating_sub(NEAR.0)..(range.end + NEAR.1).min(text.len())];
    let near = String::from_utf8_lossy(near).to_lowercase();
    let key = key.to_lowercase();
    words.iter().any(|word| near.contains(word) || key.contains(word))
}
