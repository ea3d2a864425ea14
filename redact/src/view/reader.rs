//! Builds a view piece by piece, so that a long string does not hold up its neighbours.

use super::escape::unescape;
use super::normal::{look_alike, normalise};
use super::{Break, Escapes, InvalidText, Kind, Map, View};

/// How much the view changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Normal {
    /// Everything that is written in more than one way.
    Full,
    /// Escapes are decoded, nothing else.
    EscapesOnly,
}

/// No address is longer; look-alikes beyond are another token's.
const MAX_TOKEN: usize = 256;

/// A view in the making.
#[derive(Debug)]
pub(crate) struct Reader {
    at: usize,
    escapes: Escapes,
    normal: Normal,
    text: Vec<u8>,
    breaks: Vec<Break>,
    token: Token,
}

/// Scripts seen in the token being written, and what to change if it turns out to be mixed.
#[derive(Debug, Default)]
struct Token {
    latin: usize,
    follows_at: bool,
    look_alikes: Vec<(usize, u8)>,
    others: usize,
}

impl Reader {
    pub(crate) fn new(normal: Normal, escapes: Escapes) -> Self {
        let breaks = vec![Break { view: 0, raw: 0, kind: Kind::Verbatim }];
        Self { at: 0, escapes, normal, text: Vec::new(), breaks, token: Token::default() }
    }

    /// Reads all of `raw` in one go.
    pub(super) fn whole(mut self, raw: &[u8]) -> Result<View, InvalidText> {
        self.text.reserve(raw.len());
        self.step(raw, raw.len())?;
        Ok(self.finish(raw.len()))
    }

    /// Reads about `budget` bytes more of `raw`, the same in all calls; returns how many, zero at the end.
    ///
    /// # Errors
    /// Invalid UTF-8, or an escape that JSON does not know.
    pub(crate) fn step(&mut self, raw: &[u8], budget: usize) -> Result<usize, InvalidText> {
        let from = self.at;
        let until = from.saturating_add(budget).min(raw.len());
        while self.at < until {
            let rest = &raw[self.at..];
            let (scalar, len) = match rest[0] {
                b'\\' if self.escapes == Escapes::Json => unescape(rest).ok_or(InvalidText::BrokenEscape)?,
                byte if byte.is_ascii() => (char::from(byte), 1),
                lead => character(rest, lead).ok_or(InvalidText::NotUtf8)?,
            };
            self.push(scalar, len);
            self.at += len;
        }
        Ok(self.at - from)
    }

    /// The view of the `raw_len` bytes that were read.
    pub(crate) fn finish(mut self, raw_len: usize) -> View {
        self.end_token(None);
        View { text: Some(self.text), map: Map { breaks: self.breaks, raw_len } }
    }

    fn push(&mut self, scalar: char, raw_len: usize) {
        let full = self.normal == Normal::Full;
        let normal = if full { normalise(scalar) } else { Some(scalar) };
        let changed = raw_len != scalar.len_utf8() || normal != Some(scalar);
        let may_change = full && look_alike(scalar).is_some();
        self.mark(if changed || may_change { Kind::Atom } else { Kind::Verbatim });
        let Some(scalar) = normal else { return };
        if full {
            self.note(scalar);
        }
        let mut buffer = [0; 4];
        self.text.extend_from_slice(scalar.encode_utf8(&mut buffer).as_bytes());
    }

    /// Starts a new stretch unless the bytes simply go on.
    fn mark(&mut self, kind: Kind) {
        let goes_on =
            kind == Kind::Verbatim && self.breaks.last().is_some_and(|last| last.kind == Kind::Verbatim);
        if !goes_on {
            self.breaks.push(Break { view: self.text.len(), raw: self.at, kind });
        }
    }

    fn note(&mut self, scalar: char) {
        if scalar == '@' {
            self.end_token(Some('@'));
            self.token.follows_at = true;
        } else if scalar.is_alphanumeric() || matches!(scalar, '.' | '-' | '_' | '+') {
            self.token.latin += usize::from(scalar.is_ascii_alphabetic());
            if let Some(plain) = look_alike(scalar) {
                if self.token.look_alikes.len() >= MAX_TOKEN {
                    self.end_token(None);
                }
                // Ending a token may have moved the end of the text.
                self.token.look_alikes.push((self.text.len(), plain));
            } else if !scalar.is_ascii() {
                self.token.others += 1;
            }
        } else {
            self.end_token(None);
        }
    }

    /// Replaces look-alikes of a token that mixes scripts.
    fn end_token(&mut self, before: Option<char>) {
        let token = std::mem::take(&mut self.token);
        let touches_at = token.follows_at || before == Some('@');
        let mixed = token.latin > 0 || (touches_at && token.others == 0);
        if mixed && !token.look_alikes.is_empty() {
            self.replace(&token.look_alikes);
        }
    }

    /// Each look-alike is two bytes long (a test says so) and becomes one: what follows moves up.
    fn replace(&mut self, look_alikes: &[(usize, u8)]) {
        let Some(&(first, _)) = look_alikes.first() else { return };
        let mut next = self.breaks.partition_point(|at| at.view <= first);
        let mut to = first;
        let mut from = first;
        for (removed, &(at, plain)) in look_alikes.iter().enumerate() {
            self.text.copy_within(from..at, to);
            to += at - from;
            self.text[to] = plain;
            to += 1;
            from = at + 2;
            let end = look_alikes.get(removed + 1).map_or(usize::MAX, |(at, _)| *at);
            while let Some(moved) = self.breaks.get_mut(next).filter(|moved| moved.view <= end) {
                moved.view -= removed + 1;
                next += 1;
            }
        }
        let len = self.text.len();
        self.text.copy_within(from..len, to);
        self.text.truncate(to + len - from);
    }
}

/// The character at the start of `rest`, and its length.
fn character(rest: &[u8], lead: u8) -> Option<(char, usize)> {
    let len = match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let text = std::str::from_utf8(rest.get(..len)?).ok()?;
    text.chars().next().map(|scalar| (scalar, len))
}
