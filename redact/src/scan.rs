//! One pass over a value: byte classes find triggers, recognizers judge them.
//!
//! The scan knows only where something could begin: a number, a word that mixes letters and
//! digits, a long token, an `@`, a colon, an assignment. It stops after a batch of
//! candidates, so that what context rejects takes no memory.

use crate::finding::{Candidate, NearMiss, Rule, Why};
use crate::recognizer;

/// Candidates that are judged together; most numbers of a table are candidates, few are findings.
const BATCH: usize = 1024;

/// What recognizers write to: candidates, and near misses if somebody wants explanations.
#[derive(Debug)]
pub(crate) struct Candidates<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) found: Vec<Candidate>,
    pub(crate) near: Option<Vec<NearMiss>>,
    /// Where the last conclusive finding ends: nothing begins inside it.
    pub(crate) settled_to: usize,
    /// Where the last assigned value ends: it is judged once, whatever stands inside.
    pub(crate) assigned_to: usize,
    /// Bytes that recognizers have looked at, for the test of linear time.
    pub(crate) work: u64,
}

impl Candidates<'_> {
    /// Adds a candidate for context to judge.
    pub(crate) fn propose(&mut self, rule: &'static Rule, range: std::ops::Range<usize>) {
        self.work += range.len() as u64;
        self.found.push(Candidate { range, rule });
    }

    /// Adds a candidate that no other rule may look into.
    pub(crate) fn settle(&mut self, rule: &'static Rule, range: std::ops::Range<usize>) {
        self.settled_to = self.settled_to.max(range.end);
        self.propose(rule, range);
    }

    /// Notes what failed, if explanations are wanted.
    pub(crate) fn reject(&mut self, rule: &'static Rule, range: std::ops::Range<usize>, why: &'static str) {
        if let Some(near) = &mut self.near {
            near.push(NearMiss { range, entity: rule.entity, rule: rule.id, why: Why::Check(why) });
        }
    }

    /// The byte before `at`, if any.
    pub(crate) fn before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|previous| self.text.get(previous)).copied()
    }

    /// The byte at `at`, if any.
    pub(crate) fn at(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }
}

/// Byte classes, one bit each.
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const TRIGGER: u8 = 4;

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    loop {
        table[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'@' | b':' | b'=' | b'-' | b'%' | b'&' => TRIGGER,
            _ => 0,
        };
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// Where a scan is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    at: usize,
}

impl Scan {
    /// Scans to the end of the text, or until there is a batch of candidates to judge.
    pub(crate) fn run(&mut self, out: &mut Candidates<'_>) -> Progress {
        let text = out.text;
        while self.at < text.len() {
            if out.found.len() >= BATCH {
                return Progress::Batch;
            }
            self.step(out, text);
        }
        Progress::Done
    }

    fn step(&mut self, out: &mut Candidates<'_>, text: &[u8]) {
        let start = self.at;
        let class = CLASS[usize::from(text[start])];
        if class & (LETTER | DIGIT) != 0 {
            self.at = word(out, text, start);
        } else {
            self.at += 1;
            if class & TRIGGER != 0 {
                recognizer::on_mark(out, start);
            }
        }
    }
}

/// Reads the run of letters and digits at `start` and hands it on; returns its end.
fn word(out: &mut Candidates<'_>, text: &[u8], start: usize) -> usize {
    let mut seen = 0;
    let mut end = start;
    while let Some(byte) = text.get(end) {
        let class = CLASS[usize::from(*byte)];
        if class & (LETTER | DIGIT) == 0 {
            break;
        }
        seen |= class;
        end += 1;
    }
    match seen {
        DIGIT => recognizer::on_number(out, start),
        LETTER => recognizer::on_plain_word(out, start..end),
        _ => recognizer::on_mixed_word(out, start..end),
    }
    end
}

/// What a stretch of scanning ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Judge what was found, then go on.
    Batch,
    /// The text is done.
    Done,
}
