//! Finds personal data in one text: what is asked, what is found, why a text is refused.
//!
//! The work itself is in [`search`]: scan, judge by context, own patterns, names, merge.

mod base64;
mod custom;
mod judge;
mod name;
mod search;

use crate::finding::{NearMiss, Span};
use crate::names::{NameFinder, Unanalyzed};
use crate::policy::Policy;
use crate::view::{Escapes, InvalidText, View};
pub(crate) use base64::unfinished_group;
pub(crate) use name::may_name;
pub(crate) use search::Search;

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
    /// Whoever finds names had to know it beforehand, and does not.
    #[error(transparent)]
    Unanalyzed(#[from] Unanalyzed),
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
/// More than 4,096 findings in one text, or one that the name finder had to know beforehand.
pub fn find(text: &str, query: &Query<'_>) -> Result<Findings, Unscannable> {
    find_raw(text.as_bytes(), Escapes::None, query)
}

/// The same for bytes that may hold escapes; ranges are those of the raw bytes.
pub(crate) fn find_raw(raw: &[u8], escapes: Escapes, query: &Query<'_>) -> Result<Findings, Unscannable> {
    let view = View::new(raw, escapes)?;
    let text = view.bytes(raw);
    let mut search = Search::new(text, query);
    while search.step(text, query)?.is_some() {}
    let mut findings = search.finish(text, query);
    for span in &mut findings.spans {
        span.range = view.raw_range(&span.range);
    }
    for miss in &mut findings.near_misses {
        miss.range = view.raw_range(&miss.range);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;
