//! Values within base64: a run that decodes to text with a value whose check fits is a finding as a whole.
//!
//! Both alphabets, padded or not, one level deep. What is decoded is judged by its own words alone; names, patterns of
//! the user's own and values that only look like one are not looked for in it. Each byte is decoded six times at most.

mod run;
mod trial;

use std::ops::Range;

use super::{Query, Unscannable};
use crate::finding::Span;
use run::Run;
use trial::{Progress, Stage, Trial};

/// A shorter run is a word, or at most 17 characters.
const SHORTEST: usize = 24;
/// Of a longer run no more is decoded; a finding still is all of it.
const LONGEST: usize = 64 << 10;

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
    /// The run that is read now.
    run: Option<Run>,
    trial: Trial,
    /// Bytes decoded and searched.
    pub(super) work: u64,
}

impl Runs {
    /// For a text that is long enough to have a run.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        (text.len() >= SHORTEST).then(Self::default)
    }

    /// Reads about the next `block` bytes of the text, or of what a run in it stands for; returns how many, 0 at the
    /// end.
    ///
    /// # Errors
    /// What a run stands for has more findings than a text may have.
    pub(super) fn step(
        &mut self,
        text: &[u8],
        block: usize,
        query: &Query<'_>,
        spans: &mut Vec<Span>,
    ) -> Result<usize, Unscannable> {
        let Some(run) = &mut self.run else {
            let from = self.at;
            let until = text.len().min(from + block);
            while self.at < until && self.run.is_none() {
                self.run = self.next(text, until).map(|range| Run::new(text, range));
            }
            // A run may end right where the last block did.
            return Ok((self.at - from).max(usize::from(self.run.is_some())));
        };
        match self.trial.step(text, block, query)? {
            Progress::More(spent) => {
                self.work += spent as u64;
                return Ok(spent);
            }
            Progress::Found(span) => run.found(span, spans),
            Progress::Nothing => {}
        }
        self.trial.stage = Stage::Done;
        match run.next(text) {
            Some(reading) => self.trial.begin(reading),
            None => self.run = None,
        }
        Ok(1)
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
}

fn is_base64(byte: u8) -> bool {
    BITS[usize::from(byte)] != NONE
}

/// How many characters at the end of `text` begin a group of four: what is cut in front of them goes on as base64 of
/// its own.
pub(crate) fn unfinished_group(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| is_base64(**byte)).count() % 4
}

#[cfg(test)]
mod tests;
