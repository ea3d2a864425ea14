//! Reads lines of bounded length, and paragraphs of them.

use std::io::{self, BufRead, BufReader, Read as Source};

use chaperone_protocol::limits::BODY_BYTES;

/// Longest line: as long as the longest body of a request.
pub(super) const LINE_BYTES: usize = BODY_BYTES;
/// A paragraph ends after so many bytes, at a line's end.
const PARAGRAPH_BYTES: usize = 16 << 10;
/// Lines of one private key that may hold blank ones.
const ARMOUR_BYTES: usize = 64 << 10;

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Something, with its line end if there is one.
    Some,
    /// A line beyond the bound; it was skipped.
    TooLong,
    /// The end.
    End,
}

/// A line that is read, and waits.
enum Waiting {
    Line(Vec<u8>),
    TooLong,
}

/// Lines with their numbers.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Source>>,
    /// Number of the last line that was read, from 1.
    number: u64,
    /// The line with that number, if it belongs to what is read next.
    waiting: Option<Waiting>,
}

impl Lines {
    pub(super) fn new(source: Box<dyn Source>) -> Self {
        Self { reader: BufReader::with_capacity(64 << 10, source), number: 0, waiting: None }
    }

    /// Number of the last line that was handed out.
    pub(super) fn number(&self) -> u64 {
        self.number - u64::from(self.waiting.is_some())
    }

    /// Whether the next read may have to wait for input.
    pub(super) fn may_wait(&self) -> bool {
        self.waiting.is_none() && self.reader.buffer().is_empty()
    }

    /// Puts the last line back, to be read again.
    pub(super) fn put_back(&mut self, line: Vec<u8>) {
        self.waiting = Some(Waiting::Line(line));
    }

    /// All that is left, if it is not longer than a line may be.
    pub(super) fn rest(&mut self, text: &mut Vec<u8>) -> io::Result<Read> {
        text.clear();
        if let Some(Waiting::Line(line)) = self.waiting.take() {
            *text = line;
        }
        let room = u64::try_from(LINE_BYTES - text.len()).unwrap_or_default();
        self.reader.by_ref().take(room + 1).read_to_end(text)?;
        Ok(if text.len() > LINE_BYTES { Read::TooLong } else { Read::Some })
    }

    /// Replaces `line` by the next one.
    pub(super) fn line(&mut self, line: &mut Vec<u8>) -> io::Result<Read> {
        line.clear();
        match self.waiting.take() {
            Some(Waiting::Line(waiting)) => {
                *line = waiting;
                return Ok(Read::Some);
            }
            Some(Waiting::TooLong) => return Ok(Read::TooLong),
            None => self.number += 1,
        }
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(if line.is_empty() { Read::End } else { Read::Some });
            }
            let end = memchr::memchr(b'\n', buffer).map(|at| at + 1);
            let len = end.unwrap_or(buffer.len());
            if line.len() + len > LINE_BYTES {
                line.clear();
                self.skip_line()?;
                return Ok(Read::TooLong);
            }
            line.extend_from_slice(&buffer[..len]);
            self.reader.consume(len);
            if end.is_some() {
                return Ok(Read::Some);
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = memchr::memchr(b'\n', buffer).map(|at| at + 1);
            let len = end.unwrap_or(buffer.len());
            self.reader.consume(len);
            if end.is_some() || len == 0 {
                return Ok(());
            }
        }
    }

    /// Replaces `text` by the next lines up to a blank one, which ends every cue. A private key is not divided.
    pub(super) fn paragraph(&mut self, text: &mut Vec<u8>) -> io::Result<Read> {
        text.clear();
        let mut line = Vec::new();
        let mut armour = false;
        loop {
            match self.line(&mut line)? {
                Read::Some if !text.is_empty() && text.len() + line.len() > LINE_BYTES => {
                    self.put_back(line);
                    return Ok(Read::Some);
                }
                Read::Some => text.extend_from_slice(&line),
                end if text.is_empty() => return Ok(end),
                Read::TooLong => {
                    self.waiting = Some(Waiting::TooLong);
                    return Ok(Read::Some);
                }
                Read::End => return Ok(Read::Some),
            }
            armour = match memchr::memmem::rfind(&line, b"-----") {
                Some(_) if memchr::memmem::find(&line, b"-----BEGIN").is_some() => true,
                Some(_) => false,
                None => armour,
            };
            let blank = line.trim_ascii().is_empty() && !armour;
            if blank || text.len() >= if armour { ARMOUR_BYTES } else { PARAGRAPH_BYTES } {
                return Ok(Read::Some);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraphs(text: &str) -> Vec<String> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(text.to_owned())));
        let (mut all, mut part) = (Vec::new(), Vec::new());
        while lines.paragraph(&mut part).unwrap() == Read::Some {
            all.push(String::from_utf8(part.clone()).unwrap());
        }
        all
    }

    #[test]
    fn paragraphs_end_at_blank_lines_and_lose_nothing() {
        assert_eq!(paragraphs("a\nb\n\nc"), ["a\nb\n\n", "c"]);
        let long = "twelve words\n".repeat(5_000);
        let parts = paragraphs(&long);
        assert!(parts.len() > 3 && parts.iter().all(|part| part.len() <= PARAGRAPH_BYTES + 13));
        assert_eq!(parts.concat(), long);
    }

    #[test]
    fn a_private_key_with_a_blank_line_is_one_paragraph() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\n\nMIIE\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(paragraphs(&format!("{key}\nmore")), [format!("{key}\n"), "more".to_owned()]);
    }

    #[test]
    fn a_line_beyond_the_bound_is_skipped_and_the_next_one_is_read() {
        let long = "x".repeat(LINE_BYTES + 1) + "\nnext\n";
        let mut lines = Lines::new(Box::new(io::Cursor::new(format!("first\n{long}"))));
        let mut text = Vec::new();
        assert_eq!(lines.paragraph(&mut text).unwrap(), Read::Some);
        assert_eq!((text.as_slice(), lines.number()), (b"first\n".as_slice(), 1));
        assert_eq!((lines.paragraph(&mut text).unwrap(), lines.number()), (Read::TooLong, 2));
        assert_eq!(lines.paragraph(&mut text).unwrap(), Read::Some);
        assert_eq!((text.as_slice(), lines.number()), (b"next\n".as_slice(), 4));
    }
}
