//! Asks the tagger piece by piece, and joins places to addresses.

mod eponym;
mod form;

use std::ops::Range;

use super::Query;
use crate::context::key_words;
use crate::entity::Entity;
use crate::finding::{ANALYZER, Evidence, Score, Span};
use crate::names::{NameFinder, NameKind, NameSpan, Unanalyzed};
use crate::policy::Filter;

/// The rule of names that the tagger has found.
const TAGGER: &str = "tagger";
/// Longest piece of text that the tagger sees at once.
const PIECE: usize = 512;
/// Bytes that may stand between a street and its place.
const MAX_GAP: usize = 3;

/// Words of keys whose values are names, even if they are one word.
const NAME_KEYS: &[&str] = &[
    "name",
    "firstname",
    "lastname",
    "surname",
    "fullname",
    "nickname",
    "customer",
    "client",
    "person",
    "contact",
    "author",
    "employee",
    "patient",
    "manager",
    "recipient",
    "sender",
    "owner",
    "assignee",
    "attendee",
    "attendees",
    "member",
    "members",
    "guest",
    "passenger",
    "spouse",
    "city",
    "town",
    "place",
    "country",
    "location",
    "birthplace",
    "company",
    "organization",
    "organisation",
    "employer",
    "vorname",
    "nachname",
    "ort",
    "stadt",
    "nom",
    "prenom",
    "ville",
    "nombre",
    "apellido",
    "ciudad",
];
/// Longest text without a space that may be one code word.
const LONGEST_CODE: usize = 1024;
/// Bytes in which letters are counted at once.
const CHUNK: usize = 64;

/// Whether a value of JSON may be more than a code word: it has two words, or letters of a script that may do without
/// spaces, or a key that announces a name.
pub(crate) fn may_name(text: &[u8], key: &str) -> bool {
    let spaced = || text.len() > LONGEST_CODE || text.iter().any(u8::is_ascii_whitespace);
    // E2 begins marks and signs.
    let unspaced = || text.iter().any(|byte| *byte >= 0xE0 && *byte != 0xE2);
    (spaced() && has_two_words(text))
        || unspaced()
        || key_words(key).split(' ').any(|word| NAME_KEYS.contains(&word))
}

/// Whether there are two runs of letters. Most texts tell at once; tables of numbers are read a chunk at a time.
fn has_two_words(text: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte >= 0x80;
    let (mut words, mut within) = (0, false);
    for chunk in text.chunks(CHUNK) {
        let letters = chunk.iter().filter(|byte| is_letter(byte)).count();
        if letters == 0 || (letters == chunk.len() && within) {
            within = letters > 0;
            continue;
        }
        for letter in chunk.iter().map(is_letter) {
            words += usize::from(letter && !within);
            within = letter;
        }
        if words > 1 {
            return true;
        }
    }
    false
}

/// Where the tagger is.
#[derive(Debug, Default)]
pub(super) struct Names {
    at: usize,
    found: Vec<NameSpan>,
    /// Places in `spans` of the addresses that a place may follow, in order.
    addresses: Vec<usize>,
    next_address: usize,
}

impl Names {
    /// After the spans that stand already.
    pub(super) fn new(spans: &[Span]) -> Self {
        let is_address = |span: &Span| span.entity == Entity::Address;
        let addresses = spans.iter().enumerate().filter(|(_, span)| is_address(span)).map(|(at, _)| at);
        Self { addresses: addresses.collect(), ..Self::default() }
    }

    /// Reads one piece: a line, or the part of one that ends at a space. Returns its length, zero at the end.
    ///
    /// # Errors
    /// The finder had to know the text beforehand, and does not.
    pub(super) fn step(
        &mut self,
        text: &[u8],
        finder: &dyn NameFinder,
        query: &Query<'_>,
        spans: &mut Vec<Span>,
    ) -> Result<usize, Unanalyzed> {
        let from = self.at;
        if from == 0 && !text.is_empty() {
            self.known(text, finder, query, spans)?;
        }
        let len = piece(&text[from..]);
        self.at += len;
        let Ok(piece) = std::str::from_utf8(&text[from..from + len]) else { return Ok(len) };
        self.found.clear();
        // Strict rather masks a thing than it leaves a patient.
        let may_be_eponym = query.policy.filter != Filter::Strict;
        finder.find(piece, query.policy.filter.recall_bias(), &mut self.found);
        for name in std::mem::take(&mut self.found) {
            let mut span = named(&name, from);
            if in_code(text, &span.range) || is_unit(text, &span) {
                continue;
            }
            if may_be_eponym && span.entity != Entity::Organization && eponym::is_eponym(text, &span.range) {
                continue;
            }
            if span.entity == Entity::Person {
                if form::is_other(&text[span.range.clone()]) {
                    continue;
                }
                let whole = form::whole(piece.as_bytes(), name.start..name.end);
                span.range = from + whole.start..from + whole.end;
                if let Some(last) = spans.last_mut().filter(|last| is_continued(text, last, &span)) {
                    last.range.end = last.range.end.max(span.range.end);
                    continue;
                }
            }
            if span.entity == Entity::Location {
                self.join(text, &span, spans);
            }
            if query.policy.entities.contains(span.entity) {
                spans.push(span);
            }
        }
        Ok(len)
    }

    /// What somebody else has found. It stands also where the tagger would take a name for code.
    fn known(
        &mut self,
        text: &[u8],
        finder: &dyn NameFinder,
        query: &Query<'_>,
        spans: &mut Vec<Span>,
    ) -> Result<(), Unanalyzed> {
        let value = std::str::from_utf8(text).map_err(|_| Unanalyzed)?;
        finder.known(value, &mut self.found)?;
        self.found.sort_by_key(|name| name.start);
        for name in std::mem::take(&mut self.found) {
            if value.get(name.start..name.end).is_none_or(str::is_empty) {
                return Err(Unanalyzed);
            }
            let span = Span { rule: ANALYZER, ..named(&name, 0) };
            if span.entity == Entity::Location {
                self.join(text, &span, spans);
            }
            if query.policy.entities.contains(span.entity) {
                spans.push(span);
            }
        }
        self.next_address = 0; // The tagger's places begin at the start again.
        Ok(())
    }

    /// A place that follows a street, after a comma or a line's end, belongs to the address.
    fn join(&mut self, text: &[u8], place: &Span, spans: &mut [Span]) {
        while let Some(address) =
            self.addresses.get(self.next_address).and_then(|index| spans.get_mut(*index))
        {
            if address.range.end > place.range.start {
                return;
            }
            let gap = &text[address.range.end..place.range.start];
            if gap.len() <= MAX_GAP && gap.iter().all(|byte| b" ,\n".contains(byte)) {
                address.range.end = place.range.end;
                return;
            }
            self.next_address += 1;
        }
    }
}

/// Whether a person that the tagger found goes on with `next`. What somebody else found stands as it is: merging unites
/// it with what overlaps.
fn is_continued(text: &[u8], last: &Span, next: &Span) -> bool {
    last.rule == TAGGER
        && last.entity == Entity::Person
        && last.range.start <= next.range.start
        && form::is_joined(text, &last.range, &next.range)
}

/// "EAN 4006381333931": a short word in capitals before a number says what is counted.
fn is_unit(text: &[u8], span: &Span) -> bool {
    let short = span.range.len() <= 5 && text[span.range.clone()].iter().all(u8::is_ascii_uppercase);
    let numbered = matches!(text[span.range.end..], [b' ', digit, ..] if digit.is_ascii_digit());
    span.entity == Entity::Person && short && numbered
}

/// Whether a name stands as code: `Mock::new`, `render(`, `{alpha}`, `paris.example`.
fn in_code(text: &[u8], name: &Range<usize>) -> bool {
    let (before, after) = (&text[..name.start], &text[name.end..]);
    let member = matches!(after, [b'.', next, ..] if next.is_ascii_lowercase())
        || matches!(before, [.., owner, b'.'] if owner.is_ascii_lowercase());
    let generic = after.first() == Some(&b'<') && after.get(1).is_some_and(u8::is_ascii_uppercase);
    member
        || generic
        || before.ends_with(b"::")
        || before.last().is_some_and(|mark| b"_$<{&\\".contains(mark))
        || after.starts_with(b"::")
        || after.first().is_some_and(|mark| b"_({[=".contains(mark))
        || text[name.clone()].iter().any(|mark| b"{}[]<>=\"|;\\_".contains(mark))
}

fn named(name: &NameSpan, from: usize) -> Span {
    let entity = match name.kind {
        NameKind::Person => Entity::Person,
        NameKind::Location => Entity::Location,
        NameKind::Organization => Entity::Organization,
    };
    let score = Score::from_probability(name.score);
    Span::plain(from + name.start..from + name.end, entity, score, Evidence::Words, TAGGER)
}

fn piece(rest: &[u8]) -> usize {
    let window = &rest[..rest.len().min(PIECE)];
    if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
        return end + 1;
    }
    if window.len() == rest.len() {
        return rest.len();
    }
    let space = window.iter().rposition(|byte| *byte == b' ').map(|at| at + 1);
    // Without a space the cut must still fall between characters.
    let boundary = (1..=window.len()).rev().find(|at| rest.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80));
    space.or(boundary).unwrap_or(window.len())
}
