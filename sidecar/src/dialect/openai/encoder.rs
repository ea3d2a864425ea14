//! An answer for a client: one `chat.completion`, or a stream of `chat.completion.chunk`.
//!
//! A stream is `data:` lines only: no `id:` and no `event:`, over which the official clients stumble.

use std::collections::BTreeMap;

use chaperone_protocol::adapter::Dialect;
use serde::Serialize;

use super::usage::Report;
use crate::dialect::draft::{Draft, Keep, Piece};
use crate::dialect::order::protocol;
use crate::dialect::read::arguments;
use crate::dialect::tally::Tally;
use crate::dialect::{Encode, Reply, UsageChunk, id, slot};
use crate::exchange::{Failure, Mode};
use crate::neutral::{Block, Event, Stop};

/// Writes one answer.
pub(crate) struct Encoder {
    reply: Reply,
    id: String,
    model: Option<String>,
    tally: Tally,
    draft: Draft,
    stop: Stop,
    /// Whether the role has been told.
    has_role: bool,
    blocks: BTreeMap<usize, Open>,
    calls: usize,
}

/// A block that is being streamed.
enum Open {
    Text,
    Refusal,
    Reasoning,
    Tool { call: usize, has_arguments: bool },
    Opaque,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Report>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chaperone: Option<Extension>,
}

/// What the dialect has no member for.
#[derive(Serialize)]
struct Extension {
    reason: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize, Default)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_blocks: Vec<ReasoningBlock<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Call<'a>; 1]>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_blocks: Vec<ReasoningBlock<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// What the client must send back for its partner to believe its own thoughts.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ReasoningBlock<'a> {
    Thinking { thinking: &'a str, signature: String },
    RedactedThinking { data: String },
}

impl Encoder {
    pub(crate) fn new(reply: Reply) -> Self {
        let keep = match reply.mode {
            Mode::Whole => Keep::All,
            Mode::Stream => Keep::Reasoning,
        };
        Self {
            id: id::of_answer("chatcmpl-", &reply.request_id),
            model: None,
            tally: Tally::new(reply.prompt_estimate),
            draft: Draft::new(keep),
            stop: Stop::Complete,
            has_role: false,
            blocks: BTreeMap::new(),
            calls: 0,
            reply,
        }
    }

    fn stream(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::BlockStart { index, block } => self.begin(*index, block, out),
            Event::Delta { index, text } => self.delta(*index, text, out),
            Event::BlockStop { index } => self.close(*index, out),
            Event::Stop(stop) => self.finish(*stop, out),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => self.end(out),
            Event::Start { .. } | Event::Signature { .. } | Event::Usage(_) => {}
        }
    }

    fn begin(&mut self, index: usize, block: &Block, out: &mut Vec<u8>) {
        let open = match block {
            Block::Text => Open::Text,
            Block::Refusal => Open::Refusal,
            Block::Reasoning => Open::Reasoning,
            Block::Opaque { .. } => Open::Opaque,
            Block::Tool { id, name } => {
                let call = self.calls;
                self.calls += 1;
                let function = Function { name: Some(name), arguments: "" };
                let id = id::of_call(id, &self.reply.request_id, call);
                let call = Call { index: Some(call), id: Some(id), kind: Some("function"), function };
                let delta = Delta { role: self.role(), tool_calls: Some([call]), ..Delta::default() };
                self.chunk(delta, None, out);
                Open::Tool { call: self.calls - 1, has_arguments: false }
            }
        };
        self.blocks.insert(index, open);
    }

    fn delta(&mut self, index: usize, text: &str, out: &mut Vec<u8>) {
        let delta = match self.blocks.get_mut(&index) {
            Some(Open::Text) => Delta { role: self.role(), content: Some(text), ..Delta::default() },
            Some(Open::Refusal) => Delta { role: self.role(), refusal: Some(text), ..Delta::default() },
            Some(Open::Reasoning) => Delta { reasoning_content: Some(text), ..Delta::default() },
            Some(Open::Tool { call, has_arguments }) => {
                *has_arguments = true;
                arguments_delta(*call, text)
            }
            Some(Open::Opaque) | None => return,
        };
        self.chunk(delta, None, out);
    }

    /// A call without arguments has empty ones: clients parse what they have put together.
    fn close(&mut self, index: usize, out: &mut Vec<u8>) {
        if let Some(Open::Tool { call, has_arguments: false }) = self.blocks.remove(&index) {
            self.chunk(arguments_delta(call, "{}"), None, out);
        }
    }

    fn finish(&mut self, stop: Stop, out: &mut Vec<u8>) {
        let blocks = reasoning_blocks(&self.draft, &self.reply);
        if !blocks.is_empty() {
            self.chunk(Delta { reasoning_blocks: blocks, ..Delta::default() }, None, out);
        }
        self.stop = stop;
        self.chunk(Delta::default(), Some(stop), out);
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.reply.usage == UsageChunk::Wanted {
            let usage = Some(Some(Report::from(self.tally.totals())));
            frame(&Chunk { usage, ..self.head("chat.completion.chunk") }, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The role, the first time that it is asked for.
    fn role(&mut self) -> Option<&'static str> {
        let is_first = !std::mem::replace(&mut self.has_role, true);
        is_first.then_some("assistant")
    }

    fn chunk(&self, delta: Delta<'_>, stop: Option<Stop>, out: &mut Vec<u8>) {
        let choice = Choice {
            index: 0,
            delta: Some(delta),
            message: None,
            logprobs: None,
            finish_reason: stop.map(reason),
        };
        // Clients that asked for usage see `null` in all chunks but the last.
        let usage = (self.reply.usage == UsageChunk::Wanted).then_some(None);
        let chaperone = stop.and_then(extension);
        frame(&Chunk { choices: vec![choice], usage, chaperone, ..self.head("chat.completion.chunk") }, out);
    }

    fn head(&self, object: &'static str) -> Chunk<'_> {
        Chunk {
            id: &self.id,
            object,
            created: self.reply.created,
            model: self.model.as_deref().unwrap_or(&self.reply.model),
            choices: Vec::new(),
            usage: None,
            chaperone: None,
        }
    }

    fn whole(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let choice = Choice {
            index: 0,
            delta: None,
            message: Some(self.message()?),
            logprobs: None,
            finish_reason: Some(reason(self.stop)),
        };
        let usage = Some(Some(Report::from(self.tally.totals())));
        let chaperone = extension(self.stop);
        let body = Chunk { choices: vec![choice], usage, chaperone, ..self.head("chat.completion") };
        write(&body, out);
        Ok(())
    }

    fn message(&self) -> Result<Message<'_>, Failure> {
        let tool_calls = self.calls()?;
        let text = self.draft.text(|block| *block == Block::Text);
        let refusal = self.draft.text(|block| *block == Block::Refusal);
        // Only calls and refusals come without content.
        let content = text.or_else(|| (tool_calls.is_empty() && refusal.is_none()).then(String::new));
        Ok(Message {
            role: "assistant",
            content,
            refusal,
            reasoning_content: self.draft.text(|block| *block == Block::Reasoning),
            reasoning_blocks: reasoning_blocks(&self.draft, &self.reply),
            tool_calls,
        })
    }

    fn calls(&self) -> Result<Vec<Call<'_>>, Failure> {
        let calls = self.draft.pieces().filter_map(|piece| match &piece.block {
            Block::Tool { id, name } => Some((id, name, piece)),
            Block::Text | Block::Reasoning | Block::Opaque { .. } | Block::Refusal => None,
        });
        calls
            .enumerate()
            .map(|(index, (id, name, piece))| {
                arguments(&piece.text).ok_or_else(protocol)?;
                let arguments = if piece.text.trim().is_empty() { "{}" } else { piece.text.as_str() };
                Ok(Call {
                    index: None,
                    id: Some(id::of_call(id, &self.reply.request_id, index)),
                    kind: Some("function"),
                    function: Function { name: Some(name), arguments },
                })
            })
            .collect()
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

fn arguments_delta(call: usize, arguments: &str) -> Delta<'_> {
    let function = Function { name: None, arguments };
    let call = Call { index: Some(call), id: None, kind: None, function };
    Delta { tool_calls: Some([call]), ..Delta::default() }
}

fn reasoning_blocks<'a>(draft: &'a Draft, reply: &Reply) -> Vec<ReasoningBlock<'a>> {
    // The dialect itself has no such member, and its own partners want nothing back.
    if reply.origin.dialect == Dialect::OpenAi {
        return Vec::new();
    }
    let seal = |payload: &str| slot::seal(&reply.origin, payload);
    let block = |piece: &'a Piece| match &piece.block {
        Block::Reasoning => {
            let signature = seal(piece.signature.as_deref().unwrap_or_default());
            Some(ReasoningBlock::Thinking { thinking: &piece.text, signature })
        }
        Block::Opaque { data } => Some(ReasoningBlock::RedactedThinking { data: seal(data) }),
        Block::Text | Block::Tool { .. } | Block::Refusal => None,
    };
    draft.pieces().filter_map(block).collect()
}

pub(super) fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Complete | Stop::Sequence => "stop",
        Stop::Length | Stop::Budget => "length",
        Stop::Tools => "tool_calls",
        Stop::Refused => "content_filter",
    }
}

fn extension(stop: Stop) -> Option<Extension> {
    (stop == Stop::Budget).then_some(Extension { reason: "budget_cutoff" })
}

/// Writes `value` as one event of a stream.
pub(super) fn frame(value: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write(value, out);
    out.extend_from_slice(b"\n\n");
}

/// Writes `value` as JSON, without a line end in it.
pub(super) fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("strings and numbers always serialise, and memory takes every byte");
}
