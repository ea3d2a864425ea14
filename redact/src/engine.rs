//! Redacts a JSON body: walk, find in each string, replace; or one text. In steps, so that a long body does not
//! hold up its neighbours.
//!
//! One step is a few kilobytes of walking, a block of one string's search, or one replacement, so a
//! single long string pauses as often as many short ones. Where steps end never changes the result.

mod nested;
mod replace;
mod value;

use crate::document::{Class, FieldTable, Leaf, Walk, Walker};
use crate::entity::Entity;
use crate::find::{NearMisses, Unscannable};
use crate::finding::{NearMiss, Span};
use crate::names::NameFinder;
use crate::policy::{Action, NonText, Policy};
use crate::pseudonym::Vault;
use crate::splice::{Counts, Edit, Redacted};
use nested::Nested;
pub(crate) use replace::replacement;
use value::Value;

/// Why a body must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be scanned to its end.
    #[error(transparent)]
    Unscannable(#[from] Unscannable),
    /// It holds what the policy blocks: kinds and counts, never values.
    #[error("the request holds personal data that the policy blocks")]
    Blocked(Counts),
    /// It holds images, audio or files, and the policy blocks what cannot be read.
    #[error("the request holds data other than text, which the policy blocks")]
    NonText,
}

/// What decides how a body is redacted.
#[derive(Clone, Copy)]
pub struct Rules<'r> {
    /// What to look for and what to do.
    pub policy: &'r Policy,
    /// Which strings carry content.
    pub table: FieldTable,
    /// Finds names.
    pub names: Option<&'r dyn NameFinder>,
}

/// Whether an engine has reached the end of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    More,
    /// Call [`Engine::finish`].
    Done,
}

/// A redaction in progress.
pub struct Engine<'r, B> {
    desk: Desk<'r>,
    walker: Walker<B>,
    form: Form,
    stage: Stage,
    edits: Vec<Edit>,
    misses: Vec<NearMiss>,
}

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    /// One text, of which nothing is escaped.
    Text,
}

/// What all strings of a body share.
struct Desk<'r> {
    rules: Rules<'r>,
    vault: &'r mut Vault,
    counts: Counts,
    near_misses: NearMisses,
}

/// What the next turn works on.
enum Stage {
    /// Noting what already looks like a placeholder, from here on.
    Reserve(usize),
    /// The search has not begun.
    Begin,
    Walk,
    Value(Box<Value>),
    Nested(Box<Nested>),
    Done,
}

/// What one turn did. Costs are bytes of the slowest stage that the policy asks for.
enum Turn {
    Spent(usize),
    /// What is left alone in a string; only if somebody asked.
    Missed(Vec<NearMiss>),
    /// What stands in the place of a finding.
    Replace(Span, Vec<u8>),
    Done,
}

/// Bytes that are walked or read in one turn.
const TURN: usize = 4096;
/// The tagger takes so many times longer for a byte than everything else.
const NAMES_COST: usize = 16;
/// What one replacement costs: a keyed hash.
const REPLACE_COST: usize = 512;

/// Redacts `body` in one go.
///
/// # Errors
/// A body that is not JSON, too deep, or holds what the policy blocks.
pub fn redact_json<B: AsRef<[u8]>>(
    body: B,
    rules: Rules<'_>,
    vault: &mut Vault,
) -> Result<Redacted<B>, Refused> {
    Engine::new(body, rules, vault).finish()
}

impl<'r, B: AsRef<[u8]>> Engine<'r, B> {
    /// Begins with `body`; placeholders are minted in `vault`.
    pub fn new(body: B, rules: Rules<'r>, vault: &'r mut Vault) -> Self {
        Self::of(Form::Json, body, rules, vault)
    }

    /// Begins with `text` that is no JSON: no table is asked.
    pub fn text(text: B, rules: Rules<'r>, vault: &'r mut Vault) -> Self {
        Self::of(Form::Text, text, rules, vault)
    }

    fn of(form: Form, body: B, rules: Rules<'r>, vault: &'r mut Vault) -> Self {
        let stage = if rules.policy.mints() { Stage::Reserve(0) } else { Stage::Begin };
        let walker = Walker::new(body, rules.table);
        let desk = Desk { rules, vault, counts: Counts::new(), near_misses: NearMisses::Skip };
        Self { desk, walker, form, stage, edits: Vec::new(), misses: Vec::new() }
    }

    /// The same, but what was left alone is kept for explanations.
    #[must_use]
    pub fn explaining(mut self) -> Self {
        self.desk.near_misses = NearMisses::Collect;
        self
    }

    /// Goes on for about `budget` bytes of the slowest stage: 512 where names are looked for and 65,536 elsewhere
    /// make about 0.2 ms. A long string is no exception. The result is the same for every budget.
    ///
    /// # Errors
    /// As [`redact_json`], without blocking, which is known at the end.
    pub fn step(&mut self, budget: usize) -> Result<Progress, Refused> {
        let mut left = budget.max(1);
        loop {
            if matches!(self.stage, Stage::Done) {
                return Ok(Progress::Done);
            }
            left = left.saturating_sub(self.turn()?.max(1));
            if left == 0 {
                return Ok(Progress::More);
            }
        }
    }

    /// The redacted body, once `step` said that it is done; before that, everything that is left to do is done.
    ///
    /// # Errors
    /// As [`redact_json`].
    pub fn finish(mut self) -> Result<Redacted<B>, Refused> {
        while self.step(usize::MAX)? == Progress::More {}
        let counts = allowed(self.desk.counts)?;
        Ok(Redacted::new(self.walker.into_body(), self.edits, counts).with_near_misses(self.misses))
    }

    /// One turn; returns its cost.
    fn turn(&mut self) -> Result<usize, Refused> {
        let body = self.walker.body();
        let turn = match &mut self.stage {
            Stage::Reserve(from) => {
                *from = self.desk.vault.reserve(body, *from, TURN);
                if *from >= body.len() { Turn::Done } else { Turn::Spent(self.desk.cost(TURN)) }
            }
            Stage::Begin => {
                self.stage = match self.form {
                    Form::Json => Stage::Walk,
                    Form::Text => Stage::Value(Box::new(Value::of_text(body))),
                };
                return Ok(0);
            }
            Stage::Walk => return self.walk(),
            Stage::Value(value) => value.turn(body, &mut self.desk)?,
            Stage::Nested(nested) => nested.turn(body, &mut self.desk)?,
            Stage::Done => return Ok(0),
        };
        match turn {
            Turn::Spent(cost) => Ok(cost),
            Turn::Missed(misses) => {
                self.misses.extend(misses);
                Ok(0)
            }
            Turn::Replace(span, replacement) => {
                self.edits.push(Edit { span, replacement });
                Ok(REPLACE_COST)
            }
            Turn::Done => {
                let next = if self.form == Form::Text { Stage::Done } else { Stage::Walk };
                match std::mem::replace(&mut self.stage, next) {
                    Stage::Reserve(_) => self.stage = Stage::Begin,
                    // Text that only looks like JSON is prose.
                    Stage::Nested(nested) => {
                        if let Some(leaf) = nested.into_prose() {
                            self.stage = Stage::Value(Box::new(Value::new(&leaf, self.walker.key(&leaf))));
                        }
                    }
                    Stage::Begin | Stage::Walk | Stage::Value(_) | Stage::Done => {}
                }
                Ok(1)
            }
        }
    }

    fn walk(&mut self) -> Result<usize, Refused> {
        let from = self.walker.position();
        match self.walker.step(TURN)? {
            Walk::End => self.stage = Stage::Done,
            Walk::Pause => {}
            Walk::Leaf(leaf) if leaf.class == Class::NonText => {
                if self.desk.rules.policy.non_text == NonText::Block {
                    return Err(Refused::NonText);
                }
            }
            Walk::Leaf(leaf) => self.stage = self.leaf(&leaf),
        }
        Ok(self.desk.cost(self.walker.position() - from))
    }

    fn leaf(&self, leaf: &Leaf) -> Stage {
        if leaf.class == Class::Nested && nested::looks_like_json(&self.walker.body()[leaf.range.clone()]) {
            return Stage::Nested(Box::new(Nested::new(leaf)));
        }
        Stage::Value(Box::new(Value::new(leaf, self.walker.key(leaf))))
    }
}

impl Desk<'_> {
    /// The cost of bytes that anything but the tagger has read.
    fn cost(&self, bytes: usize) -> usize {
        let names = self.rules.names.is_some() && self.rules.policy.entities().wants_names();
        if names { bytes / NAMES_COST } else { bytes }
    }
}

/// Redacts plain text in one go.
///
/// # Errors
/// As [`redact_json`].
pub fn redact_text<B: AsRef<[u8]>>(
    text: B,
    rules: Rules<'_>,
    vault: &mut Vault,
) -> Result<Redacted<B>, Refused> {
    Engine::text(text, rules, vault).finish()
}

/// All counts, unless the policy blocks one of them.
fn allowed(counts: Counts) -> Result<Counts, Refused> {
    let blocked = |(_, action): &(Entity, Action)| *action == Action::Block;
    if counts.keys().any(blocked) {
        return Err(Refused::Blocked(counts.into_iter().filter(|(kind, _)| blocked(kind)).collect()));
    }
    Ok(counts)
}

#[cfg(test)]
mod tests;
