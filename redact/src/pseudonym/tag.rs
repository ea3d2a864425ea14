//! The variable part of a placeholder: five characters that no text has by chance.

use std::collections::BTreeSet;

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a tag.
pub(crate) const TAG: usize = 5;
/// Characters of a tag whose first choice was taken.
pub(crate) const LONG_TAG: usize = 8;
/// Bits of a character.
const BITS: usize = 5;

/// The first tag of `len` characters in a hash that has a digit, so that it can be no word; at most twelve are long
/// enough to be read from 32 bytes, and one in seven has no digit.
pub(super) fn write(hash: &[u8; 32], len: usize) -> String {
    let tag = |at: usize| -> String { (at..at + len).map(|at| char::from(letter(hash, at))).collect() };
    let mut tags = (0..hash.len() * 8 / BITS / len).map(|nth| tag(nth * len));
    let fits = |tag: &String| tag.bytes().any(|byte| byte.is_ascii_digit());
    tags.find(fits).unwrap_or_else(|| tag(0))
}

/// The character made of the five bits at `at * 5`.
fn letter(hash: &[u8; 32], at: usize) -> u8 {
    let bit = at * BITS;
    let pair = u16::from(hash[bit / 8]) << 8 | u16::from(hash.get(bit / 8 + 1).copied().unwrap_or_default());
    ALPHABET[usize::from(pair >> (16 - BITS - bit % 8) & 31)]
}

/// Whether `text` is written as tags are.
pub(crate) fn is_tag(text: &[u8]) -> bool {
    matches!(text.len(), TAG | LONG_TAG) && text.iter().all(|byte| ALPHABET.contains(byte))
}

/// Five characters as a number, whatever their case.
fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |sum, byte| {
        let upper = byte.to_ascii_uppercase();
        let digit = ALPHABET.iter().position(|letter| *letter == upper)?;
        Some(sum << BITS | u32::try_from(digit).ok()?)
    })
}

/// Tags that stand in the user's own text.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeSet<u32>);

impl Taken {
    /// Notes the tags that begin within `range` of `body`.
    pub(super) fn note(&mut self, body: &[u8], range: std::ops::Range<usize>) {
        for at in memchr::memchr3_iter(b'_', b'-', b' ', &body[range.clone()]) {
            let tag = &body[range.start + at + 1..];
            let Some(tag) = tag.get(..TAG) else { return };
            // Only tags with a digit are minted: most words are not worth remembering.
            if tag.iter().any(u8::is_ascii_digit) {
                self.0.extend(number(tag));
            }
        }
    }

    pub(super) fn has(&self, tag: &str) -> bool {
        number(tag.as_bytes().get(..TAG).unwrap_or_default()).is_some_and(|tag| self.0.contains(&tag))
    }
}
