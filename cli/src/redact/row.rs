//! One line of JSON lines: an id and a text, and the line that answers it.

use std::borrow::Cow;

use anyhow::{Result, ensure};
use chaperone_redact::{CodePoints, NearMiss, Span};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::report::{Place, Report};

/// A line of input. Its number stands for an id that it lacks.
pub(super) struct Row<'l> {
    id: Cow<'l, str>,
    /// The string with its quotes and escapes.
    text: &'l str,
}

#[derive(Deserialize)]
struct Fields<'l> {
    #[serde(borrow)]
    id: Option<&'l RawValue>,
    #[serde(borrow)]
    text: &'l RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlyFields<'l> {
    #[serde(borrow, rename = "id")]
    _id: Option<&'l RawValue>,
    #[serde(borrow)]
    text: &'l RawValue,
}

#[derive(Serialize)]
struct SpanJson<'s> {
    start: usize,
    end: usize,
    entity: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl<'l> Row<'l> {
    /// Whether a line is a row and nothing else, so that text with rows is known by its first line.
    pub(super) fn is_one(line: &[u8]) -> bool {
        let only: Option<OnlyFields<'_>> = serde_json::from_slice(without_mark(line)).ok();
        only.is_some_and(|only| only.text.get().starts_with('"'))
    }

    /// Reads line `number`.
    pub(super) fn parse(line: &'l [u8], number: u64) -> Result<Self> {
        let line = if number == 1 { without_mark(line) } else { line };
        let Fields { id, text } =
            serde_json::from_slice(line).map_err(|error| Self::without_value(&error))?;
        ensure!(text.get().starts_with('"'), "`text` is no string");
        let id = id.map_or_else(|| number.to_string().into(), |id| id.get().into());
        Ok(Self { id, text: text.get() })
    }

    /// serde_json quotes values in some messages; a value may be what must not be printed.
    fn without_value(error: &serde_json::Error) -> anyhow::Error {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "it is no object with a `text`",
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        };
        anyhow::anyhow!("{kind}, at column {}", error.column())
    }

    /// The text, without quotes and escapes.
    pub(super) fn text(&self) -> Result<String, String> {
        let inside = self.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
        chaperone_redact::decoded(inside).map_err(|invalid| invalid.to_string())
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place::Row(&self.id)
    }

    /// The spans of the row, in code points.
    pub(super) fn spans_line(&self, report: &Report, text: &str) -> Vec<u8> {
        let mut points = CodePoints::new(text);
        let spans: Vec<SpanJson<'_>> =
            report.spans.iter().map(|span| span_json(span, report, &mut points)).collect();
        let mut line = format!("{{\"id\":{},\"spans\":{}", self.id, json(&spans));
        if report.explains() {
            let misses: Vec<SpanJson<'_>> =
                report.misses.iter().map(|miss| miss_json(miss, &mut points)).collect();
            line += &format!(",\"nearMisses\":{}", json(&misses));
        }
        line += "}\n";
        line.into_bytes()
    }

    /// The row with other text.
    pub(super) fn text_line(&self, text: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(text);
        format!("{{\"id\":{},\"text\":{}}}\n", self.id, json(&text)).into_bytes()
    }

    /// Why there is nothing to say about the row.
    pub(super) fn error_line(&self, reason: &str) -> Vec<u8> {
        format!("{{\"id\":{},\"error\":{}}}\n", self.id, json(&reason)).into_bytes()
    }
}

/// Editors on Windows begin a file with a mark that is no text.
fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers can be written as JSON")
}

fn span_json<'s>(span: &'s Span, report: &Report, points: &mut CodePoints<'_>) -> SpanJson<'s> {
    let [start, end] = [span.range.start, span.range.end].map(|byte| points.before(byte).unwrap_or_default());
    let why = report.explains().then(|| span.explain());
    SpanJson { start, end, entity: span.entity.label(), score: Some(rounded(span.score.as_f32())), why }
}

fn miss_json<'s>(miss: &'s NearMiss, points: &mut CodePoints<'_>) -> SpanJson<'s> {
    let [start, end] = [miss.range.start, miss.range.end].map(|byte| points.before(byte).unwrap_or_default());
    SpanJson { start, end, entity: miss.entity.label(), score: None, why: Some(miss.explain()) }
}

/// Scores are hundredths: 0.95, not 0.949999988079071.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_from_text() {
        assert!(Row::is_one(br#"{"id":1,"text":"a"}"#) && Row::is_one(br#"{"text":"a"}"#));
        assert!(!Row::is_one(br#"{"id":1,"text":"a","level":"info"}"#), "a log line keeps its fields");
        assert!(!Row::is_one(b"text") && !Row::is_one(br#"{"text":1}"#));
    }

    #[test]
    fn broken_lines_are_refused_without_their_text() {
        for (line, why) in [
            (br#"{"id":1}"#.as_slice(), "no object with a `text`"),
            (br#"{"id":1,"text":["canary"]}"#, "`text` is no string"),
            (br#""canary""#, "no object with a `text`"),
            (br#"{"text":"canary""#, "ends too early"),
            (b"canary", "not JSON"),
            (b"{\"text\":\"\xff\"}", "JSON"),
        ] {
            let error = format!("{:#}", Row::parse(line, 1).err().unwrap());
            assert!(error.contains(why) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn ids_of_any_kind_come_back_as_they_were() {
        for id in ["7", "\"a\\u0041\"", "{\"x\":[1]}"] {
            let line = format!("{{\"id\":{id},\"text\":\"a\",\"more\":1}}");
            assert_eq!(Row::parse(line.as_bytes(), 3).unwrap().id, id);
        }
        assert_eq!(Row::parse(br#"{"text":"a"}"#, 3).unwrap().id, "3");
    }
}
