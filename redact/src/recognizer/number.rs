//! Groups of digits with their separators: what cards, phones, dates and ids are made of.

use std::ops::Range;

/// Most groups that one number may have.
const MAX_GROUPS: usize = 10;
/// More digits than any number that we look for: what follows them need not be read.
const MAX_DIGITS: usize = 20;
/// Longest group that is measured; nothing that we look for is longer.
const MAX_GROUP: usize = 40;

/// The groups that begin at one position, as far as separators of one to three bytes join them. What recognizers ask
/// is noted while the bytes are read, since a dozen of them ask.
#[derive(Debug)]
pub(super) struct Number {
    groups: [(usize, usize); MAX_GROUPS],
    lengths: [usize; MAX_GROUPS],
    len: usize,
    /// The lengths of the first eight groups.
    shape: u64,
    digits: [u8; MAX_DIGITS],
    /// The separator behind the first group, and how many groups it alone joins.
    separator: Option<(u8, usize)>,
    /// Whether nothing before it touches it.
    begins_cleanly: bool,
}

impl Number {
    /// Reads forward from the first digit at `start`.
    pub(super) fn read(text: &[u8], start: usize) -> Self {
        let mut number = Self {
            groups: [(0, 0); MAX_GROUPS],
            lengths: [0; MAX_GROUPS],
            len: 0,
            shape: 0,
            digits: [0; MAX_DIGITS],
            separator: None,
            begins_cleanly: begins_cleanly(text, start),
        };
        let (mut at, mut count) = (start, 0);
        while number.len < MAX_GROUPS {
            let end = number.read_group(text, at, count);
            count += end - at;
            let gap = separator(text, end);
            if end == at || gap == 0 || end - at >= MAX_GROUP || count >= MAX_DIGITS {
                break;
            }
            number.separator = match (number.len, number.separator) {
                (1, _) => (gap == 1).then_some((text[end], 2)),
                (joined, Some((mark, groups))) if joined == groups && gap == 1 && text[end] == mark => {
                    Some((mark, groups + 1))
                }
                (_, separator) => separator,
            };
            at = end + gap;
        }
        number
    }

    /// Reads the group at `at`, behind `count` digits; returns its end.
    fn read_group(&mut self, text: &[u8], at: usize, count: usize) -> usize {
        let run = &text[at..text.len().min(at + MAX_GROUP)];
        let len = run.iter().take_while(|byte| byte.is_ascii_digit()).count();
        for (place, digit) in self.digits.iter_mut().skip(count).zip(&run[..len]) {
            *place = digit - b'0';
        }
        if len > 0 {
            self.groups[self.len] = (at, at + len);
            self.lengths[self.len] = len;
            if self.len < Shape::MAX_GROUPS {
                self.shape |= (len as u64) << (8 * self.len);
            }
            self.len += 1;
        }
        at + len
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn group(&self, index: usize) -> Range<usize> {
        self.groups[index].0..self.groups[index].1
    }

    pub(super) fn start(&self) -> usize {
        self.groups[0].0
    }

    /// End of the group at `index`.
    pub(super) fn end(&self, index: usize) -> usize {
        self.groups[index].1
    }

    /// As [`begins_cleanly`].
    pub(super) const fn begins_cleanly(&self) -> bool {
        self.begins_cleanly
    }

    /// Bytes that were read.
    pub(super) fn read_bytes(&self, start: usize) -> usize {
        self.groups[..self.len].last().map_or(0, |last| last.1 - start)
    }

    /// Lengths of the first `count` groups, or `None` if there are fewer.
    pub(super) fn lengths(&self, count: usize) -> Option<&[usize]> {
        self.lengths[..self.len].get(..count)
    }

    /// How many digits the first `count` groups have.
    pub(super) fn total(&self, count: usize) -> usize {
        self.lengths[..count].iter().sum()
    }

    /// Whether the first groups have exactly these lengths.
    pub(super) const fn shaped(&self, shape: Shape) -> bool {
        self.shape & shape.mask == shape.lengths
    }

    /// What stands between the groups at `index` and `index + 1`.
    pub(super) fn gap<'t>(&self, text: &'t [u8], index: usize) -> &'t [u8] {
        &text[self.groups[index].1..self.groups[index + 1].0]
    }

    /// The one separator between the first `count` groups, which are two or more, if it is one byte and always the same.
    pub(super) fn uniform(&self, count: usize) -> Option<u8> {
        self.separator.filter(|(_, groups)| count <= *groups).map(|(mark, _)| mark)
    }

    /// The digits of the first `count` groups; of a number longer than any that we look for, the first.
    pub(super) fn digits(&self, count: usize) -> &[u8] {
        &self.digits[..self.total(count).min(MAX_DIGITS)]
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

    /// How many groups it has.
    pub(super) const fn groups(self) -> usize {
        self.groups
    }
}

/// Bytes between two groups, if they are separators.
pub(super) fn separator(text: &[u8], end: usize) -> usize {
    let is_mark = |at: usize| matches!(text.get(at), Some(b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'\n'));
    let mut gap = 0;
    while gap < 4 && is_mark(end + gap) {
        gap += 1;
    }
    let followed = text.get(end + gap).is_some_and(u8::is_ascii_digit);
    if gap <= 3 && followed { gap } else { 0 }
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
    text.iter().skip(at).take(MAX_GROUP).take_while(|byte| byte.is_ascii_digit()).count()
}

fn digits_before(text: &[u8], at: usize) -> usize {
    text[..at].iter().rev().take(MAX_GROUP).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether a number may begin here: no letter, digit or joining mark before it.
pub(super) fn begins_cleanly(text: &[u8], start: usize) -> bool {
    let Some(before) = start.checked_sub(1) else { return true };
    let previous = before.checked_sub(1).and_then(|at| text.get(at));
    match text[before] {
        b'-' | b'.' | b'/' => !previous.is_some_and(u8::is_ascii_alphanumeric),
        // "1,234" and "3,1415" go on; "4711,212-555-0147" are fields of a row.
        b',' => {
            let grouped = text.get(start + digits_at(text, start)) == Some(&b'-');
            !previous.is_some_and(u8::is_ascii_digit) || grouped || digits_before(text, before) >= 4
        }
        b'_' | b'$' => false,
        byte => !byte.is_ascii_alphanumeric(),
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
