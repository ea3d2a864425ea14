//! International bank account numbers: country, length, remainder 97.

use std::ops::Range;

use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

static IBAN: Rule = Rule::new("iban", Entity::Iban, 100, 100)
    .checked("country, length and mod 97")
    .beside(&[CueGroup::Iban])
    .unmoved();

/// Letters and digits of the longest numbers, by the standard.
const LONGEST: usize = 34;

/// Country and length, from the registry of ISO 13616, in the order of the countries.
#[rustfmt::skip]
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22),
    (b"BH", 22), (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24),
    (b"DE", 22), (b"DJ", 27), (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18),
    (b"FK", 18), (b"FO", 18), (b"FR", 27), (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27),
    (b"GT", 28), (b"HN", 28), (b"HR", 21), (b"HU", 28), (b"IE", 22), (b"IL", 23), (b"IQ", 23), (b"IS", 26),
    (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28), (b"LC", 32), (b"LI", 21), (b"LT", 20),
    (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22), (b"MK", 19), (b"MN", 20),
    (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23), (b"PK", 24),
    (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24),
    (b"SC", 31), (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25),
    (b"SV", 28), (b"TL", 23), (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20),
    (b"YE", 30),
];

/// Reads an account number that begins with this word. What follows the country's length does not
/// belong to it, whatever it is.
pub(super) fn word(out: &mut Candidates<'_>, word: &Range<usize>) {
    let text = out.text;
    // Copied from a form without its gap: "IBANDE89…".
    let label = text[word.clone()].get(..4).filter(|label| label.eq_ignore_ascii_case(b"iban"));
    let word = word.start + label.map_or(0, <[u8]>::len)..word.end;
    let [first, second, tens, ones, ..] = text[word.clone()] else { return };
    let is_form = first.is_ascii_alphabetic() && second.is_ascii_alphabetic() && tens.is_ascii_digit();
    if !is_form || !ones.is_ascii_digit() {
        return;
    }
    let country = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
    let Ok(row) = LENGTHS.binary_search_by_key(&country, |row| *row.0) else { return };
    let length = LENGTHS[row].1;
    let Some((letters, end)) = gather(text, word.start, length) else { return };
    out.work += (end - word.start) as u64;
    if remainder_97(&letters[..length]) == 1 {
        out.settle(&IBAN, word.start..end);
    } else {
        out.reject(&IBAN, word.start..end, "the mod 97 check fails");
        if in_fours(&text[word.start..end]) {
            // Mistyped: its groups are no cards and no phone numbers.
            out.settled_to = out.settled_to.max(end);
        }
    }
}

/// The next `length` letters and digits, with single separators between groups, and where they end.
fn gather(text: &[u8], start: usize, length: usize) -> Option<([u8; LONGEST], usize)> {
    let mut letters = [0; LONGEST];
    let mut at = start;
    let mut last_was_gap = false;
    for letter in &mut letters[..length] {
        loop {
            let byte = *text.get(at)?;
            at += 1;
            if byte.is_ascii_alphanumeric() {
                *letter = byte.to_ascii_uppercase();
                last_was_gap = false;
                break;
            }
            if last_was_gap || !matches!(byte, b' ' | b'-' | b'\n' | b'.') {
                return None;
            }
            last_was_gap = true;
        }
    }
    Some((letters, at))
}

/// Upper case in groups of four, as account numbers are printed.
fn in_fours(number: &[u8]) -> bool {
    let mut groups = number.rsplit(|byte| !byte.is_ascii_alphanumeric());
    let last = groups.next().is_some_and(|last| last.len() <= 4);
    last && groups.all(|group| group.len() == 4) && !number.iter().any(u8::is_ascii_lowercase)
}

/// Of upper-case letters, which are two digits each, and digits; country and check digits come last.
fn remainder_97(letters: &[u8]) -> u64 {
    /// What stays below may take another letter.
    const ROOM: u64 = u64::MAX / 100 - 1;
    let (head, account) = letters.split_at(4);
    let value = account.iter().chain(head).fold(0, |value: u64, letter| {
        let value = if value < ROOM { value } else { value % 97 };
        match letter {
            b'0'..=b'9' => value * 10 + u64::from(letter - b'0'),
            _ => value * 100 + u64::from(letter - b'A') + 10,
        }
    });
    value % 97
}
