//! The texts of an answer in the app's own dialect, rewritten in place: every other byte leaves as it came.
//!
//! What is held of a text leaves before whatever ends it, in the shape of the frames that came: with their ids, in
//! their order. Where answers are searched, every other string of a document is searched by itself, and log
//! probabilities, which say the text once more token by token, are left out.

mod anthropic;
mod openai;

use std::ops::Range;

use bytes::Bytes;
use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::reason::Reason;
use chaperone_redact::FieldTable;

use super::Failure;
use crate::json::{self, Edit, Map, Skim};
use crate::pii::{Channel, Field, Scrubber, Tally, Unfit};
use crate::sse::{self, Frame};

/// Rewrites one answer that passes through.
pub(super) struct Amend {
    scrubber: Scrubber,
    dialect: Dialect,
    /// The last chunk of OpenAI's dialect, of whose shape made-up ones are.
    shape: Option<openai::Shape>,
    /// A chunk that waits for the next one, and the texts that it would end.
    waiting: Option<(Chunk, Read, Vec<Channel>)>,
    /// Whether several texts of a choice go on by turns.
    by_turns: bool,
}

/// A frame that says something, and what it says but for its texts.
struct Chunk {
    frame: Frame,
    name: Option<String>,
    data: Bytes,
    /// Whether that is no more what the frame says.
    is_changed: bool,
}

/// What a chunk of OpenAI's dialect says, and which choices it ends.
struct Read {
    skimmed: Skim,
    found: Vec<Found>,
    ending: Vec<u64>,
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        let reason = match unfit {
            Unfit::Blocked => Reason::PiiBlocked,
            Unfit::Unscannable => Reason::PiiUnscannable,
            Unfit::TooMany => Reason::PartnerProtocol,
        };
        Self { message: Some(unfit.to_string()), ..Self::new(reason) }
    }
}

/// Where a text stands in a document, and how it is written there.
struct Found {
    channel: Channel,
    range: Range<usize>,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A string of JSON, in its quotes.
    String,
    /// JSON as it stands.
    Raw,
}

/// Edits of one document.
#[derive(Default)]
struct Edits(Vec<Edit>);

impl Edits {
    fn set(&mut self, found: &Found, text: String) {
        let text = match found.form {
            Form::String => json::quote(&text),
            Form::Raw => text,
        };
        self.0.push(Edit::new(found.range.clone(), text));
    }

    /// `None`: the document stays as it is.
    fn applied(self, document: &Bytes) -> Option<Bytes> {
        (!self.0.is_empty()).then(|| json::splice(document, self.0).concat().into())
    }
}

impl Amend {
    pub(super) fn new(scrubber: Scrubber, dialect: Dialect) -> Self {
        Self { scrubber, dialect, shape: None, waiting: None, by_turns: false }
    }

    pub(super) fn tally(&self) -> Tally {
        self.scrubber.tally()
    }

    /// What leaves instead of `frame`: made-up frames with what was held, then the frame itself.
    pub(super) fn frame(&mut self, frame: Frame) -> Result<Vec<Frame>, Failure> {
        let Some(event) = frame.event() else { return Ok(vec![frame]) };
        let (name, data) = (event.event.map(str::to_owned), Bytes::from(event.data.to_owned()));
        if self.dialect != Dialect::Anthropic && data.trim_ascii() == b"[DONE]" {
            let mut frames = self.end()?;
            frames.push(frame);
            return Ok(frames);
        }
        let searched = self.scrubber.beside(&data, self.table())?;
        let is_changed = searched.is_some();
        let chunk = Chunk { frame, name, data: searched.unwrap_or(data), is_changed };
        if self.dialect == Dialect::Anthropic {
            let (frames, amended) = self.anthropic(&chunk.data)?;
            return chunk.behind(frames, amended);
        }
        let read = Read::of(&chunk.data)?;
        let mut frames = Vec::new();
        if let Some((first, said, ended)) = self.waiting.take() {
            self.by_turns = read.found.iter().any(|found| ended.contains(&found.channel));
            frames = self.openai(first, said)?;
        } else {
            let ended = self.ended_by(&read);
            if !ended.is_empty() {
                self.waiting = Some((chunk, read, ended));
                return Ok(frames);
            }
        }
        frames.extend(self.openai(chunk, read)?);
        Ok(frames)
    }

    /// What leaves if no chunk comes for which one had to wait.
    fn waited(&mut self) -> Result<Vec<Frame>, Failure> {
        match self.waiting.take() {
            Some((chunk, read, _)) => self.openai(chunk, read),
            None => Ok(Vec::new()),
        }
    }

    /// Frames with what need not wait for more text, once nothing came for a moment.
    pub(super) fn pause(&mut self) -> Result<Vec<Frame>, Failure> {
        let mut frames = self.waited()?;
        for channel in self.scrubber.open() {
            let text = self.scrubber.pause(channel)?;
            self.say(channel, &text, &mut frames)?;
        }
        Ok(frames)
    }

    /// What of a document is no text of its own.
    fn table(&self) -> FieldTable {
        match self.dialect {
            Dialect::Anthropic => FieldTable::AnthropicAnswer,
            Dialect::OpenAi | Dialect::Neutral => FieldTable::OpenAiAnswer,
        }
    }

    /// Frames with all that is held: the stream ends without saying so.
    pub(super) fn end(&mut self) -> Result<Vec<Frame>, Failure> {
        let mut frames = self.waited()?;
        let all = self.scrubber.open();
        frames.extend(self.close(&all)?);
        Ok(frames)
    }

    /// What leaves instead of a whole `body`, found in turns.
    pub(super) async fn whole(&mut self, body: &Bytes) -> Result<Bytes, Failure> {
        let searched = self.scrubber.beside_in_turns(body, self.table()).await?;
        let body = searched.as_ref().unwrap_or(body);
        let mut edits = Edits::default();
        let (skimmed, found) = match self.dialect {
            Dialect::Anthropic => {
                let skimmed = skim(body, &anthropic::BODY)?;
                let found = anthropic::in_body(&skimmed);
                (skimmed, found)
            }
            Dialect::OpenAi | Dialect::Neutral => {
                let skimmed = skim(body, &openai::CHUNK)?;
                edits.0 = self.left_out(&skimmed);
                let found = openai::texts(body, &skimmed);
                (skimmed, found)
            }
        };
        for found in found {
            let source = source(body, &found);
            let text = self.scrubber.whole_in_turns(found.channel, &source).await?;
            if self.dialect == Dialect::Anthropic && found.channel.field == Field::Reasoning && text != source
            {
                edits.0.extend(anthropic::signature(&skimmed, found.channel.choice));
            }
            edits.set(&found, text);
        }
        Ok(edits.applied(body).unwrap_or_else(|| body.clone()))
    }

    fn anthropic(&mut self, data: &Bytes) -> Result<(Vec<Frame>, Option<Bytes>), Failure> {
        let step = anthropic::step(data, &skim(data, &anthropic::EVENT)?);
        let (mut frames, mut edits) = (Vec::new(), Edits::default());
        for found in &step.texts {
            let source = source(data, found);
            let text = match step.goes_on {
                true => self.scrubber.push(found.channel, &source)?,
                false => self.scrubber.whole(found.channel, &source)?,
            };
            edits.set(found, text);
        }
        if let Some(signature) = step.signature {
            for channel in self.of_choice(step.block) {
                let text = self.scrubber.flush(channel)?;
                self.say(channel, &text, &mut frames)?;
            }
            // The thought was changed, so its partner would not believe it any more.
            if self.of_choice(step.block).into_iter().any(|channel| self.scrubber.has_found(channel)) {
                edits.0.push(signature);
            }
        }
        let closing = match step.ends {
            anthropic::Ends::None => Vec::new(),
            anthropic::Ends::Block => self.of_choice(step.block),
            anthropic::Ends::All => self.scrubber.open(),
        };
        frames.extend(self.close(&closing)?);
        Ok((frames, edits.applied(data)))
    }

    /// The texts that a chunk would end, for which it has to wait for the next one: where they go on there, they come by
    /// turns, and a value may go on in each. None where nothing is looked for, or the choice ends anyway.
    fn ended_by(&self, read: &Read) -> Vec<Channel> {
        if !self.scrubber.searches() || !read.ending.is_empty() {
            return Vec::new();
        }
        read.found.iter().flat_map(|one| self.texts_beside(one.channel, &read.found)).collect()
    }

    /// What leaves instead of a chunk, which ends the other texts of the choices that it goes on with.
    fn openai(&mut self, chunk: Chunk, read: Read) -> Result<Vec<Frame>, Failure> {
        let (data, Read { skimmed, found, ending }) = (&chunk.data, read);
        self.shape = openai::Shape::of(data, &skimmed).or(self.shape.take());
        let (mut edits, mut before) = (Edits(self.left_out(&skimmed)), Vec::new());
        for (at, one) in found.iter().enumerate() {
            let ended = self.texts_beside(one.channel, &found);
            before.extend(self.close(&ended)?);
            let mut text = self.scrubber.push(one.channel, &source(data, one))?;
            let goes_on = found.iter().skip(at + 1).any(|later| later.channel == one.channel);
            if ending.contains(&one.channel.choice) && !goes_on {
                text += &self.scrubber.close(one.channel)?;
            }
            edits.set(one, text);
        }
        for choice in ending {
            let closing = self.of_choice(choice);
            before.extend(self.close(&closing)?);
        }
        let amended = edits.applied(data);
        chunk.behind(before, amended)
    }

    /// What a chunk or body must not say where answers are searched.
    fn left_out(&self, skimmed: &Skim) -> Vec<Edit> {
        if self.scrubber.searches() { openai::logprobs(skimmed) } else { Vec::new() }
    }

    fn of_choice(&self, choice: u64) -> Vec<Channel> {
        self.scrubber.open().into_iter().filter(|channel| channel.choice == choice).collect()
    }

    /// The texts whose rest leaves before another text of the same choice begins, unless they come side by side: by
    /// turns, in one chunk, or as one thought under two names. Arguments go on until the choice ends.
    fn texts_beside(&self, channel: Channel, chunk: &[Found]) -> Vec<Channel> {
        if self.by_turns {
            return Vec::new();
        }
        let goes_on = |other: &Channel| {
            other.field == channel.field
                || matches!(other.field, Field::Arguments | Field::Input)
                || chunk.iter().any(|found| found.channel == *other)
        };
        self.of_choice(channel.choice).into_iter().filter(|other| !goes_on(other)).collect()
    }

    /// Frames with what is held of `channels`, which end.
    fn close(&mut self, channels: &[Channel]) -> Result<Vec<Frame>, Failure> {
        let mut frames = Vec::new();
        for channel in channels {
            let text = self.scrubber.close(*channel)?;
            self.say(*channel, &text, &mut frames)?;
        }
        Ok(frames)
    }

    /// Adds a made-up frame that says `text`, if that is anything.
    fn say(&self, channel: Channel, text: &str, frames: &mut Vec<Frame>) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        frames.push(match (self.dialect, &self.shape) {
            (Dialect::Anthropic, _) => made(Some("content_block_delta"), &anthropic::delta(channel, text))?,
            (Dialect::OpenAi | Dialect::Neutral, Some(shape)) => made(None, &shape.chunk(channel, text))?,
            // Text was held, so a chunk has come.
            (Dialect::OpenAi | Dialect::Neutral, None) => return Err(protocol()),
        });
        Ok(())
    }
}

impl Read {
    fn of(data: &[u8]) -> Result<Self, Failure> {
        let skimmed = skim(data, &openai::CHUNK)?;
        let (found, ending) = (openai::texts(data, &skimmed), openai::ending(data, &skimmed));
        Ok(Self { skimmed, found, ending })
    }
}

impl Chunk {
    /// It leaves behind `frames`, with what it says now.
    fn behind(self, mut frames: Vec<Frame>, amended: Option<Bytes>) -> Result<Vec<Frame>, Failure> {
        let changed = amended.or_else(|| self.is_changed.then_some(self.data));
        frames.push(match changed {
            Some(data) => made(self.name.as_deref(), &data)?,
            None => self.frame,
        });
        Ok(frames)
    }
}

fn protocol() -> Failure {
    Failure::new(Reason::PartnerProtocol)
}

/// An answer that two parsers could read differently could be read past us.
fn skim(document: &[u8], map: &Map) -> Result<Skim, Failure> {
    json::skim(document, map).map_err(|_| protocol())
}

fn source(document: &Bytes, found: &Found) -> String {
    let source = document.get(found.range.clone()).unwrap_or_default();
    let source = std::str::from_utf8(source).unwrap_or_default();
    match found.form {
        Form::String => json::unescape(inside(source)).into_owned(),
        Form::Raw => source.to_owned(),
    }
}

/// A string without its quotes.
fn inside(source: &str) -> &str {
    source.strip_prefix('"').and_then(|source| source.strip_suffix('"')).unwrap_or(source)
}

fn made(event: Option<&str>, data: &[u8]) -> Result<Frame, Failure> {
    let data = std::str::from_utf8(data).map_err(|_| protocol())?;
    let mut raw = Vec::with_capacity(data.len() + 64);
    sse::write(&mut raw, event, data);
    Frame::read(raw.into()).map_err(|_| protocol())
}

/// A number in a document, 0 where there is none.
fn number(document: &[u8], range: Option<&Range<usize>>) -> u64 {
    let source = range.and_then(|range| document.get(range.clone()));
    source.and_then(|source| std::str::from_utf8(source).ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
