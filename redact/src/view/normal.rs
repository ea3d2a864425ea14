//! Which character the view shows for another: one kind of digits, spaces, dashes, quotes and letters.

use super::tables;

/// What the view shows for a character; `None` for what is invisible.
pub(super) fn normalise(scalar: char) -> Option<char> {
    if scalar.is_ascii() {
        return Some(scalar);
    }
    let code = u32::from(scalar);
    if within(tables::FORMAT, code) {
        return None;
    }
    if within(tables::SPACES, code) {
        return Some(' ');
    }
    if within(tables::DASHES, code) {
        return Some('-');
    }
    if within(tables::QUOTES, code) {
        return Some('"');
    }
    if within(tables::APOSTROPHES, code) {
        return Some('\'');
    }
    // What stands between words parts them, whatever it looks like.
    if within(tables::MARKS, code) {
        return Some(' ');
    }
    Some(full_width(code).or_else(|| digit(code)).unwrap_or(scalar))
}

/// The ASCII character of the full-width block's twin.
fn full_width(code: u32) -> Option<char> {
    (0xFF01..=0xFF5E).contains(&code).then(|| char::from_u32(code - 0xFEE0)).flatten()
}

fn digit(code: u32) -> Option<char> {
    let value = if (0x1D7CE..=0x1D7FF).contains(&code) {
        (code - 0x1D7CE) % 10
    } else {
        let block = tables::ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?;
        code - tables::ZEROS[block]
    };
    char::from_digit(value, 10)
}

pub(super) fn look_alike(scalar: char) -> Option<u8> {
    if scalar.is_ascii() {
        return None;
    }
    let code = u32::from(scalar);
    let at = tables::LOOK_ALIKES.binary_search_by_key(&code, |row| row.0).ok()?;
    Some(tables::LOOK_ALIKES[at].1)
}

fn within(ranges: &[(u32, u32)], code: u32) -> bool {
    let after = ranges.partition_point(|range| range.0 <= code);
    after > 0 && ranges[after - 1].1 >= code
}
