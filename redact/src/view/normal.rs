//! Which character the view shows for another: one kind of digits, spaces, dashes, quotes and letters.

use super::tables;

const FIRST_LOOK_ALIKE: u32 = tables::LOOK_ALIKES[0].0;
const LAST_LOOK_ALIKE: u32 = tables::LOOK_ALIKES[tables::LOOK_ALIKES.len() - 1].0;

type Pages = [u64; 16];

/// One bit for each 64 characters of the first plane: whether a table names one of them. Most text beyond ASCII, such
/// as Chinese and Japanese, is read without a search of the tables.
static LISTED: Pages = {
    let lists = [
        tables::FORMAT,
        tables::SPACES,
        tables::DASHES,
        tables::QUOTES,
        tables::APOSTROPHES,
        tables::MARKS,
        &[(0x2100, 0x2138), (0xFF01, 0xFF5E)],
    ];
    let mut pages = [0; 16];
    let mut list = 0;
    while list < lists.len() {
        let mut row = 0;
        while row < lists[list].len() {
            pages = with_pages(pages, lists[list][row]);
            row += 1;
        }
        list += 1;
    }
    let mut row = 0;
    while row < tables::ZEROS.len() {
        pages = with_pages(pages, (tables::ZEROS[row], tables::ZEROS[row] + 9));
        row += 1;
    }
    pages
};

const fn with_pages(mut pages: Pages, range: (u32, u32)) -> Pages {
    let mut page = range.0 >> 6;
    while page <= range.1 >> 6 && page < 1024 {
        pages[(page >> 6) as usize] |= 1 << (page & 63);
        page += 1;
    }
    pages
}

/// Whether a table may name the character; beyond the first plane each of them may.
fn is_listed(code: u32) -> bool {
    LISTED.get((code >> 12) as usize).is_none_or(|pages| pages >> (code >> 6 & 63) & 1 == 1)
}

/// What the view shows for a character; `None` for what is invisible.
pub(super) fn normalise(scalar: char) -> Option<char> {
    if scalar.is_ascii() {
        return Some(scalar);
    }
    let code = u32::from(scalar);
    if !is_listed(code) {
        return Some(scalar);
    }
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
    Some(full_width(code).or_else(|| digit(code)).or_else(|| mathematical(code)).unwrap_or(scalar))
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

/// The letter that a styled one is: bold, italic, script, Fraktur, double-struck, sans-serif or monospace.
fn mathematical(code: u32) -> Option<char> {
    const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (0x1D400..=0x1D6A3).contains(&code) {
        return LETTERS.get((code as usize - 0x1D400) % LETTERS.len()).map(|letter| char::from(*letter));
    }
    let at = tables::LETTERLIKE.binary_search_by_key(&code, |row| row.0).ok()?;
    Some(char::from(tables::LETTERLIKE[at].1))
}

/// The digit that is written above or below the line.
pub(super) fn raised(scalar: char) -> Option<char> {
    let code = u32::from(scalar);
    let value = match code {
        0xB2 | 0xB3 => code - 0xB0,
        0xB9 => 1,
        0x2070 | 0x2074..=0x2079 => code - 0x2070,
        0x2080..=0x2089 => code - 0x2080,
        _ => return None,
    };
    char::from_digit(value, 10)
}

/// The letters that are written as one.
pub(super) fn ligature(scalar: char) -> Option<&'static str> {
    let at = u32::from(scalar).checked_sub(0xFB00)?;
    ["ff", "fi", "fl", "ffi", "ffl", "st", "st"].get(at as usize).copied()
}

pub(super) fn look_alike(scalar: char) -> Option<u8> {
    let code = u32::from(scalar);
    if !(FIRST_LOOK_ALIKE..=LAST_LOOK_ALIKE).contains(&code) {
        return None;
    }
    let at = tables::LOOK_ALIKES.binary_search_by_key(&code, |row| row.0).ok()?;
    Some(tables::LOOK_ALIKES[at].1)
}

fn within(ranges: &[(u32, u32)], code: u32) -> bool {
    let after = ranges.partition_point(|range| range.0 <= code);
    after > 0 && ranges[after - 1].1 >= code
}
