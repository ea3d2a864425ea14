//! Legacy completions, as the Mock serves them: one prompt in, one text out. Partners get them by passthrough only.

use serde::Serialize;

use super::encoder::{frame, reason, write};
use super::message::{hint, leave, meaning};
use super::parameter;
use super::usage::Report;
use crate::dialect::draft::{Draft, Keep};
use crate::dialect::read::{Kind, Object, Value, invalid};
use crate::dialect::tally::Tally;
use crate::dialect::{Encode, Reply, UsageChunk, id};
use crate::exchange::{Failure, Mode};
use crate::neutral::{Block, Event, Part, Request, Role, Stop, Turn};
use crate::refusal::Refusal;

/// Members that change no word of a deterministic answer.
const HINTS: [&str; 3] = ["logit_bias", "user", "suffix"];

/// Reads `POST /v1/completions`: the prompt becomes the only message of the user.
///
/// # Errors
/// What the dialect does not allow, and prompts that are not one string.
pub(crate) fn decode_request(body: &[u8]) -> Result<Request, Refusal> {
    let mut members = Object::body(body)?;
    let mut request = Request::default();
    let prompt = prompt(&members.need("prompt")?, &mut request)?;
    request.turns.push(Turn { role: Role::User, parts: vec![Part::Text(prompt)] });
    for ours in ["model", "stream", "stream_options"] {
        members.take(ours)?;
    }
    request.max_tokens = members.tokens("max_tokens")?;
    request.temperature = members.number("temperature")?;
    request.top_p = members.number("top_p")?;
    request.seed = members.number("seed")?;
    request.presence_penalty = members.number("presence_penalty")?;
    request.frequency_penalty = members.number("frequency_penalty")?;
    if let Some(stop) = members.take("stop")? {
        request.stop = parameter::stop(&stop)?;
    }
    for name in HINTS {
        request.foreign.extend(members.take(name)?.map(|value| hint(value.path)));
    }
    for name in ["n", "best_of"] {
        let count = members.tokens(name)?;
        if count.is_some_and(|count| count.0 > 1) {
            request.foreign.push(meaning(members.at(name), None));
        }
    }
    if members.boolean("echo")? == Some(true) {
        request.foreign.push(meaning(members.at("echo"), None));
    }
    leave(members, &mut request);
    Ok(request)
}

fn prompt(prompt: &Value<'_>, request: &mut Request) -> Result<String, Refusal> {
    if prompt.kind() == Kind::Text {
        return prompt.text();
    }
    let items = prompt.items()?;
    match items.as_slice() {
        [only] if only.kind() == Kind::Text => only.text(),
        [] => Err(invalid(&prompt.path, "must not be empty")),
        _ => {
            // Several prompts, or token ids, which only their own model can read.
            request.foreign.push(meaning(prompt.path.clone(), None));
            Ok(String::new())
        }
    }
}

/// Writes one `text_completion`, whole or in chunks. All that is not text is left out.
pub(crate) struct Encoder {
    reply: Reply,
    id: String,
    model: Option<String>,
    tally: Tally,
    draft: Draft,
    stop: Stop,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Report>,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: u8,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

impl Encoder {
    pub(crate) fn new(reply: Reply) -> Self {
        Self {
            id: id::of_answer("cmpl-", &reply.request_id),
            model: None,
            tally: Tally::new(reply.prompt_estimate),
            draft: Draft::new(match reply.mode {
                Mode::Whole => Keep::All,
                Mode::Stream => Keep::Nothing,
            }),
            stop: Stop::Complete,
            reply,
        }
    }

    fn head(&self) -> Completion<'_> {
        Completion {
            id: &self.id,
            object: "text_completion",
            created: self.reply.created,
            model: self.model.as_deref().unwrap_or(&self.reply.model),
            choices: Vec::new(),
            usage: None,
        }
    }

    fn chunk(&self, text: &str, stop: Option<Stop>, out: &mut Vec<u8>) {
        let choices = vec![Choice { text, index: 0, logprobs: None, finish_reason: stop.map(reason) }];
        frame(&Completion { choices, ..self.head() }, out);
    }

    fn stream(&self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Delta { text, .. } => self.chunk(text, None, out),
            Event::Stop(stop) => self.chunk("", Some(*stop), out),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => {
                if self.reply.usage == UsageChunk::Wanted {
                    let usage = Some(Report::from(self.tally.totals()));
                    frame(&Completion { usage, ..self.head() }, out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            Event::Start { .. }
            | Event::BlockStart { .. }
            | Event::Signature { .. }
            | Event::BlockStop { .. }
            | Event::Usage(_) => {}
        }
    }

    fn whole(&self, out: &mut Vec<u8>) {
        let text = self.draft.text(|block| *block == Block::Text).unwrap_or_default();
        let finish_reason = Some(reason(self.stop));
        let choices = vec![Choice { text: &text, index: 0, logprobs: None, finish_reason }];
        let usage = Some(Report::from(self.tally.totals()));
        write(&Completion { choices, usage, ..self.head() }, out);
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
            (Mode::Whole, Event::End) => self.whole(out),
            (Mode::Whole, _) => {}
        }
        Ok(())
    }
}
