//! Columns of tables: the head cell above a value is a cue for it, however far above it stands.
//!
//! A table is a block of lines whose first one has short cells, and at least one delimiter; a later
//! line with as many delimiters is a row. Markdown, CSV with commas or semicolons, tabs. Read once,
//! moving forward with the candidates; delimiters are counted only in heads, and in lines with candidates below a head.

use std::ops::Range;

/// In the order in which [`Cursor::read`] counts them.
const DELIMITERS: [u8; 4] = [b'|', b'\t', b';', b','];
/// Longest line that counts as one.
pub(crate) const LONGEST_LINE: usize = 1024;
/// Longest text in a head cell.
const LONGEST_HEAD: usize = 48;

type Counts = [u16; DELIMITERS.len()];

/// Where the reading is: the head of the block, and the line that was read last.
#[derive(Debug, Default)]
pub(super) struct Table {
    head: Option<Line>,
    line: Option<Line>,
    /// Delimiters of the line before a position in it, so that many values of a line cost one reading.
    cursor: Cursor,
    /// Start of what was not read.
    next: usize,
    /// Whether that is the rest of a line that is too long.
    inside_line: bool,
    pub(super) work: u64,
}

#[derive(Debug)]
struct Line {
    range: Range<usize>,
    /// Its delimiters, if somebody asked.
    counts: Option<Counts>,
}

/// A value's place in a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The head line, whose other cells say nothing about the value.
    pub(super) head_line: Range<usize>,
    /// The cell above.
    pub(super) head: Range<usize>,
}

impl Table {
    /// The place of the value that begins at `at`, if it stands in a row below a head.
    pub(super) fn cell(&mut self, text: &[u8], at: usize) -> Option<Cell> {
        while self.next <= at && self.next < text.len() {
            self.read_line(text);
        }
        let (head, line) = (self.head.as_mut()?, self.line.as_mut()?);
        if !line.range.contains(&at) || line.range.start == head.range.start {
            return None;
        }
        let heads = *head.counts.get_or_insert_with(|| {
            self.work += head.range.len() as u64;
            head_counts(&text[head.range.clone()])
        });
        if heads == Counts::default() {
            return None;
        }
        let counts = line.counts.get_or_insert_with(|| {
            self.work += line.range.len() as u64;
            counts(&text[line.range.clone()])
        });
        let kind = (0..DELIMITERS.len()).find(|kind| heads[*kind] > 0 && heads[*kind] == counts[*kind])?;
        if at < self.cursor.at || self.cursor.at < line.range.start {
            self.cursor = Cursor { at: line.range.start, ..Cursor::default() };
        }
        self.work += (at - self.cursor.at) as u64;
        let from = self.cursor.at;
        self.cursor.read(&text[from..at]);
        let cell = cell_at(&head.range, text, DELIMITERS[kind], self.cursor.counts[kind])?;
        Some(Cell { head_line: head.range.clone(), head: cell })
    }

    fn read_line(&mut self, text: &[u8]) {
        let window = &text[self.next..text.len().min(self.next + LONGEST_LINE + 1)];
        let end = memchr::memchr(b'\n', window);
        let range = self.next..self.next + end.unwrap_or(window.len());
        let long = self.inside_line || range.len() > LONGEST_LINE;
        self.work += range.len() as u64;
        self.next = range.end + usize::from(end.is_some() || range.end == text.len());
        self.inside_line = long && end.is_none();
        if long || text[range.clone()].iter().all(u8::is_ascii_whitespace) {
            (self.head, self.line) = (None, None);
            return;
        }
        if self.head.is_none() {
            self.head = Some(Line { range: range.clone(), counts: None });
        }
        self.line = Some(Line { range, counts: None });
    }
}

fn counts(line: &[u8]) -> Counts {
    let mut cursor = Cursor::default();
    cursor.read(line);
    cursor.counts
}

/// A line that cannot be a head has no delimiters, and so no rows below it.
fn head_counts(line: &[u8]) -> Counts {
    let counts = counts(line);
    let is_one = |kind: usize| counts[kind] > 0 && is_head(line, DELIMITERS[kind]);
    std::array::from_fn(|kind| if is_one(kind) { counts[kind] } else { 0 })
}

/// Whether lines below `line` may be rows of a table.
pub(crate) fn heads_table(line: &[u8]) -> bool {
    head_counts(line) != Counts::default()
}

/// Whether `line`, as far as it has come, may be a row below `head`.
pub(crate) fn begins_row(head: &[u8], line: &[u8]) -> bool {
    let both = head_counts(head).into_iter().zip(counts(line));
    both.into_iter().any(|(head, row)| head > 0 && row > 0)
}

/// Counts delimiters outside of double quotes.
#[derive(Debug, Default)]
struct Cursor {
    at: usize,
    counts: Counts,
    quoted: bool,
}

impl Cursor {
    fn read(&mut self, more: &[u8]) {
        self.at += more.len();
        for byte in more {
            let kind = match byte {
                b'|' => 0,
                b'\t' => 1,
                b';' => 2,
                b',' => 3,
                b'"' => {
                    self.quoted = !self.quoted;
                    continue;
                }
                _ => continue,
            };
            if !self.quoted {
                self.counts[kind] = self.counts[kind].saturating_add(1);
            }
        }
    }
}

fn cell_at(line: &Range<usize>, text: &[u8], delimiter: u8, column: u16) -> Option<Range<usize>> {
    let mut start = line.start;
    let cells = text[line.clone()].split(|byte| *byte == delimiter);
    let mut cells = cells.map(|cell| {
        let range = start..start + cell.len();
        start = range.end + 1;
        range
    });
    cells.nth(usize::from(column))
}

/// Heads are a few words each, and no sentences.
fn is_head(line: &[u8], delimiter: u8) -> bool {
    let cells = line.split(|byte| *byte == delimiter);
    let short =
        |cell: &[u8]| cell.len() <= LONGEST_HEAD && !cell.iter().any(|byte| b":!?{}<>=".contains(byte));
    cells.into_iter().all(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'t>(text: &'t str, value: &str) -> Option<&'t str> {
        let cell = Table::default().cell(text.as_bytes(), text.find(value).unwrap())?;
        text.get(cell.head).map(str::trim)
    }

    #[test]
    fn the_head_cell_is_found_in_every_kind_of_table() {
        assert_eq!(head("name,dob\nA,x\nB,1984", "1984"), Some("dob"));
        assert_eq!(head("name;dob\n\"B;b\";1984", "1984"), Some("dob"));
        assert_eq!(head("name\tdob\nB\t1984", "1984"), Some("dob"));
        assert_eq!(head("intro:\n\n| a | dob |\n|---|---|\n| 7 | 1984 |", "1984"), Some("dob"));
    }

    #[test]
    fn prose_has_no_columns() {
        for text in ["a, b", "name,dob\n\n1984,x", "As asked, my SSN:\n1984, thanks", "one\ntwo 1984"] {
            assert_eq!(head(text, text.split([' ', '\n']).next_back().unwrap()), None, "{text}");
        }
        assert_eq!(head("name,dob\n1984", "1984"), None, "fewer cells");
        let long = "x, ".repeat(LONGEST_LINE);
        assert_eq!(
            head(&format!("name,dob\n{long}\nB,1984"), "1984"),
            None,
            "a line too long ends the table"
        );
    }
}
