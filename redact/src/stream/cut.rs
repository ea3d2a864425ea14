//! Where text may be cut so that no value is parted.

use crate::view::Escapes;

/// Words before a place in which a name may have begun.
const NAME_WORDS: usize = 4;
/// Words that stand for the marks of an e-mail address.
const SPELLING: [&[u8]; 2] = [b"at", b"dot"];

/// Bytes that may belong to something that goes on.
pub(super) const fn is_hot(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'@' | b':' | b'=' | b'_' | b'+' | b'-' | b'\\') || byte >= 0xD0
}

/// Whether the last word may be the beginning of something, such as a month or `AB 12 34 56 C`: it
/// begins with a capital.
pub(super) fn opens(text: &[u8]) -> bool {
    let word = text.iter().rev().take(12).take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80);
    word.last().is_some_and(|first| first.is_ascii_uppercase() || *first >= 0x80)
}

/// Whether a name may stand around the place between `before` and `after`: a word with a capital comes next, or one that
/// is not complete, or one came a few words ago, as in "Paseo de la Castellana".
pub(super) fn parts_name(before: &[u8], after: &[u8]) -> bool {
    let word = after.iter().position(u8::is_ascii_whitespace);
    let near = before.split(u8::is_ascii_whitespace).rev().filter(|word| !word.is_empty()).take(NAME_WORDS);
    word.is_none() || is_name(after) || near.into_iter().any(is_name)
}

fn is_name(word: &[u8]) -> bool {
    word.iter()
        .find(|byte| is_letter(**byte))
        .is_some_and(|first| first.is_ascii_uppercase() || *first >= 0x80)
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Whether the place between `before` and `after` is beside a word that spells an address, as in `ann (at) example dot
/// org`; `None` where more text must tell.
pub(super) fn parts_spelled(before: &[u8], after: &[u8]) -> Option<bool> {
    let end = before.iter().rposition(|byte| is_letter(*byte)).map_or(0, |last| last + 1);
    let start = before[..end].iter().rposition(|byte| !is_letter(*byte)).map_or(0, |mark| mark + 1);
    if SPELLING.iter().any(|word| before[start..end].eq_ignore_ascii_case(word)) {
        return Some(true);
    }
    let start = after.iter().position(|byte| is_letter(*byte))?;
    let next = &after[start..];
    let len = next.iter().position(|byte| !is_letter(*byte));
    let word = &next[..len.unwrap_or(next.len())];
    let begins = |whole: &&[u8]| whole.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word));
    match (len, SPELLING.iter().find(|whole| begins(whole))) {
        (_, None) => Some(false),
        (None, Some(_)) => None,
        (Some(len), Some(whole)) => Some(len == whole.len()),
    }
}

pub(super) fn ends_sentence(text: &[u8]) -> bool {
    let before = text.split_last().map_or(text, |(_, before)| before);
    text.ends_with(b"\n") || matches!(before.last(), Some(b'.' | b'!' | b'?'))
}

/// Whether a line ends with the byte at `at`: a line feed, or the last byte of its escape.
pub(super) fn ends_line(text: &[u8], at: usize, escapes: Escapes) -> bool {
    let backslashes = || text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
    match text[at] {
        b'\n' => true,
        b'n' if escapes == Escapes::Json => backslashes() % 2 == 1,
        _ => false,
    }
}

/// The same for the last line of `text` that ends.
pub(super) fn last_line_end(text: &[u8], escapes: Escapes) -> Option<usize> {
    (0..text.len()).rev().find(|at| ends_line(text, *at, escapes))
}

/// The last position up to `cut` that splits neither a character nor an escape.
pub(super) fn whole(text: &[u8], cut: usize, escapes: Escapes) -> usize {
    let mut cut = cut.min(text.len());
    while cut > 0 && text.get(cut).is_some_and(|byte| byte & 0xC0 == 0x80) {
        cut -= 1;
    }
    if cut == text.len() {
        let tail = text.iter().rev().take(4).take_while(|byte| **byte & 0xC0 == 0x80).count();
        let lead = cut.checked_sub(tail + 1).map(|at| (at, text[at]));
        let wanted =
            |byte: u8| usize::from(byte >= 0xC0) + usize::from(byte >= 0xE0) + usize::from(byte >= 0xF0);
        cut = lead.filter(|(_, byte)| wanted(*byte) > tail).map_or(cut, |(at, _)| at);
    }
    match escapes {
        Escapes::None => cut,
        Escapes::Json => before_escape(text, cut),
    }
}

/// Steps back over an escape that `cut` would split, pairs of surrogates among them.
fn before_escape(text: &[u8], cut: usize) -> usize {
    let mut at = cut.saturating_sub(64);
    // An escape begins at an odd backslash; start where no backslash precedes.
    while at > 0 && text[at - 1] == b'\\' {
        at -= 1;
    }
    while at < cut {
        let len = match (text[at], text.get(at + 1)) {
            (b'\\', Some(b'u')) if text.get(at + 2).is_some_and(|hex| matches!(hex, b'd' | b'D')) => 12,
            (b'\\', Some(b'u')) => 6,
            (b'\\', _) => 2,
            _ => 1,
        };
        if at + len > cut {
            return at;
        }
        at += len;
    }
    cut
}
