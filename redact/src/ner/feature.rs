//! The features of a token, each hashed to a row of the weight table.
//!
//! A change of any template, seed or hash needs a new [`VERSION`]: weights are worthless under other features.

use super::hash;
use super::word::{EDGE, Word};

/// Names this set of features in the weight file.
pub(crate) const VERSION: u32 = 1;

/// 2^18 rows.
pub(crate) const ROW_BITS: u32 = 18;

/// Features of the words alone.
pub(crate) const WORD_FEATURES: usize = 44;

/// Features that also look at the labels before.
pub(crate) const LABEL_FEATURES: usize = 9;

/// All features of a token.
pub(crate) const FEATURES: usize = WORD_FEATURES + LABEL_FEATURES;

/// Seeds of the templates, spread over the whole word.
const SEEDS: [u64; FEATURES] = seeds();

/// Collects rows in the order of the templates.
struct Rows<'r> {
    rows: &'r mut [u32],
    count: usize,
    template: usize,
}

impl Rows<'_> {
    #[inline(always)]
    fn put(&mut self, value: u64) {
        self.rows[self.count] = row(SEEDS[self.template + self.count], value);
        self.count += 1;
    }
}

#[inline(always)]
fn row(seed: u64, value: u64) -> u32 {
    ((value ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ROW_BITS)) as u32
}

/// A window of five words around `at`; beyond the ends stands [`EDGE`].
struct Window<'w> {
    before2: &'w Word,
    before: &'w Word,
    word: &'w Word,
    after: &'w Word,
    after2: &'w Word,
}

impl<'w> Window<'w> {
    #[inline]
    fn new(words: &'w [Word], at: usize) -> Self {
        let get = |index: usize| words.get(index).unwrap_or(&EDGE);
        Self {
            before2: get(at.wrapping_sub(2)),
            before: get(at.wrapping_sub(1)),
            word: &words[at],
            after: get(at + 1),
            after2: get(at + 2),
        }
    }
}

/// The rows that do not depend on labels. `case` is the sentence's, see [`sentence_case`].
#[inline]
pub(crate) fn word_rows(words: &[Word], at: usize, case: u64, rows: &mut [u32; WORD_FEATURES]) {
    let Window { before2, before, word, after, after2 } = Window::new(words, at);
    let mut rows = Rows { rows, count: 0, template: 0 };
    let lists = |word: &Word| hash::pair(word.listed, word.phrase);
    let cased = word.casing | word.first << 8 | case << 9;
    let listed = lists(word);
    for value in [word, before, after, before2, after2].map(|word| word.lower) {
        rows.put(value);
    }
    rows.put(hash::pair(before.lower, word.lower));
    rows.put(hash::pair(word.lower, after.lower));
    rows.put(hash::pair(before2.lower, before.lower));
    rows.put(hash::pair(after.lower, after2.lower));
    rows.put(hash::pair(before.lower, after.lower));
    rows.put(hash::pair(word.lower, word.shape));
    rows.put(word.shape);
    rows.put(hash::pair(word.shape, before.shape));
    rows.put(hash::pair(word.shape, after.shape));
    rows.put(hash::pair(hash::pair(before.shape, word.shape), after.shape));
    rows.put(cased);
    for value in word.prefixes {
        rows.put(value);
    }
    for value in word.suffixes {
        rows.put(value);
    }
    rows.put(hash::pair(word.suffixes[2], cased));
    rows.put(hash::pair(word.prefixes[2], cased));
    rows.put(before.suffixes[2]);
    rows.put(after.suffixes[2]);
    rows.put(hash::pair(listed, cased));
    rows.put(hash::pair(listed, lists(before)));
    rows.put(hash::pair(listed, lists(after)));
    rows.put(hash::pair(listed, word.suffixes[2]));
    rows.put(lists(before));
    rows.put(lists(after));
    rows.put(hash::pair(hash::pair(lists(before), listed), lists(after)));
    rows.put(hash::pair(before.casing, hash::pair(cased, after.casing)));
    rows.put(hash::pair(before.lower, cased));
    rows.put(hash::pair(after.lower, cased));
    rows.put(hash::pair(before.lower, listed));
    rows.put(hash::pair(after.lower, listed));
    rows.put(hash::pair(before.lower, after.shape));
    rows.put(word.phrase << 1 | 1);
    rows.put(case);
    rows.put(hash::pair(before2.lower, cased));
    debug_assert_eq!(rows.count, WORD_FEATURES);
}

/// The rows that depend on the labels of the two tokens before.
#[inline]
pub(crate) fn label_rows(words: &[Word], at: usize, labels: [u8; 2], rows: &mut [u32; LABEL_FEATURES]) {
    let Window { before, word, after, .. } = Window::new(words, at);
    let mut rows = Rows { rows, count: 0, template: WORD_FEATURES };
    let previous = u64::from(labels[1]) + 1;
    let both = (previous << 8) | (u64::from(labels[0]) + 1);
    rows.put(previous);
    rows.put(both);
    for value in
        [word.lower, word.shape, word.listed, word.suffixes[2], before.lower, after.lower, word.casing]
    {
        rows.put(hash::pair(previous, value));
    }
    debug_assert_eq!(rows.count, LABEL_FEATURES);
}

/// Whether a template tells one word from all others, so that without it a known word looks like a new one.
#[cfg(feature = "train")]
pub(crate) fn names_word(template: usize) -> bool {
    /// The word and pairs with it, its three and four first and last letters, the word behind a label.
    const TEMPLATES: [usize; 9] = [0, 5, 6, 10, 18, 19, 22, 23, WORD_FEATURES + 2];
    TEMPLATES.contains(&template)
}

/// How a sentence is written: capitals say little where all or none of its words have them.
///
/// 0: no capitals; 1: some; 2: more than half of its words; 3: hardly a lower-case letter.
pub(crate) fn sentence_case(words: &[Word]) -> u64 {
    let (mut letters, mut capitalised, mut shouted) = (0, 0, 0);
    for word in words {
        let starts = word.shape & 0xff;
        letters += usize::from(starts == u64::from(b'x') || starts == u64::from(b'X'));
        capitalised += usize::from(word.casing & 1 == 1);
        shouted += usize::from(word.casing & 2 == 2);
    }
    if capitalised == 0 {
        0
    } else if letters > 2 && shouted * 4 > letters * 3 {
        3
    } else if letters > 2 && capitalised * 2 > letters {
        2
    } else {
        1
    }
}

const fn seeds() -> [u64; FEATURES] {
    let mut seeds = [0; FEATURES];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut index = 0;
    while index < FEATURES {
        // Xorshift: cheap, and good enough for constants that only have to differ everywhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        seeds[index] = state;
        index += 1;
    }
    seeds
}
