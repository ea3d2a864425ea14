//! Where texts stand in OpenAI's chunks and bodies, chat and legacy, and made-up chunks.

use std::ops::Range;

use bytes::Bytes;

use super::{Form, Found, number};
use crate::json::{self, ELSEWHERE, Edit, Kind, Map, Member, Place, ROOT, Rule, Skim, Want};
use crate::pii::{Channel, Field};

const CHOICES: Place = Place(1);
const CHOICE: Place = Place(2);
const MESSAGE: Place = Place(3);
const CALLS: Place = Place(4);
const CALL: Place = Place(5);
const FUNCTION: Place = Place(6);
const PARTS: Place = Place(7);
const PART: Place = Place(8);
const AUDIO: Place = Place(9);
const CUSTOM: Place = Place(10);
const DETAILS: Place = Place(11);
const DETAIL: Place = Place(12);
const THOUGHTS: Place = Place(13);
const THOUGHT: Place = Place(14);

const fn rule(at: Place, key: &'static str, then: Place) -> Rule {
    Rule { at, key, then, want: Want::Range }
}

/// Chunks have a `delta` where bodies have a `message`.
pub(super) const CHUNK: Map = Map {
    rules: &[
        rule(ROOT, "choices", CHOICES),
        rule(CHOICE, "index", ELSEWHERE),
        rule(CHOICE, "text", ELSEWHERE),
        rule(CHOICE, "finish_reason", ELSEWHERE),
        rule(CHOICE, "logprobs", ELSEWHERE),
        rule(CHOICE, "delta", MESSAGE),
        rule(CHOICE, "message", MESSAGE),
        rule(MESSAGE, "content", PARTS),
        rule(MESSAGE, "refusal", ELSEWHERE),
        rule(MESSAGE, "reasoning_content", ELSEWHERE),
        rule(MESSAGE, "reasoning", ELSEWHERE),
        rule(MESSAGE, "audio", AUDIO),
        rule(AUDIO, "transcript", ELSEWHERE),
        rule(MESSAGE, "tool_calls", CALLS),
        rule(MESSAGE, "function_call", FUNCTION),
        rule(CALL, "index", ELSEWHERE),
        rule(CALL, "function", FUNCTION),
        rule(FUNCTION, "arguments", ELSEWHERE),
        rule(CALL, "custom", CUSTOM),
        rule(CUSTOM, "input", ELSEWHERE),
        rule(PART, "text", ELSEWHERE),
        rule(PART, "thinking", THOUGHTS),
        rule(THOUGHT, "text", ELSEWHERE),
        rule(MESSAGE, "reasoning_details", DETAILS),
        rule(DETAIL, "index", ELSEWHERE),
        rule(DETAIL, "text", ELSEWHERE),
        rule(DETAIL, "summary", ELSEWHERE),
    ],
    elements: &[(CHOICES, CHOICE), (CALLS, CALL), (PARTS, PART), (THOUGHTS, THOUGHT), (DETAILS, DETAIL)],
};

/// The legacy way to call one function has no index; no list of calls is so long.
const FUNCTION_CALL: u64 = u64::MAX;

/// Where a thought comes; some partners say it in several places.
const REASONING_CONTENT: u64 = 0;
const REASONING: u64 = 1;
/// Among the parts of the content.
const REASONING_PART: u64 = 2;
/// The first of its details: each has a number for its text, and the next one for its summary.
const REASONING_DETAIL: u64 = 4;

/// Every text of a chunk or body.
pub(super) fn texts(data: &[u8], skim: &Skim) -> Vec<Found> {
    skim.members.iter().filter_map(|member| found(data, skim, member)).collect()
}

fn found(data: &[u8], skim: &Skim, member: &Member) -> Option<Found> {
    // Partners say every key in every chunk: an empty text neither begins nor ends anything.
    if member.kind != Kind::String || member.value.len() <= r#""""#.len() {
        return None;
    }
    let (field, call) = match (member.at, member.name) {
        (CHOICE, "text") | (MESSAGE, "content") | (PART, "text") => (Field::Text, 0),
        (MESSAGE, "refusal") => (Field::Refusal, 0),
        (AUDIO, "transcript") => (Field::Transcript, 0),
        (MESSAGE, "reasoning_content") => (Field::Reasoning, REASONING_CONTENT),
        (MESSAGE, "reasoning") => (Field::Reasoning, REASONING),
        (THOUGHT, "text") => (Field::Reasoning, REASONING_PART),
        (DETAIL, "text") => (Field::Reasoning, detail(data, skim, member)?),
        (DETAIL, "summary") => (Field::Reasoning, detail(data, skim, member)?.saturating_add(1)),
        (FUNCTION, "arguments") => (Field::Arguments, call(data, skim, member)),
        (CUSTOM, "input") => (Field::Input, call(data, skim, member)),
        _ => return None,
    };
    let choice = choice(data, skim, member.trail.first()?);
    Some(Found { channel: Channel { choice, field, call }, range: member.value.clone(), form: Form::String })
}

/// Log probabilities, which say the text once more, token by token: where they are to be left out.
pub(super) fn logprobs(skim: &Skim) -> Vec<Edit> {
    let said = skim.all(CHOICE, "logprobs").filter(|member| member.kind != Kind::Null);
    said.map(|member| Edit::new(member.value.clone(), "null")).collect()
}

/// The number of a choice: its own word for it, else its place in the list.
fn choice(data: &[u8], skim: &Skim, position: &usize) -> u64 {
    let index = skim.all(CHOICE, "index").find(|index| index.trail.first() == Some(position));
    index.map_or(*position as u64, |index| number(data, Some(&index.value)))
}

fn call(data: &[u8], skim: &Skim, arguments: &Member) -> u64 {
    if arguments.trail.len() < 2 { FUNCTION_CALL } else { place(data, skim, CALL, arguments).unwrap_or(0) }
}

/// The number of a detail's text.
fn detail(data: &[u8], skim: &Skim, member: &Member) -> Option<u64> {
    let place = place(data, skim, DETAIL, member)?;
    Some(place.saturating_mul(2).saturating_add(REASONING_DETAIL))
}

/// The number of an element of a list: its own word for it, else its place in the list.
fn place(data: &[u8], skim: &Skim, element: Place, member: &Member) -> Option<u64> {
    let index = skim.all(element, "index").find(|index| index.trail == member.trail);
    let position = *member.trail.last()? as u64;
    Some(index.map_or(position, |index| number(data, Some(&index.value))))
}

/// The choices that a chunk ends.
pub(super) fn ending(data: &[u8], skim: &Skim) -> Vec<u64> {
    let ends = skim.all(CHOICE, "finish_reason").filter(|reason| reason.kind == Kind::String);
    ends.filter_map(|reason| Some(choice(data, skim, reason.trail.first()?))).collect()
}

/// A chunk, and where its choices stand.
pub(super) struct Shape {
    chunk: Bytes,
    choices: Range<usize>,
    is_legacy: bool,
}

impl Shape {
    /// `None` for what has no choices, as the chunk with the usage.
    pub(super) fn of(data: &Bytes, skim: &Skim) -> Option<Self> {
        let choices = skim.get(ROOT, "choices")?;
        skim.all(CHOICE, "index").next()?;
        let is_legacy = skim.all(CHOICE, "text").next().is_some();
        Some(Self { chunk: data.clone(), choices: choices.value.clone(), is_legacy })
    }

    /// A chunk of this shape that says `text` alone.
    pub(super) fn chunk(&self, channel: Channel, text: &str) -> Vec<u8> {
        let Channel { choice, field, call } = channel;
        let text = json::quote(text);
        let said = match field {
            Field::Text if self.is_legacy => format!("\"text\":{text}"),
            Field::Text => format!("\"delta\":{{\"content\":{text}}}"),
            Field::Refusal => format!("\"delta\":{{\"refusal\":{text}}}"),
            Field::Reasoning if call == REASONING => format!("\"delta\":{{\"reasoning\":{text}}}"),
            Field::Reasoning if call == REASONING_PART => format!(
                "\"delta\":{{\"content\":[{{\"type\":\"thinking\",\"thinking\":[{{\"type\":\"text\",\"text\":{text}}}]}}]}}"
            ),
            Field::Reasoning if call >= REASONING_DETAIL => {
                let key = if call % 2 == 0 { "text" } else { "summary" };
                let index = (call - REASONING_DETAIL) / 2;
                format!(
                    "\"delta\":{{\"reasoning_details\":[{{\"type\":\"reasoning.{key}\",\"index\":{index},\"{key}\":{text}}}]}}"
                )
            }
            Field::Reasoning => format!("\"delta\":{{\"reasoning_content\":{text}}}"),
            Field::Input => {
                format!("\"delta\":{{\"tool_calls\":[{{\"index\":{call},\"custom\":{{\"input\":{text}}}}}]}}")
            }
            Field::Transcript => format!("\"delta\":{{\"audio\":{{\"transcript\":{text}}}}}"),
            Field::Arguments if call == FUNCTION_CALL => {
                format!("\"delta\":{{\"function_call\":{{\"arguments\":{text}}}}}")
            }
            Field::Arguments => format!(
                "\"delta\":{{\"tool_calls\":[{{\"index\":{call},\"function\":{{\"arguments\":{text}}}}}]}}"
            ),
        };
        let choices = format!("[{{\"index\":{choice},{said},\"finish_reason\":null}}]");
        let (before, after) = (self.chunk.get(..self.choices.start), self.chunk.get(self.choices.end..));
        [before.unwrap_or_default(), choices.as_bytes(), after.unwrap_or_default()].concat()
    }
}
