//! The search of one value, in blocks between which the caller may pause.
//!
//! Where blocks end depends on the text alone, so that pausing cannot change what is found.

use super::base64::Runs;
use super::judge::Judge;
use super::name::Names;
use super::{Findings, NearMisses, Query, Unscannable, custom};
use crate::finding::{Candidate, Span};
use crate::merge::merge;
use crate::policy::Filter;
use crate::recognizer;
use crate::scan::{Candidates, Scan, Sweep};

/// Most findings that one value may have.
const MAX_FINDINGS: usize = 4096;
/// Bytes that are scanned between two points where the caller may pause.
pub(crate) const BLOCK: usize = 512;
/// No recognizer looks further back from what triggered it.
const LOOK_BACK: usize = 512;

/// A search that can stop after each block.
#[derive(Debug)]
pub(crate) struct Search {
    stage: Stage,
    scan: Scan,
    sweep: Sweep,
    judge: Judge,
    spans: Vec<Span>,
}

#[derive(Debug)]
enum Stage {
    Scan,
    Base64(Runs),
    Custom { row: u8, from: usize },
    Names(Names),
    Done,
}

impl Search {
    /// Begins with `text`.
    pub(crate) fn new(text: &[u8], query: &Query<'_>) -> Self {
        let near = (query.near_misses == NearMisses::Collect).then(Vec::new);
        let mut out = Candidates::new(text, Sweep { near, ..Sweep::default() });
        recognizer::keyed(&mut out, query.key);
        let stage = if query.policy.entities.is_empty() { Stage::Done } else { Stage::Scan };
        let (scan, judge) = (Scan::default(), Judge::new(query));
        Self { stage, scan, sweep: out.sweep(), judge, spans: Vec::new() }
    }

    /// Looks at the next block; returns how many bytes that were, `None` at the end. `text` and `query` must be the
    /// same in all calls.
    ///
    /// # Errors
    /// More than 4,096 findings, or a text that the name finder had to know beforehand.
    pub(crate) fn step(&mut self, text: &[u8], query: &Query<'_>) -> Result<Option<usize>, Unscannable> {
        let spent = match &mut self.stage {
            Stage::Scan => self.scan(text, query)?,
            Stage::Base64(runs) => {
                let spent = runs.step(text, BLOCK, query, &mut self.spans)?;
                check_count(&self.spans)?;
                if spent == 0 {
                    self.sweep.work += runs.work;
                    self.stage = self.behind_rules(query);
                }
                spent
            }
            Stage::Custom { row, from } => {
                let next = custom::window(text, *from, *row, query, &mut self.spans);
                let spent = next - *from;
                *from = next;
                if next >= text.len() {
                    (*row, *from) = (*row + 1, 0);
                }
                if usize::from(*row) >= query.policy.custom.len() {
                    self.stage = Stage::Names(Names::new(&self.spans));
                }
                spent
            }
            Stage::Names(names) => {
                let finder = query.names.filter(|_| query.policy.entities.wants_names());
                let spent = match finder {
                    Some(finder) => names.step(text, finder, query, &mut self.spans)?,
                    None => 0,
                };
                if spent == 0 {
                    self.stage = Stage::Done;
                }
                spent
            }
            Stage::Done => return Ok(None),
        };
        Ok(Some(spent))
    }

    /// Scans the next block and hands over what rules found, for a caller who wants nothing else; `None` at the end.
    ///
    /// # Errors
    /// More than 4,096 findings.
    pub(super) fn by_rules(
        &mut self,
        text: &[u8],
        query: &Query<'_>,
    ) -> Result<Option<(usize, Vec<Span>)>, Unscannable> {
        let Stage::Scan = self.stage else { return Ok(None) };
        let spent = self.scan(text, query)?;
        Ok(Some((spent.max(1), std::mem::take(&mut self.spans))))
    }

    /// Whether the next block is the tagger's, which takes longer.
    pub(crate) const fn is_tagging(&self) -> bool {
        matches!(self.stage, Stage::Names(_))
    }

    fn scan(&mut self, text: &[u8], query: &Query<'_>) -> Result<usize, Unscannable> {
        let from = self.scan.position();
        let mut out = Candidates::new(text, std::mem::take(&mut self.sweep));
        self.scan.run(&mut out, from + BLOCK);
        self.sweep = out.sweep();
        let at = self.scan.position();
        let end = at >= text.len();
        if !self.sweep.found.is_empty() {
            // Candidates of the next block may begin before those at the end of this one.
            let settled = if end { usize::MAX } else { at.saturating_sub(LOOK_BACK) };
            self.judge(text, query, settled)?;
        }
        if end {
            let runs = Runs::of(text).filter(|_| query.policy.filter == Filter::Strict);
            self.stage = runs.map_or_else(|| self.behind_rules(query), Stage::Base64);
        }
        Ok(at - from)
    }

    fn behind_rules(&self, query: &Query<'_>) -> Stage {
        if query.policy.custom.is_empty() {
            Stage::Names(Names::new(&self.spans))
        } else {
            Stage::Custom { row: 0, from: 0 }
        }
    }

    /// Judges the candidates that begin before `settled`, in order.
    fn judge(&mut self, text: &[u8], query: &Query<'_>, settled: usize) -> Result<(), Unscannable> {
        self.sweep.found.sort_by_key(|candidate| candidate.range.start);
        let ready = self.sweep.found.partition_point(|candidate| candidate.range.start < settled);
        let judge = |candidate: Candidate| self.judge.span(text, query, candidate);
        self.spans.extend(self.sweep.found.drain(..ready).filter_map(judge));
        check_count(&self.spans)
    }

    /// What was found, once `step` said that it is done.
    pub(crate) fn finish(mut self, text: &[u8], query: &Query<'_>) -> Findings {
        self.judge.keep_nearest_birth(&mut self.spans);
        self.spans.retain(|span| !query.policy.allows(&text[span.range.clone()]));
        let work = self.sweep.work + self.judge.work() + text.len() as u64;
        let mut near_misses = self.sweep.near.unwrap_or_default();
        near_misses.extend(self.judge.into_near_misses());
        Findings { spans: merge(text, self.spans), near_misses, work }
    }
}

fn check_count(spans: &[Span]) -> Result<(), Unscannable> {
    if spans.len() > MAX_FINDINGS { Err(Unscannable::TooManyFindings) } else { Ok(()) }
}
