//! Frames of the feed: u32 length (big endian), u8 flags, then as many bytes of JSON.
//!
//! Knows nothing of what a frame says; that is `feed.rs`.

use thiserror::Error;

/// Bytes before the JSON.
const HEAD: usize = 5;

/// Why bytes are not frames. The connection they came from is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidFrame {
    /// It is larger than its direction allows.
    #[error("a frame of {length} bytes is announced; at most {limit} are allowed")]
    TooLarge {
        /// Bytes announced.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// It has a flag that nobody has a meaning for yet. Flag 1 is reserved for a deflated payload.
    #[error("a frame has flags {0:#04x}, which this build does not know")]
    Flags(u8),
    /// It is not what its type says. Where, and never what: it may hold a key.
    #[error("a frame of type {kind:?} cannot be read, at line {line}, column {column}")]
    Body {
        /// What the frame calls itself; empty if not even that can be read.
        kind: String,
        /// As of the JSON.
        line: usize,
        /// As of the JSON.
        column: usize,
    },
    /// It is JSON, with a value that is not allowed.
    #[error("a frame of type {kind:?} cannot be used: {problem}")]
    Value {
        /// What the frame calls itself.
        kind: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// Puts a head before `json`.
pub(super) fn encode(json: &[u8]) -> Vec<u8> {
    let length = u32::try_from(json.len()).expect("frames are bounded far below 4 GiB");
    let mut frame = Vec::with_capacity(HEAD + json.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.push(0);
    frame.extend_from_slice(json);
    frame
}

/// Cuts a stream of bytes into frames, however it arrives. Holds one frame at most, and what came with its end.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    buffer: Vec<u8>,
}

impl Decoder {
    /// Admits frames of up to `limit` bytes of JSON.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new() }
    }

    /// Takes what arrived. Call [`Decoder::next_frame`] until it is empty before the next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The JSON of the next complete frame.
    ///
    /// # Errors
    /// If a frame is too large, which is known before it has arrived, or has unknown flags. It stays so.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, InvalidFrame> {
        let Some((&[first, second, third, fourth, flags], rest)) = self.buffer.split_first_chunk::<HEAD>()
        else {
            return Ok(None);
        };
        let length =
            usize::try_from(u32::from_be_bytes([first, second, third, fourth])).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(InvalidFrame::TooLarge { length, limit: self.limit });
        }
        if flags != 0 {
            return Err(InvalidFrame::Flags(flags));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let after = rest.get(length..).unwrap_or_default().to_vec();
        let mut frame = std::mem::replace(&mut self.buffer, after);
        frame.truncate(HEAD + length);
        frame.drain(..HEAD);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(decoder: &mut Decoder) -> Result<Vec<Vec<u8>>, InvalidFrame> {
        std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_by_its_head() {
        let mut decoder = Decoder::new(100);
        decoder.push(&[0, 0, 0, 101, 0]);
        assert_eq!(decoder.next_frame(), Err(InvalidFrame::TooLarge { length: 101, limit: 100 }));
        assert!(decoder.next_frame().is_err(), "it stays refused");
        let mut decoder = Decoder::new(100);
        decoder.push(&[0, 0, 0, 1, 1, b'x']);
        assert_eq!(decoder.next_frame(), Err(InvalidFrame::Flags(1)));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6),
            chunk in 1_usize..20,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| encode(frame)).collect();
            let mut decoder = Decoder::new(50);
            let mut read = Vec::new();
            for chunk in bytes.chunks(chunk) {
                decoder.push(chunk);
                read.extend(all(&mut decoder).unwrap());
            }
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn any_bytes_are_read_or_refused_within_the_bound(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = Decoder::new(64);
            for chunk in bytes.chunks(7) {
                decoder.push(chunk);
                if all(&mut decoder).is_err() {
                    break;
                }
                prop_assert!(decoder.buffer.len() < HEAD + 64);
            }
        }
    }
}
