//! The ways to read one run: as a whole, by its parts, and from behind what is glued to its front.

use std::ops::Range;

use super::{LONGEST, SHORTEST};
use crate::finding::Span;

/// Most bytes between the start of a data URL and its content.
const LONGEST_TYPE: usize = 128;
/// Types of data URLs whose content nobody reads as text.
const MEDIA: [&[u8]; 4] = [b"image/", b"audio/", b"video/", b"font/"];
/// What separates parts of a path; the other two characters of the alphabet for URLs join words too.
const PARTS: [&[u8]; 2] = [b"/", b"/-_"];
/// Characters that may stand before a group of four.
const MOST_SHIFTED: usize = 3;

/// One run, and how far it is read.
#[derive(Debug)]
pub(super) struct Run {
    range: Range<usize>,
    /// The same with its padding.
    end: usize,
    pass: Pass,
    /// What is being read.
    reading: Range<usize>,
    found: bool,
}

#[derive(Clone, Copy, Debug)]
enum Pass {
    Whole,
    /// Between which bytes, and where the next part begins.
    Parts(usize, usize),
    /// How many characters in front are left out.
    Shifted(usize),
    Done,
}

impl Run {
    /// A run that covers `range`.
    pub(super) fn new(text: &[u8], mut range: Range<usize>) -> Self {
        let padding = text[range.end..].iter().take(2).take_while(|byte| **byte == b'=').count();
        let end = range.end + padding;
        // "q%3DY2Fy…": the hex digits are no part of it.
        let encoded = text[..range.start].ends_with(b"%");
        if encoded && text[range.start..].iter().take(2).all(u8::is_ascii_hexdigit) {
            range.start += 2;
        }
        let pass =
            if range.len() < SHORTEST || is_media(&text[..range.start]) { Pass::Done } else { Pass::Whole };
        Self { reading: range.clone(), range, end, pass, found: false }
    }

    /// The next characters to decode.
    pub(super) fn next(&mut self, text: &[u8]) -> Option<Range<usize>> {
        loop {
            match self.pass {
                Pass::Whole => {
                    self.pass = Pass::Parts(0, self.range.start);
                    return Some(self.begin(self.range.clone(), 0));
                }
                Pass::Parts(kind, _) if kind >= PARTS.len() => {
                    self.pass = if self.found { Pass::Done } else { Pass::Shifted(1) };
                }
                Pass::Parts(kind, start) => {
                    let limit = self.range.end.min(self.range.start + LONGEST);
                    let rest = &text[start..limit];
                    let len = rest.iter().position(|byte| PARTS[kind].contains(byte)).unwrap_or(rest.len());
                    let part = start..start + len;
                    self.pass = if part.end < limit {
                        Pass::Parts(kind, part.end + 1)
                    } else {
                        Pass::Parts(kind + 1, self.range.start)
                    };
                    if (SHORTEST..self.range.len()).contains(&len) && (kind == 0 || is_joined(text, &part)) {
                        return Some(self.begin(part, 0));
                    }
                }
                Pass::Shifted(count) if count <= MOST_SHIFTED => {
                    self.pass = Pass::Shifted(count + 1);
                    return Some(self.begin(self.range.clone(), count));
                }
                Pass::Shifted(_) | Pass::Done => return None,
            }
        }
    }

    fn begin(&mut self, reading: Range<usize>, shifted: usize) -> Range<usize> {
        self.reading = reading.clone();
        let start = reading.start + shifted;
        start..reading.end.min(start + LONGEST)
    }

    /// Adds the finding that `span` in what was decoded makes of the characters.
    pub(super) fn found(&mut self, span: Span, spans: &mut Vec<Span>) {
        self.found = true;
        if self.reading == self.range {
            self.pass = Pass::Done;
        }
        let end = if self.reading.end == self.range.end { self.end } else { self.reading.end };
        spans.push(Span { range: self.reading.start..end, ..span });
    }
}

/// Whether a hyphen or an underscore joins the part to others.
fn is_joined(text: &[u8], part: &Range<usize>) -> bool {
    let joins = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b'-' | b'_'));
    joins(part.start.checked_sub(1).and_then(|at| text.get(at))) || joins(text.get(part.end))
}

/// Whether the content of a data URL of an image, a sound or a film comes next.
fn is_media(before: &[u8]) -> bool {
    let Some(head) = before.strip_suffix(b";base64,".as_slice()) else { return false };
    let head = &head[head.len().saturating_sub(LONGEST_TYPE)..];
    let start = head.windows(5).rposition(|part| part.eq_ignore_ascii_case(b"data:"));
    let kind = start.map(|at| head[at + 5..].to_ascii_lowercase());
    kind.is_some_and(|kind| MEDIA.iter().any(|media| kind.starts_with(media)))
}
