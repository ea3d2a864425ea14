//! Dates of birth: any date form, but only beside a cue. Every other date stays.

use std::ops::Range;

use super::number::{Number, Shape};
use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

static BIRTH: Rule = Rule::new("birth", Entity::DateOfBirth, 10, 85).beside(&[CueGroup::Birth]).unmoved();

/// First letters of month names: English, German, French, Spanish, Italian, Dutch, Portuguese.
pub(super) const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mär", "mae", "mai",
    "okt", "dez", "fév", "fev", "avr", "jui", "aoû", "aou", "déc", "ene", "abr", "ago", "dic", "gen", "mag",
    "giu", "lug", "set", "ott", "mrt", "mei", "out",
];

const ORDINALS: [&str; 5] = ["st", "nd", "rd", "th", "er"];

/// A date that begins with digits.
pub(super) fn date(out: &mut Candidates<'_>, number: &Number<'_>) {
    if !number.begins_cleanly() {
        return;
    }
    if let Some(end) = numeric(out.text, number)
        .or_else(|| day_first(out.text, number))
        .or_else(|| east_asian(out.text, number))
    {
        out.propose(&BIRTH, number.start()..end);
    }
}

fn value(text: &[u8], group: Range<usize>) -> u32 {
    text[group].iter().take(8).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

/// Nobody's birthday lies after this year. Text is judged without a clock.
const LATEST: u32 = 2030;

fn is_year(year: u32) -> bool {
    (1900..=LATEST).contains(&year)
}

fn numeric(text: &[u8], number: &Number<'_>) -> Option<usize> {
    if number.len() >= 3 && matches!(number.uniform(3), Some(b'-' | b'/' | b'.' | b' ')) {
        let part = |index: usize| value(text, number.group(index));
        let valid = match number.lengths(3)? {
            [4, 1 | 2, 1 | 2] => is_year(part(0)) && day_and_month(part(2), part(1)),
            [1 | 2, 1 | 2, 4] => is_year(part(2)) && day_and_month(part(0), part(1)),
            [1 | 2, 1 | 2, 2] => day_and_month(part(0), part(1)),
            _ => false,
        };
        return valid.then(|| number.end(2));
    }
    if number.shaped(const { Shape::of(&[8]) }) {
        let digits = value(text, number.group(0));
        let iso = is_year(digits / 10_000) && day_and_month(digits % 100, digits / 100 % 100);
        return iso.then(|| number.end(0));
    }
    None
}

/// Whether one is a day of the other, a month; leap years aside.
fn day_and_month(first: u32, second: u32) -> bool {
    let fits = |day: u32, month: u32| {
        let days = match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        (1..=days).contains(&day)
    };
    fits(first, second) || fits(second, first)
}

/// "12 March 1985", "12. März 1985", "12th of March, 1985", "12 de marzo de 1985".
fn day_first(text: &[u8], number: &Number<'_>) -> Option<usize> {
    let behind = skip(text, number.end(0), b". -/");
    text.get(behind).filter(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80)?;
    (1..=31).contains(&value(text, number.group(0))).then_some(())?;
    let ordinal = ORDINALS.iter().any(|end| text[number.end(0)..].starts_with(end.as_bytes()));
    let mut at = skip(text, number.end(0) + if ordinal { 2 } else { 0 }, b". -/");
    for filler in ["de ", "of "] {
        at += if text[at..].starts_with(filler.as_bytes()) { filler.len() } else { 0 };
    }
    let at = month(text, at)?;
    year(text, at)
}

/// "March 12, 1985", from the month's name.
pub(super) fn month_first(out: &mut Candidates<'_>, word: &Range<usize>) {
    let text = out.text;
    let Some(at) = (word.len() >= 3).then(|| month(text, word.start)).flatten() else { return };
    let at = skip(text, at, b". ");
    let day_end = at + text[at..].iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    if day_end == at || !(1..=31).contains(&value(text, at..day_end)) {
        return;
    }
    let ordinal = ORDINALS.iter().any(|ending| text[day_end..].starts_with(ending.as_bytes()));
    let at = day_end + if ordinal { 2 } else { 0 };
    if let Some(end) = year(text, at) {
        out.propose(&BIRTH, word.start..end);
    }
}

fn east_asian(text: &[u8], number: &Number<'_>) -> Option<usize> {
    (number.total(1) >= 4 && is_year(value(text, number.group(0)))).then_some(())?;
    let rest = std::str::from_utf8(text.get(number.end(0)..text.len().min(number.end(0) + 16))?);
    let rest = match rest {
        Ok(rest) => rest,
        Err(cut) => std::str::from_utf8(&text[number.end(0)..number.end(0) + cut.valid_up_to()]).ok()?,
    };
    let (_, after) = rest.split_once('年')?;
    let (month, after) = after.split_once('月')?;
    let (day, _) = after.split_once('日')?;
    let small = |part: &str| part.trim().parse::<u8>().is_ok_and(|value| value <= 31);
    (small(month) && small(day)).then(|| number.end(0) + rest.find('日').map_or(0, |at| at + '日'.len_utf8()))
}

/// The end of a month's name at `at`.
fn month(text: &[u8], at: usize) -> Option<usize> {
    let word =
        text[at..].iter().take(16).take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count();
    let name = &text[at..at + word];
    let known = MONTHS
        .iter()
        .any(|stem| name.len() >= stem.len() && name[..stem.len()].eq_ignore_ascii_case(stem.as_bytes()));
    known.then_some(at + word)
}

/// The end of a year that follows within a few separators.
fn year(text: &[u8], at: usize) -> Option<usize> {
    let mut at = skip(text, at, b". ,-/");
    for filler in ["de ", "del "] {
        at += if text[at..].starts_with(filler.as_bytes()) { filler.len() } else { 0 };
    }
    let end = at + text[at..].iter().take(5).take_while(|byte| byte.is_ascii_digit()).count();
    (end - at == 4 && is_year(value(text, at..end))).then_some(end)
}

fn skip(text: &[u8], at: usize, marks: &[u8]) -> usize {
    at + text[at..].iter().take(3).take_while(|byte| marks.contains(byte)).count()
}
