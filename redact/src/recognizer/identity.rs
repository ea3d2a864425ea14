//! Passports and driving licences: formats that only a cue makes personal data.

use std::ops::Range;

use super::number::{Number, Shape, begins_cleanly, ends_cleanly};
use crate::context::CueGroup;
use crate::entity::Entity;
use crate::finding::Rule;
use crate::scan::Candidates;

const PASSPORTS: &[CueGroup] = &[CueGroup::Passport];
const LICENSES: &[CueGroup] = &[CueGroup::License];
static PASSPORT: Rule = Rule::new("passport", Entity::Passport, 5, 80).beside(PASSPORTS).unmoved();
static LICENSE: Rule = Rule::new("license", Entity::DriverLicense, 5, 75).beside(LICENSES).unmoved();
/// British licences encode name and birthday: letters at fixed places.
static BRITISH: Rule = Rule::new("license-gb", Entity::DriverLicense, 75, 95).beside(LICENSES).unmoved();
/// Beside a cue that names no kind of number whose check digits we know.
static DOCUMENT: Rule =
    Rule::new("document", Entity::NationalId, 5, 65).beside(&[CueGroup::Document]).unmoved();

/// Digits alone.
pub(super) fn number(out: &mut Candidates<'_>, number: &Number<'_>) {
    let range = number.start()..number.end(0);
    if !number.begins_cleanly() || !ends_cleanly(out.text, range.end) {
        return grouped(out, number);
    }
    if (8..=9).contains(&range.len()) {
        out.propose(&PASSPORT, range.clone());
    }
    if (7..=12).contains(&range.len()) {
        out.propose(&LICENSE, range);
    } else {
        grouped(out, number);
    }
}

/// "123 456 789" and "12-345-678", as licences of several states are written.
fn grouped(out: &mut Candidates<'_>, number: &Number<'_>) {
    const SHAPES: [Shape; 5] = [
        Shape::of(&[3, 3, 3]),
        Shape::of(&[2, 3, 3]),
        Shape::of(&[3, 2, 4]),
        Shape::of(&[2, 3, 4]),
        Shape::of(&[3, 3, 2]),
    ];
    if !matches!(number.total(1), 2 | 3) || !SHAPES.iter().any(|shape| number.shaped(*shape)) {
        return;
    }
    let end = number.end(2);
    if number.begins_cleanly() && ends_cleanly(out.text, end) {
        out.propose(&LICENSE, number.start()..end);
    }
}

/// Letters and digits.
pub(super) fn word(out: &mut Candidates<'_>, word: &Range<usize>) {
    let range = out.text[word.clone()].iter().all(|byte| !byte.is_ascii_lowercase()).then(|| word.clone());
    let Some(range) = range.filter(|range| begins_cleanly(out.text, range.start)) else { return };
    let text = &out.text[range.clone()];
    if british(text) {
        return out.settle(&BRITISH, range);
    }
    let end = hyphenated(out.text, &range);
    if !ends_cleanly(out.text, end) {
        return;
    }
    let digits = out.text[range.start..end].iter().filter(|byte| byte.is_ascii_digit()).count();
    let total = out.text[range.start..end].iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    // Of three letters and digits only six are a passport's: "ISO14443" is none.
    let lettered = text.get(..3).is_some_and(|head| head.iter().all(u8::is_ascii_uppercase));
    let spanish = lettered && digits + 3 == total;
    let formed = (7..=10).contains(&total) && digits >= 3 && (!spanish || digits == 6);
    if end == range.end && (formed || german(text)) {
        out.propose(&PASSPORT, range.clone());
    }
    if (6..=16).contains(&total) && digits >= 4 {
        out.propose(&LICENSE, range.start..end);
    }
    // Eight digits and a letter are a Spanish number, whose letter did not fit.
    let spanish = digits == 8 && total == 9;
    if end == range.end && (8..=12).contains(&total) && digits >= 4 && !spanish {
        out.propose(&DOCUMENT, range);
    }
}

/// Up to four further groups after hyphens: "D400-7836-0001".
fn hyphenated(text: &[u8], word: &Range<usize>) -> usize {
    let mut end = word.end;
    for _ in 0..4 {
        if text.get(end) != Some(&b'-') {
            break;
        }
        let group = text[end + 1..].iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
        if group == 0 {
            break;
        }
        end += 1 + group;
    }
    end
}

/// German passports: nine of the digits and the letters that look like no digit and spell no word.
fn german(text: &[u8]) -> bool {
    text.len() == 9
        && text[0].is_ascii_uppercase()
        && text.iter().all(|byte| b"0123456789CFGHJKLMNPRTVWXYZ".contains(byte))
}

/// Five letters of the surname (9 pads), decade, month (+50 for women), day, year, initials, check.
fn british(text: &[u8]) -> bool {
    if text.len() != 16 {
        return false;
    }
    let surname = text[..5].iter().skip_while(|byte| byte.is_ascii_uppercase()).all(|byte| *byte == b'9');
    let digits = text[5..11].iter().all(u8::is_ascii_digit);
    let value =
        |at: usize| u32::from(text[at].wrapping_sub(b'0')) * 10 + u32::from(text[at + 1].wrapping_sub(b'0'));
    let initials = text[11].is_ascii_uppercase() && (text[12].is_ascii_uppercase() || text[12] == b'9');
    text[0].is_ascii_uppercase()
        && surname
        && digits
        && matches!(value(6), 1..=12 | 51..=62)
        && matches!(value(8), 1..=31)
        && initials
        && text[13].is_ascii_digit()
        && text[14..].iter().all(u8::is_ascii_uppercase)
}
