//! National numbers with check digits or fixed letters: one small validator per country.
//!
//! Numbers of digits alone need a cue; letters at fixed places or two check characters stand
//! without one.

use std::ops::Range;

use super::number::{Number, Shape, begins_cleanly, ends_cleanly, luhn, weighted};
use crate::context::CueGroup;
use crate::entity::Entity::NationalId;
use crate::finding::Rule;
use crate::scan::Candidates;

const CUES: &[CueGroup] = &[CueGroup::NationalId, CueGroup::Formed];
static ITIN: Rule =
    Rule::new("itin", NationalId, 30, 90).beside(&[CueGroup::NationalId, CueGroup::Itin, CueGroup::Ssn]);
static NHS: Rule =
    Rule::new("nhs", NationalId, 25, 90).checked("NHS mod 11").beside(&[CueGroup::NationalId, CueGroup::Nhs]);
static AADHAAR: Rule = Rule::new("aadhaar", NationalId, 25, 90)
    .checked("Verhoeff")
    .beside(&[CueGroup::NationalId, CueGroup::Aadhaar]);
static PESEL: Rule = Rule::new("pesel", NationalId, 25, 90)
    .checked("PESEL check digit and date")
    .beside(&[CueGroup::NationalId, CueGroup::Pesel]);
static STEUER: Rule = Rule::new("steuer-id", NationalId, 25, 90)
    .checked("mod 11, 10")
    .beside(&[CueGroup::NationalId, CueGroup::Steuer]);
static SIN: Rule =
    Rule::new("sin", NationalId, 20, 90).checked("Luhn").beside(&[CueGroup::NationalId, CueGroup::Sin]);
static BSN: Rule = Rule::new("bsn", NationalId, 15, 85)
    .checked("eleven test")
    .beside(&[CueGroup::NationalId, CueGroup::Bsn]);
static AHV: Rule =
    Rule::new("ahv", NationalId, 80, 95).checked("EAN check digit and prefix 756").beside(CUES);
static NIR: Rule = Rule::new("nir", NationalId, 80, 95).checked("two check digits, mod 97").beside(CUES);
static CPF: Rule = Rule::new("cpf", NationalId, 80, 95)
    .checked("two check digits, mod 11")
    .beside(&[CueGroup::NationalId, CueGroup::Cpf]);
static CPF_BARE: Rule = Rule::new("cpf-bare", NationalId, 30, 90)
    .checked("two check digits, mod 11")
    .beside(&[CueGroup::NationalId, CueGroup::Cpf]);
static NINO: Rule = Rule::new("nino", NationalId, 75, 95).beside(CUES);
static DNI: Rule = Rule::new("dni", NationalId, 75, 95).checked("control letter, mod 23").beside(CUES);
/// With a space before the letter, as any number before a word has it.
static DNI_SPACED: Rule =
    Rule::new("dni-spaced", NationalId, 30, 90).checked("control letter, mod 23").beside(CUES);
static NIE: Rule = Rule::new("nie", NationalId, 80, 95).checked("control letter, mod 23").beside(CUES);
static FISCALE: Rule =
    Rule::new("codice-fiscale", NationalId, 90, 95).checked("control letter, mod 26").beside(CUES);

type Check = fn(&[u8]) -> bool;
/// Rule, groupings that the number is written in, check.
type Row = (&'static Rule, &'static [Shape], Check);

static DIGITS: &[Row] = &[
    (&ITIN, &[Shape::of(&[3, 2, 4]), Shape::of(&[9])], itin),
    (&NIR, &[Shape::of(&[15]), Shape::of(&[1, 2, 2, 2, 3, 3, 2]), Shape::of(&[13, 2])], nir),
    (&AHV, &[Shape::of(&[3, 4, 4, 2]), Shape::of(&[13])], ahv),
    (&CPF, &[Shape::of(&[3, 3, 3, 2])], cpf),
    (&CPF_BARE, &[Shape::of(&[11])], cpf),
    (&AADHAAR, &[Shape::of(&[4, 4, 4]), Shape::of(&[12])], aadhaar),
    (&NHS, &[Shape::of(&[3, 3, 4]), Shape::of(&[10])], nhs),
    (&PESEL, &[Shape::of(&[11])], pesel),
    (&STEUER, &[Shape::of(&[11]), Shape::of(&[2, 3, 3, 3])], steuer),
    (&SIN, &[Shape::of(&[3, 3, 3]), Shape::of(&[9])], luhn),
    (&BSN, &[Shape::of(&[9]), Shape::of(&[3, 3, 3]), Shape::of(&[4, 2, 3])], bsn),
];

/// Numbers that are digits alone.
pub(super) fn number(out: &mut Candidates<'_>, number: &Number<'_>) {
    let text = out.text;
    if !number.begins_cleanly() {
        return;
    }
    for (rule, shapes, check) in rows(number.total(1)) {
        for shape in *shapes {
            if !number.shaped(*shape) || !ends_cleanly(text, number.end(shape.groups() - 1)) {
                continue;
            }
            let range = number.start()..number.end(shape.groups() - 1);
            if check(number.digits(shape.groups())) {
                out.propose(rule, range);
            } else {
                out.reject(rule, range, "the check digit does not fit");
            }
        }
    }
    // Anything else ends in a digit, or before a letter that is no control letter.
    let (next, after) = (out.at(number.end(0)), out.at(number.end(0) + 1));
    let grouped = matches!(next, Some(b'.' | b'-')) && number.total(number.len()) >= 8;
    let spaced = next == Some(b' ') && after.is_some_and(|after| after.is_ascii_alphabetic());
    if grouped || (spaced && number.total(1) == 8) {
        spanish(out, number.start());
    }
}

/// The rows with a form whose first group has this length: nearly always none or a few.
fn rows(first: usize) -> impl Iterator<Item = &'static Row> {
    /// One bit for each row.
    static BY_FIRST: [u16; 16] = {
        let mut table = [0; 16];
        let mut row = 0;
        while row < DIGITS.len() {
            let mut shape = 0;
            while shape < DIGITS[row].1.len() {
                table[DIGITS[row].1[shape].first()] |= 1 << row;
                shape += 1;
            }
            row += 1;
        }
        table
    };
    let mut left = BY_FIRST.get(first).copied().unwrap_or_default();
    std::iter::from_fn(move || {
        let row = DIGITS.get(left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(row)
    })
}

/// Numbers that begin with a word of letters and digits.
pub(super) fn word(out: &mut Candidates<'_>, word: &Range<usize>) {
    let text = &out.text[word.clone()];
    if word.len() == 16 && fiscale(text) {
        return out.settle(&FISCALE, word.clone());
    }
    if matches!(text[0].to_ascii_uppercase(), b'0'..=b'9' | b'X'..=b'Z') {
        spanish(out, word.start);
    }
    spaced(out, word.start);
}

/// "X-1234567-L": a letter alone may begin a Spanish number.
pub(super) fn lettered(out: &mut Candidates<'_>, word: &Range<usize>) {
    if word.len() == 1 && matches!(out.text[word.start], b'X'..=b'Z') {
        spanish(out, word.start);
    }
}

/// British national insurance numbers, written together or in pairs.
pub(super) fn spaced(out: &mut Candidates<'_>, start: usize) {
    if !out.text[start].is_ascii_uppercase() || !begins_cleanly(out.text, start) {
        return;
    }
    let fits = |at: usize, letter: u8| match at {
        0 => !b"DFIQUV".contains(&letter),
        2..8 => letter.is_ascii_digit(),
        _ => letter.is_ascii_alphabetic(),
    };
    let Some((letters, end)) = nine(out.text, start, 14, b" -", fits) else { return };
    if ends_cleanly(out.text, end) && nino(&letters) {
        out.propose(&NINO, start..end);
    }
}

/// The next nine letters and digits, in upper case, and where they end. They begin within `most` bytes, `marks` may
/// stand between them, and each must fit its place: nearly always the first ones do not.
fn nine(
    text: &[u8],
    start: usize,
    most: usize,
    marks: &[u8],
    fits: impl Fn(usize, u8) -> bool,
) -> Option<([u8; 9], usize)> {
    let mut letters = [0; 9];
    let mut len = 0;
    for (at, byte) in text[start..].iter().enumerate().take(most) {
        if byte.is_ascii_alphanumeric() {
            letters[len] = byte.to_ascii_uppercase();
            if !fits(len, letters[len]) {
                return None;
            }
            len += 1;
            if len == letters.len() {
                return Some((letters, start + at + 1));
            }
        } else if marks.iter().all(|mark| mark != byte) {
            return None;
        }
    }
    None
}

fn nino(letters: &[u8; 9]) -> bool {
    let [first, second, .., last] = letters;
    let pair = [*first, *second];
    !b"DFIQUVO".contains(second)
        && ![*b"BG", *b"GB", *b"NK", *b"KN", *b"TN", *b"NT", *b"ZZ"].contains(&pair)
        && matches!(last, b'A'..=b'D')
}

/// DNI (8 digits and a letter) and NIE (X, Y or Z, 7 digits and a letter), with dots or hyphens.
fn spanish(out: &mut Candidates<'_>, start: usize) {
    let fits = |at: usize, letter: u8| match at {
        0 => letter.is_ascii_digit() || matches!(letter, b'X'..=b'Z'),
        8 => true,
        _ => letter.is_ascii_digit(),
    };
    let Some((mut letters, end)) = nine(out.text, start, 13, b".- ", fits) else { return };
    let spaced = out.text[start..end].contains(&b' ');
    if spaced && !ends_spaced(&out.text[start..end]) {
        return;
    }
    if !begins_cleanly(out.text, start) || !ends_cleanly(out.text, end) {
        return;
    }
    let foreign = b"XYZ".iter().position(|letter| *letter == letters[0]);
    if let Some(digit) = foreign {
        letters[0] = b"012"[digit];
    }
    let number = letters[..8].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    let rule = if foreign.is_some() { &NIE } else { &DNI };
    let valid = b"TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == letters[8];
    if valid && spaced {
        out.propose(&DNI_SPACED, start..end);
    } else if valid {
        out.settle(rule, start..end);
    } else if letters[8].is_ascii_alphabetic() {
        out.reject(rule, start..end, "the control letter does not fit");
    }
}

/// One space, right before the control letter.
fn ends_spaced(number: &[u8]) -> bool {
    let space = number.len() - 2;
    number[space] == b' ' && !number[..space].contains(&b' ')
}

fn itin(digits: &[u8]) -> bool {
    let group = digits[3] * 10 + digits[4];
    digits[0] == 9 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

fn nhs(digits: &[u8]) -> bool {
    let rest = 11 - weighted(&digits[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    rest != 10 && rest % 11 == u32::from(digits[9]) && digits.iter().any(|digit| *digit != digits[0])
}

fn pesel(digits: &[u8]) -> bool {
    let month = (digits[2] * 10 + digits[3]) % 20;
    let day = digits[4] * 10 + digits[5];
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    (1..=12).contains(&month) && (1..=31).contains(&day) && sum.is_multiple_of(10)
}

/// ISO 7064 mod 11, 10; the first digit is not zero.
fn steuer(digits: &[u8]) -> bool {
    let product = digits[..10].iter().fold(10, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits[0] != 0 && (11 - product) % 10 == u32::from(digits[10])
}

fn bsn(digits: &[u8]) -> bool {
    let sum = weighted(&digits[..8], &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum > 0 && sum % 11 == u32::from(digits[8])
}

fn ahv(digits: &[u8]) -> bool {
    let sum = weighted(&digits[..12], &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
    digits[..3] == [7, 5, 6] && (10 - sum % 10) % 10 == u32::from(digits[12])
}

/// Sex, year, month, department, commune, order, and 97 minus the remainder.
fn nir(digits: &[u8]) -> bool {
    let number = digits[..13].iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(*digit));
    let month = digits[3] * 10 + digits[4];
    let key = u64::from(digits[13]) * 10 + u64::from(digits[14]);
    matches!(digits[0], 1 | 2) && matches!(month, 1..=12 | 20..=42 | 50..=99) && 97 - number % 97 == key
}

fn cpf(digits: &[u8]) -> bool {
    let check = |count: usize, first: u32| {
        let sum: u32 =
            digits[..count].iter().zip(0..).map(|(digit, at)| u32::from(*digit) * (first - at)).sum();
        sum * 10 % 11 % 10 == u32::from(digits[count])
    };
    check(9, 10) && check(10, 11) && digits.iter().any(|digit| *digit != digits[0])
}

/// Aadhaar: the first digit is 2 to 9, Verhoeff's dihedral check.
fn aadhaar(digits: &[u8]) -> bool {
    let check = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0_u8, |check, (at, digit)| dihedral(check, permuted(*digit, at)));
    digits[0] >= 2 && check == 0
}

/// Product in the dihedral group of the pentagon.
const fn dihedral(left: u8, right: u8) -> u8 {
    match (left < 5, right < 5) {
        (true, true) => (left + right) % 5,
        (true, false) => (left + right - 5) % 5 + 5,
        (false, true) => (left - 5 + 5 - right) % 5 + 5,
        (false, false) => (left + 5 - right) % 5,
    }
}

fn permuted(digit: u8, times: usize) -> u8 {
    const ONCE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    (0..times % 8).fold(digit, |digit, _| ONCE[usize::from(digit)])
}

fn fiscale(text: &[u8]) -> bool {
    const ODD: [u32; 36] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12,
        14, 16, 10, 22, 25, 24, 23,
    ];
    const FORM: &[u8; 16] = b"AAAAAA99A99A999A";
    let formed = text.iter().zip(FORM).all(|(byte, form)| match form {
        b'A' => byte.is_ascii_alphabetic(),
        // Digits of namesakes are replaced by letters.
        _ => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte.to_ascii_uppercase()),
    });
    let value = |byte: u8| char::from(byte).to_digit(36).unwrap_or(0);
    let sum: u32 = text[..15]
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            let value = value(*byte);
            if at % 2 == 0 {
                ODD[value as usize]
            } else if value > 9 {
                value - 10
            } else {
                value
            }
        })
        .sum();
    formed && sum % 26 + 10 == value(text[15])
}
