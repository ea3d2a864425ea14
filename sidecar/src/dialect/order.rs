//! The one legal order of an answer's events, and the course of an answer along it.
//!
//! `Start (BlockStart Delta* BlockStop)* Stop End`, with `Usage` and `Ping` anywhere. Only tool blocks may overlap.
//! A decoder emits through a [`Course`], so that an encoder may rely on the order whatever a partner sends.

use std::collections::BTreeSet;

use chaperone_protocol::limits;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::units::Tokens;
use serde_json::value::RawValue;

use super::Drift;
use crate::exchange::Failure;
use crate::neutral::{Block, Event, Usage};

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Content,
    Stopped,
    Ended,
}

/// Accepts events in their legal order only.
#[derive(Debug)]
pub(crate) struct Order {
    phase: Phase,
    /// Open blocks, and whether each is a tool's.
    open: Vec<(usize, bool)>,
    next: usize,
}

impl Order {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Before, open: Vec::new(), next: 0 }
    }

    /// Whether `event` may come now; if so, it has come.
    pub(crate) fn admit(&mut self, event: &Event) -> bool {
        match (event, self.phase) {
            (Event::Usage(_) | Event::Ping, phase) => phase != Phase::Ended,
            (Event::Start { .. }, Phase::Before) => self.enter(Phase::Content),
            (Event::BlockStart { index, block }, Phase::Content) => self.open(*index, block),
            (Event::Delta { index, .. } | Event::Signature { index, .. }, Phase::Content) => {
                self.is_open(*index)
            }
            (Event::BlockStop { index }, Phase::Content) => self.close(*index),
            (Event::Stop(_), Phase::Content) => self.open.is_empty() && self.enter(Phase::Stopped),
            (Event::End, Phase::Stopped) => self.enter(Phase::Ended),
            (
                Event::Start { .. }
                | Event::BlockStart { .. }
                | Event::Delta { .. }
                | Event::Signature { .. }
                | Event::BlockStop { .. }
                | Event::Stop(_)
                | Event::End,
                _,
            ) => false,
        }
    }

    fn enter(&mut self, phase: Phase) -> bool {
        self.phase = phase;
        true
    }

    fn open(&mut self, index: usize, block: &Block) -> bool {
        let is_tool = matches!(block, Block::Tool { .. });
        let free = self.open.iter().all(|(_, tool)| is_tool && *tool);
        let legal = free && index == self.next && index < limits::ANSWER_BLOCKS;
        if legal {
            self.next += 1;
            self.open.push((index, is_tool));
        }
        legal
    }

    fn is_open(&self, index: usize) -> bool {
        self.open.iter().any(|(open, _)| *open == index)
    }

    fn close(&mut self, index: usize) -> bool {
        let position = self.open.iter().position(|(open, _)| *open == index);
        position.is_some_and(|position| {
            self.open.remove(position);
            true
        })
    }
}

/// An answer that a partner did not give as its dialect says.
pub(crate) fn protocol() -> Failure {
    Failure::new(Reason::PartnerProtocol)
}

/// An answer on its way: its order, its blocks, and what deviated.
#[derive(Debug)]
pub(crate) struct Course {
    order: Order,
    drift: BTreeSet<Drift>,
    /// Meaningful events so far.
    visible: usize,
    output: Option<Tokens>,
}

impl Course {
    pub(crate) fn new() -> Self {
        Self { order: Order::new(), drift: BTreeSet::new(), visible: 0, output: None }
    }

    pub(crate) fn has_started(&self) -> bool {
        self.order.phase != Phase::Before
    }

    pub(crate) fn has_stopped(&self) -> bool {
        matches!(self.order.phase, Phase::Stopped | Phase::Ended)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.order.phase == Phase::Ended
    }

    /// Whether any block has begun.
    pub(crate) fn has_blocks(&self) -> bool {
        self.order.next > 0
    }

    pub(crate) fn emit(&mut self, event: Event, out: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.order.admit(&event) {
            return Err(protocol());
        }
        self.visible += usize::from(event.is_meaningful());
        out.push(event);
        Ok(())
    }

    /// Begins a block and says its index.
    pub(crate) fn open(&mut self, block: Block, out: &mut Vec<Event>) -> Result<usize, Failure> {
        let index = self.order.next;
        self.emit(Event::BlockStart { index, block }, out)?;
        Ok(index)
    }

    /// Adds to a block; nothing is added for nothing.
    pub(crate) fn delta(&mut self, index: usize, text: String, out: &mut Vec<Event>) -> Result<(), Failure> {
        if text.is_empty() { Ok(()) } else { self.emit(Event::Delta { index, text }, out) }
    }

    pub(crate) fn close(&mut self, index: usize, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.emit(Event::BlockStop { index }, out)
    }

    /// Passes usage on. No output beside visible text is not believed.
    pub(crate) fn usage(&mut self, mut usage: Usage, out: &mut Vec<Event>) -> Result<(), Failure> {
        if usage.output == Some(Tokens(0)) && self.visible > 0 {
            usage.output = None;
            self.drift.insert(Drift::AbsurdUsage);
        }
        self.output = usage.output.or(self.output);
        if usage == Usage::default() { Ok(()) } else { self.emit(Event::Usage(usage), out) }
    }

    /// The answer is complete.
    pub(crate) fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        if self.output.is_none() {
            self.drift.insert(Drift::MissingUsage);
        }
        self.emit(Event::End, out)
    }

    pub(crate) fn drifted(&mut self, drift: Drift) {
        self.drift.insert(drift);
    }

    /// A count as a partner wrote it: absent, or believable.
    pub(crate) fn count(&mut self, raw: Option<&RawValue>) -> Option<Tokens> {
        let raw = raw?.get();
        if raw == "null" {
            return None;
        }
        let count = serde_json::from_str::<u64>(raw).ok().filter(|count| *count <= limits::JSON_INTEGER);
        if count.is_none() {
            self.drift.insert(Drift::AbsurdUsage);
        }
        count.map(Tokens)
    }

    pub(crate) fn take_drift(&mut self) -> Vec<Drift> {
        std::mem::take(&mut self.drift).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neutral::Stop;

    fn start() -> Event {
        Event::Start { id: None, model: None }
    }

    fn block(index: usize, block: Block) -> Event {
        Event::BlockStart { index, block }
    }

    fn tool(index: usize) -> Event {
        block(index, Block::Tool { id: format!("call_{index}"), name: "search".to_owned() })
    }

    fn admits(events: &[Event]) -> bool {
        let mut order = Order::new();
        events.iter().all(|event| order.admit(event))
    }

    #[test]
    fn an_answer_begins_and_ends_once() {
        assert!(admits(&[start(), Event::Stop(Stop::Complete), Event::Ping, Event::End]));
        assert!(!admits(&[Event::Stop(Stop::Complete)]));
        assert!(!admits(&[start(), start()]));
        assert!(!admits(&[start(), Event::End]));
        assert!(!admits(&[start(), Event::Stop(Stop::Complete), Event::End, Event::Ping]));
    }

    #[test]
    fn only_tools_overlap() {
        assert!(admits(&[start(), tool(0), tool(1), Event::BlockStop { index: 0 }]));
        assert!(!admits(&[start(), block(0, Block::Text), tool(1)]));
        assert!(!admits(&[start(), tool(0), block(1, Block::Text)]));
        assert!(!admits(&[start(), tool(0), Event::Stop(Stop::Tools)]));
    }

    #[test]
    fn blocks_are_bounded() {
        let mut order = Order::new();
        assert!(order.admit(&start()));
        for index in 0..limits::ANSWER_BLOCKS {
            assert!(order.admit(&tool(index)));
        }
        assert!(!order.admit(&tool(limits::ANSWER_BLOCKS)));
    }

    #[test]
    fn a_count_that_cannot_be_is_not_believed() {
        let mut course = Course::new();
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(course.count(Some(&raw("17"))), Some(Tokens(17)));
        assert_eq!(course.count(Some(&raw("0"))), Some(Tokens(0)));
        assert_eq!(course.count(None), None);
        assert_eq!(course.count(Some(&raw("null"))), None);
        assert!(course.take_drift().is_empty());
        for absurd in ["-1", "1.5", "9007199254740993", "\"7\""] {
            assert_eq!(course.count(Some(&raw(absurd))), None);
            assert_eq!(course.take_drift(), [Drift::AbsurdUsage]);
        }
    }
}
