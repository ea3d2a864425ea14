//! Payment cards: issuer range, Luhn, consistent groups.

use super::number::{Number, begins_cleanly, luhn};
use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

const CUES: &[CueGroup] = &[CueGroup::Card];
static CARD: Rule =
    Rule::new("card", Entity::CreditCard, 90, 95).checked("issuer range and Luhn").beside(CUES);
/// Every tenth order number passes Luhn: without groups, "order" or "build" before it decides.
static BARE: Rule =
    Rule::new("card-bare", Entity::CreditCard, 79, 95).checked("issuer range and Luhn").beside(CUES);
/// 12 and 13 digits are also article numbers: only beside a cue.
static SHORT: Rule =
    Rule::new("card-short", Entity::CreditCard, 30, 85).checked("issuer range and Luhn").beside(CUES);

/// Finds the longest card that begins at the number's first digit.
pub(super) fn number(out: &mut Candidates<'_>, number: &Number<'_>) {
    let may_begin = matches!(number.total(1), 4 | 8 | 12..=19);
    if !may_begin || number.total(number.len()) < 12 || !begins(out.text, number.start()) {
        return;
    }
    for count in (1..=number.len().min(6)).rev() {
        let Some(lengths) = number.lengths(count) else { continue };
        let total = number.total(count);
        if !(12..=19).contains(&total) || !grouped(lengths) || !separated(out.text, number, count) {
            continue;
        }
        if !ends(out.text, number.end(count - 1)) {
            continue;
        }
        let digits = number.digits(count);
        let range = number.start()..number.end(count - 1);
        if !issued(digits) {
            out.reject(&CARD, range, "no issuer has this range");
        } else if !luhn(digits) {
            out.reject(&CARD, range, "the Luhn check fails");
        } else if total < 14 && digits[0] != 4 {
            return out.propose(&SHORT, range);
        } else {
            return out.settle(if count == 1 { &BARE } else { &CARD }, range);
        }
    }
}

/// A clean start, "VISA-4111…", or the next field after a comma: the checks that follow are strong
/// enough. Not after `+`, which begins a phone number.
fn begins(text: &[u8], start: usize) -> bool {
    let (mark, before) = match text[..start] {
        [.., before, mark] => (mark, before),
        [mark] => (mark, b' '),
        [] => return true,
    };
    match mark {
        b'+' => false,
        b'-' => before.is_ascii_alphabetic() || begins_cleanly(text, start),
        // "0,4532…" is a decimal, "7,4532…" two fields.
        b',' => before != b'0',
        _ => begins_cleanly(text, start),
    }
}

/// One group, groups of four, or the 4-6-5 and 4-6-4 of American Express and Diners.
fn grouped(lengths: &[u8]) -> bool {
    let Some((last, others)) = lengths.split_last() else { return false };
    others.is_empty()
        || matches!(lengths, [4, 6, 5 | 4] | [8, 8])
        || (others.iter().all(|len| *len == 4) && (1..=4).contains(last))
}

/// One separator throughout; a line feed may stand for it where a line was wrapped.
fn separated(text: &[u8], number: &Number<'_>, count: usize) -> bool {
    let mut gaps = (0..count - 1).map(|index| number.gap(text, index)).filter(|gap| *gap != b"\n");
    let Some(first) = gaps.next() else { return true };
    matches!(first, b" " | b"-" | b"." | b"  ") && gaps.all(|gap| gap == first)
}

fn ends(text: &[u8], end: usize) -> bool {
    match text.get(end) {
        Some(b'-' | b'.') => !text.get(end + 1).is_some_and(u8::is_ascii_digit),
        Some(byte) => !byte.is_ascii_alphanumeric() && *byte != b'_',
        None => true,
    }
}

/// Whether an issuer uses this prefix at this length.
fn issued(digits: &[u8]) -> bool {
    let prefix = |count: usize| digits[..count].iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit));
    let (two, three, four) = (prefix(2), prefix(3), prefix(4));
    let len = digits.len();
    match digits[0] {
        4 => matches!(len, 13 | 16 | 19),
        3 => match two {
            34 | 37 => len == 15,
            35 => (3528..=3589).contains(&four) && (16..=19).contains(&len),
            30 | 36 | 38 => (14..=19).contains(&len),
            _ => false,
        },
        2 => (2221..=2720).contains(&four) && len == 16,
        5 | 6 if (51..=55).contains(&two) => len == 16,
        6 if four == 6011 || (644..=659).contains(&three) || two == 62 => (16..=19).contains(&len),
        5 | 6 => two == 50 || (56..=69).contains(&two),
        _ => false,
    }
}
