//! One pass over a value: byte classes find triggers, recognizers judge them.
//!
//! The scan knows only where something could begin: a number, a word that mixes letters and
//! digits, a long token, an `@`, a colon, an assignment. It stops after every block, so that what
//! context rejects takes no memory and a caller may pause.

use crate::finding::{Candidate, NearMiss, Rule, Why};
use crate::recognizer;

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

/// The same between two blocks, without the text.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    pub(crate) found: Vec<Candidate>,
    pub(crate) near: Option<Vec<NearMiss>>,
    pub(crate) settled_to: usize,
    pub(crate) assigned_to: usize,
    pub(crate) work: u64,
}

impl<'t> Candidates<'t> {
    /// Goes on in `text` where `sweep` stopped.
    pub(crate) fn new(text: &'t [u8], sweep: Sweep) -> Self {
        let Sweep { found, near, settled_to, assigned_to, work } = sweep;
        Self { text, found, near, settled_to, assigned_to, work }
    }

    /// What is to be kept until the next block.
    pub(crate) fn sweep(self) -> Sweep {
        let Self { text: _, found, near, settled_to, assigned_to, work } = self;
        Sweep { found, near, settled_to, assigned_to, work }
    }
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

/// Where a scan is, and the word that it is in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    at: usize,
    word: Option<Word>,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    start: usize,
    /// Classes of its letters.
    seen: u8,
}

impl Scan {
    /// How far the scan has come.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Scans up to `until` or the end of the text.
    pub(crate) fn run(&mut self, out: &mut Candidates<'_>, until: usize) {
        let text = out.text;
        let bytes = &text[..until.min(text.len())];
        let mut at = self.at;
        let Word { mut start, mut seen } = self.word.take().unwrap_or(Word { start: at, seen: 0 });
        loop {
            let word = bytes[at..].iter().map(|byte| CLASS[usize::from(*byte)]);
            at +=
                word.take_while(|class| class & (LETTER | DIGIT) != 0).inspect(|class| seen |= class).count();
            if seen != 0 {
                if at == bytes.len() && at < text.len() {
                    // Whether the word ends here is seen in the next block.
                    self.word = Some(Word { start, seen });
                    break;
                }
                hand_on(out, start..at, seen);
                seen = 0;
            }
            let Some(byte) = bytes.get(at) else { break };
            if CLASS[usize::from(*byte)] & TRIGGER != 0 {
                recognizer::on_mark(out, at);
            }
            at += 1;
            start = at;
        }
        self.at = at;
    }
}

/// Hands on a run of letters and digits.
fn hand_on(out: &mut Candidates<'_>, word: std::ops::Range<usize>, seen: u8) {
    match seen {
        DIGIT => recognizer::on_number(out, &word),
        LETTER => recognizer::on_plain_word(out, word),
        _ => recognizer::on_mixed_word(out, word),
    }
}
