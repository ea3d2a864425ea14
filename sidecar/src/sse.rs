//! Server-sent events: an incremental decoder that keeps the bytes as they came, and the encoder's one line.
//!
//! Limits count every byte, field names and line ends included: a counter of payload alone is bypassed by empty lines.
//! Where a frame ends does not depend on how the bytes were cut into chunks. The format is
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use chaperone_protocol::limits;
use thiserror::Error;

/// One event, as its reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// Its `event:` field.
    pub(crate) event: Option<&'a str>,
    /// Its `data:` lines, joined by line feeds.
    pub(crate) data: &'a str,
}

/// Why bytes are not an event stream that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum InvalidSse {
    #[error("a line of the event stream is too long")]
    Line,
    #[error("an event of the stream is too large")]
    Event,
    #[error("the event stream is not UTF-8")]
    Utf8,
}

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// All lines up to and including an empty one.
    Frame(Frame),
    /// A line feed that completes the CRLF at the end of the frame before. It shares that frame's fate.
    LineFeed(Bytes),
}

/// One event with the bytes it came as.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    raw: Bytes,
    name: Option<Range<usize>>,
    data: Data,
}

#[derive(Debug, PartialEq, Eq)]
enum Data {
    /// Comments, or fields without data.
    Absent,
    /// One line, at this range of the raw bytes.
    Line(Range<usize>),
    /// Several, joined.
    Lines(String),
}

impl Frame {
    /// The frame of bytes that we wrote ourselves.
    pub(crate) fn read(raw: Bytes) -> Result<Self, InvalidSse> {
        Self::parse(raw, State::Within)
    }

    /// The bytes as they came.
    pub(crate) fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The event, unless there is no data.
    pub(crate) fn event(&self) -> Option<Event<'_>> {
        let event = self.name.as_ref().map(|range| self.text(range));
        match &self.data {
            Data::Absent => None,
            Data::Line(range) => Some(Event { event, data: self.text(range) }),
            Data::Lines(data) => Some(Event { event, data }),
        }
    }

    /// Where the data stands in the raw bytes, if it is one line.
    pub(crate) fn data_range(&self) -> Option<Range<usize>> {
        match &self.data {
            Data::Line(range) => Some(range.clone()),
            Data::Absent | Data::Lines(_) => None,
        }
    }

    fn text(&self, range: &Range<usize>) -> &str {
        // The whole frame was checked, and ranges end beside ASCII.
        self.raw.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn parse(raw: Bytes, state: State) -> Result<Self, InvalidSse> {
        let text = std::str::from_utf8(&raw).map_err(|_| InvalidSse::Utf8)?;
        let skip = if state == State::First && text.starts_with('\u{feff}') { 3 } else { 0 };
        let (mut name, mut data) = (None, Data::Absent);
        let mut start = skip;
        while start < text.len() {
            let rest = text.get(start..).unwrap_or_default();
            let length = memchr::memchr2(b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            let (field, value) = split(line, start);
            match field {
                "event" => name = Some(value),
                "data" => data = data.and(value, text),
                _ => {}
            }
            start += length + 1;
        }
        Ok(Self { name, data, raw })
    }
}

impl Data {
    fn and(self, range: Range<usize>, text: &str) -> Self {
        let more = text.get(range.clone()).unwrap_or_default();
        match self {
            Self::Absent => Self::Line(range),
            Self::Line(first) => Self::Lines(format!("{}\n{more}", text.get(first).unwrap_or_default())),
            Self::Lines(mut lines) => {
                lines.push('\n');
                lines.push_str(more);
                Self::Lines(lines)
            }
        }
    }
}

/// The field of a line that begins at `start`, and the range of its value. A comment has an empty field.
fn split(line: &str, start: usize) -> (&str, Range<usize>) {
    let end = start + line.len();
    match line.split_once(':') {
        Some((field, value)) => {
            let space = usize::from(value.starts_with(' '));
            (field, end - value.len() + space..end)
        }
        None => (line, end..end),
    }
}

/// Cuts a stream into frames. Holds at most one event and one chunk.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    /// Up to here the buffer was searched for line ends.
    searched: usize,
    /// Where the current line begins.
    line: usize,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was decoded yet: a byte order mark may come.
    #[default]
    First,
    /// Between bytes, or after a frame that ended with a line feed.
    Within,
    /// After a frame that ended with a carriage return: a line feed would still belong to it.
    AfterReturn,
}

impl Decoder {
    /// Takes the next bytes, cut anywhere.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, InvalidSse> {
        if self.state == State::AfterReturn && self.searched == 0 {
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'\n') => {
                    self.state = State::Within;
                    return Ok(Some(Piece::LineFeed(self.buffer.split_to(1).freeze())));
                }
                Some(_) => self.state = State::Within,
            }
        }
        while let Some(end) = self.line_end()? {
            let is_empty = self.is_empty_line(end);
            let is_return = self.buffer.get(end) == Some(&b'\r');
            let after = if is_return { State::AfterReturn } else { State::Within };
            // Within a frame CRLF is one line end. After the last line of a frame the frame ends at the CR, whether
            // or not the LF is here already: waiting for it would hold every event until the next one.
            self.searched = end + 1;
            if is_empty {
                return self.frame(end + 1, after).map(Some);
            }
            self.line = self.searched;
        }
        Ok(None)
    }

    /// What is left at the end of the stream, completed by the empty line that is missing.
    pub(crate) fn finish(&mut self) -> Result<Option<Piece>, InvalidSse> {
        if let Some(piece) = self.next()? {
            return Ok(Some(piece));
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        // After a carriage return one line feed would only complete the line.
        let missing: &[u8] = if self.buffer.last() == Some(&b'\n') { b"\n" } else { b"\n\n" };
        self.buffer.extend_from_slice(missing);
        self.frame(self.buffer.len(), State::Within).map(Some)
    }

    /// The position of the next line end, within the limits.
    fn line_end(&mut self) -> Result<Option<usize>, InvalidSse> {
        let rest = self.buffer.get(self.searched..).unwrap_or_default();
        let found = memchr::memchr2(b'\n', b'\r', rest).map(|at| self.searched + at);
        let end = found.map_or(self.buffer.len(), |at| at + 1);
        if end - self.line > limits::SSE_LINE_BYTES {
            return Err(InvalidSse::Line);
        }
        if end > limits::SSE_EVENT_BYTES {
            return Err(InvalidSse::Event);
        }
        if found.is_none() {
            self.searched = self.buffer.len();
        }
        Ok(found)
    }

    /// Whether the line that ends at `end` ends a frame.
    fn is_empty_line(&self, end: usize) -> bool {
        let line = self.buffer.get(self.line..end).unwrap_or_default();
        let is_mark = self.state == State::First && self.line == 0 && line == b"\xef\xbb\xbf";
        if !line.is_empty() && !is_mark {
            return false;
        }
        // The line feed of a CRLF is the end of the line before, not an empty line.
        let completes = self.buffer.get(end) == Some(&b'\n')
            && end.checked_sub(1).and_then(|before| self.buffer.get(before)) == Some(&b'\r');
        !completes
    }

    fn frame(&mut self, length: usize, after: State) -> Result<Piece, InvalidSse> {
        let before = std::mem::replace(&mut self.state, after);
        (self.searched, self.line) = (0, 0);
        let raw = if length == self.buffer.len() {
            self.buffer.split().freeze()
        } else {
            self.buffer.copy_to_bytes(length)
        };
        Frame::parse(raw, before).map(Piece::Frame)
    }
}

/// Writes one event. No `id:` line, ever: the official decoders stumble over it.
pub(crate) fn write(out: &mut Vec<u8>, event: Option<&str>, data: &str) {
    if let Some(event) = event {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
    for line in data.split('\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
