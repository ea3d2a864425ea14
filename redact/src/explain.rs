//! Says in words what a finding rests on, for people who tune a policy; and offsets for people who
//! count characters.

use std::ops::Range;

use crate::finding::{Evidence, NearMiss, Span, Why};
use crate::view::{InvalidText, View};

impl Span {
    /// Rule, validator, cue and score in words; never the text.
    #[must_use]
    pub fn explain(&self) -> String {
        let evidence = match (self.evidence, self.validator) {
            (Evidence::Words, _) => "by its words".to_owned(),
            (_, "") => "by its form".to_owned(),
            (_, check) => format!("checked by {check}"),
        };
        let cue = self.cue.map(|cue| format!(", beside the cue \"{cue}\"")).unwrap_or_default();
        format!("{}: rule {}, {evidence}{cue}, score {}", self.entity, self.rule, self.score)
    }
}

impl NearMiss {
    /// Why it was left alone, in words; never the text.
    #[must_use]
    pub fn explain(&self) -> String {
        let why = match self.why {
            Why::Check(check) => check.to_owned(),
            Why::BelowThreshold { score, threshold, negative } => {
                let doubt =
                    negative.map(|word| format!(", lowered by the word \"{}\"", word.trim_end_matches('*')));
                format!("score {score} is below {threshold}{}", doubt.unwrap_or_default())
            }
        };
        format!("not {}: rule {}, {why}", self.entity, self.rule)
    }
}

/// Counts the code points of a text from left to right.
#[derive(Clone, Debug)]
pub struct CodePoints<'t> {
    text: &'t str,
    byte: usize,
    count: usize,
}

impl<'t> CodePoints<'t> {
    /// At the start of `text`.
    #[must_use]
    pub const fn new(text: &'t str) -> Self {
        Self { text, byte: 0, count: 0 }
    }

    /// Code points before `byte`, or `None` if it splits a character. Asked in rising order, all questions together
    /// read the text once.
    pub fn before(&mut self, byte: usize) -> Option<usize> {
        if byte < self.byte {
            *self = Self::new(self.text);
        }
        self.count += self.text.get(self.byte..byte)?.chars().count();
        self.byte = byte;
        Some(self.count)
    }
}

/// The range in Unicode code points of a range in bytes, or `None` if it splits a character.
#[must_use]
pub fn code_points(text: &str, bytes: &Range<usize>) -> Option<Range<usize>> {
    let mut points = CodePoints::new(text);
    Some(points.before(bytes.start)?..points.before(bytes.end)?)
}

/// A string of JSON, without its quotes, as text. A surrogate without its partner becomes U+FFFD.
///
/// # Errors
/// An escape that JSON does not know.
pub fn decoded(raw: &str) -> Result<String, InvalidText> {
    let view = View::unescaped(raw.as_bytes())?;
    let (text, _) = view.into_parts(raw.as_bytes());
    String::from_utf8(text).map_err(|_| InvalidText::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Filter, NearMisses, Policy, PolicySpec, Query, find};

    #[test]
    fn findings_and_near_misses_say_why_without_the_text() {
        let policy =
            Policy::compile(&PolicySpec { filter: Filter::Balanced, ..PolicySpec::default() }).unwrap();
        let query = Query { near_misses: NearMisses::Collect, ..Query::new(&policy) };
        let found = find("ssn 536-22-8726, order 4111 1111 1111 1112", &query).unwrap();
        assert_eq!(
            found.spans[0].explain(),
            "SSN: rule ssn, by its form, beside the cue \"ssn\", score 0.95"
        );
        let near: Vec<String> = found.near_misses.iter().map(NearMiss::explain).collect();
        assert!(near.contains(&"not CREDIT_CARD: rule card, the Luhn check fails".to_owned()), "{near:?}");
    }

    #[test]
    fn code_points_count_characters() {
        let mut points = CodePoints::new("日本a");
        assert_eq!((points.before(3), points.before(6), points.before(7)), (Some(1), Some(2), Some(3)));
        assert_eq!((points.before(3), points.before(4)), (Some(1), None));
    }
}
