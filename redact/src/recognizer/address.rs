//! Postal addresses: house number, street, place and post code, in either order.
//!
//! A street word beside a house number begins one; unit, place and post code that follow within
//! four lines belong to it. A number beside a capitalised word is no address.

use std::ops::Range;

use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

static STREET: Rule = Rule::new("street", Entity::Address, 60, 60).unmoved();
static WHOLE: Rule = Rule::new("street-and-post-code", Entity::Address, 85, 85).unmoved();

/// After the name: "12 Oak Street".
const AFTER: &[&str] = &[
    "street",
    "st",
    "avenue",
    "ave",
    "road",
    "rd",
    "boulevard",
    "blvd",
    "lane",
    "ln",
    "drive",
    "dr",
    "court",
    "ct",
    "way",
    "place",
    "pl",
    "terrace",
    "square",
    "sq",
    "parkway",
    "pkwy",
    "highway",
    "hwy",
    "circle",
    "crescent",
    "close",
    "gardens",
    "grove",
    "mews",
];
/// Before the name: "12 rue de la Paix", "Calle Mayor 5", "Via Roma 3".
const BEFORE: &[&str] = &[
    "rue",
    "avenue",
    "boulevard",
    "chemin",
    "quai",
    "allée",
    "impasse",
    "cours",
    "calle",
    "avenida",
    "paseo",
    "plaza",
    "carrer",
    "via",
    "viale",
    "piazza",
    "corso",
    "rua",
];
/// At the end of the name: "Hauptstraße 5".
const ENDINGS: &[&str] = &[
    "straße", "strasse", "str", "weg", "platz", "allee", "gasse", "damm", "ufer", "straat", "laan", "gracht",
    "plein",
];
/// Words that may stand between the parts.
const JOINERS: &[&str] = &[
    "de", "la", "le", "les", "du", "des", "del", "della", "di", "da", "of", "the", "am", "an", "der", "den",
    "upon", "sur", "bis", "et",
];
const UNITS: &[&str] =
    &["apt", "apartment", "suite", "ste", "unit", "floor", "fl", "flat", "room", "rm", "bldg"];
/// Most words on either side of the street word.
const REACH: usize = 16;
/// Most bytes on either side.
const BYTES: usize = 160;
const MOST_LINES: usize = 4;

/// Looks at a word of letters; whether it is a street word is cheap to tell.
pub(super) fn word(out: &mut Candidates<'_>, word: &Range<usize>) {
    let text = out.text;
    let whole = whole_word(text, word);
    let Ok(name) = std::str::from_utf8(&text[whole.clone()]) else { return };
    if name.chars().next().is_none_or(|first| first.is_ascii_digit()) || name.len() > 48 {
        return;
    }
    let lower = name.to_lowercase();
    let capital = name.chars().next().is_some_and(char::is_uppercase);
    let known = |list: &[&str]| list.contains(&lower.as_str());
    let range = if capital && known(AFTER) && before(text, whole.start).is_some() {
        before(text, whole.start).map(|start| start..whole.end)
    } else if known(BEFORE) {
        around(text, &whole)
    } else if capital && ENDINGS.iter().any(|ending| lower.ends_with(ending)) {
        number_after(text, whole.end).map(|end| compound_start(text, whole.start)..end)
    } else {
        None
    };
    let Some(range) = range else { return };
    out.work += BYTES as u64;
    let (end, rule) = extend(text, range.end);
    out.propose(rule, range.start..end);
}

/// The word with its letters beyond ASCII; the trigger may have begun in its middle.
fn whole_word(text: &[u8], word: &Range<usize>) -> Range<usize> {
    let belongs = |byte: &u8| byte.is_ascii_alphabetic() || *byte >= 0x80;
    let left = text[..word.start].iter().rev().take(48).take_while(|byte| belongs(byte)).count();
    let right = text[word.end..].iter().take(48).take_while(|byte| belongs(byte)).count();
    word.start - left..word.end + right
}

/// The start of "12 Oak " or "221B Baker " before a street word: a number, then one to four
/// capitalised or ordinal words.
fn before(text: &[u8], end: usize) -> Option<usize> {
    let mut at = end;
    for names in 0..5 {
        let word = previous(text, at)?;
        let letters = &text[word.clone()];
        if letters[0].is_ascii_digit() && letters.len() <= 6 && !ordinal(letters) {
            let touching = word
                .start
                .checked_sub(1)
                .is_some_and(|at| text[at].is_ascii_alphanumeric() || b".-/$:".contains(&text[at]));
            return (names > 0 && !touching).then_some(word.start);
        }
        if !(letters[0].is_ascii_uppercase() || letters[0] >= 0x80 || ordinal(letters)) {
            return None;
        }
        at = word.start;
    }
    None
}

fn ordinal(letters: &[u8]) -> bool {
    letters[0].is_ascii_digit()
        && [b"st".as_slice(), b"nd", b"rd", b"th"].iter().any(|ending| letters.ends_with(ending))
}

/// The word before `end`, after one space or a full stop and a space.
fn previous(text: &[u8], end: usize) -> Option<Range<usize>> {
    let gap = text[..end].iter().rev().take(2).take_while(|byte| matches!(byte, b' ' | b'.')).count();
    let end = end - gap;
    let len = text[..end]
        .iter()
        .rev()
        .take(32)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte >= 0x80 || matches!(byte, b'\'' | b'-'))
        .count();
    (gap > 0 && len > 0).then(|| end - len..end)
}

/// "12, rue de la Paix" and "Calle Mayor 5": the number stands before the street word or after the name.
fn around(text: &[u8], word: &Range<usize>) -> Option<Range<usize>> {
    let gap = text[..word.start].iter().rev().take(2).take_while(|byte| matches!(byte, b' ' | b',')).count();
    let digits_end = word.start - gap;
    let digits = text[..digits_end].iter().rev().take(5).take_while(|byte| byte.is_ascii_digit()).count();
    let name = name_after(text, word.end)?;
    if gap > 0 && (1..=4).contains(&digits) {
        return Some(digits_end - digits..name);
    }
    text[word.start]
        .is_ascii_uppercase()
        .then(|| number_after(text, name))
        .flatten()
        .map(|end| word.start..end)
}

/// Joiners and one to three capitalised words; their end.
fn name_after(text: &[u8], start: usize) -> Option<usize> {
    let mut end = None;
    let mut at = start;
    for _ in 0..6 {
        let Some(word) = next(text, at, b" '") else { break };
        let Ok(name) = std::str::from_utf8(&text[word.clone()]) else { break };
        if name.chars().next().is_some_and(char::is_uppercase) {
            end = Some(word.end);
        } else if !JOINERS.contains(&name) && name != "l" && name != "d" {
            break;
        }
        at = word.end;
    }
    end
}

/// The end of a house number that follows: "5", "12a", "3-5".
fn number_after(text: &[u8], at: usize) -> Option<usize> {
    let word = next(text, at, b" .,")?;
    let digits = text[word.clone()].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = &text[word.start + digits..word.end];
    ((1..=4).contains(&digits) && (rest.len() <= 1 || rest[0] == b'-')).then_some(word.end)
}

/// "Am Alten Markt-Weg" aside, a street's name may have capitalised words before its last one.
fn compound_start(text: &[u8], start: usize) -> usize {
    let hyphen = text[..start]
        .iter()
        .rev()
        .take(40)
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80 || **byte == b'-')
        .count();
    start - hyphen
}

/// The next word after separators, none of which may be a sentence's end.
fn next(text: &[u8], at: usize, separators: &[u8]) -> Option<Range<usize>> {
    let gap = text[at..].iter().take(3).take_while(|byte| separators.contains(byte)).count();
    let start = at + gap;
    let len = text[start..]
        .iter()
        .take(32)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte >= 0x80 || matches!(byte, b'-' | b'#'))
        .count();
    (gap > 0 && len > 0).then(|| start..start + len)
}

/// Takes in unit, place and post code, as far as they go.
fn extend(text: &[u8], street_end: usize) -> (usize, &'static Rule) {
    let limit = text.len().min(street_end + BYTES);
    let (mut at, mut end, mut rule) = (street_end, street_end, &STREET);
    let (mut lines, mut unit, mut coded) = (1, false, false);
    for _ in 0..REACH {
        let Some(word) = next(&text[..limit], at, b" ,.\n") else { break };
        lines += text[at..word.start].iter().filter(|byte| **byte == b'\n').count();
        let letters = &text[word.clone()];
        let lower = letters.to_ascii_lowercase();
        let capital = letters[0].is_ascii_uppercase() || letters[0] >= 0x80;
        let is_unit = UNITS.iter().any(|known| known.as_bytes() == lower) || letters[0] == b'#';
        if lines > MOST_LINES || (coded && (!capital || text[end..word.start].contains(&b'.'))) {
            break;
        }
        if post_code(text, &word) {
            (end, rule, coded) = (word.end, &WHOLE, true);
        } else if coded && text[end..word.start].contains(&b'\n') {
            break;
        } else if coded || unit || is_unit {
            end = word.end;
        } else if !capital && !JOINERS.iter().any(|known| known.as_bytes() == letters) {
            break;
        }
        unit = is_unit && letters[0] != b'#';
        at = word.end;
        // One place name follows a post code: "75002 Paris".
        if coded && capital && !post_code(text, &word) && !matches!(text.get(at), Some(b' ' | b'-')) {
            break;
        }
    }
    (end, rule)
}

/// Four or five digits, ZIP+4, a Dutch or a British code.
fn post_code(text: &[u8], word: &Range<usize>) -> bool {
    let letters = &text[word.clone()];
    let digits = letters.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let plain = (digits == letters.len() && (4..=5).contains(&digits))
        || (digits == 5 && letters.len() == 10 && letters[5] == b'-');
    let inward =
        letters.len() == 3 && letters[0].is_ascii_digit() && letters[1..].iter().all(u8::is_ascii_uppercase);
    plain || inward
}

#[cfg(test)]
mod tests {
    use crate::{Entity, Filter, Policy, PolicySpec, Query, find};

    fn addresses(text: &str) -> Vec<&str> {
        let spec = PolicySpec {
            filter: Filter::Balanced,
            entities: Some(vec![Entity::Address]),
            ..PolicySpec::default()
        };
        let policy = Policy::compile(&spec).unwrap();
        let spans = find(text, &Query::new(&policy)).unwrap().spans;
        spans.iter().map(|span| text.get(span.range.clone()).unwrap()).collect()
    }

    #[test]
    fn addresses_reach_from_the_number_to_the_post_code() {
        for (text, wanted) in [
            (
                "I live at 742 Evergreen Terrace, Springfield, IL 62704.",
                "742 Evergreen Terrace, Springfield, IL 62704",
            ),
            ("Send it to 12 Oak St today", "12 Oak St"),
            ("221B Baker Street, London NW1 6XE", "221B Baker Street, London NW1 6XE"),
            (
                "350 5th Ave, Apt 12B, New York, NY 10118-0110 please",
                "350 5th Ave, Apt 12B, New York, NY 10118-0110",
            ),
            ("Ich wohne in der Hauptstraße 5a, 10115 Berlin.", "Hauptstraße 5a, 10115 Berlin"),
            ("au 12, rue de la Paix, 75002 Paris", "12, rue de la Paix, 75002 Paris"),
            ("Calle Mayor 5, 28013 Madrid", "Calle Mayor 5, 28013 Madrid"),
            ("12 Oak Street\nSpringfield, IL 62704\nThanks", "12 Oak Street\nSpringfield, IL 62704"),
        ] {
            assert_eq!(addresses(text), [wanted], "{text}");
        }
    }

    #[test]
    fn numbers_beside_words_are_no_addresses() {
        for text in [
            "Chapter 12 Results",
            "the 3 main streets",
            "2 Way mirrors",
            "Wall Street rose 5 percent",
            "on 5 May we drove back",
            "Dr. Smith",
            "in the Best Way",
            "drove 12 km by road",
            "the Weg is long",
            "via Roma",
            "Version 2 Drive",
        ] {
            assert_eq!(addresses(text), Vec::<&str>::new(), "{text}");
        }
    }
}
