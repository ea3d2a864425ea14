//! The table that a stream is in, if it is in one: its head, which is a cue for every row below it, and the row so far.

use crate::context::{LONGEST_LINE, begins_row, heads_table};

/// The lines since the last blank one, as far as they matter to what comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// The first line; empty until it is complete.
    head: Vec<u8>,
    is_table: bool,
    /// What has come of the last line.
    line: Vec<u8>,
}

impl Block {
    pub(super) fn note(&mut self, text: &[u8]) {
        for byte in text {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() <= LONGEST_LINE {
                self.line.push(*byte);
            }
        }
    }

    /// The same with more text.
    pub(super) fn after(&self, text: &[u8]) -> Self {
        let mut block = self.clone();
        block.note(text);
        block
    }

    /// The head of the table, if there is one.
    pub(super) fn head(&self) -> Option<&[u8]> {
        self.is_table.then_some(&self.head)
    }

    /// Bytes of the row that has begun.
    pub(super) fn row(&self) -> usize {
        if self.is_table { self.line.len() } else { 0 }
    }

    /// Whether the rest of a row is to come: which cell a value is in shows at its end only.
    pub(super) fn in_row(&self) -> bool {
        self.is_table && begins_row(&self.head, &self.line)
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.len() > LONGEST_LINE || line.iter().all(u8::is_ascii_whitespace) {
            *self = Self::default();
        } else if self.head.is_empty() {
            self.is_table = heads_table(&line);
            self.head = line;
        }
    }
}
