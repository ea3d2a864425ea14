//! Post codes, regions and countries.

use std::ops::Range;

use super::words::{capital, next};

/// How a code is written decides what stands around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// "London NW1 6XE": letters and digits that nothing else has; the place stands before.
    AfterPlace,
    /// "IL 62704": digits behind a region; the place stands before both.
    AfterRegion,
    /// "10115 Berlin": the place follows, and only it tells the code from any number.
    BeforePlace,
}

/// A post code.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) range: Range<usize>,
    pub(super) order: Order,
}

/// Two capitals in front of a post code in the United States and Canada, two or three in Australia.
const REGIONS: &[&str] = &[
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY",
    "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND",
    "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "DC",
    "PR", "ON", "QC", "BC", "AB", "MB", "SK", "NS", "NB", "NL", "PE", "YT", "NT", "NU", "NSW", "VIC", "QLD",
    "SA", "TAS", "ACT",
];
const COUNTRIES: &[&str] = &[
    "germany",
    "deutschland",
    "france",
    "frankreich",
    "spain",
    "españa",
    "spanien",
    "espagne",
    "italy",
    "italia",
    "italien",
    "uk",
    "united kingdom",
    "england",
    "scotland",
    "wales",
    "ireland",
    "usa",
    "us",
    "united states",
    "canada",
    "austria",
    "österreich",
    "switzerland",
    "schweiz",
    "suisse",
    "svizzera",
    "netherlands",
    "nederland",
    "the netherlands",
    "belgium",
    "belgique",
    "belgië",
    "portugal",
    "poland",
    "polska",
    "sweden",
    "sverige",
    "norway",
    "norge",
    "denmark",
    "danmark",
    "finland",
    "suomi",
    "australia",
    "new zealand",
    "india",
    "mexico",
    "méxico",
    "brazil",
    "brasil",
    "argentina",
    "chile",
    "colombia",
    "japan",
    "luxembourg",
    "czechia",
    "czech republic",
    "hungary",
    "greece",
    "turkey",
    "israel",
    "singapore",
    "south africa",
];

/// Whether these letters are a region's.
pub(super) fn region(word: &[u8]) -> bool {
    REGIONS.iter().any(|known| known.as_bytes() == word)
}

/// The end of a country's name of one or two words at `start`.
pub(super) fn country(text: &[u8], start: usize) -> Option<usize> {
    let first = next(text, start.checked_sub(1)?, b" ,\n").filter(|word| word.start == start)?;
    let second = next(text, first.end, b" ").map(|word| word.end);
    let named = |end: &usize| {
        std::str::from_utf8(&text[start..*end])
            .is_ok_and(|name| COUNTRIES.contains(&name.to_lowercase().as_str()))
    };
    let dotted =
        [b"U.S.A.".as_slice(), b"U.S.", b"U.K."].into_iter().find(|name| text[start..].starts_with(name));
    if let Some(name) = dotted {
        return Some(start + name.len());
    }
    let capital = capital(&text[first.clone()]);
    second.into_iter().chain([first.end]).find(named).filter(|_| capital)
}

/// The post code that begins at `start`.
pub(super) fn read(text: &[u8], start: usize) -> Option<Code> {
    let word = &text[start..text.len().min(start + 12)];
    let len = word.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    let first = &word[..len];
    let shape: Vec<u8> = first.iter().map(|byte| shape(*byte)).collect();
    let second = next(text, start + len, b" ").filter(|second| second.start == start + len + 1);
    let second_shape: Vec<u8> = second
        .clone()
        .map(|word| text[word].iter().take(5).map(|byte| self::shape(*byte)).collect())
        .unwrap_or_default();
    let code = |end: usize, order: Order| Some(Code { range: start..end, order });
    let joined = second.map_or(0, |second| second.end);
    match (shape.as_slice(), second_shape.as_slice()) {
        // Great Britain, Canada.
        (b"A9" | b"A99" | b"AA9" | b"AA99" | b"A9A" | b"AA9A", b"9AA") | (b"A9A", b"9A9") => {
            code(joined, Order::AfterPlace)
        }
        // The Netherlands, Sweden and the Czech Republic.
        (b"9999", b"AA") => code(joined, Order::BeforePlace),
        (b"999", b"99") => code(joined, Order::BeforePlace),
        (b"99999" | b"99999-9999" | b"9999", _) if behind_region(text, start) => {
            code(start + len, Order::AfterRegion)
        }
        (b"99999" | b"9999" | b"99-999" | b"9999-999" | b"A-99999" | b"A-9999" | b"AA-9999", _) => {
            code(start + len, Order::BeforePlace)
        }
        _ => None,
    }
    .filter(|code| code.order != Order::BeforePlace || place(text, code.range.end).is_some())
}

fn shape(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'9',
        b'A'..=b'Z' => b'A',
        b'-' => b'-',
        _ => b'?',
    }
}

fn behind_region(text: &[u8], start: usize) -> bool {
    let Some(before) = text[..start].strip_suffix(b" ") else { return false };
    let letters = before.iter().rev().take(4).take_while(|byte| byte.is_ascii_uppercase()).count();
    let at = before.len() - letters;
    region(&before[at..]) && at > 0 && matches!(before[at - 1], b' ' | b',' | b'\n')
}

/// The end of the place that follows a code: "Paris", "Frankfurt am Main", "Saint-Denis".
pub(super) fn place(text: &[u8], code_end: usize) -> Option<usize> {
    let first = next(text, code_end, b" ").filter(|word| word.start == code_end + 1)?;
    if !capital(&text[first.clone()]) || text[first.clone()].iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut end = first.end;
    let mut at = first.end;
    for _ in 0..4 {
        let Some(word) = next(text, at, b" ").filter(|word| word.start == at + 1) else { break };
        let letters = &text[word.clone()];
        if capital(letters) && !letters.iter().any(u8::is_ascii_digit) && at > end {
            end = word.end;
        } else if !(super::words::joiner(letters) || letters == b"a" || letters == b"am") || at > end {
            break;
        }
        at = word.end;
    }
    Some(end)
}
