//! Thoughts of another dialect's partner, from an earlier turn: cut out, since no partner of this dialect can read them
//! and one refuses a signature that is not its own.
//!
//! An app of Anthropic's dialect sends them back as blocks of a message, one of OpenAI's as members of it.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use chaperone_protocol::adapter::Dialect;

use super::edit::Edited;
use crate::dialect::slot;
use crate::json::{self, ELSEWHERE, Edit, Kind, Map, Member, Place, ROOT, Rule, Skim, Want};
use crate::prompt::{Prompt, invalid};
use crate::refusal::Refusal;

const MESSAGES: Place = Place(1);
const MESSAGE: Place = Place(2);
const BLOCKS: Place = Place(3);
const BLOCK: Place = Place(4);
const THINKING: Place = Place(5);

const fn range(at: Place, key: &'static str, then: Place) -> Rule {
    Rule { at, key, then, want: Want::Range }
}

const MAP: Map = Map {
    rules: &[
        range(ROOT, "messages", MESSAGES),
        range(ROOT, "thinking", THINKING),
        Rule { at: THINKING, key: "type", then: ELSEWHERE, want: Want::Among(&["enabled"]) },
        range(MESSAGE, "content", BLOCKS),
        range(MESSAGE, "reasoning_content", ELSEWHERE),
        range(MESSAGE, "reasoning_blocks", ELSEWHERE),
        Rule { at: BLOCK, key: "type", then: ELSEWHERE, want: Want::Among(&["tool_result"]) },
        range(BLOCK, "signature", ELSEWHERE),
        range(BLOCK, "data", ELSEWHERE),
    ],
    elements: &[(MESSAGES, MESSAGE), (BLOCKS, BLOCK)],
};

/// Cuts them out, and has a turn go on without thinking that lost the thoughts which led to its calls.
///
/// # Errors
/// A member that had to be looked at stands there twice.
pub(super) fn cut(prompt: &Prompt, edited: &mut Edited) -> Result<(), Refusal> {
    let body = prompt.body();
    if !slot::is_in(body) {
        return Ok(());
    }
    let skim = json::skim(body, &MAP).map_err(|error| invalid(error.to_string()))?;
    let Some(messages) = skim.get(ROOT, "messages").filter(|it| it.kind == Kind::Array) else {
        return Ok(());
    };
    let cutter = Cutter { body, skim: &skim, messages: json::parts(body, &messages.value) };
    match prompt.api().dialect() {
        Dialect::Anthropic => cutter.blocks(edited),
        Dialect::OpenAi | Dialect::Neutral => cutter.members(edited),
    }
    Ok(())
}

struct Cutter<'a> {
    body: &'a Bytes,
    skim: &'a Skim,
    /// The range of each.
    messages: Vec<Range<usize>>,
}

impl Cutter<'_> {
    fn is_sealed(&self, member: &Member) -> bool {
        self.body.get(member.value.clone()).is_some_and(slot::is_in)
    }

    /// Blocks whose signature or data is sealed; with the last block its message goes too.
    fn blocks(&self, edited: &mut Edited) {
        let fields = self.skim.all(BLOCK, "signature").chain(self.skim.all(BLOCK, "data"));
        let sealed: BTreeSet<(usize, usize)> = fields
            .filter(|field| field.kind == Kind::String && self.is_sealed(field))
            .filter_map(|field| Some((*field.trail.first()?, *field.trail.get(1)?)))
            .collect();
        let mut emptied = BTreeSet::new();
        for content in self.skim.all(MESSAGE, "content").filter(|content| content.kind == Kind::Array) {
            let Some(message) = content.trail.first().copied() else { continue };
            let is_cut = |block| sealed.contains(&(message, block));
            let blocks = json::parts(self.body, &content.value);
            if !blocks.is_empty() && (0..blocks.len()).all(is_cut) {
                emptied.insert(message);
            } else {
                edited.edits.extend(json::cut_parts(&blocks, is_cut));
            }
        }
        edited.edits.extend(json::cut_parts(&self.messages, |message| emptied.contains(&message)));
        if sealed.last().is_some_and(|(message, _)| self.calls_are_answered_behind(*message)) {
            self.disable_thinking(edited);
        }
    }

    /// Whether the last message, right behind `message`, holds results of its calls.
    fn calls_are_answered_behind(&self, message: usize) -> bool {
        let last = self.messages.len().saturating_sub(1);
        let is_in_last = |result: &Member| result.trail.first() == Some(&last);
        message + 1 == last && self.skim.all(BLOCK, "type").any(is_in_last)
    }

    /// With a budget to think, the API wants a turn that calls tools to begin with its thoughts, and they are gone.
    fn disable_thinking(&self, edited: &mut Edited) {
        let has_budget = self.skim.get(THINKING, "type").is_some();
        if let Some(thinking) = self.skim.get(ROOT, "thinking").filter(|_| has_budget) {
            edited.edits.push(Edit::new(thinking.value.clone(), r#"{"type":"disabled"}"#));
            edited.adjusted.push("thinking=disabled".to_owned());
        }
    }

    /// Both members of a message whose thoughts are sealed: its words are that partner's too.
    fn members(&self, edited: &mut Edited) {
        for sealed in self.skim.all(MESSAGE, "reasoning_blocks").filter(|member| self.is_sealed(member)) {
            let Some(message) = sealed.trail.first().and_then(|at| self.messages.get(*at)) else { continue };
            let words = self.skim.all(MESSAGE, "reasoning_content").find(|words| words.trail == sealed.trail);
            let keys = [Some(sealed.key.start), words.map(|words| words.key.start)];
            let parts = json::parts(self.body, message);
            let starts = |part: usize| parts.get(part).map(|part| part.start);
            edited.edits.extend(json::cut_parts(&parts, |part| keys.contains(&starts(part))));
        }
    }
}
