//! Telephone numbers: international by country table, national by their grouping.

use super::number::{Number, begins_cleanly, ends_cleanly};
use super::phone_table;
use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

const CUES: &[CueGroup] = &[CueGroup::Phone];
static INTERNATIONAL: Rule = Rule::new("phone-international", Entity::Phone, 80, 95).beside(CUES);
/// "Tel+44…": a letter touches the plus sign.
static GLUED: Rule = Rule::new("phone-glued", Entity::Phone, 10, 80).beside(CUES);
static FORMATTED: Rule = Rule::new("phone-formatted", Entity::Phone, 50, 85).beside(CUES);
/// Forms that other numbers share: dotted pairs, countries without a trunk zero.
static WEAK: Rule = Rule::new("phone-weak", Entity::Phone, 30, 80).beside(CUES);
static BARE: Rule = Rule::new("phone-bare", Entity::Phone, 10, 50).beside(CUES);

/// E.164 allows 15 digits, the country's among them.
const MOST_DIGITS: usize = 15;
/// Digits of the shortest and the longest [`form`] without a country.
const NATIONAL_DIGITS: std::ops::RangeInclusive<usize> = 7..=12;
/// Most groups of a number without a country.
const MOST_GROUPS: usize = 6;

/// A number that begins with this group, or with the mark right before it.
pub(super) fn number(out: &mut Candidates<'_>, number: &Number<'_>) {
    let text = out.text;
    let start = number.start();
    if let Some(sign) = plus_before(text, start) {
        return plus(out, number, sign, start);
    }
    if out.before(start) == Some(b'(') && start >= 2 && text[start - 2] == b'+' {
        return plus(out, number, start - 2, start);
    }
    if text[start..].starts_with(b"00") && number.begins_cleanly() {
        plus(out, number, start, start + 2);
    }
    national(out, number);
}

/// Where a plus sign begins that ends at `end`, as itself or as URLs and HTML encode it.
fn plus_before(text: &[u8], end: usize) -> Option<usize> {
    let forms: &[&[u8]] = match text[..end].last()? {
        b'+' => &[b"+"],
        b'B' | b'b' => &[b"%2B", b"%2b"],
        b';' => &[b"&#43;", b"&#x2B;", b"&#x2b;", b"&plus;"],
        _ => return None,
    };
    forms.iter().find(|form| text[..end].ends_with(form)).map(|form| end - form.len())
}

/// `+` or `00`, country, subscriber: the longest run of groups whose length the country uses.
fn plus(out: &mut Candidates<'_>, number: &Number<'_>, start: usize, first_digit: usize) {
    let text = out.text;
    let plus = text[start] != b'0';
    let before = out.before(start).filter(|_| plus);
    if before.is_some_and(|byte| byte.is_ascii_digit() || byte == b'+') {
        return;
    }
    let glued = before.is_some_and(|byte| byte.is_ascii_alphabetic());
    let skip = first_digit - number.start();
    for count in (1..=joined(text, number, number.len())).rev() {
        let digits = number.digits(count);
        let Some(digits) = digits.get(skip..).filter(|digits| digits.len() <= MOST_DIGITS + 1) else {
            continue;
        };
        let end = number.end(count - 1);
        let whole = text.get(end).is_none_or(|byte| !byte.is_ascii_digit() && *byte != b'_');
        let coded = number.group(0).len() - skip;
        let trunk = text[number.start()..end].windows(3).filter(|part| *part == b"(0)").count();
        if whole && phone_table::fits(digits, coded, trunk) {
            let end = extension(text, end);
            let rule = if glued {
                &GLUED
            } else if plus || !behind_digit(text, start) {
                &INTERNATIONAL
            } else {
                &WEAK
            };
            return out.propose(rule, start..end);
        }
    }
    out.reject(&INTERNATIONAL, start..number.end(0), "no country has numbers of this length");
}

/// How many of the first `most` groups marks join that stand in telephone numbers.
fn joined(text: &[u8], number: &Number<'_>, most: usize) -> usize {
    1 + (0..number.len().min(most) - 1).take_while(|index| joins(text, number, *index)).count()
}

fn joins(text: &[u8], number: &Number<'_>, index: usize) -> bool {
    match number.mark(index) {
        b'\n' => false,
        0 => {
            matches!(number.gap(text, index), b" (" | b") " | b")-" | b" - " | b" / " | b"-(" | b".(" | b").")
        }
        _ => true,
    }
}

/// Whether a number begins with a parenthesis, as area codes do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    None,
    Parenthesis,
}

/// Numbers without a country: the grouping tells.
fn national(out: &mut Candidates<'_>, number: &Number<'_>) {
    let text = out.text;
    if number.total(1) > *NATIONAL_DIGITS.end() || number.total(number.len()) < *NATIONAL_DIGITS.start() {
        return;
    }
    // "(030) 1234": not the parenthesis around a whole number.
    let closes = || (1..number.len()).any(|index| number.gap(text, index - 1).contains(&b')'));
    let opens = out.before(number.start()) == Some(b'(') && closes();
    let lead = if opens { Lead::Parenthesis } else { Lead::None };
    let start = number.start() - usize::from(lead == Lead::Parenthesis);
    let begins = if lead == Lead::None { number.begins_cleanly() } else { begins_cleanly(text, start) };
    if !begins || (lead == Lead::None && follows_group(text, start)) {
        return;
    }
    for count in (1..=joined(text, number, MOST_GROUPS)).rev() {
        let end = number.end(count - 1);
        if !NATIONAL_DIGITS.contains(&number.total(count)) || follows_by_group(number, count) {
            continue;
        }
        if let Some(rule) = form(text, number, count, lead).filter(|_| ends_or_extends(text, end)) {
            // The tail of a longer row of groups, such as a mistyped card, needs a cue.
            let rule = if behind_digit(text, start) && rule.id == FORMATTED.id { &WEAK } else { rule };
            return out.propose(rule, start..extension(text, end));
        }
    }
}

/// A group right before, joined by a mark, belongs to the same number.
fn follows_group(text: &[u8], start: usize) -> bool {
    start >= 2 && matches!(text[start - 1], b'-' | b'.' | b'/') && text[start - 2].is_ascii_digit()
}

/// A digit before a space: "4532 0151 1283 0361", "1 57 10 07 008 152 35".
fn behind_digit(text: &[u8], start: usize) -> bool {
    matches!(text[..start], [.., digit, b' '] if digit.is_ascii_digit())
}

/// A further group of the same kind: the number is longer than the form.
fn follows_by_group(number: &Number<'_>, count: usize) -> bool {
    count < number.len() && matches!(number.mark(count - 1), b'-' | b'.' | b'/')
}

fn ends_or_extends(text: &[u8], end: usize) -> bool {
    ends_cleanly(text, end) || extension(text, end) > end
}

fn form(text: &[u8], number: &Number<'_>, count: usize, lead: Lead) -> Option<&'static Rule> {
    let digits = number.digits(count);
    let lengths = number.lengths(count)?;
    let dotted = count > 1 && number.uniform(count) == Some(b'.');
    match lengths {
        [3, 3, 4] | [1, 3, 3, 4] if american(digits) => Some(&FORMATTED),
        // "(555) 123-4567" is no exchange that was ever given out, but what people write.
        [3, 3, 4] if digits[0] >= 2 && lead == Lead::Parenthesis => Some(&FORMATTED),
        [3, 3, 4] if digits[0] >= 2 => Some(&WEAK),
        // The Russian trunk: "8 (495) 123-45-67".
        [1, 3, 3, 2, 2] if digits[0] == 8 && number.gap(text, 0) == b" (" => Some(&FORMATTED),
        [10] | [11] if american(digits) => Some(&BARE),
        [9..=11] if digits[0] == 0 && digits[1] != 0 => Some(&BARE),
        [11] if digits[0] == 1 && digits[1] >= 3 => Some(&BARE),
        [8 | 9] if digits[0] >= 2 => Some(&BARE),
        [3, 4] if digits[0] >= 2 && number.mark(0) == b'-' => Some(&BARE),
        [2, 2, 2, 2, 2] if digits[0] == 0 && digits[1] != 0 => Some(if dotted { &WEAK } else { &FORMATTED }),
        _ if trunk_zero(digits, lengths, lead) => {
            Some(if dotted || begins_with_zero(digits, lengths) { &WEAK } else { &FORMATTED })
        }
        [3, 3, 3]
        | [3, 2, 2, 2]
        | [2, 3, 2, 2]
        | [2, 4, 4]
        | [3, 4, 4]
        | [4, 4]
        | [2, 2, 2, 2]
        | [1, 4, 4]
            if digits[0] != 0 && (digits.len() > 8 || digits[0] >= 2) =>
        {
            Some(&WEAK)
        }
        [2 | 3, 6..=8] | [2, 3, 4] | [3, 3, 2, 2] | [5, 5] | [5, 6] | [2, 5, 4] | [2, 4, 3]
            if lead == Lead::Parenthesis || digits[0] >= 1 =>
        {
            Some(&WEAK)
        }
        _ => None,
    }
}

/// The North American plan: area and exchange begin with 2 to 9, and no service code stands there.
fn american(digits: &[u8]) -> bool {
    let digits = match digits {
        [1, rest @ ..] if rest.len() == 10 => rest,
        rest => rest,
    };
    digits.len() == 10 && digits[0] >= 2 && digits[3] >= 2 && digits[1..3] != [1, 1] && digits[4..6] != [1, 1]
}

/// Trunk zero with 9 to 12 digits in two groups or more, none of them a single digit.
fn trunk_zero(digits: &[u8], lengths: &[u8], lead: Lead) -> bool {
    let shaped =
        lengths.len() >= 2 && lengths[0] >= 2 && lengths[0] <= 6 && lengths[1..].iter().all(|len| *len >= 2);
    let least = match lead {
        Lead::Parenthesis => 8,
        Lead::None => 9,
    };
    // 3-2-4 is how social security numbers are written.
    shaped && lengths != [3, 2, 4] && digits[0] == 0 && digits[1] != 0 && (least..=12).contains(&digits.len())
}

/// Whether a subscriber's number in one group begins with a zero: few do, except behind the prefixes of mobiles in
/// Germany, Britain, France, the Netherlands and Australia.
fn begins_with_zero(digits: &[u8], lengths: &[u8]) -> bool {
    let mobile = matches!(digits, [0, 4 | 6 | 7, ..] | [0, 1, 5..=7, ..]);
    lengths.len() == 2 && digits[usize::from(lengths[0])] == 0 && !mobile
}

/// "x12", "ext. 12", "Durchwahl 12": part of the number.
fn extension(text: &[u8], end: usize) -> usize {
    let rest = &text[end..text.len().min(end + 24)];
    let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b',' | b';')).count().min(2);
    for word in ["extension", "durchwahl", "ext.", "ext", "x", "poste", "#"] {
        let Some(found) = rest.get(spaces..spaces + word.len()) else { continue };
        if !found.eq_ignore_ascii_case(word.as_bytes()) {
            continue;
        }
        let at = spaces + word.len();
        let gap =
            rest[at..].iter().take_while(|byte| matches!(byte, b' ' | b':' | b'=' | b'.')).count().min(2);
        let digits = rest[at + gap..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let next = rest.get(at + gap + digits);
        if (1..=6).contains(&digits) && next.is_none_or(|byte| !byte.is_ascii_alphanumeric()) {
            return end + at + gap + digits;
        }
    }
    end
}

#[cfg(test)]
mod tests;
