//! Where texts stand in Anthropic's events and bodies, and made-up deltas.

use super::{Form, Found, number};
use crate::json::{self, ELSEWHERE, Edit, Kind, Map, Member, Place, ROOT, Rule, Skim, Want};
use crate::pii::{Channel, Field};

const DELTA: Place = Place(1);
const BLOCKS: Place = Place(2);
const BLOCK: Place = Place(3);

const fn rule(at: Place, key: &'static str, then: Place) -> Rule {
    Rule { at, key, then, want: Want::Range }
}

/// An event of a stream.
pub(super) const EVENT: Map = Map {
    rules: &[
        rule(ROOT, "type", ELSEWHERE),
        rule(ROOT, "index", ELSEWHERE),
        rule(ROOT, "delta", DELTA),
        rule(ROOT, "content_block", DELTA),
        rule(DELTA, "text", ELSEWHERE),
        rule(DELTA, "thinking", ELSEWHERE),
        rule(DELTA, "partial_json", ELSEWHERE),
        rule(DELTA, "signature", ELSEWHERE),
    ],
    elements: &[],
};

/// A whole body.
pub(super) const BODY: Map = Map {
    rules: &[
        rule(ROOT, "content", BLOCKS),
        rule(BLOCK, "text", ELSEWHERE),
        rule(BLOCK, "thinking", ELSEWHERE),
        rule(BLOCK, "signature", ELSEWHERE),
        rule(BLOCK, "input", ELSEWHERE),
    ],
    elements: &[(BLOCKS, BLOCK)],
};

/// What an event says, and what it ends.
pub(super) struct Step {
    pub(super) block: u64,
    /// In the order of the event.
    pub(super) texts: Vec<Found>,
    /// Whether its texts go on in later events.
    pub(super) goes_on: bool,
    /// What makes a thought believable.
    pub(super) signature: Option<Edit>,
    pub(super) ends: Ends,
}

/// Which texts an event ends.
pub(super) enum Ends {
    None,
    /// Those of its block.
    Block,
    All,
}

pub(super) fn step(data: &[u8], skim: &Skim) -> Step {
    let kind = skim.get(ROOT, "type").and_then(|kind| data.get(kind.value.clone()));
    let block = number(data, skim.get(ROOT, "index").map(|index| &index.value));
    let signature = skim.get(DELTA, "signature").filter(|it| it.kind == Kind::String && it.value.len() > 2);
    Step {
        block,
        texts: skim.members.iter().filter_map(|member| found(block, member)).collect(),
        goes_on: matches!(kind, Some(b"\"content_block_start\"" | b"\"content_block_delta\"")),
        signature: signature.map(|it| Edit::new(it.value.clone(), "\"\"")),
        ends: match kind {
            Some(b"\"content_block_stop\"") => Ends::Block,
            Some(b"\"message_delta\"" | b"\"message_stop\"") => Ends::All,
            _ => Ends::None,
        },
    }
}

fn found(block: u64, member: &Member) -> Option<Found> {
    let field = match (member.at, member.name, member.kind) {
        (DELTA, "text", Kind::String) => Field::Text,
        (DELTA, "thinking", Kind::String) => Field::Reasoning,
        (DELTA, "partial_json", Kind::String) => Field::Arguments,
        _ => return None,
    };
    let channel = Channel { choice: block, field, call: 0 };
    Some(Found { channel, range: member.value.clone(), form: Form::String })
}

/// Every text of a whole body.
pub(super) fn in_body(skim: &Skim) -> Vec<Found> {
    let found = |member: &Member| {
        let (field, form) = match (member.at, member.name, member.kind) {
            (BLOCK, "text", Kind::String) => (Field::Text, Form::String),
            (BLOCK, "thinking", Kind::String) => (Field::Reasoning, Form::String),
            (BLOCK, "input", Kind::Object | Kind::Array | Kind::Number) => (Field::Arguments, Form::Raw),
            (BLOCK, "input", Kind::String) => (Field::Text, Form::String),
            _ => return None,
        };
        let choice = *member.trail.first()? as u64;
        Some(Found { channel: Channel { choice, field, call: 0 }, range: member.value.clone(), form })
    };
    skim.members.iter().filter_map(found).collect()
}

/// What makes the thought of a block of a body believable, to be taken away.
pub(super) fn signature(skim: &Skim, block: u64) -> Option<Edit> {
    let of_block = |it: &&Member| it.trail.first().is_some_and(|at| *at as u64 == block);
    let signature = skim.all(BLOCK, "signature").find(of_block).filter(|it| it.kind == Kind::String);
    signature.map(|it| Edit::new(it.value.clone(), "\"\""))
}

/// A made-up delta that says `text`.
pub(super) fn delta(channel: Channel, text: &str) -> Vec<u8> {
    let Channel { choice: block, field, call: _ } = channel;
    let (kind, key) = match field {
        Field::Text | Field::Refusal | Field::Transcript | Field::Input => ("text_delta", "text"),
        Field::Reasoning => ("thinking_delta", "thinking"),
        Field::Arguments => ("input_json_delta", "partial_json"),
    };
    let text = json::quote(text);
    let delta = format!("{{\"type\":\"{kind}\",\"{key}\":{text}}}");
    format!("{{\"type\":\"content_block_delta\",\"index\":{block},\"delta\":{delta}}}").into_bytes()
}
