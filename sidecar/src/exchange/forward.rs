//! A stream of the app's own dialect: frames leave as they came, but for the usage that only we had asked for.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::json::{self, ELSEWHERE, Edit, Kind, Map, ROOT, Rule, Want};
use crate::sse::Frame;

/// What stands in a chunk's way to an app that did not ask for usage.
const CHUNK: Map = Map {
    rules: &[
        Rule { at: ROOT, key: "usage", then: ELSEWHERE, want: Want::Range },
        Rule { at: ROOT, key: "choices", then: ELSEWHERE, want: Want::Range },
    ],
    elements: &[],
};

/// What becomes of the usage in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamUsage {
    /// The app gets what the partner sends.
    Keep,
    /// We asked for it, the app did not: it sees the bytes that it would have seen.
    Strip,
}

/// Passes frames on.
#[derive(Debug)]
pub(super) struct Forward {
    usage: StreamUsage,
    /// Whether the last frame was passed on; a line feed that belongs to it shares its fate.
    passed: bool,
}

impl Forward {
    pub(super) fn new(usage: StreamUsage) -> Self {
        Self { usage, passed: false }
    }

    pub(super) fn frame(&mut self, frame: &Frame, out: &mut VecDeque<Bytes>) {
        let before = out.len();
        match self.usage {
            StreamUsage::Keep => out.push_back(frame.raw().clone()),
            StreamUsage::Strip => strip(frame, out),
        }
        self.passed = out.len() > before;
    }

    /// A frame was left out.
    pub(super) fn forget(&mut self) {
        self.passed = false;
    }

    pub(super) fn line_feed(&mut self, bytes: Bytes, out: &mut VecDeque<Bytes>) {
        if self.passed {
            out.push_back(bytes);
        }
    }
}

/// Passes a frame on without its usage, or not at all if it has nothing else.
fn strip(frame: &Frame, out: &mut VecDeque<Bytes>) {
    let raw = frame.raw();
    let data = frame.data_range().filter(|_| memchr::memmem::find(raw, b"\"usage\"").is_some());
    let Some(chunk) = data.map(|range| (range.start, raw.slice(range))) else {
        out.push_back(raw.clone());
        return;
    };
    let (start, chunk) = chunk;
    // A chunk that is not JSON was refused before it came here.
    let skim = json::skim(&chunk, &CHUNK).unwrap_or_default();
    let has_choices = skim.get(ROOT, "choices").is_some_and(|choices| {
        let inside = chunk.get(choices.value.start + 1..choices.value.end - 1).unwrap_or_default();
        !inside.iter().all(|byte| json::is_blank(*byte))
    });
    match skim.get(ROOT, "usage") {
        Some(usage) if usage.kind == Kind::Null => {
            let Edit { range, text } = Edit::cut(&chunk, usage);
            let range = range.start + start..range.end + start;
            out.extend(json::splice(raw, vec![Edit { range, text }]));
        }
        Some(_) if !has_choices => {}
        Some(_) | None => out.push_back(raw.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::{Decoder, Piece};

    fn stripped(text: &str) -> String {
        let (mut decoder, mut out) = (Decoder::default(), VecDeque::new());
        let mut forward = Forward::new(StreamUsage::Strip);
        decoder.push(text.as_bytes());
        while let Some(piece) = decoder.next().unwrap() {
            match piece {
                Piece::Frame(frame) => forward.frame(&frame, &mut out),
                Piece::LineFeed(bytes) => forward.line_feed(bytes, &mut out),
            }
        }
        String::from_utf8(Vec::from(out).concat()).unwrap()
    }

    #[test]
    fn litellm_35290_usage_that_nobody_asked_for_is_taken_out() {
        let cases = [
            // The member alone goes, every other byte stays.
            (
                "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}],\"usage\":null}\n\n",
                "data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\n\n",
            ),
            ("data: {\"usage\": null, \"choices\":[1]}\n\n", "data: { \"choices\":[1]}\n\n"),
            // The usage chunk goes as a whole, with the line feed that completes it.
            (
                "data: {\"choices\":[ ],\"usage\":{\"prompt_tokens\":1}}\r\n\r\ndata: x\r\n\r\n",
                "data: x\r\n\r\n",
            ),
            // What would have come anyway stays.
            (
                "data: {\"choices\":[1],\"usage\":{\"prompt_tokens\":1}}\n\n",
                "data: {\"choices\":[1],\"usage\":{\"prompt_tokens\":1}}\n\n",
            ),
            (
                "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
                "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
            ),
            (": keep-alive\n\ndata: [DONE]\n\n", ": keep-alive\n\ndata: [DONE]\n\n"),
        ];
        for (sent, seen) in cases {
            assert_eq!(stripped(sent), seen);
        }
    }
}
