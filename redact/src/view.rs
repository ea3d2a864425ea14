//! The text as recognizers see it, with a map back to the bytes as they were.
//!
//! Only the view is normalised: escapes are decoded, digits and full-width forms become ASCII,
//! invisible characters vanish, spaces and dashes become one kind. The bytes themselves never
//! change here. A range of the view maps back to whole escapes and whole characters.

mod tables;

use std::borrow::Cow;
use std::ops::Range;

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

/// Normalised text and its map to raw offsets. Without breaks the two are the same bytes.
#[derive(Debug)]
pub(crate) struct View<'r> {
    text: Cow<'r, [u8]>,
    breaks: Vec<Break>,
    raw_len: usize,
}

impl<'r> View<'r> {
    /// The view of `raw`. Plain ASCII without escapes is not copied.
    ///
    /// # Errors
    /// Invalid UTF-8, or an escape that JSON does not know.
    pub(crate) fn new(raw: &'r [u8], escapes: Escapes) -> Result<Self, InvalidText> {
        let plain = raw.is_ascii() && (escapes == Escapes::None || !raw.contains(&b'\\'));
        if plain {
            return Ok(Self { text: Cow::Borrowed(raw), breaks: Vec::new(), raw_len: raw.len() });
        }
        let text = std::str::from_utf8(raw).map_err(|_| InvalidText::NotUtf8)?;
        let mut builder = Builder::new(raw.len(), Normal::Full);
        builder.read(text, escapes)?;
        Ok(builder.finish(raw.len()))
    }

    /// The view that only decodes escapes, for JSON inside a JSON string.
    ///
    /// # Errors
    /// As [`View::new`].
    pub(crate) fn unescaped(raw: &'r [u8]) -> Result<Self, InvalidText> {
        let text = std::str::from_utf8(raw).map_err(|_| InvalidText::NotUtf8)?;
        let mut builder = Builder::new(raw.len(), Normal::EscapesOnly);
        builder.read(text, Escapes::Json)?;
        Ok(builder.finish(raw.len()))
    }

    /// The normalised bytes: always valid UTF-8.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text
    }

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Normal {
    Full,
    EscapesOnly,
}

struct Builder {
    text: Vec<u8>,
    breaks: Vec<Break>,
    normal: Normal,
    token: Token,
}

/// Scripts seen in the token being written, and what to change if it turns out to be mixed.
#[derive(Default)]
struct Token {
    latin: usize,
    follows_at: bool,
    look_alikes: Vec<(usize, u8)>,
    others: usize,
}

impl Builder {
    fn new(capacity: usize, normal: Normal) -> Self {
        Self {
            text: Vec::with_capacity(capacity),
            breaks: vec![Break { view: 0, raw: 0, kind: Kind::Verbatim }],
            normal,
            token: Token::default(),
        }
    }

    fn read(&mut self, text: &str, escapes: Escapes) -> Result<(), InvalidText> {
        let mut at = 0;
        while let Some(rest) = text.get(at..) {
            let Some(first) = rest.chars().next() else { break };
            let (scalar, len) = match (first, escapes) {
                ('\\', Escapes::Json) => unescape(rest.as_bytes()).ok_or(InvalidText::BrokenEscape)?,
                _ => (first, first.len_utf8()),
            };
            self.push(scalar, at, len);
            at += len;
        }
        Ok(())
    }

    fn push(&mut self, scalar: char, raw: usize, raw_len: usize) {
        let normal = match self.normal {
            Normal::Full => normalise(scalar),
            Normal::EscapesOnly => Some(scalar),
        };
        let changed = raw_len != scalar.len_utf8() || normal != Some(scalar);
        let may_change = self.normal == Normal::Full && look_alike(scalar).is_some();
        self.mark(raw, if changed || may_change { Kind::Atom } else { Kind::Verbatim });
        let Some(scalar) = normal else { return };
        if self.normal == Normal::Full {
            self.note(scalar);
        }
        let mut buffer = [0; 4];
        self.text.extend_from_slice(scalar.encode_utf8(&mut buffer).as_bytes());
    }

    /// Starts a new stretch unless the bytes simply go on.
    fn mark(&mut self, raw: usize, kind: Kind) {
        let view = self.text.len();
        let goes_on =
            kind == Kind::Verbatim && self.breaks.last().is_some_and(|last| last.kind == Kind::Verbatim);
        if !goes_on {
            self.breaks.push(Break { view, raw, kind });
        }
    }

    fn note(&mut self, scalar: char) {
        if scalar == '@' {
            self.end_token(Some('@'));
            self.token.follows_at = true;
        } else if scalar.is_alphanumeric() || matches!(scalar, '.' | '-' | '_' | '+') {
            self.token.latin += usize::from(scalar.is_ascii_alphabetic());
            if let Some(plain) = look_alike(scalar) {
                self.token.look_alikes.push((self.text.len(), plain));
            } else if !scalar.is_ascii() {
                self.token.others += 1;
            }
        } else {
            self.end_token(None);
        }
    }

    /// Replaces look-alikes of a token that mixes scripts. A replaced letter keeps its length in
    /// the view: the second byte becomes a mark that is removed when the view is finished.
    fn end_token(&mut self, before: Option<char>) {
        let token = std::mem::take(&mut self.token);
        let touches_at = token.follows_at || before == Some('@');
        let mixed = token.latin > 0 || (touches_at && token.others == 0);
        if !mixed {
            return;
        }
        for (at, plain) in token.look_alikes {
            self.text[at] = plain;
            self.text[at + 1] = REMOVED;
        }
    }

    fn finish<'r>(mut self, raw_len: usize) -> View<'r> {
        self.end_token(None);
        if self.text.contains(&REMOVED) {
            self.compact();
        }
        View { text: Cow::Owned(self.text), breaks: self.breaks, raw_len }
    }

    fn compact(&mut self) {
        let mut removed = 0;
        let mut breaks = self.breaks.iter_mut().peekable();
        let mut kept = Vec::with_capacity(self.text.len());
        for (at, byte) in self.text.iter().enumerate() {
            while let Some(next) = breaks.next_if(|next| next.view <= at) {
                next.view -= removed;
            }
            if *byte == REMOVED {
                removed += 1;
            } else {
                kept.push(*byte);
            }
        }
        breaks.for_each(|rest| rest.view -= removed);
        self.text = kept;
    }
}

/// Never a byte of UTF-8. Every look-alike is two bytes long (a test says so).
const REMOVED: u8 = 0xFF;

/// The character of the JSON escape at the start of `raw`, with the escape's length. A surrogate
/// without its partner becomes U+FFFD.
fn unescape(raw: &[u8]) -> Option<(char, usize)> {
    let plain = match raw.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(raw),
        _ => return None,
    };
    Some((plain, 2))
}

fn unescape_unicode(raw: &[u8]) -> Option<(char, usize)> {
    let first = hex4(raw.get(2..6)?)?;
    if (0xD800..0xDC00).contains(&first) && raw.get(6..8) == Some(b"\\u") {
        let second = raw.get(8..12).and_then(hex4).filter(|low| (0xDC00..0xE000).contains(low));
        if let Some(low) = second {
            let scalar = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
            return Some((char::from_u32(scalar)?, 12));
        }
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

/// What the view shows for a character; `None` for what is invisible.
fn normalise(scalar: char) -> Option<char> {
    if scalar.is_ascii() {
        return Some(scalar);
    }
    let code = u32::from(scalar);
    if within(tables::FORMAT, code) {
        return None;
    }
    if within(tables::SPACES, code) {
        return Some(' ');
    }
    if within(tables::DASHES, code) {
        return Some('-');
    }
    Some(full_width(code).or_else(|| digit(code)).unwrap_or(scalar))
}

/// The ASCII character of the full-width block's twin.
fn full_width(code: u32) -> Option<char> {
    (0xFF01..=0xFF5E).contains(&code).then(|| char::from_u32(code - 0xFEE0)).flatten()
}

fn digit(code: u32) -> Option<char> {
    let value = if (0x1D7CE..=0x1D7FF).contains(&code) {
        (code - 0x1D7CE) % 10
    } else {
        let block = tables::ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?;
        code - tables::ZEROS[block]
    };
    char::from_digit(value, 10)
}

fn look_alike(scalar: char) -> Option<u8> {
    if scalar.is_ascii() {
        return None;
    }
    let code = u32::from(scalar);
    let at = tables::LOOK_ALIKES.binary_search_by_key(&code, |row| row.0).ok()?;
    Some(tables::LOOK_ALIKES[at].1)
}

fn within(ranges: &[(u32, u32)], code: u32) -> bool {
    let after = ranges.partition_point(|range| range.0 <= code);
    after > 0 && ranges[after - 1].1 >= code
}

#[cfg(test)]
mod tests;
