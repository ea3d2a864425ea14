//! An answer for a client: one `message`, or its events.
//!
//! One block is open at a time, and no event has an `id:` line, over which the official clients stumble.

use chaperone_protocol::adapter::Dialect;
use serde::Serialize;
use serde_json::value::RawValue;

use super::usage::Report;
use crate::dialect::draft::{Draft, Keep, Piece};
use crate::dialect::order::protocol;
use crate::dialect::read::arguments;
use crate::dialect::tally::Tally;
use crate::dialect::{Encode, Reply, id, slot};
use crate::exchange::{Failure, Mode};
use crate::neutral::{Block, Event, Raw, Stop};

/// Writes one answer.
pub(crate) struct Encoder {
    reply: Reply,
    id: String,
    model: Option<String>,
    tally: Tally,
    draft: Draft,
    stop: Stop,
    /// Whether `message_start` has left.
    has_started: bool,
    open: Option<Open>,
    calls: usize,
}

/// The block that is being streamed.
struct Open {
    index: usize,
    kind: Kind,
    is_signed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Tool,
    Opaque,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame<'a> {
    MessageStart {
        message: Message<'a>,
    },
    ContentBlockStart {
        index: usize,
        content_block: Content<'a>,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta<'a>,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: MessageDelta,
        usage: Report,
        #[serde(skip_serializing_if = "Option::is_none")]
        chaperone: Option<Extension>,
    },
    MessageStop,
    Ping,
}

impl Frame<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
            Self::Ping => "ping",
        }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Content<'a>>,
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'static str>,
    usage: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    chaperone: Option<Extension>,
}

/// What the dialect has no member for.
#[derive(Serialize)]
struct Extension {
    reason: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: String },
    RedactedThinking { data: String },
    ToolUse { id: String, name: &'a str, input: Raw },
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct MessageDelta {
    stop_reason: &'static str,
    stop_sequence: Option<&'static str>,
}

impl Encoder {
    pub(crate) fn new(reply: Reply) -> Self {
        let keep = match reply.mode {
            Mode::Whole => Keep::All,
            Mode::Stream => Keep::Nothing,
        };
        Self {
            id: id::of_answer("msg_", &reply.request_id),
            model: None,
            tally: Tally::new(reply.prompt_estimate),
            draft: Draft::new(keep),
            stop: Stop::Complete,
            has_started: false,
            open: None,
            calls: 0,
            reply,
        }
    }

    fn stream(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::BlockStart { index, block } => self.begin(*index, block, out),
            Event::Delta { index, text } => self.delta(*index, text, out),
            Event::Signature { index, signature } => self.sign(*index, signature, out),
            Event::BlockStop { .. } => self.close(out),
            Event::Stop(stop) => self.stop = *stop,
            // Clients take nothing before `message_start`.
            Event::Ping if self.has_started => frame(&Frame::Ping, out),
            Event::End => self.end(out),
            Event::Start { .. } | Event::Usage(_) | Event::Ping => {}
        }
    }

    /// Leaves with the first block, of whatever kind. The prompt's size is our estimate until the partner tells it.
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let message = Message { stop_reason: None, chaperone: None, ..self.message(Vec::new()) };
        frame(&Frame::MessageStart { message }, out);
    }

    fn begin(&mut self, index: usize, block: &Block, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let kind = match block {
            Block::Text | Block::Refusal => Kind::Text,
            Block::Reasoning => Kind::Thinking,
            Block::Tool { .. } => Kind::Tool,
            Block::Opaque { .. } => Kind::Opaque,
        };
        let content_block = match block {
            Block::Text | Block::Refusal => Content::Text { text: "" },
            Block::Reasoning => Content::Thinking { thinking: "", signature: String::new() },
            Block::Opaque { data } => Content::RedactedThinking {
                data: slot::seal_for(Dialect::Anthropic, &self.reply.origin, data),
            },
            Block::Tool { id, name } => {
                let id = id::of_call(id, &self.reply.request_id, self.calls);
                self.calls += 1;
                Content::ToolUse { id, name, input: empty() }
            }
        };
        frame(&Frame::ContentBlockStart { index, content_block }, out);
        self.open = Some(Open { index, kind, is_signed: false });
    }

    fn delta(&self, index: usize, text: &str, out: &mut Vec<u8>) {
        let Some(open) = self.open.as_ref().filter(|open| open.index == index) else { return };
        let delta = match open.kind {
            Kind::Text => Delta::Text { text },
            Kind::Thinking => Delta::Thinking { thinking: text },
            Kind::Tool => Delta::InputJson { partial_json: text },
            Kind::Opaque => return,
        };
        frame(&Frame::ContentBlockDelta { index, delta }, out);
    }

    fn sign(&mut self, index: usize, signature: &str, out: &mut Vec<u8>) {
        let signature = slot::seal_for(Dialect::Anthropic, &self.reply.origin, signature);
        frame(&Frame::ContentBlockDelta { index, delta: Delta::Signature { signature } }, out);
        if let Some(open) = &mut self.open {
            open.is_signed = true;
        }
    }

    /// Clients send a thought back only with a signature, so each gets one, if only to say where it comes from.
    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        if open.kind == Kind::Thinking && !open.is_signed {
            self.sign(open.index, "", out);
        }
        frame(&Frame::ContentBlockStop { index: open.index }, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let delta = MessageDelta { stop_reason: reason(self.stop), stop_sequence: None };
        let usage = Report::from(self.tally.totals());
        frame(&Frame::MessageDelta { delta, usage, chaperone: extension(self.stop) }, out);
        frame(&Frame::MessageStop, out);
    }

    fn message<'a>(&'a self, content: Vec<Content<'a>>) -> Message<'a> {
        Message {
            id: &self.id,
            kind: "message",
            role: "assistant",
            model: self.model.as_deref().unwrap_or(&self.reply.model),
            content,
            stop_reason: Some(reason(self.stop)),
            stop_sequence: None,
            usage: Report::from(self.tally.totals()),
            chaperone: extension(self.stop),
        }
    }

    fn whole(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let mut calls = 0;
        let mut content = Vec::new();
        for piece in self.draft.pieces() {
            content.push(self.content(piece, &mut calls)?);
        }
        write(&self.message(content), out);
        Ok(())
    }

    fn content<'a>(&self, piece: &'a Piece, calls: &mut usize) -> Result<Content<'a>, Failure> {
        let seal = |payload: &str| slot::seal_for(Dialect::Anthropic, &self.reply.origin, payload);
        Ok(match &piece.block {
            Block::Text | Block::Refusal => Content::Text { text: &piece.text },
            Block::Reasoning => Content::Thinking {
                thinking: &piece.text,
                signature: seal(piece.signature.as_deref().unwrap_or_default()),
            },
            Block::Opaque { data } => Content::RedactedThinking { data: seal(data) },
            Block::Tool { id, name } => {
                let id = id::of_call(id, &self.reply.request_id, *calls);
                *calls += 1;
                Content::ToolUse { id, name, input: arguments(&piece.text).ok_or_else(protocol)? }
            }
        })
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.tally.take(event);
        self.draft.take(event)?;
        if let Event::Start { model: Some(model), .. } = event {
            self.model = Some(model.clone());
        }
        match (self.reply.mode, event) {
            (Mode::Stream, _) => self.stream(event, out),
            (Mode::Whole, Event::Stop(stop)) => self.stop = *stop,
            (Mode::Whole, Event::End) => self.whole(out)?,
            (Mode::Whole, _) => {}
        }
        Ok(())
    }
}

fn empty() -> Raw {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Complete => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length | Stop::Budget => "max_tokens",
        Stop::Tools => "tool_use",
        Stop::Refused => "refusal",
    }
}

fn extension(stop: Stop) -> Option<Extension> {
    (stop == Stop::Budget).then_some(Extension { reason: "budget_cutoff" })
}

/// Writes `value` as one event of a stream.
fn frame(value: &Frame<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(value.name().as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write(value, out);
    out.extend_from_slice(b"\n\n");
}

fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("strings and numbers always serialise, and memory takes every byte");
}
