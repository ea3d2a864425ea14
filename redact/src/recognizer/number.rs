//! Groups of digits with their separators: what cards, phones, dates and ids are made of.

use std::ops::Range;

/// Most groups that one number may have.
const MAX_GROUPS: usize = 10;
/// More digits than any number that we look for: what follows them need not be read.
const MAX_DIGITS: usize = 20;
/// Bytes that are read at once.
const STRIDE: usize = 8;
/// Longest group that is measured, in whole strides; nothing that we look for is longer.
const MAX_GROUP: usize = 5 * STRIDE;

/// The groups that begin at one position, as far as separators of one to three bytes join them. What recognizers ask
/// is noted while the bytes are read, since a dozen of them ask. It spans less than 128 bytes, so that one tells where
/// a group is.
#[derive(Debug)]
pub(super) struct Number {
    start: usize,
    len: usize,
    /// The lengths of the first eight groups.
    shape: u64,
    /// Where groups begin, counted from the first one's start.
    starts: [u8; MAX_GROUPS],
    lengths: [u8; MAX_GROUPS],
    /// How many digits each group and those before it have.
    totals: [u8; MAX_GROUPS],
    /// The digits, and room for what a stride reads beyond them.
    digits: [u8; MAX_DIGITS + STRIDE],
    /// The separator behind the first group, and how many groups it alone joins.
    separator: Option<(u8, usize)>,
    /// Whether nothing before it touches it.
    begins_cleanly: bool,
}

impl Number {
    /// Reads forward from the first digit at `start`.
    pub(super) fn read(text: &[u8], start: usize) -> Self {
        let mut number = Self {
            start,
            len: 0,
            shape: 0,
            starts: [0; MAX_GROUPS],
            lengths: [0; MAX_GROUPS],
            totals: [0; MAX_GROUPS],
            digits: [0; MAX_DIGITS + STRIDE],
            separator: None,
            begins_cleanly: begins_cleanly(text, start),
        };
        let (mut at, mut count) = (start, 0);
        loop {
            let len = number.read_group(text, at, count);
            at += len;
            count += len;
            if number.len == MAX_GROUPS || len == MAX_GROUP || count >= MAX_DIGITS {
                return number;
            }
            let gap = separator(text, at);
            if gap == 0 {
                return number;
            }
            number.separator = match (number.len, number.separator) {
                (1, _) => (gap == 1).then_some((text[at], 2)),
                (joined, Some((mark, groups))) if joined == groups && gap == 1 && text[at] == mark => {
                    Some((mark, groups + 1))
                }
                (_, separator) => separator,
            };
            at += gap;
        }
    }

    /// Reads the group at `at`, behind `count` digits; returns its length.
    #[expect(clippy::cast_possible_truncation, reason = "a number spans less than 128 bytes")]
    fn read_group(&mut self, text: &[u8], at: usize, count: usize) -> usize {
        let mut len = 0;
        loop {
            let (digits, values) = leading_digits(&text[at + len..]);
            if let Some(place) = self.digits[count..].get_mut(len..len + STRIDE) {
                place.copy_from_slice(&values);
            }
            len += digits;
            if digits < STRIDE || len == MAX_GROUP {
                break;
            }
        }
        self.starts[self.len] = (at - self.start) as u8;
        self.lengths[self.len] = len as u8;
        self.totals[self.len] = (count + len) as u8;
        if self.len < Shape::MAX_GROUPS {
            self.shape |= (len as u64) << (8 * self.len);
        }
        self.len += 1;
        len
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn group(&self, index: usize) -> Range<usize> {
        let start = self.start + usize::from(self.starts[index]);
        start..start + usize::from(self.lengths[index])
    }

    pub(super) const fn start(&self) -> usize {
        self.start
    }

    /// End of the group at `index`.
    pub(super) fn end(&self, index: usize) -> usize {
        self.group(index).end
    }

    /// As [`begins_cleanly`].
    pub(super) const fn begins_cleanly(&self) -> bool {
        self.begins_cleanly
    }

    /// Bytes that were read.
    pub(super) fn read_bytes(&self) -> usize {
        self.end(self.len - 1) - self.start
    }

    /// Lengths of the first `count` groups, or `None` if there are fewer.
    pub(super) fn lengths(&self, count: usize) -> Option<&[u8]> {
        self.lengths[..self.len].get(..count)
    }

    /// How many digits the first `count` groups have, which are one or more.
    pub(super) fn total(&self, count: usize) -> usize {
        self.totals[count - 1].into()
    }

    /// Whether the first groups have exactly these lengths.
    pub(super) const fn shaped(&self, shape: Shape) -> bool {
        self.shape & shape.mask == shape.lengths
    }

    /// What stands between the groups at `index` and `index + 1`.
    pub(super) fn gap<'t>(&self, text: &'t [u8], index: usize) -> &'t [u8] {
        &text[self.end(index)..self.group(index + 1).start]
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
