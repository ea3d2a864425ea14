//! What both renderers share: an answer before it is put on the wire.
use serde_json::Value;

/// Where the bytes of tool arguments are split in a stream: small and odd, so that escapes and numbers break.
const ARGUMENT_PIECE: usize = 7;

/// An answer, not yet framed.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    /// Status line.
    pub(crate) status: u16,
    /// `content-type`.
    pub(crate) content_type: &'static str,
    /// Content; each piece leaves in one write.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Whether the length is unknown beforehand.
    pub(crate) streamed: bool,
}

impl Rendered {
    /// A JSON document.
    pub(crate) fn json(status: u16, document: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            pieces: vec![document.to_string().into_bytes()],
            streamed: false,
        }
    }

    /// A stream of server-sent events.
    pub(crate) fn events(frames: Vec<String>) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream; charset=utf-8",
            pieces: frames.into_iter().map(String::into_bytes).collect(),
            streamed: true,
        }
    }
}

/// Splits arguments as a stream would; never empty.
pub(crate) fn argument_pieces(arguments: &str) -> Vec<String> {
    let letters: Vec<char> = arguments.chars().collect();
    letters.chunks(ARGUMENT_PIECE).map(|piece| piece.iter().collect()).collect()
}
