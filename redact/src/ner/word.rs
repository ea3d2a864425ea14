//! What the features need to know about one token, computed once per token.

use super::gazetteer::{self, Gazetteer};
use super::hash;

/// Longer words are judged by their beginning.
const WORD_BYTES: usize = 64;

/// Marks beyond the ends of a sentence.
pub(crate) const EDGE: Word = Word {
    lower: 1,
    shape: 1,
    casing: 0,
    first: 0,
    listed: 0,
    phrase: 0,
    prefixes: [1; 4],
    suffixes: [1; 4],
};

/// One token, as hashes and small codes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Word {
    /// Lower-cased, digits as 0, without a leading `#`.
    pub(crate) lower: u64,
    /// Runs of letter classes, at most eight, one byte each: `Xx`, `X.X`, `0-0`.
    pub(crate) shape: u64,
    /// First upper, all upper, digit, mark, and a class of length.
    pub(crate) casing: u64,
    /// 1 for the first token of a sentence.
    pub(crate) first: u64,
    /// Gazetteer bits.
    pub(crate) listed: u64,
    /// Gazetteer bits of the listed phrases that this token is part of.
    pub(crate) phrase: u64,
    pub(crate) prefixes: [u64; 4],
    pub(crate) suffixes: [u64; 4],
}

impl Word {
    /// Reads one token.
    pub(crate) fn new(token: &str, gazetteer: &Gazetteer) -> Self {
        let mut folded = Folded::default();
        let bare = token.strip_prefix('#').filter(|rest| !rest.is_empty()).unwrap_or(token);
        let mut shape = Shape::default();
        if bare.len() < token.len() {
            shape.push(b'#');
        }
        for letter in bare.chars() {
            shape.push(class(letter));
            folded.push(letter);
        }
        let lower = hash::bytes(&folded.bytes[..folded.length]);
        Self {
            lower,
            shape: shape.packed,
            casing: shape.casing(),
            first: 0,
            listed: gazetteer.lookup(lower),
            phrase: 0,
            prefixes: folded.prefixes(),
            suffixes: folded.suffixes(),
        }
    }
}

/// Adds what only the whole sentence shows.
pub(crate) fn finish(words: &mut [Word], gazetteer: &Gazetteer) {
    if let Some(first) = words.first_mut() {
        first.first = 1;
    }
    mark_phrases(words, gazetteer);
}

/// Marks the words that together are a listed phrase of two or three.
fn mark_phrases(words: &mut [Word], gazetteer: &Gazetteer) {
    for start in 0..words.len().saturating_sub(1) {
        if words[start].listed & gazetteer::PHRASE_START == 0 {
            continue;
        }
        let two = hash::pair(words[start].lower, words[start + 1].lower);
        let three = words.get(start + 2).map_or(0, |third| gazetteer.lookup(hash::pair(two, third.lower)));
        let (length, bits) = if three == 0 { (2, gazetteer.lookup(two)) } else { (3, three) };
        if bits != 0 {
            for (index, word) in words[start..start + length].iter_mut().enumerate() {
                word.phrase |= (bits << 2) | (1 << u64::from(index > 0));
            }
        }
    }
}

fn class(letter: char) -> u8 {
    match letter {
        'A'..='Z' => b'X',
        'a'..='z' => b'x',
        '0'..='9' => b'0',
        _ if letter.is_ascii() => letter as u8,
        '\u{2019}' => b'\'',
        _ if letter.is_uppercase() => b'X',
        _ if letter.is_lowercase() || matches!(letter, '\u{300}'..='\u{36f}') => b'x',
        _ if letter.is_alphabetic() => b'z',
        _ if letter.is_numeric() => b'0',
        _ => b'*',
    }
}

/// Collapsed shape and what casing needs, in one pass.
#[derive(Default)]
struct Shape {
    packed: u64,
    runs: u32,
    last: u8,
    length: u64,
    upper: u64,
    lower: u64,
    digits: u64,
    marks: u64,
    first_upper: u64,
}

impl Shape {
    fn push(&mut self, class: u8) {
        if self.length == 0 || (self.length == 1 && self.last == b'#') {
            self.first_upper = u64::from(class == b'X');
        }
        self.length += 1;
        match class {
            b'X' => self.upper += 1,
            b'x' | b'z' => self.lower += 1,
            b'0' => self.digits += 1,
            _ => self.marks += 1,
        }
        if class != self.last && self.runs < 8 {
            self.packed |= u64::from(class) << (8 * self.runs);
            self.runs += 1;
        }
        self.last = class;
    }

    fn casing(&self) -> u64 {
        let all_upper = u64::from(self.upper > 0 && self.lower == 0);
        let length = match self.length {
            0..=3 => self.length,
            4..=5 => 4,
            6..=8 => 5,
            _ => 6,
        };
        self.first_upper
            | all_upper << 1
            | u64::from(self.digits > 0) << 2
            | u64::from(self.marks > 0) << 3
            | length << 4
    }
}

/// The lower-cased token with the places of its first and last four characters.
struct Folded {
    bytes: [u8; WORD_BYTES],
    length: usize,
    letters: usize,
    heads: [usize; 4],
    tails: [usize; 4],
}

impl Default for Folded {
    fn default() -> Self {
        Self { bytes: [0; WORD_BYTES], length: 0, letters: 0, heads: [0; 4], tails: [0; 4] }
    }
}

impl Folded {
    fn push(&mut self, letter: char) {
        if letter.is_ascii() {
            let folded = if letter.is_ascii_digit() { b'0' } else { (letter as u8).to_ascii_lowercase() };
            self.push_bytes(&[folded]);
            return;
        }
        if letter == '\u{2019}' {
            self.push_bytes(b"'");
            return;
        }
        for lower in letter.to_lowercase() {
            let mut buffer = [0; 4];
            self.push_bytes(lower.encode_utf8(&mut buffer).as_bytes());
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if end > WORD_BYTES {
            return;
        }
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.tails = [self.length, self.tails[0], self.tails[1], self.tails[2]];
        self.length = end;
        if self.letters < 4 {
            self.heads[self.letters] = end;
        }
        self.letters += 1;
    }

    fn prefixes(&self) -> [u64; 4] {
        std::array::from_fn(|n| if n < self.letters { packed(&self.bytes[..self.heads[n]]) } else { 0 })
    }

    fn suffixes(&self) -> [u64; 4] {
        std::array::from_fn(|n| {
            if n < self.letters { packed(&self.bytes[self.tails[n]..self.length]) } else { 0 }
        })
    }
}

/// Up to eight bytes as they are, longer ones hashed: equal only for equal bytes, in practice.
fn packed(bytes: &[u8]) -> u64 {
    if bytes.len() > 8 {
        return hash::bytes(bytes);
    }
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    hash::mix(u64::from_le_bytes(whole) ^ bytes.len() as u64)
}
