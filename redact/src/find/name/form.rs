//! How names of persons are written: what the tagger cut off or took along is put right.

use std::ops::Range;

/// Titles in front of a name, which are outside of it.
#[rustfmt::skip]
const TITLES: &[&str] = &[
    "Madame", "Monsieur", "Mademoiselle", "Mme", "Mlle", "Herr", "Frau", "Señor", "Señora", "Signor", "Signora",
];
/// Words in small letters that only a family name follows.
const PARTICLES: &[&str] = &["van", "der", "den", "ter", "bin", "bint", "ibn", "dela", "dos"];
/// Words in small letters that stand inside of names, and elsewhere too.
const LINKS: &[&str] =
    &["von", "zu", "de", "del", "della", "di", "da", "das", "do", "du", "la", "le", "el", "al"];
/// Words in capitals before a comma that address somebody, or draw attention.
#[rustfmt::skip]
const CALLS: &[&str] = &[
    "HELLO", "DEAR", "THANKS", "SORRY", "PLEASE", "CHEERS", "REGARDS", "ATTENTION", "ATTN", "NOTE", "WARNING",
    "ERROR", "INFO", "YES", "HEY", "URGENT", "FYI", "CEO", "CTO", "CFO",
];
/// Words of offices, which the tagger takes for names where they stand alone.
#[rustfmt::skip]
const OFFICES: &[&str] = &[
    "Vice", "President", "Chief", "Officer", "Manager", "Director", "Executive", "Senior", "Engineer", "Secretary",
    "Chairman", "Treasurer", "Assistant",
];
const WEEKDAYS: &[&str] = &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Whether a supposed name is an office ("Vice President"), or a day of several words ("Ash Wednesday").
pub(super) fn is_other(name: &[u8]) -> bool {
    let listed = |list: &[&str], word: &[u8]| list.iter().any(|known| known.as_bytes() == word);
    let mut words = name.split(|byte| *byte == b' ');
    let day =
        words.clone().count() > 1 && words.clone().next_back().is_some_and(|word| listed(WEEKDAYS, word));
    day || words.all(|word| listed(OFFICES, word))
}

/// The whole of a name that the tagger found in a piece of text: without a title, with a family name
/// in capitals in front ("SMITH, Jane"), and with what follows a particle.
pub(super) fn whole(piece: &[u8], name: Range<usize>) -> Range<usize> {
    let titled = TITLES.iter().find(|title| {
        let rest = piece[name.clone()].strip_prefix(title.as_bytes());
        rest.is_some_and(|rest| matches!(rest, [b' ', _, ..]))
    });
    let start = match titled {
        Some(title) => name.start + title.len() + 1,
        None => family_name_before(piece, name.start).unwrap_or(name.start),
    };
    let doubled = piece[start..name.end].contains(&b' ').then(|| second_half(piece, name.end)).flatten();
    start..doubled.or_else(|| family_name_after(piece, name.end)).unwrap_or(name.end)
}

/// "SMITH, Jane" at the start of a line or a field.
fn family_name_before(piece: &[u8], start: usize) -> Option<usize> {
    let before = piece[..start].strip_suffix(b", ")?;
    let is_capital = |byte: &u8| byte.is_ascii_uppercase() || *byte >= 0x80;
    let letters = before.iter().rev().take(24).take_while(|byte| is_capital(byte)).count();
    let (lead, word) = before.split_at(before.len() - letters);
    let leads = lead.trim_ascii_end().last().is_none_or(|mark| b"\n\"(|:".contains(mark));
    let called = CALLS.iter().any(|call| call.as_bytes() == word);
    (letters >= 3 && leads && !called).then_some(lead.len())
}

/// The end of "Gareth Pugh-Davies" behind "Gareth Pugh".
fn second_half(piece: &[u8], end: usize) -> Option<usize> {
    let rest =
        piece[end..].strip_prefix(b"-").filter(|rest| rest.first().is_some_and(u8::is_ascii_uppercase))?;
    Some(
        end + 1
            + rest.iter().take(24).take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count(),
    )
}

/// The end of "Pieter van den Berg" behind "Pieter".
fn family_name_after(piece: &[u8], end: usize) -> Option<usize> {
    let mut at = end;
    for particles in 0..3 {
        let rest = piece[at..].strip_prefix(b" ")?;
        let is_letter = |byte: &&u8| byte.is_ascii_alphabetic() || **byte >= 0x80;
        let word = &rest[..rest.iter().take(24).take_while(is_letter).count()];
        at += 1 + word.len();
        if !PARTICLES.iter().any(|particle| particle.as_bytes() == word) {
            return (particles > 0 && word.len() > 1 && word[0].is_ascii_uppercase()).then_some(at);
        }
    }
    None
}

/// Whether two names that follow each other are one: a hyphen or particles stand between.
pub(super) fn is_joined(text: &[u8], first: &Range<usize>, second: &Range<usize>) -> bool {
    if first.end >= second.start {
        return first.end > second.start;
    }
    let between = &text[first.end..second.start];
    let words = between.strip_prefix(b" ").and_then(|words| words.strip_suffix(b" "));
    let known = |word: &[u8]| PARTICLES.iter().chain(LINKS).any(|link| link.as_bytes() == word);
    between == b"-"
        || words.is_some_and(|words| words.len() <= 16 && words.split(|byte| *byte == b' ').all(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, part: &str) -> Range<usize> {
        let start = text.find(part).unwrap();
        start..start + part.len()
    }

    #[test]
    fn names_are_completed_and_titles_are_left_out() {
        for (text, name, wanted) in [
            ("Madame Dubois est là", "Madame Dubois", "Dubois"),
            ("SMITH, Jane was here", "Jane", "SMITH, Jane"),
            ("Patient: SMITH, Jane", "Jane", "SMITH, Jane"),
            ("THANKS, Jane", "Jane", "Jane"),
            ("off to MIAMI, Jane", "Jane", "Jane"),
            ("Pieter van den Berg belde", "Pieter", "Pieter van den Berg"),
            ("Pieter den hond", "Pieter", "Pieter"),
            ("Mohammed bin Rashid", "Mohammed", "Mohammed bin Rashid"),
            ("Gareth Pugh-Davies chairs", "Gareth Pugh", "Gareth Pugh-Davies"),
            ("a Smith-led team", "Smith", "Smith"),
        ] {
            let found = whole(text.as_bytes(), place(text, name));
            assert_eq!(text.get(found), Some(wanted), "{text}");
        }
    }

    #[test]
    fn parts_of_one_name_are_joined() {
        for (text, first, second, wanted) in [
            ("Mary-Ann", "Mary", "Ann", true),
            ("Juan de la Cruz", "Juan", "Cruz", true),
            ("Juan and Cruz", "Juan", "Cruz", false),
            ("Juan Cruz", "Juan", "Cruz", false),
        ] {
            assert_eq!(
                is_joined(text.as_bytes(), &place(text, first), &place(text, second)),
                wanted,
                "{text}"
            );
        }
    }
}
