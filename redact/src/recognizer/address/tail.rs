//! What follows a street: unit, place, region, post code, country.

use super::BYTES;
use super::code::{self, Code, Order};
use super::words::{UNITS, capital, house_number, joiner, known, next};

const MOST_LINES: usize = 4;
const MOST_WORDS: usize = 16;

/// How far an address reaches.
pub(super) struct Tail {
    pub(super) end: usize,
    /// Whether it reaches to a post code, a region or a country.
    pub(super) complete: bool,
}

/// Takes in what follows a street that ends at `street_end`.
pub(super) fn extend(text: &[u8], street_end: usize) -> Tail {
    let text = &text[..text.len().min(street_end + BYTES)];
    let mut tail = Tail { end: street_end, complete: false };
    let (mut at, mut lines) = (street_end, 1);
    for _ in 0..MOST_WORDS {
        let Some(word) = next(text, at, b" ,.\n-") else { break };
        let gap = &text[at..word.start];
        lines += gap.iter().filter(|byte| **byte == b'\n').count();
        if lines > MOST_LINES || (gap.contains(&b'.') && !abbreviated(text, at)) {
            break;
        }
        let letters = &text[word.clone()];
        if let Some(code) = code::read(text, word.start) {
            let mut code = code;
            // "Springfield 62704": the place stands before, in the same part of the address.
            if code.order == Order::BeforePlace && gap == b" " && at > street_end {
                code.order = Order::AfterRegion;
            }
            return Tail { end: after_code(text, &code), complete: true };
        }
        if let Some(end) =
            code::country(text, word.start).filter(|_| gap.contains(&b',') || gap.contains(&b'\n'))
        {
            return Tail { end, complete: true };
        }
        let digits = letters.iter().all(u8::is_ascii_digit);
        if code::region(letters) && gap.contains(&b',') && at > street_end {
            tail = Tail { end: word.end, complete: true };
        } else if digits && (4..=5).contains(&letters.len()) && at > street_end {
            return Tail { end: word.end, complete: true };
        } else if compass(letters) && at == street_end && gap == b" " {
            tail.end = word.end;
        } else if let Some(end) = unit(text, &word) {
            (tail.end, at) = (end, end);
            continue;
        } else if !capital(letters) && !joiner(letters) || (digits && !capital(letters)) {
            break;
        }
        at = word.end;
    }
    tail
}

/// The end of an address whose code is known: the place where it follows, then a country.
pub(super) fn after_code(text: &[u8], code: &Code) -> usize {
    let end = match code.order {
        Order::BeforePlace => code::place(text, code.range.end).unwrap_or(code.range.end),
        Order::AfterPlace | Order::AfterRegion => code.range.end,
    };
    // "11014 Etroubles (AO)": the province.
    let province = matches!(text[end..], [b' ', b'(', a, b, b')', ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase());
    let end = if province && code.order == Order::BeforePlace { end + 5 } else { end };
    let gap = text[end..].iter().take(3).take_while(|byte| matches!(byte, b' ' | b',' | b'\n')).count();
    let apart = text[end..end + gap].iter().any(|byte| matches!(byte, b',' | b'\n'));
    let region = next(text, end, b" ,").filter(|word| apart && code::region(&text[word.clone()]));
    let region = region.filter(|_| code.order == Order::BeforePlace).map(|word| word.end);
    let country = code::country(text, end + gap).filter(|_| apart);
    country.or(region).unwrap_or(end)
}

/// "Apt 4B", "Suite 200", "#5", "2nd Floor", "3º B": where it ends.
fn unit(text: &[u8], word: &std::ops::Range<usize>) -> Option<usize> {
    let letters = &text[word.clone()];
    if letters[0] == b'#' && letters.len() > 1 {
        return Some(word.end);
    }
    if known(UNITS, letters) {
        let value = next(text, word.end, b" .#")?;
        let value_letters = &text[value.clone()];
        let fits = value_letters.len() <= 5
            && (value_letters[0].is_ascii_digit()
                || (value_letters.len() == 1 && value_letters[0].is_ascii_uppercase())
                || value_letters[0] == b'#');
        return fits.then_some(value.end);
    }
    if !letters[0].is_ascii_digit() || letters.len() > 5 {
        return None;
    }
    let follows = next(text, word.end, b" .")?;
    let floor = known(UNITS, &text[follows.clone()]);
    let spanish = letters.ends_with("º".as_bytes()) || letters.ends_with("ª".as_bytes());
    if floor {
        Some(follows.end)
    } else if spanish {
        Some(if follows.len() == 1 { follows.end } else { word.end })
    } else {
        None
    }
}

fn compass(word: &[u8]) -> bool {
    matches!(
        word,
        b"N" | b"S" | b"E" | b"W" | b"NE" | b"NW" | b"SE" | b"SW" | b"North" | b"South" | b"East" | b"West"
    )
}

/// Whether the full stop at `at` ends a short word rather than a sentence.
fn abbreviated(text: &[u8], at: usize) -> bool {
    let word = text[..at]
        .iter()
        .rev()
        .take(6)
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80)
        .count();
    (1..=4).contains(&word) || house_number(&text[at - at.min(1)..at])
}
