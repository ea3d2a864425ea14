//! One string: read it, search it, replace what was found.

use std::ops::Range;

use super::{Desk, Refused, TURN, Turn, replacement};
use crate::document::{Class, Leaf, LeafKind, Text};
use crate::find::{self, Findings, Query, Search, Unscannable};
use crate::finding::{NearMiss, Span};
use crate::policy::Action;
use crate::splice::escape;
use crate::view::{Escapes, Normal, Reader, View};

/// The redaction of one string.
pub(super) struct Value {
    /// Its bytes within the source.
    range: Range<usize>,
    key: String,
    class: Class,
    kind: LeafKind,
    escapes: Escapes,
    /// Whether names may stand in it, once somebody asked.
    may_name: Option<bool>,
    stage: Stage,
}

#[expect(clippy::large_enum_variant, reason = "a body has one at a time, behind a box")]
enum Stage {
    Read(Reader),
    Search(View, Option<Search>),
    Replace(View, std::vec::IntoIter<Span>),
}

impl Value {
    /// For a string under `key`.
    pub(super) fn new(leaf: &Leaf, key: String) -> Self {
        let stage = match leaf.text {
            Text::Plain => Stage::Search(View::same(leaf.range.len()), None),
            Text::Mixed => Stage::Read(Reader::new(Normal::Full, Escapes::Json)),
        };
        Self {
            range: leaf.range.clone(),
            key,
            class: leaf.class,
            kind: leaf.kind,
            escapes: Escapes::Json,
            may_name: None,
            stage,
        }
    }

    /// For text that is not JSON.
    pub(super) fn of_text(text: &[u8]) -> Self {
        let range = 0..text.len();
        let stage = if text.is_ascii() {
            Stage::Search(View::same(text.len()), None)
        } else {
            Stage::Read(Reader::new(Normal::Full, Escapes::None))
        };
        Self {
            range,
            key: String::new(),
            class: Class::Prose,
            kind: LeafKind::String,
            escapes: Escapes::None,
            may_name: Some(true),
            stage,
        }
    }

    /// Goes on a little. `source` must be the same in all calls.
    pub(super) fn turn(&mut self, source: &[u8], desk: &mut Desk<'_>) -> Result<Turn, Refused> {
        let raw = &source[self.range.clone()];
        match &mut self.stage {
            Stage::Read(reader) => {
                let read = reader.step(raw, TURN).map_err(Unscannable::Text)?;
                if read == 0 {
                    let reader = std::mem::replace(reader, Reader::new(Normal::Full, self.escapes));
                    self.stage = Stage::Search(reader.finish(raw.len()), None);
                }
                Ok(Turn::Spent(desk.cost(read)))
            }
            Stage::Search(view, search) => {
                let text = view.bytes(raw);
                let may_name = &mut self.may_name;
                let mut may_name = || *may_name.get_or_insert_with(|| find::may_name(text, &self.key));
                let names = desk.rules.names.filter(|_| may_name());
                let policy = desk.rules.policy;
                let query = Query { policy, names, key: &self.key, near_misses: desk.near_misses };
                let search_now = search.get_or_insert_with(|| Search::new(text, &query));
                let tags = search_now.is_tagging();
                if let Some(spent) = search_now.step(text, &query)? {
                    return Ok(Turn::Spent(if tags { spent } else { desk.cost(spent) }));
                }
                let done = search.take().map_or_else(Findings::default, |search| search.finish(text, &query));
                let view = std::mem::take(view);
                let misses = done.near_misses.into_iter().map(|miss| self.located(&view, miss)).collect();
                self.stage = Stage::Replace(view, done.spans.into_iter());
                Ok(Turn::Missed(misses))
            }
            Stage::Replace(view, spans) => {
                let Some(mut span) = spans.next() else { return Ok(Turn::Done) };
                let range = view.raw_range(&span.range);
                if self.kind == LeafKind::Number {
                    // All of it is replaced.
                    *spans = Vec::new().into_iter();
                }
                let Some(mut replacement) = self.replacement(&raw[range.clone()], &span, desk)? else {
                    return Ok(Turn::Spent(1));
                };
                span.range = self.range.start + range.start..self.range.start + range.end;
                if self.kind == LeafKind::Number {
                    // A number becomes a string, so that the JSON stays valid.
                    span.range = self.range.clone();
                    replacement = [b"\"", replacement.as_slice(), b"\""].concat();
                }
                Ok(Turn::Replace(span, replacement))
            }
        }
    }

    /// The same within the source.
    fn located(&self, view: &View, mut miss: NearMiss) -> NearMiss {
        let range = view.raw_range(&miss.range);
        miss.range = self.range.start + range.start..self.range.start + range.end;
        miss
    }

    /// `None` for what is left as it is.
    fn replacement(
        &self,
        raw: &[u8],
        span: &Span,
        desk: &mut Desk<'_>,
    ) -> Result<Option<Vec<u8>>, Unscannable> {
        let plain = match self.escapes {
            Escapes::None => raw.to_vec(),
            Escapes::Json => View::unescaped(raw)?.bytes(raw).to_vec(),
        };
        let value = String::from_utf8_lossy(&plain);
        if desk.vault.spares(&value) {
            return Ok(None);
        }
        let action = match (self.class, desk.rules.policy.action(span.entity)) {
            (_, Action::Block) => Action::Block,
            (Class::Identifier, _) => Action::Hash,
            (_, action) => action,
        };
        *desk.counts.entry((span.entity, action)).or_default() += 1;
        let new = replacement(desk.rules.policy, desk.vault, span, action, &value);
        Ok(Some(match self.escapes {
            Escapes::None => new.into_bytes(),
            Escapes::Json => escape(new.as_bytes()),
        }))
    }
}
