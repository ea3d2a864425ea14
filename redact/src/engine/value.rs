//! One string: read it, search it, replace what was found.

use std::ops::Range;

use super::{Desk, Refused, TURN, Turn, replacement};
use crate::document::{Class, Leaf, Text};
use crate::find::{NearMisses, Query, Search, Unscannable};
use crate::finding::Span;
use crate::policy::Action;
use crate::splice::{Edit, escape};
use crate::view::{Escapes, Normal, Reader, View};

/// The redaction of one string.
pub(super) struct Value {
    /// Its bytes within the source.
    range: Range<usize>,
    key: String,
    class: Class,
    escapes: Escapes,
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
        Self { range: leaf.range.clone(), key, class: leaf.class, escapes: Escapes::Json, stage }
    }

    /// For text that is not JSON.
    pub(super) fn of_text(text: &[u8]) -> Self {
        let range = 0..text.len();
        let stage = if text.is_ascii() {
            Stage::Search(View::same(text.len()), None)
        } else {
            Stage::Read(Reader::new(Normal::Full, Escapes::None))
        };
        Self { range, key: String::new(), class: Class::Prose, escapes: Escapes::None, stage }
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
                let (policy, names) = (desk.rules.policy, desk.rules.names);
                let query = Query { policy, names, key: &self.key, near_misses: NearMisses::Skip };
                let text = view.bytes(raw);
                let search_now = search.get_or_insert_with(|| Search::new(text, &query));
                let tags = search_now.is_tagging();
                if let Some(spent) = search_now.step(text, &query)? {
                    return Ok(Turn::Spent(if tags { spent } else { desk.cost(spent) }));
                }
                let spans = search.take().map_or_else(Vec::new, |search| search.finish(text, &query).spans);
                self.stage = Stage::Replace(std::mem::take(view), spans.into_iter());
                Ok(Turn::Spent(0))
            }
            Stage::Replace(view, spans) => {
                let Some(span) = spans.next() else { return Ok(Turn::Done) };
                let range = view.raw_range(&span.range);
                let replacement = self.replacement(&raw[range.clone()], &span, desk)?;
                let range = self.range.start + range.start..self.range.start + range.end;
                Ok(Turn::Replace(Edit { range, replacement }))
            }
        }
    }

    fn replacement(&self, raw: &[u8], span: &Span, desk: &mut Desk<'_>) -> Result<Vec<u8>, Unscannable> {
        let action = match (self.class, desk.rules.policy.action(span.entity)) {
            (_, Action::Block) => Action::Block,
            (Class::Identifier, _) => Action::Hash,
            (_, action) => action,
        };
        *desk.counts.entry((span.entity, action)).or_default() += 1;
        let plain = match self.escapes {
            Escapes::None => raw.to_vec(),
            Escapes::Json => View::unescaped(raw)?.bytes(raw).to_vec(),
        };
        let value = String::from_utf8_lossy(&plain);
        let new = replacement(desk.rules.policy, desk.vault, span, action, &value);
        Ok(match self.escapes {
            Escapes::None => new.into_bytes(),
            Escapes::Json => escape(new.as_bytes()),
        })
    }
}
