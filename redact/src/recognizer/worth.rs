//! Tells from a few bytes whether a trigger is worth a recognizer's look. Most words and numbers are not, and a text
//! without personal data is read at the speed of these tables.
//!
//! A test holds every table to the lists of the recognizers: what they would find, this lets through.

use std::ops::Range;

use super::address::{PLAIN_STREET_WORDS, STREET_ENDINGS, STREET_WORDS};
use super::birth::MONTHS;
use super::secret::{NAMES, VERBS};
use super::secret_table::PREFIXES;
use crate::letters::{Letters, has, set, slot, spread};

/// First three letters, and last two with the length, of words; shorter words end with nothing.
struct Listed {
    heads: Letters,
    tails: Letters,
}

impl Listed {
    const fn of(lists: &[&[&str]]) -> Self {
        let mut listed = Self { heads: [0; 512], tails: [0; 512] };
        let mut list = 0;
        while list < lists.len() {
            let mut row = 0;
            while row < lists[list].len() {
                let word = lists[list][row].as_bytes();
                listed.heads = set(listed.heads, head(word));
                listed.tails = set(listed.tails, tail(word));
                row += 1;
            }
            list += 1;
        }
        listed
    }

    fn may_have(&self, word: &[u8]) -> bool {
        has(&self.heads, head(word)) && has(&self.tails, tail(word))
    }
}

const fn head(word: &[u8]) -> usize {
    let second = if word.len() > 1 { word[1] } else { 0 };
    let third = if word.len() > 2 { word[2] } else { 0 };
    slot(word[0], second, third)
}

/// The five bits of a length as a byte.
const LENGTHS: [u8; 32] = {
    let (mut lengths, mut at) = ([0; 32], 1);
    while at < 32 {
        lengths[at] = lengths[at - 1] + 1;
        at += 1;
    }
    lengths
};

const fn tail(word: &[u8]) -> usize {
    let len = word.len();
    let before = if len > 1 { word[len - 2] } else { 0 };
    slot(word[len - 1], before, LENGTHS[len & 31])
}

/// The last three letters of every word.
const fn endings(words: &[&str]) -> Letters {
    let mut table = [0; 512];
    let mut row = 0;
    while row < words.len() {
        let word = words[row].as_bytes();
        table = set(table, slot(word[word.len() - 3], word[word.len() - 2], word[word.len() - 1]));
        row += 1;
    }
    table
}

/// The first three letters of every word.
const fn beginnings(words: &[&str]) -> Letters {
    let mut table = [0; 512];
    let mut row = 0;
    while row < words.len() {
        table = set(table, head(words[row].as_bytes()));
        row += 1;
    }
    table
}

/// Words of streets in lower case, and with a capital: there are more of these.
static STREETS: [Listed; 2] = [Listed::of(PLAIN_STREET_WORDS), Listed::of(STREET_WORDS)];
static COMPOUNDS: Letters = endings(STREET_ENDINGS);
static NAME_ENDINGS: Letters = endings(NAMES);
static MONTH_HEADS: Letters = beginnings(MONTHS);
/// Bytes one to three, and two to four, of the prefixes of tokens.
static PREFIX_HEADS: [Letters; 2] = {
    let (mut first, mut second) = ([0; 512], [0; 512]);
    let mut row = 0;
    while row < PREFIXES.len() {
        let prefix = PREFIXES[row].prefix.as_bytes();
        // What a prefix leaves open, every byte fills.
        let mut open = 0;
        while open < 32 {
            let third = if prefix.len() > 2 { prefix[2] } else { open };
            first = set(first, slot(prefix[0], prefix[1], third));
            let mut last = 0;
            while last < 32 {
                let fourth = if prefix.len() > 3 { prefix[3] } else { last };
                second = set(second, slot(prefix[1], third, fourth));
                last += 1;
            }
            open += 1;
        }
        row += 1;
    }
    [first, second]
};

/// First letters of all words that matter in lower case: an empty place of a short word is zero.
static WORTH: Letters = {
    let mut table = with_all([0; 512], &[&MONTH_HEADS, &beginnings(VERBS), &beginnings(&["at", "eyJ"])]);
    let mut row = 0;
    while row < PREFIXES.len() {
        table = set_word(table, PREFIXES[row].prefix.as_bytes());
        row += 1;
    }
    with_all(set_hex(table), &[&STREETS[0].heads])
};
/// The same of words with a capital.
static CAPITAL: Letters = with_all(WORTH, &[&STREETS[1].heads]);

const fn with_all(mut table: Letters, others: &[&Letters]) -> Letters {
    let mut at = 0;
    while at < table.len() {
        let mut other = 0;
        while other < others.len() {
            table[at] |= others[other][at];
            other += 1;
        }
        at += 1;
    }
    table
}

/// The word that a prefix begins with; what it leaves open, every letter fills.
const fn set_word(mut table: Letters, prefix: &[u8]) -> Letters {
    let mut open = 0;
    while open < 32 {
        let mut letters = [0; 3];
        let mut at = 0;
        while at < 3 && (at >= prefix.len() || prefix[at].is_ascii_alphabetic()) {
            letters[at] = if at < prefix.len() { prefix[at] } else { open };
            at += 1;
        }
        table = set(table, slot(letters[0], letters[1], letters[2]));
        open += 1;
    }
    table
}

/// Letters that are hex digits too: they may begin addresses.
const fn set_hex(mut table: Letters) -> Letters {
    const HEX: u8 = b'f' & 31;
    let mut first = 1;
    while first <= HEX {
        let mut second = 0;
        while second <= HEX {
            let mut third = 0;
            while third <= HEX {
                table = set(table, slot(first, second, third));
                third += 1;
            }
            second += 1;
        }
        first += 1;
    }
    table
}

/// Whether a rule for words of letters could care about one of `len` letters that begins with `head`, unless letters
/// beyond ASCII touch it: its beginning is listed, or it is long enough for a token, or it has a capital. This is asked
/// for every word of a text, and nearly always all that is asked.
#[inline]
pub(crate) fn plain_word(head: [u8; 4], len: usize) -> bool {
    /// Which bytes belong to a word of this length.
    const LETTERS: [u32; 4] = [0, 0xFF, 0xFFFF, 0x00FF_FFFF];
    let letters = u32::from_le_bytes(head) & LETTERS[len.min(3)];
    let is_capital = letters & 0x20 == 0;
    is_capital | has(&WORTH, spread(letters)) | (len >= LEAST_TOKEN)
}

/// The same for a word with a capital: it must be listed too, or short, or end like a street.
pub(super) fn capital_word(text: &[u8], word: &Range<usize>) -> bool {
    let letters = &text[word.clone()];
    has(&CAPITAL, head(letters))
        || letters.len() <= 2
        || letters.len() >= LEAST_TOKEN
        || is_compound(letters)
        || touches_wide(text, word)
}

/// Whether a letter beyond ASCII continues the word.
fn touches_wide(text: &[u8], word: &Range<usize>) -> bool {
    let is_wide = |byte: Option<&u8>| byte.is_some_and(|byte| *byte >= 0x80);
    is_wide(text.get(word.end)) || is_wide(word.start.checked_sub(1).and_then(|at| text.get(at)))
}

/// Letters of the shortest token that is known by its shape alone.
const LEAST_TOKEN: usize = 23;

/// Whether a verb may say what a credential is.
#[inline]
pub(super) fn is_verb(word: &[u8]) -> bool {
    matches!(word[0], b'i' | b'e' | b'l') && VERBS.iter().any(|verb| verb.as_bytes() == word)
}

/// Whether the letters may begin pairs: an address of hardware or network, a British number.
#[inline]
pub(super) fn is_pair(text: &[u8], word: &Range<usize>) -> bool {
    let letters = &text[word.clone()];
    let separated = || matches!(text.get(word.end), Some(b':' | b'-' | b'.'));
    (letters.len() <= 2 && letters[0].is_ascii_uppercase())
        || (letters.len() <= 4 && separated() && letters.iter().all(u8::is_ascii_hexdigit))
}

/// Whether the letters may be a month with a day behind it.
#[inline]
pub(super) fn is_month(text: &[u8], word: &Range<usize>) -> bool {
    let letters = &text[word.clone()];
    let beyond = || text.get(word.end).is_some_and(|byte| *byte >= 0x80);
    let day_follows = || text[word.end..].iter().take(4).any(u8::is_ascii_digit);
    letters.len() >= 3 && has(&MONTH_HEADS, head(letters)) && (beyond() || day_follows())
}

/// Whether the letters may be the word of a street, or a part of one with letters beyond ASCII.
#[inline]
pub(super) fn is_street(text: &[u8], word: &Range<usize>) -> bool {
    let letters = &text[word.clone()];
    touches_wide(text, word)
        || STREETS[usize::from(letters[0].is_ascii_uppercase())].may_have(letters)
        || is_compound(letters)
}

/// A capital, and an ending that streets have.
#[inline]
fn is_compound(letters: &[u8]) -> bool {
    let [.., a, b, c] = letters else { return false };
    letters[0].is_ascii_uppercase() && has(&COMPOUNDS, slot(*a, *b, *c))
}

/// A prefix of tokens, or a token of known shape.
#[inline]
pub(super) fn is_token(rest: &[u8], word: &[u8]) -> bool {
    let shaped = matches!(word[0], b'M' | b'N' | b'O') && word.len() >= LEAST_TOKEN;
    let prefixed = match rest {
        [a, b, c, d, ..] => {
            has(&PREFIX_HEADS[0], slot(*a, *b, *c)) && has(&PREFIX_HEADS[1], slot(*b, *c, *d))
        }
        _ => false,
    };
    prefixed || rest.starts_with(b"eyJ") || shaped
}

/// What may be worth a look at a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Nothing.
    No,
    /// Four or five digits that no separator continues.
    PostCode,
    /// Everything.
    Full,
}

/// Digits of a post code with a separator, the shortest number of several groups that is looked for.
const LEAST_IN_GROUPS: usize = 5;
/// Groups of the shortest date.
const LEAST_GROUPS: usize = 3;

/// A run of digits.
pub(super) fn number(text: &[u8], digits: &Range<usize>) -> Number {
    let next = text.get(digits.end).copied().unwrap_or(b' ');
    let before = digits.start.checked_sub(1).map_or(b' ', |at| text[at]);
    let run = digits.len();
    if run >= 6 || matches!(before, b'+' | b'(') || next >= 0x80 || before_month(text, digits) {
        return Number::Full;
    }
    let gap = super::number::separator(text, digits.end);
    if gap > 0 {
        return if in_groups(text, digits, gap) { Number::Full } else { Number::No };
    }
    if run >= 4 { Number::PostCode } else { Number::No }
}

/// Whether enough digits follow in further groups.
fn in_groups(text: &[u8], digits: &Range<usize>, gap: usize) -> bool {
    let (mut total, mut groups, mut at) = (digits.len(), 1, digits.end + gap);
    if text[digits.end] != b'.' && is_row_of_digits(text, digits) {
        return false;
    }
    loop {
        let run = text[at..].iter().take(LEAST_IN_GROUPS).take_while(|byte| byte.is_ascii_digit()).count();
        total += run;
        groups += 1;
        if total >= LEAST_IN_GROUPS || groups >= LEAST_GROUPS {
            return true;
        }
        match super::number::separator(text, at + run) {
            0 => return false,
            gap => at += run + gap,
        }
    }
}

/// "7 8 9": three groups of one digit begin nothing but an address with dots.
fn is_row_of_digits(text: &[u8], digits: &Range<usize>) -> bool {
    let is_one = |at: usize| {
        let single = text.get(at).is_some_and(u8::is_ascii_digit);
        single && text.get(at + 1).is_none_or(|next| !next.is_ascii_digit())
    };
    digits.len() == 1 && is_one(digits.end + 1) && is_one(digits.end + 3)
}

/// "12 March", "12. März", "12 de marzo": a day with a month behind it.
fn before_month(text: &[u8], digits: &Range<usize>) -> bool {
    if digits.len() > 2 {
        return false;
    }
    let marks = text[digits.end..]
        .iter()
        .take(3)
        .take_while(|byte| matches!(byte, b'.' | b' ' | b'-' | b'/'))
        .count();
    let [first, second, third, ..] = text[digits.end + marks..] else { return false };
    let beyond = (first | second | third) >= 0x80;
    let filled = || matches!([first, second, third], [b'd', b'e', b' '] | [b'o', b'f', b' ']);
    beyond || (first.is_ascii_alphabetic() && (has(&MONTH_HEADS, slot(first, second, third)) || filled()))
}

/// Whether digits may begin a post code: how many there are, and what stands beside them.
pub(super) fn is_post_code(text: &[u8], digits: &Range<usize>) -> bool {
    let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied().unwrap_or(b'\n');
    let (next, after) = (byte(Some(digits.end)), byte(Some(digits.end + 1)));
    match digits.len() {
        2 => next == b'-' && after.is_ascii_digit(),
        3 => next == b' ' && after.is_ascii_digit(),
        4 | 5 => {
            let joined = next.is_ascii_uppercase() || (next == b'-' && after.is_ascii_digit());
            let placed = matches!(next, b' ' | b'\n') && (after.is_ascii_uppercase() || after >= 0x80);
            let [last, mark] = [2, 1].map(|back| byte(digits.start.checked_sub(back)));
            joined || placed || (mark == b' ' && (last.is_ascii_uppercase() || last == b','))
        }
        _ => false,
    }
}

/// Digits or letters in pairs or fours before a separator of hardware and network addresses.
pub(super) fn is_joined(text: &[u8], digits: &Range<usize>) -> bool {
    let next = text.get(digits.end).copied().unwrap_or(b' ');
    let joined = match digits.len() {
        2 => matches!(next, b':' | b'-'),
        4 => matches!(next, b':' | b'.'),
        len => len < 4 && next == b':',
    };
    let after = text.get(digits.end + 1);
    joined && after.is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':')
}

/// A colon or an equals sign behind the last letters of a name that may name a credential.
pub(super) fn is_assignment(text: &[u8], at: usize) -> bool {
    let gap = text[..at]
        .iter()
        .rev()
        .take(8)
        .take_while(|byte| matches!(byte, b' ' | b'"' | b'\'' | b'`' | b':' | b'\\' | b'_' | b'-'))
        .count();
    match &text[..at - gap] {
        [.., a, b, c] => *c >= 0x80 || ends_name([*a, *b, *c]),
        _ => false,
    }
}

/// Whether a name of a credential may end with these letters.
pub(super) fn ends_name([a, b, c]: [u8; 3]) -> bool {
    has(&NAME_ENDINGS, slot(a, b, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, part: &str) -> Range<usize> {
        let start = text.find(part).unwrap();
        start..start + part.len()
    }

    #[test]
    fn every_listed_word_is_worth_a_look() {
        for listed in STREET_WORDS.iter().copied().flatten().filter(|listed| listed.is_ascii()) {
            let word = listed.to_uppercase();
            assert!(is_street(word.as_bytes(), &(0..word.len())), "{word}");
        }
        for listed in PLAIN_STREET_WORDS.iter().copied().flatten().filter(|listed| listed.is_ascii()) {
            assert!(is_street(listed.as_bytes(), &(0..listed.len())), "{listed}");
        }
        for ending in STREET_ENDINGS.iter().filter(|ending| ending.is_ascii()) {
            let word = format!("Haupt{ending}");
            assert!(is_street(word.as_bytes(), &(0..word.len())), "{word}");
        }
        for row in PREFIXES {
            let text = format!("{}0123", row.prefix);
            let word = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
            assert!(is_token(text.as_bytes(), &text.as_bytes()[..word]), "{text}");
        }
        for name in NAMES {
            for text in [format!("{name}="), format!("my_{}\": ", name.to_uppercase())] {
                let mark = text.find(['=', ':']).unwrap();
                assert!(is_assignment(text.as_bytes(), mark), "{text}");
            }
        }
        for month in MONTHS.iter().filter(|month| month.is_ascii()) {
            let text = format!("{month} 12, 12 {month}");
            assert!(is_month(text.as_bytes(), &(0..3)), "{text}");
            let day = text.rfind("12").unwrap();
            assert_eq!(number(text.as_bytes(), &(day..day + 2)), Number::Full, "{text}");
        }
    }

    /// What a rule would look at is let through: for all beginnings of words, and what may follow them.
    #[test]
    fn every_word_that_a_rule_cares_about_is_worth_a_look() {
        let letters = || (b'a'..=b'z').chain(b'A'..=b'Z');
        let short =
            letters().map(|a| vec![a]).chain(letters().flat_map(|a| letters().map(move |b| vec![a, b])));
        let long = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| vec![a, b, c])));
        let endings = [b" 12 x".as_slice(), b":12 x", b"-proj-", b".12 x", b"_abcd", b"eet 5"];
        for head in short.chain(long) {
            for ending in endings {
                let text = [head.as_slice(), ending].concat();
                let len = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
                let word = 0..len;
                let prefixed = PREFIXES.iter().any(|row| text.starts_with(row.prefix.as_bytes()));
                let is_wanted = prefixed
                    || is_pair(&text, &word)
                    || is_verb(&text[..len])
                    || is_month(&text, &word)
                    || text[..len].eq_ignore_ascii_case(b"at")
                    || is_street(&text, &word);
                let head = *text.first_chunk().unwrap();
                let is_worth = plain_word(head, len) && (head[0] > b'Z' || capital_word(&text, &word));
                assert!(!is_wanted || is_worth, "{}", String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn prose_is_not_worth_a_look() {
        for word in ["the", "quarterly", "process", "what", "line", "does", "help", "Please", "document"] {
            let text = format!(" {word} and so on");
            let (word, bytes) = (at(&text, word), text.as_bytes());
            assert!(!is_token(&bytes[word.start..], &bytes[word.clone()]), "{text}");
            assert!(!is_pair(bytes, &word) && !is_month(bytes, &word) && !is_street(bytes, &word), "{text}");
        }
        for (text, digits) in
            [("7 8 9 0 1 2 3 4 5", "7"), ("we had 14 cats", "14"), ("0.5% of it", "0"), ("in 3/4 of 9", "3")]
        {
            assert_eq!(number(text.as_bytes(), &at(text, digits)), Number::No, "{text}");
        }
        assert_eq!(number(b"in 2024 we", &(3..7)), Number::PostCode);
        assert!(!is_assignment(b"status: 1", 6));
    }
}
