//! The text as recognizers see it, with a map back to the bytes as they were.
//!
//! Only the view is normalised: escapes are decoded, digits and full-width forms become ASCII,
//! invisible characters vanish, spaces and dashes become one kind. The bytes themselves never
//! change here. A range of the view maps back to whole escapes and whole characters.

mod escape;
mod normal;
mod reader;
mod tables;

use std::ops::Range;

pub(crate) use escape::unescape;
pub(crate) use reader::{Normal, Reader};

/// How text is written in the bytes that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// As it is.
    None,
    /// As the inside of a JSON string.
    Json,
}

/// Why bytes have no view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Not UTF-8: what cannot be read cannot be scanned.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A backslash that begins no JSON escape.
    #[error("text has a broken JSON escape")]
    BrokenEscape,
}

/// Where the view and the raw bytes part: from here on they advance together, or one atom of raw
/// bytes (an escape, a replaced character) stands for some bytes of the view.
#[derive(Clone, Copy, Debug)]
struct Break {
    view: usize,
    raw: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Verbatim,
    Atom,
}

/// Normalised text and its map to raw offsets. It does not hold the raw bytes, so that a job which
/// pauses may keep it.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// `None` where the raw bytes are their own view.
    text: Option<Vec<u8>>,
    map: Map,
}

/// Leads from the view back to the raw bytes. Without breaks the two are the same.
#[derive(Debug, Default)]
pub(crate) struct Map {
    breaks: Vec<Break>,
    raw_len: usize,
}

impl View {
    /// The view of bytes that need none: ASCII, without escapes.
    pub(crate) fn same(raw_len: usize) -> Self {
        Self { text: None, map: Map { breaks: Vec::new(), raw_len } }
    }

    /// The view of `raw`. Plain ASCII without escapes is not copied.
    ///
    /// # Errors
    /// Invalid UTF-8, or an escape that JSON does not know.
    pub(crate) fn new(raw: &[u8], escapes: Escapes) -> Result<Self, InvalidText> {
        let plain = raw.is_ascii() && (escapes == Escapes::None || !raw.contains(&b'\\'));
        if plain { Ok(Self::same(raw.len())) } else { Reader::new(Normal::Full, escapes).whole(raw) }
    }

    /// The view that only decodes escapes, for JSON inside a JSON string.
    ///
    /// # Errors
    /// As [`View::new`].
    pub(crate) fn unescaped(raw: &[u8]) -> Result<Self, InvalidText> {
        Reader::new(Normal::EscapesOnly, Escapes::Json).whole(raw)
    }

    /// The normalised bytes of `raw`, whose view this is: always valid UTF-8.
    pub(crate) fn bytes<'v>(&'v self, raw: &'v [u8]) -> &'v [u8] {
        self.text.as_deref().unwrap_or(raw)
    }

    /// The normalised bytes of `raw`, and the way back.
    pub(crate) fn into_parts(self, raw: &[u8]) -> (Vec<u8>, Map) {
        (self.text.unwrap_or_else(|| raw.to_vec()), self.map)
    }

    /// As [`Map::raw_range`].
    pub(crate) fn raw_range(&self, range: &Range<usize>) -> Range<usize> {
        self.map.raw_range(range)
    }
}

impl Map {
    /// The raw bytes that a range of the view stands for: whole escapes, whole characters.
    pub(crate) fn raw_range(&self, range: &Range<usize>) -> Range<usize> {
        if range.is_empty() {
            let at = self.raw_start(range.start);
            return at..at;
        }
        self.raw_start(range.start)..self.raw_end(range.end)
    }

    fn raw_start(&self, view: usize) -> usize {
        match self.break_at(view) {
            None => view,
            Some((_, Break { raw, kind: Kind::Atom, .. })) => raw,
            Some((_, at)) => at.raw + (view - at.view),
        }
    }

    /// The raw end of the view range that ends at `view`, which is not zero.
    fn raw_end(&self, view: usize) -> usize {
        let last = view - 1;
        match self.break_at(last) {
            None => view,
            Some((index, Break { kind: Kind::Atom, .. })) => {
                self.breaks.get(index + 1).map_or(self.raw_len, |next| next.raw)
            }
            Some((_, at)) => at.raw + (last - at.view) + 1,
        }
    }

    fn break_at(&self, view: usize) -> Option<(usize, Break)> {
        let after = self.breaks.partition_point(|at| at.view <= view);
        let index = after.checked_sub(1)?;
        self.breaks.get(index).map(|at| (index, *at))
    }
}

#[cfg(test)]
mod tests;
