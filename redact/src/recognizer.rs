//! The table of all recognizers: which of them look at which trigger.
//!
//! Each file knows one kind of data: how it is written, what is checked, how sure that makes us.
//! None of them looks further than a few hundred bytes, so that the work stays linear.

mod address;
mod bank;
mod birth;
mod card;
mod email;
mod encoded;
mod iban;
mod identity;
mod ip;
mod mac;
mod national;
mod number;
mod phone;
mod phone_table;
mod secret;
mod secret_table;
mod ssn;
mod wallet;
mod worth;

use std::ops::Range;

use crate::scan::Candidates;
pub(crate) use number::Groups;
pub(crate) use secret::keyed;
pub(crate) use worth::plain_word as is_worth;

/// A run of digits that touches no letter.
pub(crate) fn on_number(out: &mut Candidates<'_>, groups: &mut Groups, digits: &Range<usize>) {
    let start = digits.start;
    let worth = worth::number(out.text, digits);
    if worth != worth::Number::Full {
        if start >= out.settled_to && out.before(start) != Some(b'_') {
            if worth::is_joined(out.text, digits) {
                ip::version_6(out, start);
                mac::address(out, start);
            }
            if worth == worth::Number::PostCode
                && start >= out.settled_to
                && worth::is_post_code(out.text, digits)
            {
                address::post_code(out, start);
            }
        }
        return;
    }
    if out.at(digits.end) == Some(b':') {
        secret::bot_token(out, start);
    }
    if start < out.settled_to {
        return;
    }
    let attached = out.before(start).is_some_and(|byte| byte == b'_');
    let number = groups.number(out.text, start);
    out.work += number.span() as u64;
    if attached {
        return;
    }
    ip::version_4(out, &number);
    if worth::is_joined(out.text, digits) {
        ip::version_6(out, start);
        mac::address(out, start);
    }
    card::number(out, &number);
    if start < out.settled_to {
        return;
    }
    phone::number(out, &number);
    ssn::number(out, &number);
    birth::date(out, &number);
    bank::number(out, &number);
    national::number(out, &number);
    identity::number(out, &number);
    if worth::is_post_code(out.text, digits) {
        address::post_code(out, start);
    }
}

/// A run of letters that [`is_worth`] a look, or stands beside letters beyond ASCII.
pub(crate) fn on_plain_word(out: &mut Candidates<'_>, word: Range<usize>) {
    if out.text[word.start].is_ascii_uppercase() && !worth::capital_word(out.text, &word) {
        return;
    }
    if worth::is_token(&out.text[word.start..], &out.text[word.clone()]) {
        secret::token(out, &word);
    }
    if worth::is_pair(out.text, &word) {
        ip::version_6(out, word.start);
        mac::address(out, word.start);
        national::spaced(out, word.start);
    }
    national::lettered(out, &word);
    if worth::is_verb(&out.text[word.clone()]) && worth::is_assignment(out.text, word.start) {
        secret::said(out, &word);
    }
    if worth::is_month(out.text, &word) {
        birth::month_first(out, &word);
    }
    if word.len() == 2 {
        encoded::spelled(out, &word);
    }
    if worth::is_street(out.text, &word) {
        address::word(out, &word);
    }
}

/// A run of letters and digits.
pub(crate) fn on_mixed_word(out: &mut Candidates<'_>, groups: &mut Groups, word: Range<usize>) {
    // The API's paths join them: `/bot123456789:AA…`.
    if out.text[word.clone()].starts_with(b"bot") {
        secret::bot_token(out, word.start + 3);
    }
    if worth::is_token(&out.text[word.start..], &out.text[word.clone()]) {
        secret::token(out, &word);
    }
    secret::named(out, &word);
    if word.start < out.settled_to {
        return;
    }
    wallet::word(out, &word);
    iban::word(out, &word);
    if word.start < out.settled_to {
        return;
    }
    ip::version_6(out, word.start);
    mac::address(out, word.start);
    national::word(out, &word);
    identity::word(out, &word);
    address::post_code(out, word.start);
    match out.text[word.clone()] {
        [b'2', b'B' | b'b', digit, ..] if digit.is_ascii_digit() && out.before(word.start) == Some(b'%') => {
            number_in_word(out, groups, word.start + 2);
        }
        [digit, ..] if digit.is_ascii_digit() => number_in_word(out, groups, word.start),
        _ => {}
    }
}

/// "5550123x12" and "12th of March" begin with a number, `%2B4930901820` with a sign; phones and dates care.
fn number_in_word(out: &mut Candidates<'_>, groups: &mut Groups, start: usize) {
    let number = groups.number(out.text, start);
    out.work += number.span() as u64;
    phone::number(out, &number);
    birth::date(out, &number);
}

/// One of `@ : = - % &`. What follows most of them settles that nothing begins there.
pub(crate) fn on_mark(out: &mut Candidates<'_>, at: usize) {
    let next = out.text.get(at + 1).copied().unwrap_or(b' ');
    match out.text[at] {
        b'@' => {
            secret::in_url(out, at);
            email::around(out, at);
        }
        b':' => {
            if next == b':' {
                ip::version_6(out, at);
            }
            assigned(out, at);
        }
        b'=' => assigned(out, at),
        b'-' if next == b'-' => secret::pem(out, at),
        b'%' | b'&' if matches!(next, b'4' | b'#' | b'c') => encoded::mark(out, at),
        _ => {}
    }
}

fn assigned(out: &mut Candidates<'_>, at: usize) {
    if worth::is_assignment(out.text, at) {
        secret::assignment(out, at);
    }
}
