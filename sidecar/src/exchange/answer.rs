//! A partner's answer on its way to the app: bytes in, bytes out, and how far it has come.
//!
//! Nothing is decided here about retries or timers: the caller keeps what comes out until it commits.

mod head;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::adapter::{Adapter, Dialect};
use chaperone_protocol::limits;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_redact::Policy;

use super::amend::Amend;
use super::events::{self, Events};
use super::forward::{Forward, StreamUsage};
use super::progress::Progress;
use super::{Ask, Failure, Mode, StreamOptions};
use crate::dialect::{Decode, Drift, Encode, error};
use crate::neutral::Event;
use crate::pii::turns;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::sse::{self, Frame, Piece};

/// Reads one answer. Sans-IO.
pub(crate) struct Answer {
    /// What the app reads.
    dialect: Dialect,
    /// What the app asked for.
    client: Mode,
    request_id: String,
    /// In seconds since 1970.
    created: u64,
    body: Body,
    decode: Box<dyn Decode + Send>,
    write: Write,
    /// What becomes of the texts; `None`: they leave as they came.
    rewrite: Option<Rewriting>,
    /// What it is searched for.
    answers: Option<Arc<Policy>>,
    events: Vec<Event>,
    progress: Progress,
    /// Bytes of a stream that may still come before it must have said something, or be complete.
    patience: usize,
    /// Whether the request has `stream_options`.
    asks_for_usage: bool,
}

/// What of the partner's bytes is held.
enum Body {
    /// All of them.
    Whole { pieces: Vec<Bytes>, length: usize },
    /// At most one event.
    Stream(sse::Decoder),
}

/// How the app's bytes come about.
enum Write {
    /// They are the partner's.
    Forward(Forward),
    /// They are written anew.
    Encode(Box<dyn Encode + Send>),
}

/// How texts are rewritten: where they stand, or on their way through the neutral form.
enum Rewriting {
    // Boxed: most answers have none, and an answer is part of its request's future.
    Frames(Box<Amend>),
    Events(Box<Events>),
}

impl fmt::Debug for Answer {
    /// No content.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Answer({:?}, {:?})", self.client, self.dialect)
    }
}

fn protocol() -> Failure {
    Failure::new(Reason::PartnerProtocol)
}

impl Answer {
    /// An answer that passes through; `decode` keeps account of it.
    pub(crate) fn forwarded(
        ask: &Ask<'_>,
        partner: Mode,
        usage: StreamUsage,
        decode: Box<dyn Decode + Send>,
    ) -> Self {
        Self::new(ask, partner, decode, Write::Forward(Forward::new(usage)))
    }

    /// An answer that is written anew.
    pub(crate) fn encoded(
        ask: &Ask<'_>,
        partner: Mode,
        decode: Box<dyn Decode + Send>,
        encode: Box<dyn Encode + Send>,
    ) -> Self {
        Self::new(ask, partner, decode, Write::Encode(encode))
    }

    fn new(ask: &Ask<'_>, partner: Mode, decode: Box<dyn Decode + Send>, write: Write) -> Self {
        let body = match partner {
            Mode::Whole => Body::Whole { pieces: Vec::new(), length: 0 },
            Mode::Stream => Body::Stream(sse::Decoder::default()),
        };
        let knows_options = partner == Mode::Stream && ask.target.partner.adapter == Adapter::OpenAI;
        let scrubber = match ask.prompt.api() {
            ClientApi::Embeddings | ClientApi::CountTokens => None,
            ClientApi::ChatCompletions | ClientApi::Completions | ClientApi::Messages | ClientApi::Infer => {
                ask.rewrite.scrubber()
            }
        };
        let rewrite = scrubber.map(|scrubber| match write {
            Write::Forward(_) => {
                Rewriting::Frames(Box::new(Amend::new(scrubber, ask.prompt.api().dialect())))
            }
            Write::Encode(_) => Rewriting::Events(Box::new(Events::new(scrubber))),
        });
        let mut progress = Progress::default();
        if knows_options && ask.stream_options == StreamOptions::Refused {
            progress.drifted(vec![Drift::NoStreamOptions]);
        }
        Self {
            dialect: ask.prompt.api().dialect(),
            client: ask.prompt.mode(),
            request_id: ask.request_id.to_owned(),
            created: ask.created,
            body,
            decode,
            write,
            rewrite,
            answers: ask.rewrite.answers(),
            events: Vec::new(),
            progress,
            asks_for_usage: knows_options && ask.stream_options == StreamOptions::Taken,
            patience: match ask.prompt.mode() {
                // All of it is held until it is complete.
                Mode::Whole => limits::ANSWER_BYTES,
                // All of it is held until its first token: comments and pings must not fill the memory.
                Mode::Stream => limits::SSE_EVENT_BYTES,
            },
        }
    }

    /// Takes the partner's next bytes, cut anywhere.
    ///
    /// # Errors
    /// They are an error, break the dialect or exceed a limit.
    pub(crate) fn push(&mut self, bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        match &mut self.body {
            Body::Whole { pieces, length } => {
                *length = length.saturating_add(bytes.len());
                if *length > limits::ANSWER_BYTES {
                    return Err(protocol());
                }
                pieces.push(bytes);
                Ok(())
            }
            Body::Stream(decoder) => {
                decoder.push(&bytes);
                self.spend(bytes.len())?;
                while let Some(piece) = self.next_piece()? {
                    self.piece(piece, out)?;
                }
                Ok(())
            }
        }
    }

    /// Takes events instead of bytes: the Mock adapter has no dialect.
    ///
    /// # Errors
    /// The app's dialect cannot say them.
    pub(crate) fn events(&mut self, events: &[Event], out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        self.events.extend_from_slice(events);
        self.settle(None, out)
    }

    /// Nothing came for a moment: what of the texts need not wait for more leaves.
    ///
    /// # Errors
    /// What is held must not leave.
    pub(crate) fn pause(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        match (&mut self.write, &mut self.rewrite) {
            (Write::Forward(forward), Some(Rewriting::Frames(texts))) => {
                for frame in texts.pause()? {
                    forward.frame(&frame, out);
                }
            }
            (Write::Encode(encode), Some(Rewriting::Events(texts))) => {
                let mut written = Vec::new();
                for event in texts.pause()? {
                    encode.event(&event, &mut written)?;
                }
                if !written.is_empty() {
                    out.push_back(written.into());
                }
            }
            (Write::Forward(_) | Write::Encode(_), Some(_) | None) => {}
        }
        Ok(())
    }

    /// Whether it may hold text that leaves in a pause.
    pub(crate) fn may_pause(&self) -> bool {
        self.client == Mode::Stream && self.answers.is_some()
    }

    /// The partner sent its last byte. The texts of a whole answer are rewritten in turns; it counts as finished before.
    ///
    /// # Errors
    /// The answer is not complete, or not one.
    pub(crate) async fn end(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        match &mut self.body {
            Body::Whole { pieces, .. } => {
                let pieces = std::mem::take(pieces);
                // Boxed: what it holds would be part of every answer's future.
                Box::pin(self.end_whole(pieces, out)).await
            }
            Body::Stream(_) => self.end_stream(out),
        }
    }

    /// Ends a committed stream with an error that the app can see. There is no terminator after it.
    pub(crate) fn break_off(&mut self, refusal: &Refusal, out: &mut VecDeque<Bytes>) {
        if self.client == Mode::Stream {
            out.push_back(error::event(self.dialect, refusal, &self.request_id).into());
        }
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Says what was done to its texts. Once, at its end.
    pub(crate) fn report(&self, record: &mut Record) {
        let Some(rewrite) = &self.rewrite else { return };
        let tally = match rewrite {
            Rewriting::Frames(amend) => amend.tally(),
            Rewriting::Events(events) => events.tally(),
        };
        record.rewritten(self.answers.as_deref(), &tally);
    }

    /// How long the request has taken, for an app that is told. Said before the end.
    pub(crate) fn elapsed(&mut self, elapsed: Duration) {
        if let Write::Encode(encode) = &mut self.write {
            encode.elapsed(elapsed);
        }
    }

    /// Whether the app gets it piece by piece.
    pub(crate) fn is_stream(&self) -> bool {
        self.client == Mode::Stream
    }

    /// What the app gets.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.client {
            Mode::Whole => "application/json",
            Mode::Stream => "text/event-stream",
        }
    }

    /// Counts bytes that are held and have not committed the answer.
    fn spend(&mut self, length: usize) -> Result<(), Failure> {
        if self.client == Mode::Stream && self.progress.meaningful > 0 {
            return Ok(());
        }
        self.patience = self.patience.checked_sub(length).ok_or_else(protocol)?;
        Ok(())
    }

    fn next_piece(&mut self) -> Result<Option<Piece>, Failure> {
        match &mut self.body {
            Body::Stream(decoder) => decoder.next().map_err(|_| protocol()),
            Body::Whole { .. } => Ok(None),
        }
    }

    fn last_piece(&mut self) -> Result<Option<Piece>, Failure> {
        match &mut self.body {
            Body::Stream(decoder) => decoder.finish().map_err(|_| protocol()),
            Body::Whole { .. } => Ok(None),
        }
    }

    fn piece(&mut self, piece: Piece, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        match (piece, &mut self.write) {
            (Piece::LineFeed(bytes), Write::Forward(forward)) => forward.line_feed(bytes, out),
            (Piece::LineFeed(_), Write::Encode(_)) => {}
            // What comes after the terminal event is nobody's.
            (Piece::Frame(_), _) if self.progress.finished => self.ignore_line_feed(),
            (Piece::Frame(frame), _) => {
                if let Some(event) = frame.event() {
                    self.decode.event(&event, &mut self.events)?;
                }
                self.settle(Some(frame), out)?;
            }
        }
        Ok(())
    }

    fn ignore_line_feed(&mut self) {
        if let Write::Forward(forward) = &mut self.write {
            forward.forget();
        }
    }

    /// Takes note of the events at hand.
    fn noted(&mut self) -> Vec<Event> {
        let events = std::mem::take(&mut self.events);
        events.iter().for_each(|event| self.progress.take(event));
        self.progress.drifted(self.decode.drift());
        events
    }

    /// Takes note of the events at hand, and writes them, or the frame that they came in.
    fn settle(&mut self, frame: Option<Frame>, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        let events = self.noted();
        match (&mut self.write, &mut self.rewrite, frame) {
            (Write::Encode(encode), rewrite, _) => {
                let mut written = Vec::new();
                write(encode.as_mut(), rewrite, events, &mut written)?;
                if !written.is_empty() {
                    out.push_back(written.into());
                }
            }
            (Write::Forward(forward), Some(Rewriting::Frames(texts)), Some(frame)) => {
                for frame in texts.frame(frame)? {
                    forward.frame(&frame, out);
                }
            }
            (Write::Forward(forward), _, Some(frame)) => forward.frame(&frame, out),
            (Write::Forward(_), _, None) => {}
        }
        Ok(())
    }

    async fn end_whole(&mut self, pieces: Vec<Bytes>, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        match pieces.as_slice() {
            [single] => self.decode.whole(single, &mut self.events)?,
            many => self.decode.whole(&many.concat(), &mut self.events)?,
        }
        let events = self.noted();
        self.progress.finished = true;
        match (&mut self.write, &mut self.rewrite) {
            (Write::Forward(_), Some(Rewriting::Frames(texts))) => {
                out.push_back(texts.whole(&pieces.concat().into()).await?);
            }
            (Write::Forward(_), _) => out.extend(pieces),
            (Write::Encode(encode), rewrite) => {
                let mut written = Vec::new();
                for event in events.into_iter().flat_map(events::parts) {
                    write(encode.as_mut(), rewrite, vec![event], &mut written)?;
                    turns::next().await;
                }
                if !written.is_empty() {
                    out.push_back(written.into());
                }
            }
        }
        Ok(())
    }

    fn end_stream(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        while let Some(piece) = self.last_piece()? {
            self.piece(piece, out)?;
        }
        if self.progress.finished {
            return Ok(());
        }
        self.decode.end(&mut self.events)?;
        self.settle(None, out)?;
        self.progress.finished = true;
        if let (Write::Forward(forward), Some(Rewriting::Frames(texts))) =
            (&mut self.write, &mut self.rewrite)
        {
            for frame in texts.end()? {
                forward.frame(&frame, out);
            }
        }
        // The decoder found the answer complete, so only the terminator of OpenAI's dialect can be missing.
        if matches!(self.write, Write::Forward(_)) && self.dialect == Dialect::OpenAi {
            out.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
        }
        Ok(())
    }
}

/// Writes `events` anew, with their texts rewritten.
fn write(
    encode: &mut (dyn Encode + Send),
    rewrite: &mut Option<Rewriting>,
    events: Vec<Event>,
    written: &mut Vec<u8>,
) -> Result<(), Failure> {
    let events = match rewrite {
        Some(Rewriting::Events(texts)) => texts.rewrite(events)?,
        Some(Rewriting::Frames(_)) | None => events,
    };
    for event in &events {
        encode.event(event, written)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
