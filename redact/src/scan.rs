//! One pass over a value: byte classes find triggers, recognizers judge them.
//!
//! The scan knows only where something could begin: a number, a word that mixes letters and
//! digits, a long token, an `@`, a colon, an assignment. It stops after every block, so that what
//! context rejects takes no memory and a caller may pause.

mod classes;

use crate::finding::{Candidate, NearMiss, Rule, Why};
use crate::recognizer::{self, Groups};
use classes::{CHUNK, Classes, Window};

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

/// Where a scan is, and the word that it is in.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    at: usize,
    groups: Groups,
    word: Option<Word>,
    /// Whether the last chunk had bytes beyond ASCII.
    wide: bool,
}

/// A word whose end is not reached.
#[derive(Clone, Copy, Debug)]
struct Word {
    start: usize,
    kind: Kind,
}

/// What a word is made of, as far as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Letters,
    Digits,
    Mixed,
}

impl Kind {
    /// The kind of a run of letters and digits, by its bits and those of all digits.
    const fn of(run: u64, digits: u64) -> Self {
        match run & digits {
            0 => Self::Letters,
            all if all == run => Self::Digits,
            _ => Self::Mixed,
        }
    }
}

impl Scan {
    /// How far the scan has come.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// Scans up to `until` or the end of the text.
    pub(crate) fn run(&mut self, out: &mut Candidates<'_>, until: usize) {
        let text = out.text;
        let until = until.min(text.len());
        while self.at < until {
            let end = until.min(self.at + CHUNK);
            match text[self.at..].first_chunk() {
                Some(window) if end - self.at == CHUNK => self.chunk(out, window),
                _ => {
                    let mut window = [0; _];
                    window[..end - self.at].copy_from_slice(&text[self.at..end]);
                    self.chunk(out, &window);
                }
            }
            self.at = end;
        }
        // Whether a word ends at the end of a block is seen in the next one.
        if let Some(word) = self.word.take_if(|_| until == text.len()) {
            self.hand_on(out, word.kind, word.start..until);
        }
    }

    /// Hands on, in order, the words that end in a chunk and the marks in it.
    fn chunk(&mut self, out: &mut Candidates<'_>, window: &Window) {
        let Classes { words, digits, marks, wide } = Classes::of(window);
        let beside_wide = std::mem::replace(&mut self.wide, wide) | wide;
        let base = self.at;
        let mut starts = words & !(words << 1);
        if let Some(word) = self.word.take() {
            let run = words & !words.wrapping_add(1);
            let kind = Kind::of(run, digits);
            let kind = if run == 0 || kind == word.kind { word.kind } else { Kind::Mixed };
            if run == u64::MAX {
                self.word = Some(Word { kind, ..word });
                return;
            }
            let end = base + run.trailing_ones() as usize;
            let head = out.text[word.start..].first_chunk().copied();
            if kind != Kind::Letters
                || beside_wide
                || head.is_none_or(|head| recognizer::is_worth(head, end - word.start))
            {
                self.hand_on(out, kind, word.start..end);
            }
            starts &= !1;
        }
        let mut events = starts | marks;
        while events != 0 {
            let at = events.trailing_zeros() as usize % CHUNK;
            let event = events & events.wrapping_neg();
            events ^= event;
            if marks & event != 0 {
                recognizer::on_mark(out, base + at);
                continue;
            }
            // The sum carries through the run of ones, into the bit behind it.
            let carried = words.wrapping_add(event);
            let (run, behind) = (words & !carried, carried & !words);
            let len = behind.trailing_zeros() as usize - at;
            let head = [window[at], window[at + 1], window[at + 2], window[at + 3]];
            // Most words are letters that no rule cares about.
            if run & digits != 0 || beside_wide || behind == 0 || recognizer::is_worth(head, len) {
                let (start, kind) = (base + at, Kind::of(run, digits));
                if behind == 0 {
                    self.word = Some(Word { start, kind });
                } else {
                    self.hand_on(out, kind, start..start + len);
                }
            }
        }
    }

    /// Hands on a run of letters and digits.
    fn hand_on(&mut self, out: &mut Candidates<'_>, kind: Kind, word: std::ops::Range<usize>) {
        match kind {
            Kind::Letters => recognizer::on_plain_word(out, word),
            Kind::Digits => recognizer::on_number(out, &mut self.groups, &word),
            Kind::Mixed => recognizer::on_mixed_word(out, &mut self.groups, word),
        }
    }
}
