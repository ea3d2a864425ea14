//! Redacts and restores in chunks, with a bounded hold-back, and the same bytes for every cut.
//!
//! Text is judged in segments whose ends depend on the text alone, never on how it arrived. A
//! segment ends at white space where nothing is open, or after 256 bytes, which are then decided as
//! they stand. One value of each type serves one channel: a choice, a content block, a tool call.

mod arguments;
mod block;
mod cut;
mod restore;

pub use arguments::ArgumentRedactor;
pub use restore::{Landing, StreamRestorer, Urls};

use std::borrow::Cow;
use std::sync::Arc;

use crate::engine::{Refused, replacement};
use crate::entity::Entity;
use crate::find::{NearMisses, Query, Unscannable, find_raw, unfinished_group};
use crate::finding::Span;
use crate::names::NameFinder;
use crate::policy::{Action, Filter, Policy};
use crate::pseudonym::Vault;
use crate::splice::{Counts, escape};
use crate::view::{Escapes, InvalidText, View};
use block::Block;
use cut::{ends_line, ends_sentence, is_hot, last_line_end, opens, parts_name, parts_spelled, whole};

/// Most bytes that a channel holds back before it decides.
pub const MAX_HELD: usize = 256;
/// Bytes after the last digit or mark before a segment may end.
const CALM: usize = 25;
/// A name or an address may need its whole sentence; this is the most that it gets.
const NAME_SEGMENT: usize = 160;
/// Text before a segment in which cues still count.
const CONTEXT: usize = 64;
/// Places at which a pause tries to end a segment.
const PAUSE_TRIES: usize = 4;
/// Where a forced cut may fall within the window.
const FORCED: std::ops::Range<usize> = 64..192;

/// Redacts one channel of plain text.
pub struct StreamRedactor<'n> {
    policy: Arc<Policy>,
    names: Option<&'n dyn NameFinder>,
    escapes: Escapes,
    key: String,
    /// Released text, as it was before redaction: where cues are found.
    context: Vec<u8>,
    /// The table that the released text ends in, without escapes.
    block: Block,
    held: Vec<u8>,
    open: Open,
    counts: Counts,
}

/// What the last forced cut left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    /// A masked token goes on: its rest is swallowed.
    Token,
    /// A masked PEM block goes on up to its last line.
    Pem,
}

impl<'n> StreamRedactor<'n> {
    /// A channel of plain text.
    #[must_use]
    pub fn new(policy: Arc<Policy>, names: Option<&'n dyn NameFinder>) -> Self {
        Self::with(policy, names, Escapes::None)
    }

    fn with(policy: Arc<Policy>, names: Option<&'n dyn NameFinder>, escapes: Escapes) -> Self {
        Self {
            policy,
            names,
            escapes,
            key: String::new(),
            context: Vec::new(),
            block: Block::default(),
            held: Vec::new(),
            open: Open::Nothing,
            counts: Counts::new(),
        }
    }

    /// Takes a chunk and returns what is decided; it may end anywhere, also inside a character.
    ///
    /// # Errors
    /// Text that cannot be scanned, or that the policy blocks: nothing more may be released.
    pub fn push(&mut self, chunk: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        self.held.extend_from_slice(chunk);
        let mut released = Vec::new();
        let mut done = 0;
        loop {
            done += self.swallow(done);
            if self.open != Open::Nothing {
                break;
            }
            let Some(len) = self.segment(done)? else { break };
            self.decide(done..done + len, &mut released, vault)?;
            done += len;
        }
        self.held.drain(..done);
        Ok(released)
    }

    /// Decides what no longer text can change much, as nothing came for a moment: a sentence that waits for its end
    /// only because names are looked for. What may be a beginning of anything stays.
    ///
    /// # Errors
    /// As [`StreamRedactor::push`].
    pub fn pause(&mut self, vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let mut released = Vec::new();
        if self.open != Open::Nothing || self.held.is_empty() {
            return Ok(released);
        }
        let spans = self.find(&self.held[..whole(&self.held, self.held.len(), self.escapes)])?;
        if let Some(len) = self.settled(&spans)? {
            self.decide(0..len, &mut released, vault)?;
            self.held.drain(..len);
        }
        Ok(released)
    }

    /// How much of what is held is decided alike with and without what follows it.
    fn settled(&self, spans: &[Span]) -> Result<Option<usize>, Refused> {
        let held = &self.held;
        let first_hot = held.iter().position(|byte| is_hot(*byte));
        let calm = first_hot.map_or(held.len(), |hot| hot.saturating_sub(1));
        let ends = (1..held.len().min(calm + 1)).rev().filter(|at| {
            held[at - 1].is_ascii_whitespace()
                && !opens(&held[..at - 1])
                && !parts_name(&held[..*at], &held[*at..])
                && parts_spelled(&held[..*at], &held[*at..]) == Some(false)
                && self.may_end(&held[..*at])
        });
        for end in ends.take(PAUSE_TRIES) {
            let parts = spans.iter().any(|span| span.range.start < end && end <= span.range.end + 1);
            let before = spans.iter().filter(|span| span.range.end < end).map(|span| &span.range);
            if !parts && self.find(&held[..end])?.iter().map(|span| &span.range).eq(before) {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Takes all that is still to come, and decides it in one piece; the channel is at its end.
    ///
    /// # Errors
    /// As [`StreamRedactor::push`]; also more than 4,096 findings.
    pub fn finish(&mut self, rest: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        self.held.extend_from_slice(rest);
        let swallowed = self.swallow(0);
        self.held.drain(..swallowed);
        self.flush(vault)
    }

    /// Decides what is left; the channel is at its end.
    ///
    /// # Errors
    /// As [`StreamRedactor::push`].
    pub fn flush(&mut self, vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let mut released = Vec::new();
        let end = self.held.len();
        if self.open == Open::Nothing && end > 0 {
            self.decide(0..end, &mut released, vault)?;
        }
        self.held.clear();
        self.context.clear();
        self.block = Block::default();
        self.open = Open::Nothing;
        Ok(released)
    }

    /// Findings so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Skips what belongs to a finding that is masked already; how many bytes.
    fn swallow(&mut self, from: usize) -> usize {
        let rest = &self.held[from..];
        match self.open {
            Open::Nothing => 0,
            Open::Token => {
                let token = rest.iter().take_while(|byte| is_token(**byte)).count();
                if token < rest.len() {
                    self.open = Open::Nothing;
                }
                token
            }
            Open::Pem => {
                let end = rest.windows(9).position(|part| part == b"-----END ");
                let close = end.and_then(|end| {
                    let line = rest.get(end + 9..)?;
                    line.windows(5).position(|part| part == b"-----").map(|at| end + 9 + at + 5)
                });
                if close.is_some() {
                    self.open = Open::Nothing;
                }
                // Without the last line only what cannot be its beginning is skipped.
                close.unwrap_or_else(|| end.unwrap_or_else(|| rest.len().saturating_sub(8)))
            }
        }
    }

    /// The length of the next segment, if its end is known.
    fn segment(&self, from: usize) -> Result<Option<usize>, Refused> {
        let rest = &self.held[from..];
        let wanted = self.policy.entities();
        let sentences = (self.names.is_some() && wanted.wants_names()) || wanted.contains(Entity::Address);
        let window = &rest[..rest.len().min(MAX_HELD)];
        let mut last_hot = None;
        let mut pem = false;
        let in_json = self.escapes == Escapes::Json;
        for (at, byte) in rest.iter().enumerate().take(MAX_HELD) {
            if is_hot(*byte) && !self.spells_space(&rest[at..]) {
                last_hot = Some(at);
                pem |= rest[..=at].ends_with(b"-----BEGIN") || rest[at..].starts_with(b"-----BEGIN");
            }
            let is_line_end = in_json && *byte == b'n' && ends_line(rest, at, self.escapes);
            if !is_line_end && !byte.is_ascii_whitespace() {
                continue;
            }
            let calm = last_hot.is_none_or(|hot| at - hot >= CALM) && !pem;
            let word = if is_line_end { at - 1 } else { at };
            let ends_sentence = is_line_end || ends_sentence(&rest[..=at]);
            if !calm || opens(&rest[..word]) || (sentences && !ends_sentence && at < NAME_SEGMENT) {
                continue;
            }
            if !ends_sentence && wanted.contains(Entity::Email) {
                match parts_spelled(&rest[..at], &window[at + 1..]) {
                    Some(false) => {}
                    None if rest.len() < MAX_HELD => return Ok(None),
                    Some(true) | None => continue,
                }
            }
            if self.may_end(&rest[..=at]) {
                return Ok(Some(at + 1));
            }
        }
        if rest.len() < MAX_HELD { Ok(None) } else { self.forced(&rest[..MAX_HELD]).map(Some) }
    }

    /// Whether a segment that is `text` would not end within a row of a table.
    fn may_end(&self, text: &[u8]) -> bool {
        // Below no head, and with none in it, there is no row: most text, which need not be looked at line by line.
        let feed = if self.escapes == Escapes::Json { b'\\' } else { b'\n' };
        (self.block.head().is_none() && !text.contains(&feed))
            || !self.block.after(&plain(text, self.escapes)).in_row()
    }

    /// Whether `rest` begins with the escape of white space, in which no value goes on.
    fn spells_space(&self, rest: &[u8]) -> bool {
        self.escapes == Escapes::Json && matches!(rest, [b'\\', b'n' | b'r' | b't', ..])
    }

    /// Where a window without a natural end is cut: at the end of a row, else at a space that splits no finding.
    fn forced(&self, window: &[u8]) -> Result<usize, Refused> {
        let window = &window[..whole(window, window.len(), self.escapes)];
        let spans = self.find(window)?;
        let space = |at: &usize| window[*at].is_ascii_whitespace();
        let quiet =
            |at: &usize| space(at) && !window[at - 1].is_ascii_digit() && !window[at + 1].is_ascii_digit();
        let in_table = self.block.after(&plain(window, self.escapes)).head().is_some();
        let row = in_table.then(|| last_line_end(window, self.escapes)).flatten();
        let calm = || FORCED.rev().find(quiet).or_else(|| FORCED.rev().find(space));
        let wanted = row.or_else(calm).map_or(FORCED.end, |at| at + 1);
        let cut = match spans.iter().find(|span| span.range.start < wanted && wanted < span.range.end) {
            // What began early is decided with all that is here; its rest is swallowed.
            Some(span) if span.range.start == 0 || span.range.end >= window.len() => window.len(),
            Some(span) => span.range.start,
            None => self.between_groups(window, whole(window, wanted, self.escapes))?,
        };
        Ok(whole(window, cut, self.escapes).max(1))
    }

    /// The last position up to `cut` that splits no group of four characters, so that the rest of a run of base64 can be
    /// decoded without what has left.
    fn between_groups(&self, window: &[u8], cut: usize) -> Result<usize, Unscannable> {
        if self.policy.filter != Filter::Strict {
            return Ok(cut);
        }
        let view = View::new(&window[..cut], self.escapes)?;
        let text = view.bytes(&window[..cut]);
        let at = text.len() - unfinished_group(text);
        Ok(view.raw_range(&(at..at)).start.min(cut))
    }

    fn find(&self, raw: &[u8]) -> Result<Vec<Span>, Unscannable> {
        let head = self.block.head().map_or_else(Vec::new, |head| match self.escapes {
            Escapes::None => [head, b"\n"].concat(),
            Escapes::Json => [escape(head).as_slice(), b"\\n"].concat(),
        });
        let text = [head.as_slice(), &self.context, raw].concat();
        let query =
            Query { policy: &self.policy, names: self.names, key: &self.key, near_misses: NearMisses::Skip };
        let mut spans = find_raw(&text, self.escapes, &query)?.spans;
        let before = text.len() - raw.len();
        spans.retain(|span| span.range.end > before);
        for span in &mut spans {
            span.range = span.range.start.saturating_sub(before)..span.range.end - before;
        }
        Ok(spans)
    }

    fn decide(
        &mut self,
        segment: std::ops::Range<usize>,
        released: &mut Vec<u8>,
        vault: &mut Vault,
    ) -> Result<(), Refused> {
        let raw = self.held[segment].to_vec();
        let mut at = 0;
        for span in self.find(&raw)? {
            let value = self.value(&raw[span.range.clone()])?;
            if vault.spares(&value) {
                continue;
            }
            let action = self.policy.action(span.entity);
            *self.counts.entry((span.entity, action)).or_default() += 1;
            if action == Action::Block {
                return Err(Refused::Blocked(Counts::from([((span.entity, action), 1)])));
            }
            released.extend_from_slice(&raw[at..span.range.start]);
            let new = replacement(&self.policy, vault, &span, action, &value);
            match self.escapes {
                Escapes::None => released.extend_from_slice(new.as_bytes()),
                Escapes::Json => released.extend_from_slice(&escape(new.as_bytes())),
            }
            at = span.range.end;
            if at == raw.len() && raw.len() >= FORCED.end {
                let pem = raw[span.range].starts_with(b"-----BEGIN");
                self.open = if pem { Open::Pem } else { Open::Token };
            }
        }
        released.extend_from_slice(&raw[at..]);
        self.remember(&raw);
        Ok(())
    }

    fn value(&self, raw: &[u8]) -> Result<String, Unscannable> {
        let bytes = match self.escapes {
            Escapes::None => raw.to_vec(),
            Escapes::Json => View::unescaped(raw)?.bytes(raw).to_vec(),
        };
        String::from_utf8(bytes).map_err(|_| Unscannable::Text(InvalidText::NotUtf8))
    }

    /// Keeps the last words, from a space on, so that no escape or character is cut; of a table all of the last row.
    fn remember(&mut self, raw: &[u8]) {
        self.block.note(&plain(raw, self.escapes));
        self.context.extend_from_slice(raw);
        let in_row = self.block.row() > 0;
        let row = in_row.then(|| last_line_end(&self.context, self.escapes)).flatten();
        let row = row.map_or(0, |end| self.context.len() - end);
        let keep = CONTEXT.max(row.min(MAX_HELD));
        if self.context.len() > keep {
            let tail = self.context.len() - keep;
            let is_space = |at: usize| self.context[at].is_ascii_whitespace();
            let gap = |at: usize| if is_space(at) { Some(at) } else { self.line_begins(at) };
            let keep = (tail..self.context.len()).find_map(gap).unwrap_or(self.context.len());
            self.context.drain(..keep);
        }
    }

    /// The start of the line behind `at`, if one ends there in the released text.
    fn line_begins(&self, at: usize) -> Option<usize> {
        ends_line(&self.context, at, self.escapes).then_some(at + 1)
    }
}

/// Without escapes. Broken ones stay: the search refuses them.
fn plain(raw: &[u8], escapes: Escapes) -> Cow<'_, [u8]> {
    let escaped = escapes == Escapes::Json && raw.contains(&b'\\');
    let view = escaped.then(|| View::unescaped(raw).ok()).flatten();
    view.map_or(Cow::Borrowed(raw), |view| Cow::Owned(view.bytes(raw).to_vec()))
}

const fn is_token(byte: u8) -> bool {
    byte > b' ' && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b',' | b';')
}

#[cfg(test)]
mod tests;
