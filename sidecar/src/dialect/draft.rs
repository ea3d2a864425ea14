//! A whole answer, put together from its events.

use std::collections::BTreeMap;

use chaperone_protocol::limits;

use super::order::protocol;
use crate::exchange::Failure;
use crate::neutral::{Block, Event};

/// One block of an answer, as far as it has come.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) block: Block,
    pub(crate) text: String,
    pub(crate) signature: Option<String>,
}

/// Which blocks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All: the client wants a whole answer.
    All,
    /// Those that a stream must repeat at its end: reasoning.
    Reasoning,
    /// None: a stream that repeats nothing.
    Nothing,
}

/// The blocks of an answer in the order in which they began.
#[derive(Debug)]
pub(crate) struct Draft {
    keep: Keep,
    pieces: BTreeMap<usize, Piece>,
    bytes: usize,
}

impl Draft {
    pub(crate) fn new(keep: Keep) -> Self {
        Self { keep, pieces: BTreeMap::new(), bytes: 0 }
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// The answer is longer than a whole answer may be.
    pub(crate) fn take(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::BlockStart { index, block } if self.keeps(block) => {
                let piece = Piece { block: block.clone(), text: String::new(), signature: None };
                self.pieces.insert(*index, piece);
            }
            Event::Delta { index, text } => {
                if let Some(piece) = self.pieces.get_mut(index) {
                    self.bytes = self.bytes.saturating_add(text.len());
                    piece.text.push_str(text);
                }
            }
            Event::Signature { index, signature } => {
                if let Some(piece) = self.pieces.get_mut(index) {
                    piece.signature = Some(signature.clone());
                }
            }
            Event::BlockStart { .. }
            | Event::Start { .. }
            | Event::BlockStop { .. }
            | Event::Usage(_)
            | Event::Stop(_)
            | Event::Ping
            | Event::End => {}
        }
        if self.bytes > limits::ANSWER_BYTES { Err(protocol()) } else { Ok(()) }
    }

    fn keeps(&self, block: &Block) -> bool {
        match self.keep {
            Keep::All => true,
            Keep::Nothing => false,
            Keep::Reasoning => matches!(block, Block::Reasoning | Block::Opaque { .. }),
        }
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.values()
    }

    /// All text of blocks that `wanted` picks, put together.
    pub(crate) fn text(&self, wanted: impl Fn(&Block) -> bool) -> Option<String> {
        let mut texts = self.pieces().filter(|piece| wanted(&piece.block)).peekable();
        texts.peek()?;
        Some(texts.map(|piece| piece.text.as_str()).collect())
    }
}
