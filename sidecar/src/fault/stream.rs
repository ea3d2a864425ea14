//! A partner's body with a fault in it: bytes in, bytes out, and where they end.

use std::collections::VecDeque;

use bytes::Bytes;
use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::{FaultKind, WrongUsage};

use super::usage;
use crate::dialect::{Decode, anthropic, openai};
use crate::exchange::Mode;
use crate::sse::{self, Decoder, Frame, Piece};

/// A frame, or a body, that is not JSON.
pub(crate) const GARBAGE: &[u8] = b"data: {\"choices\": [{\"delta\n\n";

/// What is done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It ends after so many tokens.
    Cut(u64),
    /// Garbage comes after so many tokens.
    Garble(u64),
    /// Its count of tokens is wrong.
    Usage(WrongUsage),
}

impl Harm {
    /// What a fault does to a body; `None` if it strikes before there is one.
    pub(crate) fn of(kind: FaultKind) -> Option<Self> {
        match kind {
            FaultKind::CutAfterTokens { tokens } => Some(Self::Cut(tokens.into())),
            FaultKind::MalformedSse { tokens } => Some(Self::Garble(tokens.into())),
            FaultKind::WrongUsage { usage } => Some(Self::Usage(usage)),
            FaultKind::StallFirstToken { .. }
            | FaultKind::Status { .. }
            | FaultKind::Delay { .. }
            | FaultKind::Abort => None,
        }
    }
}

/// How a harmed body goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// More of the partner's bytes are needed.
    Going,
    /// The body is over, as if the partner had ended it.
    Ended,
    /// The connection is gone in the middle of the body.
    Reset,
}

/// Harms one body.
pub(crate) struct Harmed {
    harm: Harm,
    body: Body,
    /// What is ready for the adapter.
    out: VecDeque<Bytes>,
    state: State,
}

enum Body {
    /// Of an event stream: the frames so far, and what counts their tokens.
    Stream { frames: Decoder, decode: Box<dyn Decode + Send>, tokens: u64 },
    /// Held until it is complete.
    Whole { pieces: Vec<Bytes>, length: usize },
}

impl Harmed {
    pub(crate) fn new(harm: Harm, dialect: Dialect, mode: Mode) -> Self {
        let body = match mode {
            Mode::Whole => Body::Whole { pieces: Vec::new(), length: 0 },
            Mode::Stream => Body::Stream {
                frames: Decoder::default(),
                decode: match dialect {
                    Dialect::Anthropic => Box::new(anthropic::Decoder::accounting()),
                    Dialect::OpenAi | Dialect::Neutral => Box::new(openai::Decoder::accounting()),
                },
                tokens: 0,
            },
        };
        Self { harm, body, out: VecDeque::new(), state: State::Going }
    }

    /// What goes on to the adapter, as far as it is known.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// How it goes on once nothing is ready.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Takes the partner's next bytes, cut anywhere.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        match &mut self.body {
            // Larger than any answer may be: the adapter says so, the fault need not.
            Body::Whole { length, .. } if *length + bytes.len() > limits::ANSWER_BYTES => {
                self.state = State::Reset;
            }
            Body::Whole { pieces, length } => {
                *length += bytes.len();
                pieces.push(bytes);
            }
            Body::Stream { frames, .. } => {
                frames.push(&bytes);
                self.frames(Decoder::next);
            }
        }
    }

    /// The partner has ended the body.
    pub(crate) fn end(&mut self) {
        match &mut self.body {
            Body::Stream { .. } => {
                self.frames(Decoder::finish);
                if self.state == State::Going {
                    self.state = State::Ended;
                }
            }
            Body::Whole { pieces, .. } => {
                let body = std::mem::take(pieces).concat();
                (self.out, self.state) = whole(self.harm, body);
            }
        }
    }

    fn frames(&mut self, next: fn(&mut Decoder) -> Result<Option<Piece>, sse::InvalidSse>) {
        while self.state == State::Going {
            if self.strikes() {
                return;
            }
            let Body::Stream { frames, decode, tokens } = &mut self.body else { return };
            match next(frames) {
                Ok(Some(Piece::Frame(frame))) => {
                    *tokens += meaningful(decode.as_mut(), &frame);
                    self.out.push_back(edited(self.harm, frame));
                }
                Ok(Some(Piece::LineFeed(bytes))) => self.out.push_back(bytes),
                Ok(None) => return,
                // The partner breaks the format by itself.
                Err(_) => self.state = State::Reset,
            }
        }
    }

    /// Ends the body if its time has come.
    fn strikes(&mut self) -> bool {
        let Body::Stream { tokens, .. } = self.body else { return false };
        let garbage = match self.harm {
            Harm::Cut(after) if tokens >= after => None,
            Harm::Garble(after) if tokens >= after => Some(Bytes::from_static(GARBAGE)),
            Harm::Cut(_) | Harm::Garble(_) | Harm::Usage(_) => return false,
        };
        self.out.extend(garbage);
        self.state = State::Ended;
        true
    }
}

/// How many tokens a frame has. One that the dialect does not know has none.
fn meaningful(decode: &mut (dyn Decode + Send), frame: &Frame) -> u64 {
    let mut events = Vec::new();
    if let Some(event) = frame.event()
        && decode.event(&event, &mut events).is_err()
    {
        return 0;
    }
    events.iter().map(|event| u64::from(event.is_meaningful())).sum()
}

fn edited(harm: Harm, frame: Frame) -> Bytes {
    let Harm::Usage(wrong) = harm else { return frame.raw().clone() };
    let Some(event) = frame.event() else { return frame.raw().clone() };
    let Some(data) = usage::rewrite(event.data.as_bytes(), wrong) else { return frame.raw().clone() };
    let mut out = Vec::new();
    sse::write(&mut out, event.event, &String::from_utf8_lossy(&data));
    out.into()
}

fn whole(harm: Harm, body: Vec<u8>) -> (VecDeque<Bytes>, State) {
    match harm {
        Harm::Cut(_) => {
            let half = body.len() / 2;
            (VecDeque::from([Bytes::from(body).slice(..half)]), State::Reset)
        }
        Harm::Garble(_) => (VecDeque::from([Bytes::from_static(GARBAGE)]), State::Ended),
        Harm::Usage(wrong) => {
            let body = usage::rewrite(&body, wrong).unwrap_or(body);
            (VecDeque::from([Bytes::from(body)]), State::Ended)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n: ping\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    const ANTHROPIC: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"b\"}}\n\n\
        event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    /// What the adapter sees of `body`, which comes in chunks of `size` bytes.
    fn harmed(harm: Harm, dialect: Dialect, body: &str, size: usize) -> (String, State) {
        let mut harmed = Harmed::new(harm, dialect, Mode::Stream);
        for chunk in body.as_bytes().chunks(size) {
            if harmed.state() == State::Going {
                harmed.push(Bytes::copy_from_slice(chunk));
            }
        }
        if harmed.state() == State::Going {
            harmed.end();
        }
        let out: Vec<u8> = std::iter::from_fn(|| harmed.next()).flatten().collect();
        (String::from_utf8(out).unwrap(), harmed.state())
    }

    #[test]
    fn a_stream_is_cut_behind_the_token_that_was_named_however_it_comes_in() {
        for (dialect, body) in [(Dialect::OpenAi, OPENAI), (Dialect::Anthropic, ANTHROPIC)] {
            for size in [1, 7, 10_000] {
                let (none, state) = harmed(Harm::Cut(0), dialect, body, size);
                assert_eq!((none.as_str(), state), ("", State::Ended));
                let (one, _) = harmed(Harm::Cut(1), dialect, body, size);
                assert!(one.contains("\"a\"") && !one.contains("\"b\""), "{one}");
                assert!(body.starts_with(&one));
                // An answer that is shorter is not harmed.
                assert_eq!(harmed(Harm::Cut(3), dialect, body, size), (body.to_owned(), State::Ended));
            }
        }
    }

    #[test]
    fn garbage_comes_behind_the_token_that_was_named() {
        for (dialect, body) in [(Dialect::OpenAi, OPENAI), (Dialect::Anthropic, ANTHROPIC)] {
            let (seen, _) = harmed(Harm::Garble(2), dialect, body, 9);
            let before = seen.strip_suffix(std::str::from_utf8(GARBAGE).unwrap()).unwrap();
            assert!(body.starts_with(before) && before.contains("\"b\""), "{seen}");
        }
    }

    #[test]
    fn a_count_of_tokens_is_changed_in_a_stream_and_every_other_frame_stays() {
        let (missing, _) = harmed(Harm::Usage(WrongUsage::Missing), Dialect::OpenAi, OPENAI, 9);
        assert!(!missing.contains("usage") && missing.ends_with("data: [DONE]\n\n"), "{missing}");
        let (huge, _) = harmed(Harm::Usage(WrongUsage::Huge), Dialect::Anthropic, ANTHROPIC, 9);
        assert_eq!(huge.matches("9223372036854775808").count(), 3, "{huge}");
        assert!(huge.contains("event: message_delta\ndata: {") && huge.contains("\"end_turn\""));
    }

    #[test]
    fn a_whole_body_is_cut_garbled_or_counted_anew() {
        let body = r#"{"choices":[],"usage":{"prompt_tokens":9}}"#;
        let play = |harm| {
            let mut harmed = Harmed::new(harm, Dialect::OpenAi, Mode::Whole);
            harmed.push(Bytes::from(body));
            assert_eq!(harmed.next(), None);
            harmed.end();
            (harmed.next().unwrap(), harmed.state())
        };
        assert_eq!(play(Harm::Cut(10)), (Bytes::from(body).slice(..body.len() / 2), State::Reset));
        assert_eq!(play(Harm::Garble(0)), (Bytes::from(GARBAGE), State::Ended));
        let zero = Bytes::from(r#"{"choices":[],"usage":{"prompt_tokens":0}}"#);
        assert_eq!(play(Harm::Usage(WrongUsage::Zero)), (zero, State::Ended));
    }
}
