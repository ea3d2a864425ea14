//! Groups of digits with their separators: what cards, phones, dates and ids are made of.

use std::ops::Range;

/// Most groups that one number may have.
const MAX_GROUPS: usize = 10;
/// More digits than any number that we look for.
const MAX_DIGITS: usize = 48;
/// Longest group that is measured; nothing that we look for is longer.
const MAX_GROUP: usize = 40;

/// The groups that begin at one position, as far as separators of one to three bytes join them.
#[derive(Debug)]
pub(super) struct Number {
    groups: [(usize, usize); MAX_GROUPS],
    len: usize,
}

impl Number {
    /// Reads forward from the first digit at `start`.
    pub(super) fn read(text: &[u8], start: usize) -> Self {
        let mut number = Self { groups: [(0, 0); MAX_GROUPS], len: 0 };
        let mut at = start;
        while number.len < MAX_GROUPS {
            let end = digits_end(text, at);
            if end == at {
                break;
            }
            number.groups[number.len] = (at, end);
            number.len += 1;
            let gap = separator(text, end);
            if gap == 0 || end - at >= MAX_GROUP {
                break;
            }
            at = end + gap;
        }
        number
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

    /// Bytes that were read.
    pub(super) fn read_bytes(&self, start: usize) -> usize {
        self.groups[..self.len].last().map_or(0, |last| last.1 - start)
    }

    /// Lengths of the first `count` groups, or `None` if there are fewer.
    pub(super) fn lengths(&self, count: usize) -> Option<Few<usize, MAX_GROUPS>> {
        let groups = self.groups[..self.len].get(..count)?;
        Some(groups.iter().map(|group| group.1 - group.0).collect())
    }

    /// Whether the first groups have exactly these lengths.
    pub(super) fn shaped(&self, lengths: &[usize]) -> bool {
        let groups = &self.groups[..self.len];
        groups.len() >= lengths.len()
            && groups.iter().zip(lengths).all(|(group, wanted)| group.1 - group.0 == *wanted)
    }

    /// What stands between the groups at `index` and `index + 1`.
    pub(super) fn gap<'t>(&self, text: &'t [u8], index: usize) -> &'t [u8] {
        &text[self.groups[index].1..self.groups[index + 1].0]
    }

    /// The one separator between the first `count` groups, if it is one byte and always the same.
    pub(super) fn uniform(&self, text: &[u8], count: usize) -> Option<u8> {
        let first = *self.gap(text, 0).first()?;
        (0..count - 1).all(|index| self.gap(text, index) == [first]).then_some(first)
    }

    /// The digits of the first `count` groups; of a number longer than any that we look for, the first.
    pub(super) fn digits(&self, text: &[u8], count: usize) -> Few<u8, MAX_DIGITS> {
        let groups = self.groups[..count].iter();
        groups.flat_map(|group| text[group.0..group.1].iter().map(|digit| digit - b'0')).collect()
    }
}

/// A short list without an allocation; what does not fit is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Few<T, const N: usize> {
    items: [T; N],
    len: usize,
}

impl<T: Copy + Default, const N: usize> FromIterator<T> for Few<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(source: I) -> Self {
        let mut few = Self { items: [T::default(); N], len: 0 };
        for (slot, item) in few.items.iter_mut().zip(source) {
            *slot = item;
            few.len += 1;
        }
        few
    }
}

impl<T, const N: usize> std::ops::Deref for Few<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items[..self.len]
    }
}

fn digits_end(text: &[u8], start: usize) -> usize {
    let run = text[start..].iter().take(MAX_GROUP);
    start + run.take_while(|byte| byte.is_ascii_digit()).count()
}

/// Bytes between two groups, if they are separators.
pub(super) fn separator(text: &[u8], end: usize) -> usize {
    let rest = text[end..].iter().take(4);
    let gap = rest.take_while(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'\n')).count();
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
