//! A text tagged in slices, so that a caller with other work can pause between them.

use super::Tagger;
use super::decode::{self, Tag};
use super::label::{self, Place};
use super::token::{self, Token};
use super::word::Word;
use crate::names::{NameKind, NameSpan};

/// Whether text remains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    More,
    /// Everything was read.
    Done,
}

/// The state of tagging one text. Reuses its buffers between slices.
#[derive(Debug)]
pub struct Scan<'t> {
    tagger: &'t Tagger,
    bias: f32,
    at: usize,
    tokens: Vec<Token>,
    words: Vec<Word>,
    tags: Vec<Tag>,
}

impl<'t> Scan<'t> {
    /// Begins at the start of a text; see [`Tagger::spans`] for the bias.
    #[must_use]
    pub fn new(tagger: &'t Tagger, recall_bias: f32) -> Self {
        let (tokens, words, tags) = (Vec::new(), Vec::new(), Vec::new());
        Self { tagger, bias: recall_bias, at: 0, tokens, words, tags }
    }

    /// Tags the next sentence, at most about 512 bytes, and appends its names to `spans`.
    ///
    /// `text` must be the same in all calls. One that is too short counts as read.
    pub fn step(&mut self, text: &str, spans: &mut Vec<NameSpan>) -> Progress {
        if !text.is_char_boundary(self.at) {
            return Progress::Done;
        }
        self.at = token::sentence(text, self.at, &mut self.tokens);
        decode::read(text, &self.tokens, &self.tagger.model.gazetteer, &mut self.words);
        decode::tag(&self.tagger.model, &self.words, self.bias, &mut self.tags);
        collect(&self.tokens, &self.tags, spans);
        if self.at < text.len() { Progress::More } else { Progress::Done }
    }
}

/// Joins labels into names.
pub(crate) fn collect(tokens: &[Token], tags: &[Tag], spans: &mut Vec<NameSpan>) {
    let mut open: Option<(usize, NameKind, f32)> = None;
    for (token, tag) in tokens.iter().zip(tags) {
        let Some((kind, place)) = label::meaning(tag.label) else { continue };
        let (start, score) = match (place, open) {
            (Place::Inside | Place::Last, Some((start, _, score))) => (start, score * tag.probability),
            _ => (token.start, tag.probability),
        };
        if matches!(place, Place::Last | Place::Unit) {
            spans.push(NameSpan { start, end: token.end, kind, score: score.max(f32::MIN_POSITIVE) });
            open = None;
        } else {
            open = Some((start, kind, score));
        }
    }
}
