//! The texts of an answer on its way through the neutral form, rewritten event by event.

use std::collections::BTreeMap;

use super::Failure;
use crate::neutral::{Block, Event};
use crate::pii::{Channel, Field, Scrubber, Tally, turns};

/// Rewrites one answer that is written anew.
pub(super) struct Events {
    scrubber: Scrubber,
    /// What the open blocks are.
    open: BTreeMap<usize, Field>,
}

impl Events {
    pub(super) fn new(scrubber: Scrubber) -> Self {
        Self { scrubber, open: BTreeMap::new() }
    }

    pub(super) fn tally(&self) -> Tally {
        self.scrubber.tally()
    }

    /// What is said instead of `events`.
    pub(super) fn rewrite(&mut self, events: Vec<Event>) -> Result<Vec<Event>, Failure> {
        let mut said = Vec::with_capacity(events.len());
        for event in events {
            self.event(event, &mut said)?;
        }
        Ok(said)
    }

    /// What is said of what is held when nothing came for a moment.
    pub(super) fn pause(&mut self) -> Result<Vec<Event>, Failure> {
        let mut said = Vec::new();
        let open: Vec<_> = self.open.keys().copied().collect();
        for index in open {
            if let Some(channel) = self.channel(index) {
                let text = self.scrubber.pause(channel)?;
                say(index, text, &mut said);
            }
        }
        Ok(said)
    }

    fn event(&mut self, event: Event, said: &mut Vec<Event>) -> Result<(), Failure> {
        match event {
            Event::BlockStart { index, ref block } => {
                if let Some(field) = field(block) {
                    self.open.insert(index, field);
                }
                said.push(event);
            }
            Event::Delta { index, ref text } => match self.channel(index) {
                None => said.push(event),
                Some(channel) => {
                    let text = self.scrubber.push(channel, text)?;
                    say(index, text, said);
                }
            },
            Event::Signature { index, .. } => {
                let channel = self.channel(index);
                if let Some(channel) = channel {
                    let text = self.scrubber.flush(channel)?;
                    say(index, text, said);
                }
                // A thought that was changed is not its partner's any more.
                if !channel.is_some_and(|channel| self.scrubber.has_found(channel)) {
                    said.push(event);
                }
            }
            Event::BlockStop { index } => {
                if let Some(channel) = self.channel(index) {
                    let text = self.scrubber.close(channel)?;
                    say(index, text, said);
                }
                self.open.remove(&index);
                said.push(event);
            }
            Event::Start { .. } | Event::Usage(_) | Event::Stop(_) | Event::Ping | Event::End => {
                said.push(event)
            }
        }
        Ok(())
    }

    fn channel(&self, index: usize) -> Option<Channel> {
        let field = *self.open.get(&index)?;
        Some(Channel { choice: index as u64, field, call: 0 })
    }
}

/// The same event; a long text in parts of one turn each.
pub(super) fn parts(event: Event) -> Vec<Event> {
    let Event::Delta { index, text } = event else { return vec![event] };
    let mut parts = Vec::with_capacity(text.len() / turns::PIECE + 1);
    let mut rest = text.as_str();
    while rest.len() > turns::PIECE {
        let end = (1..=turns::PIECE).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        parts.push(Event::Delta { index, text: part.to_owned() });
        rest = behind;
    }
    parts.push(Event::Delta { index, text: rest.to_owned() });
    parts
}

fn say(index: usize, text: String, said: &mut Vec<Event>) {
    if !text.is_empty() {
        said.push(Event::Delta { index, text });
    }
}

/// `None` for what only its partner can read.
fn field(block: &Block) -> Option<Field> {
    match block {
        Block::Text => Some(Field::Text),
        Block::Reasoning => Some(Field::Reasoning),
        Block::Refusal => Some(Field::Refusal),
        Block::Tool { .. } => Some(Field::Arguments),
        Block::Opaque { .. } => None,
    }
}
