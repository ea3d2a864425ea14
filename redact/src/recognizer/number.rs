//! Groups of digits with their separators: what cards, phones, dates and ids are made of.

mod groups;

use std::ops::Range;

pub(crate) use groups::Groups;
use groups::{LONGEST_GROUP, MOST_DIGITS};

/// The groups that begin at one position, at most ten; what follows twenty digits does not count.
#[derive(Debug)]
pub(super) struct Number<'g> {
    groups: &'g Groups,
    /// Its first group.
    first: usize,
    len: usize,
    begins_cleanly: bool,
}

impl Number<'_> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn group(&self, index: usize) -> Range<usize> {
        let group = self.first + index;
        let start = self.groups.start + usize::from(self.groups.starts[group]);
        start..start + usize::from(self.groups.lengths[group])
    }

    pub(super) fn start(&self) -> usize {
        self.group(0).start
    }

    /// End of the group at `index`.
    pub(super) fn end(&self, index: usize) -> usize {
        self.group(index).end
    }

    /// As [`begins_cleanly`].
    pub(super) const fn begins_cleanly(&self) -> bool {
        self.begins_cleanly
    }

    /// Bytes from its start to its end.
    pub(super) fn span(&self) -> usize {
        self.end(self.len - 1) - self.start()
    }

    /// Lengths of the first `count` groups, or `None` if there are fewer.
    pub(super) fn lengths(&self, count: usize) -> Option<&[u8]> {
        self.groups.lengths[self.first..][..self.len].get(..count)
    }

    /// How many digits the first `count` groups have, which are one or more.
    pub(super) fn total(&self, count: usize) -> usize {
        let totals = &self.groups.totals[self.first..];
        usize::from(totals[count] - totals[0])
    }

    /// Whether the first groups have exactly these lengths.
    pub(super) fn shaped(&self, shape: Shape) -> bool {
        let lengths = self.groups.lengths[self.first..].first_chunk().copied().map_or(0, u64::from_le_bytes);
        shape.groups <= self.len && lengths & shape.mask == shape.lengths
    }

    /// What stands between the groups at `index` and `index + 1`.
    pub(super) fn gap<'t>(&self, text: &'t [u8], index: usize) -> &'t [u8] {
        &text[self.end(index)..self.group(index + 1).start]
    }

    /// What stands behind the group at `index`, if it is a separator of one byte, else zero.
    pub(super) fn mark(&self, index: usize) -> u8 {
        self.groups.marks[self.first + index]
    }

    /// The one separator between the first `count` groups, which are two or more, if it is one byte and always the same.
    pub(super) fn uniform(&self, count: usize) -> Option<u8> {
        let marks = &self.groups.marks[self.first..][..count - 1];
        (marks[0] != 0 && marks.iter().all(|mark| *mark == marks[0])).then_some(marks[0])
    }

    /// The digits of the first `count` groups; of a number longer than any that we look for, the first.
    pub(super) fn digits(&self, count: usize) -> &[u8] {
        let before = usize::from(self.groups.totals[self.first]);
        &self.groups.digits[before..][..self.total(count).min(MOST_DIGITS)]
    }
}

/// Lengths of groups, a byte for each, so that a form is compared at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    lengths: u64,
    mask: u64,
    groups: usize,
}

impl Shape {
    /// Most groups that a shape may have.
    const MAX_GROUPS: usize = 8;

    /// Up to eight groups of up to 40 digits.
    pub(super) const fn of(lengths: &[u8]) -> Self {
        let mut shape = Self { lengths: 0, mask: 0, groups: lengths.len() };
        let mut at = 0;
        while at < lengths.len() {
            shape.lengths |= (lengths[at] as u64) << (8 * at);
            shape.mask |= 0xFF << (8 * at);
            at += 1;
        }
        shape
    }

    /// The length of the first group.
    pub(super) const fn first(self) -> usize {
        (self.lengths & 0xFF) as usize
    }

    /// How many groups it has.
    pub(super) const fn groups(self) -> usize {
        self.groups
    }
}

/// Bytes between two groups, if they are separators: at most three.
pub(super) fn separator(text: &[u8], end: usize) -> usize {
    for gap in 0..4 {
        match text.get(end + gap) {
            Some(b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'\n') => {}
            Some(b'0'..=b'9') => return gap,
            _ => return 0,
        }
    }
    0
}

/// Whether nothing that could continue a number or a word touches this end.
pub(super) fn ends_cleanly(text: &[u8], end: usize) -> bool {
    match text.get(end) {
        None => true,
        Some(b'-') => !text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(b',') => match digits_at(text, end + 1) {
            0 => true,
            // A fraction; but nobody writes millions without marks, so a long run is a field of a row.
            1 | 2 => digits_before(text, end) >= 7,
            _ => digits_before(text, end) >= 4,
        },
        Some(b'.' | b'/' | b':') => !text.get(end + 1).is_some_and(u8::is_ascii_digit),
        Some(b'_' | b'%') => false,
        Some(byte) => !byte.is_ascii_alphanumeric(),
    }
}

fn digits_at(text: &[u8], at: usize) -> usize {
    text.iter().skip(at).take(LONGEST_GROUP).take_while(|byte| byte.is_ascii_digit()).count()
}

fn digits_before(text: &[u8], at: usize) -> usize {
    text[..at].iter().rev().take(LONGEST_GROUP).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether a number may begin here: no letter, digit or joining mark before it.
pub(super) fn begins_cleanly(text: &[u8], start: usize) -> bool {
    let Some(before) = start.checked_sub(1) else { return true };
    let previous = before.checked_sub(1).and_then(|at| text.get(at));
    match text[before] {
        b'-' | b'.' | b'/' => !previous.is_some_and(u8::is_ascii_alphanumeric),
        b',' => {
            let follows = previous.is_some_and(u8::is_ascii_digit);
            !follows || digits_before(text, before) >= 4 || begins_field(text, before, start)
        }
        b'_' | b'$' => false,
        byte => !byte.is_ascii_alphanumeric(),
    }
}

/// "1,234" and "3,1415" go on behind their commas; "7,212-555-0147" and "7,5551234" are fields of a row.
fn begins_field(text: &[u8], comma: usize, start: usize) -> bool {
    let run = digits_at(text, start);
    let next = text.get(start + run);
    let goes_on = text.get(start + run + 1).is_some_and(u8::is_ascii_digit);
    match next {
        Some(b'-') => true,
        Some(b'/') if goes_on => true,
        Some(b'.') if goes_on => run <= 2,
        Some(b' ') if goes_on => run == 4,
        _ => run == 0 || (run >= 7 && !text[..comma].ends_with(b"0")),
    }
}

/// The Luhn check of payment cards and some ids.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let doubled = u32::from(*digit) * if at % 2 == 1 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Sum of digits times weights.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}
