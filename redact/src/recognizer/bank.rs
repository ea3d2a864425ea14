//! Bank accounts other than IBAN: routing numbers, sort codes, plain account numbers.

use super::number::{Number, Shape, ends_cleanly, weighted};
use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

static ROUTING: Rule =
    Rule::new("aba", Entity::BankAccount, 20, 90).checked("ABA check digit").beside(&[CueGroup::Routing]);
static SORT_CODE: Rule = Rule::new("sort-code", Entity::BankAccount, 10, 80).beside(&[CueGroup::Routing]);
static BSB: Rule = Rule::new("bsb", Entity::BankAccount, 5, 80).beside(&[CueGroup::Bsb]);
static ACCOUNT: Rule = Rule::new("account", Entity::BankAccount, 5, 60).beside(&[CueGroup::Account]);
/// A day of the calendar: "account opened 20190304", but "account number 20111215".
static DATED: Rule =
    Rule::new("account-dated", Entity::BankAccount, 5, 60).beside(&[CueGroup::AccountNumber]);

/// Judges a number that only a cue can make an account.
pub(super) fn number(out: &mut Candidates<'_>, number: &Number<'_>) {
    let text = out.text;
    if !number.begins_cleanly() {
        return;
    }
    let first = number.start()..number.end(0);
    if number.shaped(const { Shape::of(&[2, 2, 2]) })
        && number.uniform(3) == Some(b'-')
        && ends_cleanly(text, number.end(2))
    {
        // The account right after its sort code: "20-00-00 55779911".
        let joined = number.shaped(const { Shape::of(&[2, 2, 2, 8]) }) && number.mark(2) == b' ';
        let last = if joined && ends_cleanly(text, number.end(3)) { 3 } else { 2 };
        return out.propose(&SORT_CODE, number.start()..number.end(last));
    }
    if number.shaped(const { Shape::of(&[3, 3]) })
        && number.uniform(2) == Some(b'-')
        && ends_cleanly(text, number.end(1))
    {
        return out.propose(&BSB, number.start()..number.end(1));
    }
    let digits = number.digits(1);
    // "021000021/4455667788": both halves of one account.
    if number.len() == 2 && number.uniform(2) == Some(b'/') && digits.len() == 9 && routing(digits) {
        out.propose(&ROUTING, first);
        return out.propose(&ACCOUNT, number.group(1));
    }
    if !ends_cleanly(text, first.end) {
        return;
    }
    if digits.len() == 9 && routing(digits) {
        out.propose(&ROUTING, first.clone());
    }
    if counts(text, first.end) {
        return;
    }
    if is_date(digits) {
        return out.propose(&DATED, first);
    }
    if (6..=17).contains(&digits.len()) && digits.iter().any(|digit| *digit != digits[0]) {
        out.propose(&ACCOUNT, first);
    } else if let Some(end) = in_groups(number) {
        out.propose(&ACCOUNT, number.start()..end);
    }
}

/// Year, month and day in one.
fn is_date(digits: &[u8]) -> bool {
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    digits.len() == 8
        && matches!(pair(0), 19 | 20)
        && (1..=12).contains(&pair(4))
        && (1..=31).contains(&pair(6))
}

/// "12345678 followers", "1500000 EUR": a number of things or of money.
fn counts(text: &[u8], end: usize) -> bool {
    let Some(rest) = text[end..].strip_prefix(b" ") else { return false };
    let is_money = [b"EUR".as_slice(), b"USD", b"GBP", b"CHF", b"JPY", "€".as_bytes(), b"$", "£".as_bytes()];
    if is_money.iter().any(|unit| rest.starts_with(unit)) {
        return true;
    }
    let len = rest.iter().take(24).take_while(|byte| byte.is_ascii_lowercase()).count();
    let word = &rest[..len];
    len >= 4
        && word.ends_with(b"s")
        && !matches!(word, b"does" | b"this" | b"belongs" | b"needs" | b"holds" | b"shows")
}

/// Weights 3-7-1 and a Federal Reserve prefix.
fn routing(digits: &[u8]) -> bool {
    let prefix = u32::from(digits[0]) * 10 + u32::from(digits[1]);
    let district = matches!(prefix, 1..=12 | 21..=32 | 61..=72 | 80);
    district && weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// Groups of two to four digits with one separator, 8 to 17 digits in all.
fn in_groups(number: &Number<'_>) -> Option<usize> {
    let count = number.len().min(6);
    let lengths = number.lengths(count)?;
    let total = number.total(count);
    let uniform = count >= 2 && matches!(number.uniform(count), Some(b'-' | b' '));
    (uniform && lengths.iter().all(|len| (2..=8).contains(len)) && (8..=17).contains(&total) && count > 2)
        .then(|| number.end(count - 1))
}
