//! Where an address begins: house number and street, in either order, or a unit before them.

use std::borrow::Cow;
use std::ops::Range;

use super::code::{Code, Order};
use super::words::{
    AFTER, AFTER_DOUBTFUL, BEFORE, BEHIND_NUMBER, ENDINGS, UNITS, capital, house_number, joiner, known, next,
    ordinal, previous,
};
use super::{BYTES, DOUBTFUL, STREET};
use crate::finding::Rule;

/// What a number follows without a name: "Postfach 1234".
const BOXES: &[&str] = &["postfach", "apartado"];
/// What a number follows that counts something else: "Tier 2 Support Lane".
#[rustfmt::skip]
const COUNTED: &[&str] = &[
    "tier", "level", "phase", "version", "chapter", "page", "table", "figure", "step", "part", "type", "class", "grade",
    "gate", "terminal", "platform", "season", "episode", "round", "stage",
];
/// Most words that are read back from a post code.
const MOST_WORDS: usize = 16;
const MOST_LINES: usize = 4;

/// Number and street around a street word.
pub(super) fn street(text: &[u8], word: &Range<usize>, name: &str) -> Option<(Range<usize>, &'static Rule)> {
    let lower = if name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.to_lowercase())
    };
    let listed = |list: &[&str]| list.contains(&&*lower);
    let upper = name.chars().next().is_some_and(char::is_uppercase);
    if upper && (listed(AFTER) || listed(AFTER_DOUBTFUL)) {
        if let Some(start) = number_first(text, word.start) {
            let sure = listed(AFTER) || follows_preposition(text, start);
            return Some((start..word.end, if sure { &STREET } else { &DOUBTFUL }));
        }
    } else if listed(AFTER) || lower == "drive" {
        // People write so in chats; only a cue makes it an address.
        return lower_case(text, word.start).map(|start| (start..word.end, &DOUBTFUL));
    }
    if upper && lower == "box" {
        return post_office_box(text, word).map(|range| (range, &STREET));
    }
    let compound = upper && ENDINGS.iter().any(|ending| lower.ends_with(ending));
    let end = if compound { number_after(text, word.end) } else { None };
    let range = end.map(|end| name_start(text, word.start, if listed(ENDINGS) { 3 } else { 0 })..end);
    let range = range.or_else(|| if listed(BEFORE) { around(text, word) } else { None });
    range.map(|range| (range, &STREET))
}

/// The start of "12 Oak " or "221B Baker " before a street word: a number, then one to four
/// capitalised or ordinal words.
fn number_first(text: &[u8], end: usize) -> Option<usize> {
    let mut at = end;
    for names in 0..5 {
        let word = previous(text, at, b" .")?;
        let letters = &text[word.clone()];
        if house_number(letters) {
            let counted = previous(text, word.start, b" ").is_some_and(|before| counts(&text[before]));
            return (names > 0 && !counted && !touched(text, word.start)).then_some(word.start);
        }
        if !(capital(letters) || ordinal(letters)) {
            return None;
        }
        at = word.start;
    }
    None
}

/// The same in lower case: one or two plain words between.
fn lower_case(text: &[u8], end: usize) -> Option<usize> {
    const PLAIN: &[&str] = &[
        "of",
        "the",
        "in",
        "on",
        "by",
        "to",
        "for",
        "from",
        "km",
        "mile",
        "miles",
        "min",
        "minute",
        "minutes",
        "hours",
        "per",
        "a",
        "an",
        "and",
        "or",
        "is",
        "was",
        "this",
        "that",
        "more",
        "new",
        "other",
        "different",
        "people",
        "main",
    ];
    let mut at = end;
    for names in 0..3 {
        let word = previous(text, at, b" ")?;
        let letters = &text[word.clone()];
        if house_number(letters) {
            return (names > 0 && !touched(text, word.start)).then_some(word.start);
        }
        if known(PLAIN, letters) {
            return None;
        }
        at = word.start;
    }
    None
}

fn counts(word: &[u8]) -> bool {
    COUNTED.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

fn touched(text: &[u8], start: usize) -> bool {
    start.checked_sub(1).is_some_and(|at| text[at].is_ascii_alphanumeric() || b".-/$:".contains(&text[at]))
}

/// "at 12 Oak Drive", "to 12 Oak Drive".
fn follows_preposition(text: &[u8], start: usize) -> bool {
    [b" at ".as_slice(), b" to ", b"At ", b"To "].iter().any(|word| text[..start].ends_with(word))
}

fn post_office_box(text: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let number = next(text, word.end, b" ").filter(|number| house_number(&text[number.clone()]))?;
    let start = [b"P.O. ".as_slice(), b"PO ", b"P. O. ", b"Po ", b"P.O."]
        .into_iter()
        .find(|lead| text[..word.start].ends_with(lead))?;
    Some(word.start - start.len()..number.end)
}

/// "12, rue de la Paix", "5 bis avenue Hugo", "Calle Mayor 5": the number before the street word
/// or after the name.
fn around(text: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let digits_alone = next(text, word.end, b" ").filter(|number| house_number(&text[number.clone()]));
    // "C/ Mayor 5", but not "UL/DL 5".
    let marks: &[u8] = if word.len() == 1 || text[word.end..].starts_with(b"/ ") { b" './" } else { b" '." };
    let (name, named) = match (name_after(text, word.end, marks), digits_alone) {
        (Some(name), _) => (name, true),
        (None, Some(_)) if known(BOXES, &text[word.clone()]) => (word.end, false),
        (None, _) => return None,
    };
    let before = previous(text, word.start, b" ,");
    let behind = before.clone().filter(|word| known(BEHIND_NUMBER, &text[word.clone()]));
    let number = behind.map_or(before, |word| previous(text, word.start, b" "));
    let number =
        number.filter(|word| named && house_number(&text[word.clone()]) && !touched(text, word.start));
    if let Some(number) = number {
        return Some(number.start..name);
    }
    let last = capital(&text[word.clone()]).then(|| number_after(text, name))??;
    Some(word.start..last)
}

/// Joiners and one to four capitalised words; their end.
fn name_after(text: &[u8], start: usize, marks: &[u8]) -> Option<usize> {
    let mut end = None;
    let mut at = start;
    for _ in 0..7 {
        let Some(word) = next(text, at, marks) else { break };
        let letters = &text[word.clone()];
        if capital(letters) || matches!(letters, [b'd' | b'l', b'\'', rest @ ..] if capital(rest)) {
            end = Some(word.end);
        } else if !joiner(letters) && !day_of_month(text, &word) {
            break;
        }
        at = word.end;
    }
    end
}

/// "Straße des 17. Juni": the number belongs to the name.
fn day_of_month(text: &[u8], word: &Range<usize>) -> bool {
    word.len() <= 2
        && text[word.clone()].iter().all(u8::is_ascii_digit)
        && text[word.end..].starts_with(b". ")
}

/// The end of a house number that follows: "5", "12a", "3-5", "nº 5".
fn number_after(text: &[u8], at: usize) -> Option<usize> {
    let mut word = next(text, at, b" .,")?;
    if known(&["nº", "n°", "no", "nr", "n", "número", "num"], &text[word.clone()]) {
        word = next(text, word.end, b" .")?;
    }
    let number = house_number(&text[word.clone()]);
    // "Hauptstraße 12 000 Menschen" and "Weg 3,5 km" are no houses.
    let goes_on = matches!(text.get(word.end), Some(b'.' | b',' | b':' | b'%'))
        && text.get(word.end + 1).is_some_and(u8::is_ascii_digit);
    (number && !goes_on).then_some(word.end)
}

/// The start of a German name: its hyphenated parts, and the capitalised words before a street word
/// that stands alone ("Berliner Straße"), at most `words`.
fn name_start(text: &[u8], start: usize, words: usize) -> usize {
    const ARTICLES: &[&str] = &["die", "der", "das", "in", "an", "von", "zur", "ihre", "unsere", "meine"];
    let hyphen = text[..start]
        .iter()
        .rev()
        .take(40)
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80 || **byte == b'-')
        .count();
    let mut start = start - hyphen;
    for _ in 0..words {
        let Some(word) = previous(text, start, b" ").filter(|word| word.end + 1 == start) else { break };
        let letters = &text[word.clone()];
        if !capital(letters) || known(ARTICLES, letters) {
            break;
        }
        start = word.start;
    }
    start
}

/// "Flat 3, ", "Apt 4B, ", "3rd Floor, " before a house number.
pub(super) fn unit_before(text: &[u8], start: usize) -> usize {
    let Some(value) = previous(text, start, b" ,\n") else { return start };
    let Some(word) = previous(text, value.start, b" .") else { return start };
    let value_letters = &text[value.clone()];
    let named = |letters: &[u8]| known(UNITS, letters);
    if (house_number(value_letters) || value_letters.len() == 1) && named(&text[word.clone()]) {
        return word.start;
    }
    if named(value_letters) && text[word.start].is_ascii_digit() {
        return word.start;
    }
    start
}

/// A word before a post code, with what separates it from the next one.
struct Part<'t> {
    range: Range<usize>,
    letters: &'t [u8],
    /// Whether a comma or a line's end follows.
    apart: bool,
}

/// The start of the address that a post code ends: number and name, in either order, then the place.
pub(super) fn before_code(text: &[u8], code: &Code) -> Option<usize> {
    let parts = parts_before(text, code.range.start);
    let last = parts.last()?;
    if code.order == Order::BeforePlace && !last.apart {
        return None;
    }
    (0..parts.len()).find_map(|at| begins(text, &parts, at, code.order))
}

/// Words back from the code, in the order of the text, until one that cannot belong.
fn parts_before(text: &[u8], end: usize) -> Vec<Part<'_>> {
    let floor = end.saturating_sub(BYTES);
    let mut parts = Vec::new();
    let (mut at, mut lines) = (end, 1);
    while parts.len() < MOST_WORDS {
        let Some(word) = previous(text, at, b" ,.\n").filter(|word| word.start >= floor) else { break };
        let gap = &text[word.end..at];
        lines += gap.iter().filter(|byte| **byte == b'\n').count();
        let letters = &text[word.clone()];
        let belongs = capital(letters)
            || letters[0].is_ascii_digit()
            || joiner(letters)
            || known(BEHIND_NUMBER, letters)
            || known(BEFORE, letters)
            || known(UNITS, letters);
        let stops = gap.contains(&b'.') && word.len() > 4;
        if lines > MOST_LINES || !belongs || stops {
            break;
        }
        at = word.start;
        parts.push(Part { range: word, letters, apart: gap.contains(&b',') || gap.contains(&b'\n') });
    }
    parts.reverse();
    parts
}

/// Where an address begins whose number is the part at `at`.
fn begins(text: &[u8], parts: &[Part<'_>], at: usize, order: Order) -> Option<usize> {
    let part = &parts[at];
    if !house_number(part.letters) || touched(text, part.range.start) {
        return None;
    }
    let first = |index: usize| parts[index].range.start;
    if let Some(unit) = at.checked_sub(1).filter(|unit| known(UNITS, parts[*unit].letters)) {
        return Some(first(unit));
    }
    let named = parts.get(at + 1).is_some_and(|next| {
        let street = capital(next.letters)
            || ordinal(next.letters)
            || known(BEFORE, next.letters)
            || known(BEHIND_NUMBER, next.letters);
        let bounded = order != Order::BeforePlace || parts[at + 1..].iter().any(|part| part.apart);
        street && bounded && next.letters.len() > 1
    });
    if named && (!part.apart || parts.get(at + 1).is_some_and(|next| known(BEFORE, next.letters))) {
        return Some(first(at));
    }
    // "Unter den Linden 77, 10117 Berlin": back to the first word of the part that the number ends.
    let year = part.letters.len() == 4 && matches!(part.letters[0], b'1' | b'2');
    if !part.apart || order != Order::BeforePlace || year || at + 1 < parts.len() {
        return None;
    }
    let from = (0..at).rev().take_while(|index| !parts[*index].apart).last()?;
    // The street word, if there is one: a sentence may begin in front of it.
    let street = (from..at).find(|index| known(BEFORE, parts[*index].letters));
    let from = street.or_else(|| (from..at).find(|index| capital(parts[*index].letters)))?;
    Some(first(from))
}
