//! Finds live placeholders through the changes that models make.
//!
//! Accepted are other case, a space or dash for the underscore, emphasis, escapes and invisible marks
//! inside, small letters as an ending; the digits of a surrogate number in any grouping.

use super::bare::Code;
use super::{Input, Landing};
use crate::entity::Entity;
use crate::pseudonym::{Kind, LONG_TAG, Live, TAG, canonical, is_tag};

/// Most marks that may stand inside a placeholder without belonging to it.
const MAX_MARKS: usize = 8;
/// Most separators in the place of one.
const MAX_SEPARATORS: usize = 3;

/// The result of a look at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    No,
    /// It may become one with more text.
    Open,
    Whole {
        len: usize,
        needle: usize,
    },
}

/// A live placeholder as it is compared: in small letters, numbers as digits.
#[derive(Debug)]
struct Needle {
    form: Vec<u8>,
    index: usize,
    surrogate: Option<Kind>,
}

/// All live placeholders, sorted, so that each letter of a text narrows a range of them.
#[derive(Debug)]
pub(super) struct Needles {
    words: Vec<Needle>,
    numbers: Vec<Needle>,
    pub(super) codes: Vec<Code>,
    /// Labels of placeholders, ours and the users'.
    labels: Vec<Vec<u8>>,
    /// Bytes at which something may begin or change.
    events: [bool; 256],
}

impl Needles {
    pub(super) fn new(live: &[Live<'_>], landing: Landing) -> Self {
        let (mut words, mut numbers, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        let mut labels: Vec<Vec<u8>> =
            Entity::BUILT_IN.iter().map(|entity| entity.label().as_bytes().to_vec()).collect();
        for (index, live) in live.iter().enumerate() {
            let surrogate = live.surrogate;
            if let Some(kind) = surrogate.filter(|kind| kind.is_digits()) {
                let form = canonical(live.placeholder, kind);
                // Models leave the country code out.
                let national = form.strip_prefix(b"1").filter(|_| kind == Kind::Phone).map(<[u8]>::to_vec);
                numbers.extend(national.map(|form| Needle { form, index, surrogate }));
                numbers.push(Needle { form, index, surrogate });
                continue;
            }
            words.push(Needle { form: live.placeholder.to_ascii_lowercase().into_bytes(), index, surrogate });
            let tag = live.placeholder.rsplit_once('_').filter(|_| surrogate.is_none());
            if let Some((label, code)) = tag {
                codes.push(Code { code: code.into(), label: label.to_ascii_lowercase().into_bytes(), index });
                labels.push(label.into());
            }
        }
        words.sort_by(|left, right| left.form.cmp(&right.form));
        numbers.sort_by(|left: &Needle, right| left.form.cmp(&right.form));
        codes.sort_by(|left, right| left.code.cmp(&right.code));
        labels.sort_unstable();
        labels.dedup();
        let mut needles = Self { words, numbers, codes, labels, events: [false; 256] };
        needles.note_events(landing);
        needles
    }

    fn note_events(&mut self, landing: Landing) {
        let places: &[u8] = match landing {
            Landing::Text => b"_/(.=: \t\r\n\"'<>`)",
            Landing::Json => b"_/(.=: \t\r\n\"'<>`)\\",
        };
        places.iter().for_each(|byte| self.events[usize::from(*byte)] = true);
        for needle in &self.words {
            self.events[usize::from(needle.form[0])] = true;
            self.events[usize::from(needle.form[0].to_ascii_uppercase())] = true;
        }
        for needle in &self.numbers {
            self.events[usize::from(needle.form[0])] = true;
            self.events[usize::from(b'+')] = true;
        }
        for code in &self.codes {
            self.events[usize::from(code.code[0])] = true;
        }
    }

    /// Bytes at the start of `text` at which nothing can happen.
    pub(super) fn plain(&self, text: &[u8]) -> usize {
        text.iter().take_while(|byte| !self.events[usize::from(**byte)]).count()
    }

    /// The live placeholder that begins at the start of `text`.
    pub(super) fn find(&self, text: &[u8], input: Input) -> Found {
        match find_word(&self.words, text, input) {
            Found::No => find_number(&self.numbers, text, input),
            found => found,
        }
    }

    /// Whether the underscore at the start of `text` joins a label and a tag: a placeholder of another request.
    pub(super) fn foreign(&self, before: &[u8], text: &[u8], input: Input) -> Found {
        let label = self.labels.iter().any(|label| {
            let start = before.strip_suffix(label.as_slice());
            start.is_some_and(|start| !start.last().is_some_and(|byte| is_word(*byte)))
        });
        if !label {
            return Found::No;
        }
        let tag = text[1..].iter().take(LONG_TAG + 1).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if text.len() == tag + 1 && tag <= LONG_TAG && input == Input::More {
            return Found::Open;
        }
        let foreign = matches!(tag, TAG | LONG_TAG) && is_tag(&text[1..=tag]);
        if foreign { Found::Whole { len: tag + 1, needle: usize::MAX } } else { Found::No }
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Those of `needles`, all alike before `depth`, that go on with `symbol`.
fn narrow(needles: &[Needle], depth: usize, symbol: u8) -> &[Needle] {
    let from = needles.partition_point(|needle| needle.form.get(depth).is_some_and(|byte| *byte < symbol));
    let rest = &needles[from..];
    &rest[..rest.partition_point(|needle| needle.form.get(depth) == Some(&symbol))]
}

fn find_word(needles: &[Needle], text: &[u8], input: Input) -> Found {
    let unfinished = if input == Input::More { Found::Open } else { Found::No };
    let (mut needles, mut depth, mut at, mut marks) = (needles, 0, 0, 0);
    loop {
        let Some(first) = needles.first() else { return Found::No };
        if first.form.len() == depth {
            return end_word(first, text, at, input);
        }
        while depth > 0
            && let Some(len) = mark(&text[at..])
        {
            marks += 1;
            at += len;
            if marks > MAX_MARKS {
                return Found::No;
            }
        }
        let Some(byte) = text.get(at) else { return unfinished };
        let gap = separators(&text[at..]);
        let (symbol, len) = if gap > 0 { (b'_', gap) } else { (byte.to_ascii_lowercase(), 1) };
        let next = narrow(needles, depth, symbol);
        if next.is_empty() && depth > 0 && is_cut(&text[at..]) {
            return unfinished;
        }
        (needles, depth, at) = (next, depth + 1, at + len);
    }
}

/// Whether a placeholder that was read to `at` ends there.
fn end_word(needle: &Needle, text: &[u8], at: usize, input: Input) -> Found {
    let whole = Found::Whole { len: at, needle: needle.index };
    let next = |offset: usize| text.get(at + offset).copied();
    let open = |offset: usize| input == Input::More && text.len() <= at + offset;
    if open(0) {
        return Found::Open;
    }
    let goes_on = match (needle.surrogate, next(0)) {
        (_, None) => false,
        // A capital or a digit goes on to be another tag; small letters are an ending, and stay.
        (None, Some(byte)) => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
        (Some(_), Some(b'.' | b'-')) if open(1) => return Found::Open,
        (Some(_), Some(b'.' | b'-')) => next(1).is_some_and(|byte| byte.is_ascii_alphanumeric()),
        (Some(_), Some(byte)) => is_word(byte),
    };
    if goes_on { Found::No } else { whole }
}

/// A surrogate number, in any grouping.
fn find_number(needles: &[Needle], text: &[u8], input: Input) -> Found {
    let unfinished = if input == Input::More { Found::Open } else { Found::No };
    let lead = text.iter().take(2).take_while(|byte| matches!(byte, b'+' | b'(')).count();
    let (mut needles, mut depth, mut at) = (needles, 0, lead);
    loop {
        let Some(first) = needles.first() else { return Found::No };
        if first.form.len() == depth {
            return match text.get(at) {
                None if input == Input::More => Found::Open,
                Some(next) if next.is_ascii_alphanumeric() => Found::No,
                _ => Found::Whole { len: at, needle: first.index },
            };
        }
        let marks = text[at..].iter().take(MAX_SEPARATORS).take_while(|byte| b" -.()".contains(byte)).count();
        at += if depth > 0 { marks } else { 0 };
        let Some(byte) = text.get(at) else { return unfinished };
        (needles, depth, at) = (narrow(needles, depth, *byte), depth + 1, at + 1);
    }
}

/// Emphasis, escapes and zero-width characters; their length.
fn mark(text: &[u8]) -> Option<usize> {
    match text {
        // JSON writes some of them as escapes.
        [b'\\', b'u', hex @ ..]
            if is_escape_of(hex, &[b"200b", b"200c", b"200d", b"2060", b"feff", b"00ad"]) =>
        {
            Some(6)
        }
        [b'\\', b'u', hex @ ..] if is_escape_of(hex, SEPARATOR_ESCAPES) => None,
        [b'*' | b'`' | b'\\', ..] => Some(1),
        [0xE2, 0x80, 0x8B..=0x8D, ..] | [0xE2, 0x81, 0xA0, ..] | [0xEF, 0xBB, 0xBF, ..] => Some(3),
        [0xC2, 0xAD, ..] => Some(2),
        _ => None,
    }
}

const SEPARATOR_ESCAPES: &[&[u8; 4]] = &[b"00a0", b"2010", b"2011", b"2012", b"2013", b"2014", b"202f"];

fn is_escape_of(hex: &[u8], codes: &[&[u8; 4]]) -> bool {
    hex.get(..4).is_some_and(|hex| codes.iter().any(|code| hex.eq_ignore_ascii_case(*code)))
}

/// The length of up to three separators: underscores, spaces, dashes.
fn separators(text: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..MAX_SEPARATORS {
        match separator(&text[at..]) {
            0 => break,
            len => at += len,
        }
    }
    at
}

fn separator(text: &[u8]) -> usize {
    match text {
        [b'_' | b' ' | b'-', ..] => 1,
        [0xC2, 0xA0, ..] => 2,
        [0xE2, 0x80, 0x90..=0x95, ..] | [0xE2, 0x80, 0xAF, ..] | [0xE2, 0x88, 0x92, ..] => 3,
        [b'\\', b'u', hex @ ..] if is_escape_of(hex, SEPARATOR_ESCAPES) => 6,
        _ => 0,
    }
}

/// A character or an escape that the chunk's end has cut.
fn is_cut(text: &[u8]) -> bool {
    let sequence = text.len() < 3
        && matches!(text.first(), Some(0xE2 | 0xEF | 0xC2))
        && std::str::from_utf8(text).is_err();
    sequence || (text.len() < 6 && text.starts_with(b"\\u"))
}
