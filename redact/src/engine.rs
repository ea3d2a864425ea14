//! Redacts a JSON body: walk, find in each string, replace; in steps, so that a long body does not
//! hold up its neighbours.

use std::ops::Range;

use crate::document::{Class, FieldTable, Leaf, LeafKind, Walker};
use crate::entity::Entity;
use crate::find::{NearMisses, Query, Unscannable, find_raw};
use crate::finding::Span;
use crate::names::NameFinder;
use crate::policy::{Action, NonText, Policy};
use crate::pseudonym::Vault;
use crate::splice::{Counts, Edit, Redacted, escape};
use crate::view::{Escapes, View};

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

/// Ranges of one string and what stands there instead.
type Replaced = Vec<(Range<usize>, Vec<u8>)>;

/// A redaction in progress.
pub struct Engine<'r, B> {
    rules: Rules<'r>,
    walker: Walker<B>,
    edits: Edits<'r>,
}

struct Edits<'r> {
    policy: &'r Policy,
    names: Option<&'r dyn NameFinder>,
    vault: &'r mut Vault,
    edits: Vec<Edit>,
    counts: Counts,
}

/// Redacts `body` in one go.
///
/// # Errors
/// A body that is not JSON, too deep, or holds what the policy blocks.
pub fn redact_json<B: AsRef<[u8]>>(
    body: B,
    rules: Rules<'_>,
    vault: &mut Vault,
) -> Result<Redacted<B>, Refused> {
    let mut engine = Engine::new(body, rules, vault);
    while engine.step(usize::MAX)? == Progress::More {}
    engine.finish()
}

impl<'r, B: AsRef<[u8]>> Engine<'r, B> {
    /// Begins with `body`; placeholders are minted in `vault`.
    pub fn new(body: B, rules: Rules<'r>, vault: &'r mut Vault) -> Self {
        vault.reserve(body.as_ref());
        let edits = Edits {
            policy: rules.policy,
            names: rules.names,
            vault,
            edits: Vec::new(),
            counts: Counts::new(),
        };
        Self { rules, walker: Walker::new(body, rules.table), edits }
    }

    /// Goes on for about `budget` bytes; a single string is never split.
    ///
    /// # Errors
    /// As [`redact_json`], without blocking, which is known at the end.
    pub fn step(&mut self, budget: usize) -> Result<Progress, Refused> {
        let until = self.walker.position().saturating_add(budget);
        while self.walker.position() < until {
            let Some(leaf) = self.walker.next()? else { return Ok(Progress::Done) };
            if leaf.class == Class::NonText {
                if self.rules.policy.non_text == NonText::Block {
                    return Err(Refused::NonText);
                }
            } else {
                self.edits.leaf(self.walker.body(), &leaf)?;
            }
        }
        Ok(Progress::More)
    }

    /// The redacted body, once `step` said that it is done.
    ///
    /// # Errors
    /// The body holds what the policy blocks, or is not walked to its end.
    pub fn finish(mut self) -> Result<Redacted<B>, Refused> {
        while self.step(usize::MAX)? == Progress::More {}
        let blocked: Counts = self
            .edits
            .counts
            .iter()
            .filter(|((_, action), _)| *action == Action::Block)
            .map(|(kind, count)| (*kind, *count))
            .collect();
        if !blocked.is_empty() {
            return Err(Refused::Blocked(blocked));
        }
        Ok(Redacted::new(self.walker.into_body(), self.edits.edits, self.edits.counts))
    }
}

impl Edits<'_> {
    fn leaf(&mut self, body: &[u8], leaf: &Leaf) -> Result<(), Unscannable> {
        let raw = &body[leaf.range.clone()];
        let key = key_text(&body[leaf.key.clone()]);
        let nested = leaf.class == Class::Nested
            && raw.iter().find(|byte| **byte != b' ').is_some_and(|byte| b"{[\\".contains(byte));
        if nested && self.nested(raw, leaf.range.start)? {
            return Ok(());
        }
        let class = leaf.class;
        for (span, replacement) in self.replace(raw, &key, class)? {
            let range = span.start + leaf.range.start..span.end + leaf.range.start;
            self.edits.push(Edit { range, replacement: escape(&replacement) });
        }
        Ok(())
    }

    /// JSON inside a string; false if it does not parse, and is prose.
    fn nested(&mut self, raw: &[u8], offset: usize) -> Result<bool, Unscannable> {
        let view = View::unescaped(raw)?;
        let mut walker = Walker::new(view.bytes(), FieldTable::Nested);
        let mut leaves = Vec::new();
        loop {
            match walker.next() {
                // Text that only looks like JSON may have escapes that JSON does not know.
                Ok(Some(leaf)) if View::unescaped(&view.bytes()[leaf.range.clone()]).is_err() => {
                    return Ok(false);
                }
                Ok(Some(leaf)) => leaves.push(leaf),
                Ok(None) => break,
                Err(Unscannable::TooDeep) => return Err(Unscannable::TooDeep),
                Err(_) => return Ok(false),
            }
        }
        for leaf in leaves {
            let key = key_text(&view.bytes()[leaf.key.clone()]);
            for (span, replacement) in self.replace(&view.bytes()[leaf.range.clone()], &key, Class::Prose)? {
                let (inner, replacement) = match leaf.kind {
                    // A number becomes a string, so that the JSON stays valid.
                    LeafKind::Number => {
                        (leaf.range.clone(), [b"\"", escape(&replacement).as_slice(), b"\""].concat())
                    }
                    LeafKind::String | LeafKind::Key => {
                        (span.start + leaf.range.start..span.end + leaf.range.start, escape(&replacement))
                    }
                };
                let range = view.raw_range(&inner);
                let edit = Edit {
                    range: range.start + offset..range.end + offset,
                    replacement: escape(&replacement),
                };
                self.edits.push(edit);
                if leaf.kind == LeafKind::Number {
                    break;
                }
            }
        }
        Ok(true)
    }

    fn replace(&mut self, raw: &[u8], key: &str, class: Class) -> Result<Replaced, Unscannable> {
        let query = Query { policy: self.policy, names: self.names, key, near_misses: NearMisses::Skip };
        let findings = find_raw(raw, Escapes::Json, &query)?;
        let mut replaced = Vec::with_capacity(findings.spans.len());
        for span in findings.spans {
            let action = match (class, self.policy.action(span.entity)) {
                (_, Action::Block) => Action::Block,
                (Class::Identifier, _) => Action::Hash,
                (_, action) => action,
            };
            *self.counts.entry((span.entity, action)).or_default() += 1;
            let value = View::unescaped(&raw[span.range.clone()])?;
            let value = String::from_utf8_lossy(value.bytes()).into_owned();
            let replacement = replacement(self.policy, self.vault, &span, action, &value);
            replaced.push((span.range, replacement.into_bytes()));
        }
        Ok(replaced)
    }
}

fn key_text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}

/// What stands in the place of a finding.
pub(crate) fn replacement(
    policy: &Policy,
    vault: &mut Vault,
    span: &Span,
    action: Action,
    value: &str,
) -> String {
    let label = policy.label(span.entity);
    match action {
        Action::Mask | Action::Block => {
            mask(value, if keeps_last(span.entity) { policy.keep_last } else { 0 })
        }
        Action::Label => format!("[{label}]"),
        Action::Hash => vault.digest(label, value),
        Action::Pseudonym => vault.mint(label, value),
    }
}

const fn keeps_last(entity: Entity) -> bool {
    matches!(entity, Entity::CreditCard | Entity::Phone | Entity::Iban | Entity::BankAccount)
}

fn mask(value: &str, keep: usize) -> String {
    let letters: Vec<char> = value.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let kept = letters.iter().skip(letters.len().saturating_sub(keep));
    "****".chars().chain(kept.copied()).collect()
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
    vault.reserve(text.as_ref());
    let query = Query { policy: rules.policy, names: rules.names, key: "", near_misses: NearMisses::Skip };
    let findings = find_raw(text.as_ref(), Escapes::None, &query)?;
    let (mut edits, mut counts, mut blocked) = (Vec::new(), Counts::new(), Counts::new());
    for span in findings.spans {
        let action = rules.policy.action(span.entity);
        let count = if action == Action::Block { &mut blocked } else { &mut counts };
        *count.entry((span.entity, action)).or_default() += 1;
        let value = String::from_utf8_lossy(&text.as_ref()[span.range.clone()]).into_owned();
        let replacement = replacement(rules.policy, vault, &span, action, &value).into_bytes();
        edits.push(Edit { range: span.range, replacement });
    }
    if blocked.is_empty() { Ok(Redacted::new(text, edits, counts)) } else { Err(Refused::Blocked(blocked)) }
}

#[cfg(test)]
mod tests;
