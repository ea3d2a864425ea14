//! Values within base64: a run that decodes to text with a value whose check fits is a finding as a whole.
//!
//! Both alphabets, padded or not, one level deep. What is decoded is judged by its own words alone; names, patterns of
//! the user's own and values that only look like one are not looked for in it. Each byte is decoded twice at most.

use std::ops::Range;

use super::judge::Judge;
use super::{NearMisses, Query};
use crate::finding::{Evidence, Span};
use crate::scan::{Candidates, Scan, Sweep};
use crate::view::{Escapes, View};

/// A shorter run is a word, or at most 17 characters.
const SHORTEST: usize = 24;
/// Of a longer run no more is decoded; a finding still is all of it.
const LONGEST: usize = 64 << 10;
/// Most bytes between the start of a data URL and its content.
const LONGEST_TYPE: usize = 128;
/// Types of data URLs whose content nobody reads as text.
const MEDIA: [&[u8]; 4] = [b"image/", b"audio/", b"video/", b"font/"];

/// The six bits of a character, or [`NONE`].
static BITS: [u8; 256] = {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [NONE; 256];
    let mut bits = 0;
    while bits < 64 {
        table[ALPHABET[bits as usize] as usize] = bits;
        bits += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};
const NONE: u8 = u8::MAX;

/// Goes through the runs of a text, a block at a time.
#[derive(Debug, Default)]
pub(super) struct Runs {
    at: usize,
    /// Where the run began whose end is not reached.
    begun: Option<usize>,
    /// What the last run stood for; kept for its memory.
    decoded: Vec<u8>,
    /// Bytes decoded.
    pub(super) work: u64,
}

impl Runs {
    /// For a text that is long enough to have a run.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        (text.len() >= SHORTEST).then(Self::default)
    }

    /// Looks at the next `block` bytes; returns how many bytes were read and decoded, 0 at the end.
    pub(super) fn step(
        &mut self,
        text: &[u8],
        block: usize,
        query: &Query<'_>,
        spans: &mut Vec<Span>,
    ) -> usize {
        let (from, before) = (self.at, self.work);
        let until = text.len().min(from + block);
        while self.at < until {
            if let Some(run) = self.next(text, until) {
                let found = self.run(text, run, query);
                spans.extend(found);
            }
        }
        let decoded = usize::try_from(self.work - before).unwrap_or(usize::MAX);
        (self.at - from).saturating_add(decoded)
    }

    /// Goes on to about `until`; the run that ends before it, if one does.
    fn next(&mut self, text: &[u8], until: usize) -> Option<Range<usize>> {
        if let Some(start) = self.begun {
            let rest = text[self.at..until].iter().position(|byte| !is_base64(*byte));
            self.at = rest.map_or(until, |rest| self.at + rest);
            if rest.is_none() && until < text.len() {
                return None;
            }
            self.begun = None;
            return Some(start..self.at);
        }
        let Some(window) = text.get(self.at..self.at + SHORTEST) else {
            self.at = text.len();
            return None;
        };
        // From the back: a run begins behind the last byte that is none of it, and most of prose is not looked at.
        if let Some(other) = window.iter().rposition(|byte| !is_base64(*byte)) {
            self.at += other + 1;
        } else {
            self.begun = Some(self.at);
            // The last byte is read again, so that also what ends with the text has an end.
            self.at += SHORTEST - 1;
        }
        None
    }

    /// The findings in one run: one, or one for each part of a path.
    fn run(&mut self, text: &[u8], run: Range<usize>, query: &Query<'_>) -> Vec<Span> {
        if is_media(&text[..run.start]) {
            return Vec::new();
        }
        let padding = text[run.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
        if let Some(span) = self.value(text, run.clone(), query) {
            return vec![Span { range: run.start..run.end + padding, ..span }];
        }
        let mut found = Vec::new();
        let mut start = run.start;
        let head = &text[run.start..run.end.min(run.start + LONGEST)];
        for part in head.split(|byte| *byte == b'/') {
            let end = start + part.len();
            if (SHORTEST..run.len()).contains(&part.len()) {
                let padding = if end == run.end { padding } else { 0 };
                let span = self.value(text, start..end, query);
                found.extend(span.map(|span| Span { range: start..end + padding, ..span }));
            }
            start = end + 1;
        }
        found
    }

    /// The first value with a check in what `run` stands for.
    fn value(&mut self, text: &[u8], run: Range<usize>, query: &Query<'_>) -> Option<Span> {
        decode(&text[run.start..run.end.min(run.start + LONGEST)], &mut self.decoded);
        self.work += self.decoded.len() as u64;
        if !is_text(&self.decoded) {
            return None;
        }
        let decoded = String::from_utf8_lossy(&self.decoded);
        let view = View::new(decoded.as_bytes(), Escapes::None).ok()?;
        let decoded = view.bytes(decoded.as_bytes());
        let mut out = Candidates::new(decoded, Sweep::default());
        Scan::default().run(&mut out, decoded.len());
        self.work += out.work;
        let mut found = out.found;
        found.sort_by_key(|candidate| candidate.range.start);
        let query = Query { names: None, key: "", near_misses: NearMisses::Skip, ..*query };
        let mut judge = Judge::new(&query);
        found.into_iter().filter_map(|candidate| judge.span(decoded, &query, candidate)).find_map(|span| {
            let sure =
                span.evidence == Evidence::Checksum && !query.policy.allows(&decoded[span.range.clone()]);
            // What a rule finds in the text itself names a union with this.
            sure.then_some(Span { rule: "base64", evidence: Evidence::Form, cue_at: None, ..span })
        })
    }
}

fn is_base64(byte: u8) -> bool {
    BITS[usize::from(byte)] != NONE
}

/// How many characters at the end of `text` begin a group of four: what is cut in front of them goes on as base64 of
/// its own.
pub(crate) fn unfinished_group(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| is_base64(**byte)).count() % 4
}

/// Decodes a run. A last character that stands for less than a byte is left out: the run may be cut.
fn decode(run: &[u8], into: &mut Vec<u8>) {
    into.clear();
    for group in run.chunks(4) {
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | u32::from(BITS[usize::from(*byte)]));
        let [_, bytes @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        into.extend_from_slice(&bytes[..group.len() * 3 / 4]);
    }
}

/// Whether nine of ten characters can be printed.
fn is_text(bytes: &[u8]) -> bool {
    let (mut all, mut printable) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        all += chunk.invalid().len();
        for letter in chunk.valid().chars() {
            all += 1;
            printable += usize::from(!letter.is_control() || letter.is_whitespace());
        }
    }
    printable * 10 >= all * 9
}

/// Whether the content of a data URL of an image, a sound or a film comes next.
fn is_media(before: &[u8]) -> bool {
    let Some(head) = before.strip_suffix(b";base64,".as_slice()) else { return false };
    let head = &head[head.len().saturating_sub(LONGEST_TYPE)..];
    let start = head.windows(5).rposition(|part| part.eq_ignore_ascii_case(b"data:"));
    let kind = start.map(|at| head[at + 5..].to_ascii_lowercase());
    kind.is_some_and(|kind| MEDIA.iter().any(|media| kind.starts_with(media)))
}

#[cfg(test)]
mod tests;
