//! Builds a view piece by piece, so that a long string does not hold up its neighbours.

use super::escape::unescape;
use super::normal::{ligature, look_alike, normalise, raised};
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
/// Bytes that are compared at once.
const CHUNK: usize = 16;
/// Bytes beyond ASCII that are decoded at once.
const RUN: usize = 64;

/// A view in the making.
#[derive(Debug)]
pub(crate) struct Reader {
    at: usize,
    escapes: Escapes,
    normal: Normal,
    text: Vec<u8>,
    breaks: Vec<Break>,
    token: Token,
    /// Where the last digit above or below the line ends in the view.
    raised_to: Option<usize>,
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
        Self { at: 0, escapes, normal, text: Vec::new(), breaks, token: Token::default(), raised_to: None }
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
            match rest[0] {
                b'\\' if self.escapes == Escapes::Json => {
                    let (scalar, len) = unescape(rest).ok_or(InvalidText::BrokenEscape)?;
                    self.push(scalar, len);
                }
                0x80.. => characters(rest)?.chars().for_each(|scalar| self.push(scalar, scalar.len_utf8())),
                _ => self.push_plain(&rest[..self.plain_len(&raw[self.at..until])]),
            }
        }
        Ok(self.at - from)
    }

    /// How many bytes at the start of `rest` are ASCII and no escape.
    fn plain_len(&self, rest: &[u8]) -> usize {
        let escape = if self.escapes == Escapes::Json { b'\\' } else { u8::MAX };
        let is_other = |byte: &u8| *byte >= 0x80 || *byte == escape;
        // Without a branch per byte, so that the compiler compares a whole chunk at once.
        let is_plain = |chunk: &&[u8]| !chunk.iter().fold(false, |other, byte| other | is_other(byte));
        let whole = rest.chunks_exact(CHUNK).take_while(is_plain).count() * CHUNK;
        rest[whole..].iter().position(is_other).map_or(rest.len(), |len| whole + len)
    }

    /// The same as [`Self::push`] for each byte of `run`, which is ASCII and no escape: nothing of it changes, and only
    /// the tokens at its two ends can touch other characters.
    fn push_plain(&mut self, run: &[u8]) {
        self.mark(Kind::Verbatim);
        if self.normal == Normal::Full {
            let letters = |part: &[u8]| part.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
            let first = run.iter().position(|byte| !is_token(*byte));
            self.token.latin += letters(&run[..first.unwrap_or(run.len())]);
            if let Some(first) = first {
                self.end_token((run[first] == b'@').then_some('@'));
                let last = run.iter().rposition(|byte| !is_token(*byte)).unwrap_or(first);
                self.token.follows_at = run[last] == b'@';
                self.token.latin = letters(&run[last + 1..]);
            }
        }
        self.text.extend_from_slice(run);
        self.at += run.len();
    }

    /// The view of the `raw_len` bytes that were read.
    pub(crate) fn finish(mut self, raw_len: usize) -> View {
        self.end_token(None);
        View { text: Some(self.text), map: Map { breaks: self.breaks, raw_len } }
    }

    fn push(&mut self, scalar: char, raw_len: usize) {
        let full = self.normal == Normal::Full;
        // The blocks that have ligatures and raised digits; most letters are in others.
        let styled = full && matches!(u32::from(scalar) >> 8, 0 | 0x20 | 0xFB);
        if styled && let Some(letters) = ligature(scalar) {
            self.mark(Kind::Atom);
            self.at += raw_len;
            letters.chars().for_each(|letter| self.write(letter));
            return;
        }
        let raised = if styled { raised(scalar).filter(|_| self.is_number_above()) } else { None };
        let normal = if full { raised.or_else(|| normalise(scalar)) } else { Some(scalar) };
        let changed = raw_len != scalar.len_utf8() || normal != Some(scalar);
        let may_change = full && look_alike(scalar).is_some();
        self.mark(if changed || may_change { Kind::Atom } else { Kind::Verbatim });
        self.at += raw_len;
        if let Some(scalar) = normal {
            self.write(scalar);
        }
        if raised.is_some() {
            self.raised_to = Some(self.text.len());
        }
    }

    /// Whether a digit above or below the line is one of a number that is written so. Right behind a digit that is not,
    /// it is a footnote's or an exponent.
    fn is_number_above(&self) -> bool {
        self.raised_to == Some(self.text.len()) || !self.text.last().is_some_and(u8::is_ascii_digit)
    }

    fn write(&mut self, scalar: char) {
        if self.normal == Normal::Full {
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

/// ASCII that may stand in a token.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+')
}

/// The characters beyond ASCII at the start of `rest`: all of them, or as many as are read at once.
fn characters(rest: &[u8]) -> Result<&str, InvalidText> {
    let run = &rest[..rest.len().min(RUN)];
    let run = &run[..run.iter().position(u8::is_ascii).unwrap_or(run.len())];
    // Where the last one is cut, the next call reads it; where one is broken, the next call finds it first.
    let whole = run.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    if whole.is_empty() { Err(InvalidText::NotUtf8) } else { Ok(whole) }
}
