//! Words nearby move a score.
//!
//! Cues are searched only around candidates, and each byte at most once per value: the search
//! moves forward with the candidates. The head of a table's column is a cue for all of it. Else a cue counts within 48 bytes before or 24 after, in the same
//! value and the same sentence; the JSON key of the value counts as a cue at no distance.

mod cues;
mod table;

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};

use crate::letters::{Letters, has, set, slot};
pub(crate) use cues::CueGroup;
use table::{Cell, Table};
pub(crate) use table::{LONGEST_LINE, begins_row, heads_table};

/// A cue before a candidate counts up to this far.
const REACH_BEFORE: usize = 48;
/// A cue after a candidate counts up to this far.
const REACH_AFTER: usize = 24;
/// A negative cue stands right before its number: "order no. 123".
const REACH_NEGATIVE: usize = 16;
/// A cue of two letters counts up to this far.
const REACH_SHORT: usize = 6;

struct Lexicon {
    /// First letters of all patterns: where a word begins otherwise, nothing is searched.
    heads: Letters,
    /// Tells which pattern begins at one place.
    automaton: AhoCorasick,
    /// The row of the table that each pattern spells.
    rows: Vec<usize>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let spelled = cues::TABLE.iter().enumerate().flat_map(|(row, cue)| {
        let mut spellings = spellings(cue.word.trim_end_matches('*'));
        spellings.dedup();
        spellings.into_iter().map(move |word| (row, word))
    });
    let (rows, words): (Vec<usize>, Vec<String>) = spelled.unzip();
    let heads = words.iter().fold([0; 512], |heads, word| with_head(heads, word.as_bytes()));
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .start_kind(StartKind::Anchored)
        .build(words)
        .expect("the table of cues is small");
    Lexicon { heads, automaton, rows }
});

/// The first three bytes of a word; what a shorter one leaves open, every byte fills.
fn with_head(heads: Letters, word: &[u8]) -> Letters {
    let third = word.get(2).map_or(0..32, |third| *third..*third + 1);
    third.fold(heads, |heads, third| set(heads, slot(word[0], word[1], third)))
}

/// "date of birth" as prose, `date_of_birth`, `date-of-birth` and `dateOfBirth` write it; "driver's"
/// with the typographic apostrophe too.
fn spellings(word: &str) -> Vec<String> {
    let joined = ["", "_", "-"].map(|mark| word.replace(' ', mark));
    std::iter::once(word.to_owned()).chain([word.replace('\'', "\u{2019}")]).chain(joined).collect()
}

/// Builds the table of cues, so that no request waits for it.
pub(crate) fn warm() {
    LazyLock::force(&LEXICON);
}

#[derive(Clone, Debug)]
struct Hit {
    range: Range<usize>,
    row: usize,
}

/// A cue that supports a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Support {
    pub(crate) word: &'static str,
    pub(crate) distance: usize,
    /// Where the cue stands; `None` for the key.
    pub(crate) at: Option<usize>,
}

/// The cues of one value, found as far as anybody asked.
#[derive(Debug, Default)]
pub(crate) struct Context {
    key: Vec<usize>,
    hits: Vec<Hit>,
    searched_to: usize,
    table: Table,
    work: u64,
}

impl Context {
    /// For a value under `key`; an empty key gives no cue.
    pub(crate) fn new(key: &str) -> Self {
        let words = key_words(key);
        let mut hits = Vec::new();
        search(words.as_bytes(), 0..words.len(), &mut hits);
        Self { key: hits.into_iter().map(|hit| hit.row).collect(), ..Self::default() }
    }

    /// Bytes searched so far.
    pub(crate) const fn work(&self) -> u64 {
        self.work + self.table.work
    }

    /// The nearest cue of the wanted groups for a candidate.
    pub(crate) fn support(
        &mut self,
        text: &[u8],
        candidate: &Range<usize>,
        groups: &[CueGroup],
    ) -> Option<Support> {
        if groups.is_empty() {
            return None;
        }
        let from_key = self.key.iter().find(|row| wanted(**row, groups));
        if let Some(row) = from_key {
            return Some(Support { word: cues::TABLE[*row].word, distance: 0, at: None });
        }
        let cell = self.table.cell(text, candidate.start);
        if let Some(cue) = cell.as_ref().and_then(|cell| head(text, cell, groups)) {
            return Some(Support { word: cues::TABLE[cue.row].word, distance: 1, at: Some(cue.range.start) });
        }
        self.search_around(text, candidate);
        self.near(candidate)
            .filter(|hit| wanted(hit.row, groups) && !elsewhere(hit, cell.as_ref()))
            .filter_map(|hit| {
                let distance = distance(text, &hit.range, candidate)?;
                let word = cues::TABLE[hit.row].word;
                // Two letters say much else, unless they stand right beside the number.
                let near = word.len() > 2 || distance <= REACH_SHORT;
                near.then_some(Support { word, distance, at: Some(hit.range.start) })
            })
            .min_by_key(|support| support.distance)
    }

    /// A word right before the candidate that says it is something else, and how far away it is.
    pub(crate) fn doubt(&mut self, text: &[u8], candidate: &Range<usize>) -> Option<(&'static str, usize)> {
        let negative = [CueGroup::Negative];
        let cell = self.table.cell(text, candidate.start);
        if let Some(cue) = cell.as_ref().and_then(|cell| head(text, cell, &negative)) {
            return Some((cues::TABLE[cue.row].word, 1));
        }
        self.search_around(text, candidate);
        let key = self.key.iter().find(|row| wanted(**row, &negative));
        let nearby = self
            .near(candidate)
            .filter(|hit| wanted(hit.row, &negative) && hit.range.end <= candidate.start)
            .filter(|hit| !elsewhere(hit, cell.as_ref()))
            .filter_map(|hit| {
                // The next field of a row or a list is another thing.
                let same = !text[hit.range.end..candidate.start].iter().any(|byte| b",;|\t".contains(byte));
                let distance = distance(text, &hit.range, candidate)?;
                (same && distance <= REACH_NEGATIVE).then_some((cues::TABLE[hit.row].word, distance))
            })
            .min_by_key(|(_, distance)| *distance);
        nearby.or_else(|| key.map(|row| (cues::TABLE[*row].word, 0)))
    }

    fn near(&self, candidate: &Range<usize>) -> impl Iterator<Item = &Hit> {
        let from = candidate.start.saturating_sub(REACH_BEFORE);
        let to = candidate.end + REACH_AFTER;
        let first = self.hits.partition_point(|hit| hit.range.start < from);
        self.hits[first..].iter().take_while(move |hit| hit.range.start < to)
    }

    fn search_around(&mut self, text: &[u8], candidate: &Range<usize>) {
        let to = (candidate.end + REACH_AFTER).min(text.len());
        let from = candidate.start.saturating_sub(REACH_BEFORE).max(self.searched_to);
        if from < to {
            self.searched_to = search(text, from..to, &mut self.hits);
            self.work += (to - from) as u64;
        }
    }
}

fn wanted(row: usize, groups: &[CueGroup]) -> bool {
    cues::TABLE[row].groups.iter().any(|group| groups.contains(group))
}

/// A cue of the wanted groups in the head cell above a value.
fn head(text: &[u8], cell: &Cell, groups: &[CueGroup]) -> Option<Hit> {
    let mut hits = Vec::new();
    search(&text[..cell.head.end], cell.head.clone(), &mut hits);
    hits.into_iter().find(|hit| wanted(hit.row, groups))
}

/// Whether a cue stands in the head of another column.
fn elsewhere(hit: &Hit, cell: Option<&Cell>) -> bool {
    cell.is_some_and(|cell| {
        cell.head_line.contains(&hit.range.start) && !cell.head.contains(&hit.range.start)
    })
}

/// Adds the whole-word cues of `text` that begin within `range`; returns where to go on.
fn search(text: &[u8], range: Range<usize>, hits: &mut Vec<Hit>) -> usize {
    let lexicon = &*LEXICON;
    let mut from = range.start;
    while let Some(start) = next_word(&text[..range.end], from) {
        from = start + 1;
        let head = [start, start + 1, start + 2].map(|at| text.get(at).copied().unwrap_or_default());
        if !has(&lexicon.heads, slot(head[0], head[1], head[2])) {
            continue;
        }
        let here = Input::new(text).range(start..).anchored(Anchored::Yes);
        let Some(found) = lexicon.automaton.find(here) else { continue };
        from = found.end();
        let row = lexicon.rows[found.pattern().as_usize()];
        if cues::TABLE[row].word.ends_with('*') || ends_word(text, from) {
            hits.push(Hit { range: found.range(), row });
        }
        if from >= range.end {
            return from;
        }
    }
    range.end
}

/// What a byte is in a word, in two bits.
const NONE: u8 = 0;
const CAPITAL: u8 = 1;
const OTHER: u8 = 2;

static LETTERS: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut byte: u8 = 0;
    loop {
        if is_word(byte) {
            table[byte as usize] = if byte.is_ascii_uppercase() { CAPITAL } else { OTHER };
        }
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// For each three letters, two bits each, whether a word begins with the last of them: nothing of a word stands before
/// it, or it is a hump of an identifier: `customerPhone`, but not "iPhone".
const BEGINS: u64 = {
    let (mut begins, mut three) = (0, 0);
    while three < 64 {
        let (second, last, letter) = (three >> 4 & 3, three >> 2 & 3, three & 3);
        let is_hump = letter == CAPITAL && last == OTHER && second != NONE;
        if letter != NONE && (last == NONE || is_hump) {
            begins |= 1 << three;
        }
        three += 1;
    }
    begins
};

/// Where the next word begins, at `from` or after it.
fn next_word(text: &[u8], from: usize) -> Option<usize> {
    let letter = |back: usize| from.checked_sub(back).map_or(NONE, |at| LETTERS[usize::from(text[at])]);
    let mut three = letter(2) << 2 | letter(1);
    let begins = text[from..].iter().position(|byte| {
        three = three << 2 & 63 | LETTERS[usize::from(*byte)];
        BEGINS >> three & 1 == 1
    });
    begins.map(|at| from + at)
}

/// Nothing of a word after it, or the next hump: `phoneNumber`.
fn ends_word(text: &[u8], end: usize) -> bool {
    text.get(end).is_none_or(|next| {
        !is_word(*next) || (next.is_ascii_uppercase() && text[end - 1].is_ascii_lowercase())
    })
}

/// Letters of any script and digits; `_` joins words but does not belong to them.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Bytes between cue and candidate; `None` if something ends the cue's reach in between.
fn distance(text: &[u8], cue: &Range<usize>, candidate: &Range<usize>) -> Option<usize> {
    if cue.end <= candidate.start {
        let between = cue.end..candidate.start;
        return (!ends_sentence(text, cue.start, &between)).then_some(between.len());
    }
    if cue.start >= candidate.end {
        let between = candidate.end..cue.start;
        let cut = text[between.clone()].contains(&b'\n') || ends_sentence(text, between.start, &between);
        // What follows supports less than what leads.
        return (!cut).then_some(between.len() + 8);
    }
    None
}

/// A blank line, or a full stop before a capital letter. An abbreviation before it may begin at `word`.
fn ends_sentence(text: &[u8], word: usize, between: &Range<usize>) -> bool {
    let (range, next) = (between, text.get(between.end));
    let between = &text[range.clone()];
    let mut lines = 0;
    for (at, byte) in between.iter().enumerate() {
        match byte {
            b'\n' => lines += 1,
            b'\r' | b' ' | b'\t' => {}
            b'.' if abbreviates(&text[word..range.start + at]) => {}
            b'?' if answers(&between[at + 1..]) => lines = 0,
            b'.' | b'!' | b'?' if stops(&between[at + 1..], next) => return true,
            _ => lines = 0,
        }
        if lines > 1 {
            return true;
        }
    }
    false
}

/// Words that end with a full stop inside a sentence: "passport no. C01X00T47".
fn abbreviates(before: &[u8]) -> bool {
    let word = before.rsplit(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
    word.ends_with(b"nr")
        || [b"no".as_slice(), b"nr", b"num", b"nbr", b"tel", b"ref", b"lic", b"acct", b"cod", b"fisc"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

fn stops(rest: &[u8], next: Option<&u8>) -> bool {
    let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let after = rest.get(spaces).or(next);
    spaces > 0 && after.is_some_and(u8::is_ascii_uppercase) && !replies(&rest[spaces..])
}

/// Whether what follows a question answers it: at once, on the next line, or in words that a mark
/// leads in ("Caller: 123", "Sure, 123", "It's 123"). "Lost your passport? Booking AB123456" does not.
fn answers(rest: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 8] = [b"It", b"Yes", b"Sure", b"That", b"My", b"Oui", b"Ja", b"Es"];
    let reply = rest.trim_ascii_start();
    let begins = |word: &[u8]| {
        reply.strip_prefix(word).is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphabetic))
    };
    rest.first() == Some(&b'\n')
        || rest.iter().all(u8::is_ascii_whitespace)
        || rest.iter().any(|byte| matches!(byte, b':' | b','))
        || BEGINNINGS.into_iter().any(begins)
}

/// The other side's turn in a conversation: "Your number, please. Caller: 123".
fn replies(rest: &[u8]) -> bool {
    const SPEAKERS: [&[u8]; 8] =
        [b"caller", b"customer", b"client", b"user", b"patient", b"member", b"guest", b"me"];
    let word = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    rest.get(word) == Some(&b':') && SPEAKERS.iter().any(|speaker| rest[..word].eq_ignore_ascii_case(speaker))
}

/// `dateOfBirth`, `date_of_birth` and `date-of-birth` all read "date of birth".
pub(crate) fn key_words(key: &str) -> String {
    let mut words = String::with_capacity(key.len() + 8);
    let mut previous_lower = false;
    for letter in key.chars().take(128) {
        if letter.is_uppercase() && previous_lower {
            words.push(' ');
        }
        previous_lower = letter.is_lowercase() || letter.is_ascii_digit();
        if matches!(letter, '_' | '-' | '.') {
            words.push(' ');
        } else {
            words.extend(letter.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn support(text: &str, number: &str, group: CueGroup) -> Option<&'static str> {
        let start = text.find(number).unwrap();
        let mut context = Context::new("");
        context.support(text.as_bytes(), &(start..start + number.len()), &[group]).map(|found| found.word)
    }

    #[test]
    fn a_cue_counts_nearby_and_as_a_whole_word() {
        assert_eq!(support("my SSN is 123", "123", CueGroup::Ssn), Some("ssn"));
        assert_eq!(support("assn 123", "123", CueGroup::Ssn), None);
        assert_eq!(support("123 is my ssn", "123", CueGroup::Ssn), Some("ssn"));
        let far = format!("ssn {} 123", "-".repeat(60));
        assert_eq!(support(&far, "123", CueGroup::Ssn), None);
    }

    #[test]
    fn a_cue_is_read_to_its_end_wherever_the_last_search_stopped() {
        for gap in 1..120 {
            let text = format!("1234567{}account number 7654321", " ".repeat(gap));
            let mut context = Context::new("");
            context.support(text.as_bytes(), &(0..7), &[CueGroup::Account]);
            let second = text.len() - 7..text.len();
            let cue = context.support(text.as_bytes(), &second, &[CueGroup::Account]).map(|found| found.word);
            assert_eq!(cue, Some("account number"), "{gap}");
        }
        assert_eq!(support("xdriver license number D12", "D12", CueGroup::License), Some("license number"));
    }

    #[test]
    fn a_cue_ends_with_its_sentence_or_paragraph() {
        assert_eq!(support("Got the SSN. Then 123 came", "123", CueGroup::Ssn), None);
        assert_eq!(support("SSN\n123", "123", CueGroup::Ssn), Some("ssn"));
        assert_eq!(support("SSN\n\n123", "123", CueGroup::Ssn), None);
        assert_eq!(support("SSN no. 123", "123", CueGroup::Ssn), Some("ssn"));
    }

    #[test]
    fn the_answer_to_a_question_keeps_its_cue() {
        for text in
            ["Your SSN? Caller: 123", "Your SSN? It's 123", "Your SSN? 123", "The SSN, please. Caller: 123"]
        {
            assert_eq!(support(text, "123", CueGroup::Ssn), Some("ssn"), "{text}");
        }
        for text in ["Lost your SSN? Booking 123", "No SSN. Visit: 123", "Your SSN? Italy 123"] {
            assert_eq!(support(text, "123", CueGroup::Ssn), None, "{text}");
        }
        assert_eq!(support("driver lic. D12", "D12", CueGroup::License), Some("driver lic"));
        assert_eq!(support("dl speed is D12", "D12", CueGroup::License), None);
    }

    #[test]
    fn keys_are_cues_in_every_spelling() {
        for key in ["dateOfBirth", "date_of_birth", "Date-Of-Birth"] {
            let mut context = Context::new(key);
            assert!(context.support(b"1.1.1980", &(0..8), &[CueGroup::Birth]).is_some(), "{key}");
        }
    }

    #[test]
    fn cues_begin_words_and_are_in_lower_case() {
        for row in cues::TABLE {
            assert_eq!(row.word, row.word.to_lowercase());
            assert!(row.word.len() > 1 && is_word(row.word.as_bytes()[0]), "{}", row.word);
        }
    }
}
