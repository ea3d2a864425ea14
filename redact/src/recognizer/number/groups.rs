//! Groups of digits in a row, read once for all numbers that begin in it: each of them begins one group later.

use super::{Number, Shape, begins_cleanly, separator};

/// Most groups that one number may have.
const MOST_GROUPS: usize = 10;
/// More digits than any number that we look for: what follows them need not be read.
pub(super) const MOST_DIGITS: usize = 20;
/// Bytes that are read at once.
const STRIDE: usize = 8;
/// Longest group that is measured, in whole strides; nothing that we look for is longer.
pub(super) const LONGEST_GROUP: usize = 5 * STRIDE;
/// Groups that are read in one go: those of one number, and of those that begin in it.
const GROUPS: usize = 2 * MOST_GROUPS;
/// No group is read behind so many digits.
const DIGITS: usize = 3 * MOST_DIGITS;

/// The groups from one position on, as far as separators of one to three bytes join them. They span less than 256
/// bytes, so that one tells where each is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups {
    pub(super) start: usize,
    len: usize,
    /// Whether more groups may follow than were read.
    is_cut: bool,
    /// The group that the last number began with.
    cursor: usize,
    /// Where groups begin, counted from the first one's start.
    pub(super) starts: [u8; GROUPS],
    /// Their lengths, and zeros behind the last.
    pub(super) lengths: [u8; GROUPS + Shape::MAX_GROUPS],
    /// The separator behind each, if it is one byte; else zero.
    pub(super) marks: [u8; GROUPS],
    /// How many digits stand before each, and in all.
    pub(super) totals: [u8; GROUPS + 1],
    /// The digits, and room for what a stride reads beyond them.
    pub(super) digits: [u8; DIGITS + LONGEST_GROUP + STRIDE],
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            start: 0,
            len: 0,
            is_cut: false,
            cursor: 0,
            starts: [0; GROUPS],
            lengths: [0; GROUPS + Shape::MAX_GROUPS],
            marks: [0; GROUPS],
            totals: [0; GROUPS + 1],
            digits: [0; DIGITS + LONGEST_GROUP + STRIDE],
        }
    }
}

impl Groups {
    /// The number that begins with the digit at `start`, where a run of digits begins. The text is the same in all
    /// calls, and no call asks for what stands before the last one's start.
    pub(in crate::recognizer) fn number(&mut self, text: &[u8], start: usize) -> Number<'_> {
        let len = match self.seek(start).then(|| self.number_len()) {
            Some(len) if !self.is_cut || self.cursor + len < self.len => len,
            _ => {
                self.read(text, start);
                self.number_len()
            }
        };
        Number { groups: self, first: self.cursor, len, begins_cleanly: begins_cleanly(text, start) }
    }

    /// Moves to the group that begins at `start`, if it was read.
    fn seek(&mut self, start: usize) -> bool {
        let Some(at) = start.checked_sub(self.start) else { return false };
        while self.cursor < self.len && usize::from(self.starts[self.cursor]) < at {
            self.cursor += 1;
        }
        self.cursor < self.len && usize::from(self.starts[self.cursor]) == at
    }

    /// How many of the groups that were read, from the cursor on, belong to one number.
    fn number_len(&self) -> usize {
        let before = usize::from(self.totals[self.cursor]);
        let most = (self.len - self.cursor).min(MOST_GROUPS);
        let behind = &self.totals[self.cursor + 1..][..most];
        behind
            .iter()
            .position(|total| usize::from(*total) >= before + MOST_DIGITS)
            .map_or(most, |last| last + 1)
    }

    /// Reads forward from the first digit at `start`.
    fn read(&mut self, text: &[u8], start: usize) {
        (self.start, self.len, self.cursor) = (start, 0, 0);
        self.lengths = [0; GROUPS + Shape::MAX_GROUPS];
        let mut at = start;
        loop {
            at += self.read_group(text, at);
            let gap = separator(text, at);
            let last = self.len - 1;
            self.marks[last] = if gap == 1 { text[at] } else { 0 };
            let goes_on = gap > 0 && usize::from(self.lengths[last]) < LONGEST_GROUP;
            self.is_cut = goes_on && (self.len == GROUPS || usize::from(self.totals[self.len]) >= DIGITS);
            if !goes_on || self.is_cut {
                return;
            }
            at += gap;
        }
    }

    /// Reads the group at `at`; returns its length.
    #[expect(clippy::cast_possible_truncation, reason = "groups span less than 256 bytes")]
    fn read_group(&mut self, text: &[u8], at: usize) -> usize {
        let before = usize::from(self.totals[self.len]);
        let mut len = 0;
        loop {
            let (digits, values) = leading_digits(&text[at + len..]);
            self.digits[before + len..][..STRIDE].copy_from_slice(&values);
            len += digits;
            if digits < STRIDE || len == LONGEST_GROUP {
                break;
            }
        }
        self.starts[self.len] = (at - self.start) as u8;
        self.lengths[self.len] = len as u8;
        self.totals[self.len + 1] = (before + len) as u8;
        self.len += 1;
        len
    }
}

/// How many of the first eight bytes are digits, up to the first other byte, and their values.
fn leading_digits(text: &[u8]) -> (usize, [u8; STRIDE]) {
    let bytes = text.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; STRIDE];
        padded[..text.len()].copy_from_slice(text);
        padded
    });
    let values = u64::from_le_bytes(bytes) ^ u64::from_le_bytes([b'0'; STRIDE]);
    // The highest bit of every byte that is more than nine. Such a byte may change those behind it, which do not count.
    let others = values | values.wrapping_add(u64::from_le_bytes([0x80 - 10; STRIDE]));
    let others = others & u64::from_le_bytes([0x80; STRIDE]);
    (others.trailing_zeros() as usize / 8, values.to_le_bytes())
}
