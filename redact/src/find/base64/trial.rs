//! One reading of a run: decoded, and if it is text searched, a block at a time.

use std::ops::Range;

use super::BITS;
use crate::find::search::Search;
use crate::find::{NearMisses, Query, Unscannable};
use crate::finding::{Evidence, Span};
use crate::view::{Escapes, Normal, Reader, View};

/// Characters that stand for three bytes.
const GROUP: usize = 4;

/// What is decoded, and how far.
#[derive(Debug, Default)]
pub(super) struct Trial {
    pub(super) stage: Stage,
    /// What the characters stand for; kept for its memory.
    decoded: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) enum Stage {
    /// The characters that are left.
    Decode(Range<usize>, Tally),
    Read(Vec<u8>, Box<Reader>),
    Search(Vec<u8>, View, Box<Search>),
    #[default]
    Done,
}

/// How a step went.
pub(super) enum Progress {
    /// So many bytes were read, and more are left.
    More(usize),
    /// The first value with a check.
    Found(Span),
    /// There is none.
    Nothing,
}

impl Trial {
    /// Begins with the characters in `reading`.
    pub(super) fn begin(&mut self, reading: Range<usize>) {
        self.decoded.clear();
        let bytes = reading.len() * 3 / GROUP;
        self.stage = Stage::Decode(reading, Tally { bytes, ..Tally::default() });
    }

    /// Reads about the next `block` bytes.
    ///
    /// # Errors
    /// More findings than a text may have.
    pub(super) fn step(
        &mut self,
        text: &[u8],
        block: usize,
        query: &Query<'_>,
    ) -> Result<Progress, Unscannable> {
        let query = Query { names: None, key: "", near_misses: NearMisses::Skip, ..*query };
        match &mut self.stage {
            Stage::Decode(rest, tally) => {
                let end = rest.end.min(rest.start + block.next_multiple_of(GROUP));
                let spent = end - rest.start;
                decode(&text[rest.start..end], &mut self.decoded);
                rest.start = end;
                tally.count(&self.decoded);
                if !tally.may_be_text() {
                    return Ok(Progress::Nothing);
                }
                if rest.start == rest.end {
                    let decoded = String::from_utf8_lossy(&self.decoded).into_owned().into_bytes();
                    let reader = Reader::new(Normal::Full, Escapes::None);
                    self.stage = Stage::Read(decoded, Box::new(reader));
                }
                Ok(Progress::More(spent))
            }
            Stage::Read(decoded, reader) => {
                let read = reader.step(decoded, block)?;
                if read == 0 {
                    let reader = std::mem::replace(&mut **reader, Reader::new(Normal::Full, Escapes::None));
                    let (decoded, view) = (std::mem::take(decoded), reader.finish(0));
                    let search = Box::new(Search::new(view.bytes(&decoded), &query));
                    self.stage = Stage::Search(decoded, view, search);
                }
                Ok(Progress::More(read.max(1)))
            }
            Stage::Search(decoded, view, search) => {
                let decoded = view.bytes(decoded);
                let Some((spent, spans)) = search.by_rules(decoded, &query)? else {
                    return Ok(Progress::Nothing);
                };
                let is_sure = |span: &Span| {
                    span.evidence == Evidence::Checksum && !query.policy.allows(&decoded[span.range.clone()])
                };
                // What a rule finds in the text itself names a union with this.
                let found = spans.into_iter().find(is_sure);
                let found =
                    found.map(|span| Span { rule: "base64", evidence: Evidence::Form, cue_at: None, ..span });
                Ok(found.map_or(Progress::More(spent), Progress::Found))
            }
            Stage::Done => Ok(Progress::Nothing),
        }
    }
}

/// Decodes characters. A last one that stands for less than a byte is left out: the run may be cut.
fn decode(run: &[u8], into: &mut Vec<u8>) {
    for group in run.chunks(GROUP) {
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | u32::from(BITS[usize::from(*byte)]));
        let [_, bytes @ ..] = (bits << (6 * (GROUP - group.len()))).to_be_bytes();
        into.extend_from_slice(&bytes[..group.len() * 3 / GROUP]);
    }
}

/// Counts what cannot be printed: of text it is at most every tenth character.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Bytes that will be decoded.
    bytes: usize,
    /// Bytes that are counted.
    at: usize,
    all: usize,
    unprintable: usize,
}

impl Tally {
    /// Goes on with `decoded`; a character whose end is not decoded waits for it.
    fn count(&mut self, decoded: &[u8]) {
        for chunk in decoded[self.at..].utf8_chunks() {
            let letters = chunk.valid().chars();
            let (all, printable) = letters.fold((0, 0), |(all, printable), letter| {
                (all + 1, printable + usize::from(!letter.is_control() || letter.is_whitespace()))
            });
            self.all += all;
            self.unprintable += all - printable;
            self.at += chunk.valid().len();
            let is_cut = self.at + chunk.invalid().len() == decoded.len() && decoded.len() < self.bytes;
            if !is_cut {
                self.at += chunk.invalid().len();
                self.all += chunk.invalid().len();
                self.unprintable += chunk.invalid().len();
            }
        }
    }

    /// Whether it is text, or may still become it.
    fn may_be_text(&self) -> bool {
        let to_come = self.bytes - self.at;
        self.unprintable * 10 <= self.all + to_come
    }
}
