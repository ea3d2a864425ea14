//! Post codes, regions and countries.

use std::ops::Range;

use super::words::{capital, joiner, next};

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
    "PR", "GU", "VI", "AS", "MP", "PW", "AP", "AE", "ON", "QC", "BC", "AB", "MB", "SK", "NS", "NB", "NL",
    "PE", "YT", "NT", "NU", "NSW", "VIC", "QLD", "SA", "TAS", "ACT",
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
    // Most words of letters and digits are names in code.
    if text[start].is_ascii_lowercase() {
        return None;
    }
    let (first, end) = Shape::read(text, start);
    let order = match first.letters() {
        // Great Britain, Canada, the Netherlands, Sweden and the Czech Republic write two groups.
        b"A9" | b"A99" | b"AA9" | b"AA99" | b"A9A" | b"AA9A" | b"9999" | b"999"
            if text.get(end) == Some(&b' ') =>
        {
            let (second, joined) = Shape::read(text, end + 1);
            let order = match (first.letters(), second.letters()) {
                (b"999", b"99") | (b"9999", b"AA") => Some(Order::BeforePlace),
                (b"999" | b"9999", _) => None,
                (_, b"9AA") | (b"A9A", b"9A9") => Some(Order::AfterPlace),
                _ => return None,
            };
            if let Some(order) = order {
                return placed(text, Code { range: start..joined, order });
            }
            digits_alone(text, first.letters(), start)?
        }
        b"A9A9A9" => Order::AfterPlace,
        b"99999-999" if place(text, end).is_none() => Order::AfterPlace,
        b"9999AA" | b"99-999" | b"9999-999" | b"99999-999" | b"A-99999" | b"A-9999" | b"AA-9999" => {
            Order::BeforePlace
        }
        _ => digits_alone(text, first.letters(), start)?,
    };
    placed(text, Code { range: start..end, order })
}

/// Four or five digits: behind a region, or before a place.
fn digits_alone(text: &[u8], shape: &[u8], start: usize) -> Option<Order> {
    match shape {
        b"99999" | b"99999-9999" | b"9999" if behind_region(text, start) => Some(Order::AfterRegion),
        b"99999" | b"9999" => Some(Order::BeforePlace),
        _ => None,
    }
}

fn placed(text: &[u8], code: Code) -> Option<Code> {
    (code.order != Order::BeforePlace || place(text, code.range.end).is_some()).then_some(code)
}

/// Longest code in one piece: "12345-6789".
const LONGEST: usize = 10;

/// A word with every digit as 9 and every capital letter as A.
struct Shape([u8; LONGEST], usize);

impl Shape {
    /// The shape of the word at `start`, empty if the word is too long, and the word's end.
    fn read(text: &[u8], start: usize) -> (Self, usize) {
        let mut shape = [0; LONGEST];
        let mut len = 0;
        for byte in text.iter().skip(start).take(LONGEST + 1) {
            let class = match byte {
                b'0'..=b'9' => b'9',
                b'A'..=b'Z' => b'A',
                b'-' => b'-',
                b'a'..=b'z' => b'?',
                _ => break,
            };
            if len == LONGEST {
                return (Self(shape, 0), start);
            }
            shape[len] = class;
            len += 1;
        }
        (Self(shape, len), start + len)
    }

    fn letters(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

fn behind_region(text: &[u8], start: usize) -> bool {
    let Some(before) = text[..start].strip_suffix(b" ") else { return false };
    let before = before.strip_suffix(b",").unwrap_or(before);
    let letters = before.iter().rev().take(4).take_while(|byte| byte.is_ascii_uppercase()).count();
    if !(2..=3).contains(&letters) {
        return false;
    }
    let at = before.len() - letters;
    region(&before[at..]) && at > 0 && matches!(before[at - 1], b' ' | b',' | b'\n')
}

/// The end of the place that follows a code: "Paris", "Frankfurt am Main", "Sainte Luc, ".
pub(super) fn place(text: &[u8], code_end: usize) -> Option<usize> {
    let first = next(text, code_end, b" \n").filter(|word| word.start == code_end + 1)?;
    // After a line's end only a code that nothing else looks like has its place.
    let lettered = text[code_end - 1].is_ascii_uppercase();
    if !named(&text[first.clone()]) || (text[code_end] == b'\n' && !lettered) {
        return None;
    }
    let (mut end, mut at) = (first.end, first.end);
    for _ in 0..4 {
        let Some(word) = next(text, at, b" ").filter(|word| word.start == at + 1) else { break };
        let letters = &text[word.clone()];
        let closes = !matches!(text.get(word.end), Some(b' ' | b':' | b'\''));
        if named(letters) && (at > end || closes) {
            end = word.end;
        } else if !(joiner(letters) || letters.len() <= 3 && letters.iter().all(u8::is_ascii_lowercase))
            || at > end
        {
            break;
        }
        at = word.end;
    }
    Some(end)
}

fn named(word: &[u8]) -> bool {
    capital(word) && !word.iter().any(u8::is_ascii_digit)
}
