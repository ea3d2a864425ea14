//! Texts of a request -> questions that an analyzer answers in time, and its findings -> names of the texts.
//!
//! Pure. Short texts share a question, long ones are cut where a sentence or a word ends. What stands near a cut is
//! asked about twice, so that no name is cut in two.

use std::ops::Range;

use chaperone_protocol::limits;
use chaperone_redact::{NameKind, NameSpan};

/// Bytes that two questions about one text share: longer than names are.
const OVERLAP: usize = 256;
/// Stands between two texts: names do not reach over the end of a paragraph.
const BETWEEN: &str = "\n\n";
/// Names in one question: one finding may reach over many short texts.
const MAX_NAMES: usize = limits::PII_QUESTION_BYTES;
/// Ends of what may be cut, the best first.
const ENDS: [&str; 6] = ["\n\n", "\n", ". ", "! ", "? ", " "];

/// What is asked at once.
#[derive(Debug, Default)]
pub(super) struct Question {
    text: String,
    parts: Vec<Part>,
}

/// A piece of a text.
#[derive(Debug)]
struct Part {
    /// Bytes of the question.
    range: Range<usize>,
    /// Which text.
    text: usize,
    /// Where in it the piece begins.
    from: usize,
}

/// A name, as an analyzer gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finding {
    /// Unicode code points of the question's text.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: NameKind,
    pub(super) score: f32,
}

/// Asks about all of `texts`; none of them is empty.
pub(super) fn questions(texts: &[String]) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut question = Question::default();
    for (index, text) in texts.iter().enumerate() {
        let mut from = 0;
        loop {
            let end = end_of_piece(text, from);
            let piece = text.get(from..end).unwrap_or_default();
            if !question.has_room(piece) {
                questions.push(std::mem::take(&mut question));
            }
            question.add(piece, index, from);
            if end == text.len() {
                break;
            }
            from = start_of_next(text, end);
        }
    }
    questions.extend(Some(question).filter(|question| !question.parts.is_empty()));
    questions
}

/// At most a question further, where the text is best cut.
fn end_of_piece(text: &str, from: usize) -> usize {
    if text.len() - from <= limits::PII_QUESTION_BYTES {
        return text.len();
    }
    let most = character_at(text, from + limits::PII_QUESTION_BYTES);
    let least = character_at(text, from + limits::PII_QUESTION_BYTES * 3 / 4);
    let last = text.get(least..most).unwrap_or_default();
    let end = ENDS.iter().find_map(|end| Some(last.rfind(end)? + end.len()));
    end.map_or(most, |end| least + end)
}

/// Somewhat before `end`, at the beginning of a word if there is one.
fn start_of_next(text: &str, end: usize) -> usize {
    let start = character_at(text, end - OVERLAP);
    let shared = text.get(start..end).unwrap_or_default();
    // The later half is kept whole.
    let space = shared.find([' ', '\n']).filter(|at| *at < OVERLAP / 2);
    space.map_or(start, |at| start + at + 1)
}

/// Where the character begins that `at` lies in.
fn character_at(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl Question {
    /// What the analyzer reads.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn has_room(&self, piece: &str) -> bool {
        self.parts.is_empty() || self.text.len() + BETWEEN.len() + piece.len() <= limits::PII_QUESTION_BYTES
    }

    fn add(&mut self, piece: &str, text: usize, from: usize) {
        if !self.parts.is_empty() {
            self.text += BETWEEN;
        }
        let start = self.text.len();
        self.text += piece;
        self.parts.push(Part { range: start..self.text.len(), text, from });
    }

    /// Adds each finding to the names of the texts that it stands in; `names` has a place for each.
    ///
    /// # Errors
    /// In words for the log. A finding beyond the text: whoever counts in another way has found something else.
    pub(super) fn spread(
        &self,
        findings: &[Finding],
        names: &mut [Vec<NameSpan>],
    ) -> Result<(), &'static str> {
        let bytes: Vec<usize> = self.text.char_indices().map(|(at, _)| at).chain([self.text.len()]).collect();
        let mut room = MAX_NAMES;
        if findings.len() > MAX_NAMES {
            return Err("there are too many findings");
        }
        for finding in findings {
            let byte = |point: usize| bytes.get(point).copied().ok_or("a finding lies outside of the text");
            let (start, end) = (byte(finding.start)?, byte(finding.end)?);
            let first = self.parts.partition_point(|part| part.range.end <= start);
            for part in self.parts.iter().skip(first).take_while(|part| part.range.start < end) {
                let within =
                    |at: usize| at.clamp(part.range.start, part.range.end) - part.range.start + part.from;
                let name = NameSpan {
                    start: within(start),
                    end: within(end),
                    kind: finding.kind,
                    score: finding.score,
                };
                room = room.checked_sub(1).ok_or("there are too many findings")?;
                names[part.text].push(name);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
