//! A partner's answer, to events: whole, or event by event.
//!
//! Blocks of tools that the provider runs itself, and citations, have no place in the neutral form: they are left out
//! and counted as drift, and never taken for calls of the client's tools.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::{Counts, Prompt};
use crate::adapter::error::classify;
use crate::dialect::order::{Course, protocol};
use crate::dialect::{Decode, Drift, Reading};
use crate::exchange::Failure;
use crate::neutral::{Block, Event, Stop, Usage};
use crate::sse;

/// Blocks of what the provider does by itself, beside results, whose names end alike.
const SERVER_BLOCKS: [&str; 4] = ["server_tool_use", "mcp_tool_use", "container_upload", "compaction"];

/// Why an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Translate,
    /// It goes to the client as it came: whatever the client may understand is progress.
    Account,
}

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct Decoder {
    purpose: Purpose,
    reading: Reading,
    course: Course,
    prompt: Prompt,
    /// The partner's open blocks by its index; `None` for one that is left out.
    open: BTreeMap<u64, Option<usize>>,
    has_calls: bool,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    content_block: Option<Content<'a>>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    usage: Option<Counts<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    content: Option<Vec<Content<'a>>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(borrow, default)]
    usage: Option<Counts<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A block of content, at its start in a stream or complete.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
}

/// Of `content_block_delta` and of `message_delta`.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a str>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    signature: String,
    #[serde(default)]
    partial_json: String,
    #[serde(default)]
    stop_reason: Option<String>,
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
            prompt: Prompt::default(),
            open: BTreeMap::new(),
            has_calls: false,
        }
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        match frame.kind {
            "message_start" => self.start(frame.message.ok_or_else(protocol)?, out),
            "content_block_start" => self.open(frame.index, frame.content_block.ok_or_else(protocol)?, out),
            "content_block_delta" => self.delta(frame.index, frame.delta.ok_or_else(protocol)?, out),
            "content_block_stop" => self.close(frame.index, out),
            "message_delta" => self.message_delta(frame, out),
            "message_stop" => self.stop_message(out),
            "ping" => self.course.emit(Event::Ping, out),
            _ => {
                self.course.drifted(Drift::UnknownEvent);
                Ok(())
            }
        }
    }

    fn start(&mut self, message: Message<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        self.course.emit(Event::Start { id: message.id, model: message.model }, out)?;
        let Some(counts) = message.usage else { return Ok(()) };
        // The output that stands here is a beginning, not a count: it must not outlive a stream that breaks.
        let usage = Usage { output: None, ..counts.read(&mut self.prompt, &mut self.course) };
        self.course.usage(usage, out)
    }

    fn open(&mut self, place: u64, content: Content<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        let Some(block) = self.block(&content) else {
            self.open.insert(place, None);
            return Ok(());
        };
        let is_tool = matches!(block, Block::Tool { .. });
        let index = self.course.open(block, out)?;
        self.open.insert(place, Some(index));
        if !is_tool {
            self.course.delta(index, content.text + &content.thinking, out)?;
            self.sign(index, content.signature, out)?;
        }
        Ok(())
    }

    /// The block that `content` is, unless it has no place in the neutral form.
    fn block(&mut self, content: &Content<'_>) -> Option<Block> {
        match content.kind {
            "text" => Some(Block::Text),
            "thinking" => Some(Block::Reasoning),
            "redacted_thinking" => Some(Block::Opaque { data: content.data.clone() }),
            // A tool that stands for the answer: its arguments are the text.
            "tool_use" if self.reading.text_tool.as_deref() == Some(&content.name) => Some(Block::Text),
            "tool_use" => {
                self.has_calls = true;
                let name = self.reading.names.get(&content.name).unwrap_or(&content.name);
                Some(Block::Tool { id: content.id.clone(), name: name.clone() })
            }
            kind => self.foreign(kind),
        }
    }

    /// A block that has no place in the neutral form.
    fn foreign(&mut self, kind: &str) -> Option<Block> {
        let is_known = SERVER_BLOCKS.contains(&kind) || kind.ends_with("_tool_result");
        if self.purpose == Purpose::Translate || !is_known {
            self.course.drifted(Drift::UnknownBlock);
        }
        (self.purpose == Purpose::Account).then(|| Block::Opaque { data: String::new() })
    }

    /// Something beside the text that has no place in the neutral form.
    fn leave_out(&mut self) {
        if self.purpose == Purpose::Translate {
            self.course.drifted(Drift::UnknownBlock);
        }
    }

    fn delta(&mut self, place: u64, delta: Delta<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        let Some(index) = *self.open.get(&place).ok_or_else(protocol)? else { return Ok(()) };
        match delta.kind {
            Some("text_delta") => self.course.delta(index, delta.text, out),
            Some("thinking_delta") => self.course.delta(index, delta.thinking, out),
            Some("input_json_delta") => self.course.delta(index, delta.partial_json, out),
            Some("signature_delta") => self.sign(index, delta.signature, out),
            Some("citations_delta") => {
                self.leave_out();
                Ok(())
            }
            _ => {
                self.course.drifted(Drift::UnknownEvent);
                Ok(())
            }
        }
    }

    fn sign(&mut self, index: usize, signature: String, out: &mut Vec<Event>) -> Result<(), Failure> {
        if signature.is_empty() {
            return Ok(());
        }
        self.course.emit(Event::Signature { index, signature }, out)
    }

    fn close(&mut self, place: u64, out: &mut Vec<Event>) -> Result<(), Failure> {
        match self.open.remove(&place).ok_or_else(protocol)? {
            Some(index) => self.course.close(index, out),
            None => Ok(()),
        }
    }

    fn message_delta(&mut self, frame: Frame<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(counts) = frame.usage {
            let usage = counts.read(&mut self.prompt, &mut self.course);
            self.course.usage(usage, out)?;
        }
        match frame.delta.and_then(|delta| delta.stop_reason) {
            Some(reason) => self.stop(&reason, out),
            None => Ok(()),
        }
    }

    fn stop(&mut self, reason: &str, out: &mut Vec<Event>) -> Result<(), Failure> {
        let stop = match reason {
            "end_turn" | "pause_turn" => Stop::Complete,
            "stop_sequence" => Stop::Sequence,
            "max_tokens" | "model_context_window_exceeded" => Stop::Length,
            "tool_use" if self.has_calls => Stop::Tools,
            // All that was called is the tool that stands for the answer.
            "tool_use" if self.reading.text_tool.is_some() => Stop::Complete,
            "tool_use" => Stop::Tools,
            "refusal" => Stop::Refused,
            _ => {
                self.course.drifted(Drift::UnknownStopReason);
                Stop::Complete
            }
        };
        self.course.emit(Event::Stop(stop), out)
    }

    fn stop_message(&mut self, out: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.course.has_stopped() && self.course.has_blocks() {
            self.stop("", out)?;
        }
        self.course.end(out)
    }

    fn content(&mut self, content: Content<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        if content.citations.is_some_and(|citations| !matches!(citations.get(), "null" | "[]")) {
            self.leave_out();
        }
        let input =
            if content.kind == "tool_use" { content.input.map(|input| input.get().to_owned()) } else { None };
        self.open(0, content, out)?;
        if let (Some(input), Some(Some(index))) = (input, self.open.get(&0)) {
            if !input.starts_with('{') {
                return Err(protocol());
            }
            self.course.delta(*index, input, out)?;
        }
        self.close(0, out)
    }
}

/// An error in an answer whose status was 200.
fn declared(body: &[u8]) -> Failure {
    classify(None, body, None)
}

impl Decode for Decoder {
    fn event(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>) -> Result<(), Failure> {
        if self.course.has_ended() || event.data.trim().is_empty() {
            return Ok(());
        }
        let frame: Frame<'_> = serde_json::from_str(event.data).map_err(|_| protocol())?;
        if frame.kind == "error" {
            return Err(declared(event.data.as_bytes()));
        }
        self.frame(frame, out)
    }

    fn whole(&mut self, body: &[u8], out: &mut Vec<Event>) -> Result<(), Failure> {
        let mut message: Message<'_> = serde_json::from_slice(body).map_err(|_| protocol())?;
        if message.error.is_some() {
            return Err(declared(body));
        }
        let content = message.content.take().ok_or_else(protocol)?;
        let reason = message.stop_reason.take();
        let usage = message.usage.take();
        self.start(message, out)?;
        for block in content {
            self.content(block, out)?;
        }
        if let Some(counts) = usage {
            let usage = counts.read(&mut self.prompt, &mut self.course);
            self.course.usage(usage, out)?;
        }
        match reason {
            Some(reason) => self.stop(&reason, out)?,
            None if self.course.has_blocks() => self.stop("", out)?,
            None => return Err(protocol()),
        }
        self.course.end(out)
    }

    fn end(&mut self, _out: &mut Vec<Event>) -> Result<(), Failure> {
        if self.course.has_ended() { Ok(()) } else { Err(protocol()) }
    }

    fn drift(&mut self) -> Vec<Drift> {
        self.course.take_drift()
    }
}
