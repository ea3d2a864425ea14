//! A partner's answer, to events: whole, or chunk by chunk.
//!
//! One decoder serves translation, which insists on one open block at a time, and accounting of answers that pass
//! through unchanged, which takes what comes: there the client, not we, judges what the partner sent.

use serde_json::value::RawValue;

use super::chunk::{Choice, Chunk, Delta, Fragment};
use super::usage::Counts;
use crate::adapter::error::classify;
use crate::dialect::order::{Course, protocol};
use crate::dialect::read::arguments;
use crate::dialect::{Decode, Drift, Reading};
use crate::exchange::Failure;
use crate::neutral::{Block, Event, Stop, Usage};
use crate::sse;

/// Why an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Translate,
    Account,
}

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct Decoder {
    purpose: Purpose,
    reading: Reading,
    course: Course,
    current: Option<Current>,
    tools: Vec<ToolBlock>,
    has_refusal: bool,
    /// The first choice's reason, held back while other choices go on.
    held: Option<Stop>,
    /// How many choices there are, as far as is known.
    choices: u64,
}

/// The open block that is not a tool's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Current {
    block: Block,
    index: usize,
}

#[derive(Debug)]
struct ToolBlock {
    /// The partner's index of the call.
    call: u64,
    index: usize,
    is_open: bool,
}

/// An error in an answer whose status was 200.
fn declared(body: &[u8]) -> Failure {
    classify(None, body, None)
}

impl Decoder {
    /// For an answer that becomes another dialect's.
    pub(crate) fn translating(reading: Reading) -> Self {
        Self::new(Purpose::Translate, reading)
    }

    /// For an answer that goes to the client as it came.
    pub(crate) fn accounting() -> Self {
        Self::new(Purpose::Account, Reading::default())
    }

    fn new(purpose: Purpose, reading: Reading) -> Self {
        Self {
            purpose,
            reading,
            course: Course::new(),
            current: None,
            tools: Vec::new(),
            has_refusal: false,
            held: None,
            choices: 0,
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.course.has_started() {
            let named = |name: Option<String>| name.filter(|name| !name.is_empty());
            self.course.emit(Event::Start { id: named(chunk.id), model: named(chunk.model) }, out)?;
        }
        let choices = chunk.choices.unwrap_or_default();
        self.choices = self.choices.max(choices.len().try_into().unwrap_or(u64::MAX));
        for choice in choices {
            self.choice(choice, out)?;
        }
        if let Some(counts) = chunk.usage {
            let usage = counts.read(&mut self.course);
            self.course.usage(usage, out)?;
        }
        Ok(())
    }

    fn choice(&mut self, choice: Choice<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.choices = self.choices.max(choice.index.saturating_add(1));
        self.add(Block::Text, choice.text.unwrap_or_default(), out)?;
        if let Some(delta) = choice.delta {
            self.delta(delta, out)?;
        }
        let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) else { return Ok(()) };
        if choice.index > 0 || self.held.is_some() || self.course.has_stopped() {
            return Ok(());
        }
        let stop = self.stop(&reason);
        self.held = Some(stop);
        // Asking for several choices is only possible where answers pass through; they end together.
        if self.choices > 1 { Ok(()) } else { self.release(out) }
    }

    fn delta(&mut self, delta: Delta<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        let texts = [
            (Block::Reasoning, delta.reasoning_content.or(delta.reasoning)),
            (Block::Text, delta.content),
            (Block::Refusal, delta.refusal),
        ];
        for (block, text) in texts {
            let text = text.map(|text| self.text(text)).unwrap_or_default();
            self.add(block, text, out)?;
        }
        delta.tool_calls.into_iter().flatten().try_for_each(|fragment| self.fragment(fragment, out))
    }

    /// Text is a string; some servers send parts, and only they know what is in them.
    fn text(&mut self, content: &RawValue) -> String {
        if content.get() == "null" {
            return String::new();
        }
        serde_json::from_str(content.get()).unwrap_or_else(|_| {
            self.course.drifted(Drift::UnknownBlock);
            String::new()
        })
    }

    /// Adds text to the open block of its kind, or to a new one.
    fn add(&mut self, block: Block, text: String, out: &mut Vec<Event>) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        if self.course.has_stopped() {
            return self.misplaced();
        }
        let index = match &self.current {
            Some(current) if current.block == block => current.index,
            _ => {
                self.close_all(out)?;
                self.has_refusal |= block == Block::Refusal;
                let index = self.course.open(block.clone(), out)?;
                self.current = Some(Current { block, index });
                index
            }
        };
        self.course.delta(index, text, out)
    }

    /// What must not come now: a failure where it would be translated.
    fn misplaced(&self) -> Result<(), Failure> {
        match self.purpose {
            Purpose::Translate => Err(protocol()),
            Purpose::Account => Ok(()),
        }
    }

    fn fragment(&mut self, fragment: Fragment<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        if self.course.has_stopped() {
            return self.misplaced();
        }
        let call = self.call_of(&fragment);
        let (name, text) =
            fragment.function.map_or((None, None), |function| (function.name, function.arguments));
        let text = text.map(argument_text).unwrap_or_default();
        let known = self.tools.iter().rev().find(|tool| tool.call == call);
        let index = match known.map(|tool| (tool.index, tool.is_open)) {
            Some((index, true)) => index,
            Some((_, false)) if self.purpose == Purpose::Translate => return Err(protocol()),
            Some((_, false)) | None => self.open_tool(call, fragment.id, name, out)?,
        };
        self.course.delta(index, text, out)
    }

    /// Some servers number no calls: then an id begins a new one, and all else belongs to the last.
    fn call_of(&self, fragment: &Fragment<'_>) -> u64 {
        fragment.index.unwrap_or_else(|| {
            let last = self.tools.last().map(|tool| tool.call);
            match last {
                Some(last) if fragment.id.is_some() => last.saturating_add(1),
                Some(last) => last,
                None => 0,
            }
        })
    }

    fn open_tool(
        &mut self,
        call: u64,
        id: Option<String>,
        name: Option<String>,
        out: &mut Vec<Event>,
    ) -> Result<usize, Failure> {
        match self.purpose {
            Purpose::Translate => self.close_all(out)?,
            Purpose::Account => self.close_current(out)?,
        }
        let name = name.unwrap_or_default();
        if name.is_empty() && self.purpose == Purpose::Translate {
            return Err(protocol());
        }
        let name = self.reading.names.get(&name).cloned().unwrap_or(name);
        let index = self.course.open(Block::Tool { id: id.unwrap_or_default(), name }, out)?;
        self.tools.push(ToolBlock { call, index, is_open: true });
        Ok(index)
    }

    fn close_current(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.current.take().map_or(Ok(()), |current| self.course.close(current.index, out))
    }

    fn close_all(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.close_current(out)?;
        for tool in self.tools.iter_mut().filter(|tool| tool.is_open) {
            tool.is_open = false;
            self.course.close(tool.index, out)?;
        }
        Ok(())
    }

    fn stop(&mut self, reason: &str) -> Stop {
        let complete = match (self.has_refusal, self.tools.is_empty()) {
            (true, _) => Stop::Refused,
            (false, true) => Stop::Complete,
            (false, false) => Stop::Tools,
        };
        match reason {
            "stop" => complete,
            "length" => Stop::Length,
            "tool_calls" | "function_call" => Stop::Tools,
            "content_filter" => Stop::Refused,
            _ => {
                self.course.drifted(Drift::UnknownStopReason);
                complete
            }
        }
    }

    /// Lets the reason go that was held back.
    fn release(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        let Some(stop) = self.held.take() else { return Ok(()) };
        self.close_all(out)?;
        self.course.emit(Event::Stop(stop), out)
    }

    fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.release(out)?;
        if self.course.has_stopped() { self.course.end(out) } else { Err(protocol()) }
    }

    /// A list of vectors has no text: what it cost is all there is to account for.
    fn embeddings(&mut self, counts: Option<Counts<'_>>, out: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(counts) = counts {
            let usage = counts.read(&mut self.course);
            let output =
                if counts.is_prompt_only() { usage.prompt.map(|_| Default::default()) } else { usage.output };
            self.course.usage(Usage { output, ..usage }, out)?;
        }
        self.course.emit(Event::Stop(Stop::Complete), out)?;
        self.course.end(out)
    }
}

/// Arguments are a string; some servers send the object itself.
fn argument_text(raw: &RawValue) -> String {
    match raw.get() {
        "null" => String::new(),
        text => serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()),
    }
}

impl Decode for Decoder {
    fn event(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        let data = event.data.trim();
        if self.course.has_ended() || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            return self.finish(out);
        }
        if event.event == Some("error") {
            return Err(declared(data.as_bytes()));
        }
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|_| protocol())?;
        if chunk.is_error() {
            return Err(declared(data.as_bytes()));
        }
        self.chunk(chunk, out)
    }

    fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) -> Result<(), Failure> {
        let mut chunk: Chunk<'_> = serde_json::from_slice(body).map_err(|_| protocol())?;
        if chunk.is_error() {
            return Err(declared(body));
        }
        if self.purpose == Purpose::Account && chunk.choices.is_none() && chunk.data.is_some() {
            let usage = chunk.usage.take();
            self.chunk(chunk, out)?;
            return self.embeddings(usage, out);
        }
        if self.purpose == Purpose::Translate && !has_sound_arguments(&chunk) {
            return Err(protocol());
        }
        self.chunk(chunk, out)?;
        if self.held.is_none() && !self.course.has_stopped() {
            if !self.course.has_blocks() {
                return Err(protocol());
            }
            self.held = Some(self.stop(""));
        }
        self.finish(out)
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        if self.course.has_ended() {
            return Ok(());
        }
        self.finish(out)?;
        self.course.drifted(Drift::NoTerminator);
        Ok(())
    }

    fn drift(&mut self) -> Vec<Drift> {
        self.course.take_drift()
    }
}

/// Whether all calls of a whole answer have an object for arguments.
fn has_sound_arguments(chunk: &Chunk<'_>) -> bool {
    let choices = chunk.choices.iter().flatten();
    let deltas = choices.filter_map(|choice| choice.delta.as_ref());
    let mut calls = deltas.filter_map(|delta| delta.tool_calls.as_ref()).flatten();
    calls.all(|call| {
        let text = call.function.as_ref().and_then(|function| function.arguments).map(argument_text);
        arguments(&text.unwrap_or_default()).is_some()
    })
}
