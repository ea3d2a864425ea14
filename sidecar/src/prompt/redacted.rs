//! A prompt that one partner may see. Nothing else can be rendered for a partner: `exchange::Ask` takes no [`Prompt`].

use std::ops::Deref;

use bytes::Bytes;
use chaperone_redact as redact;
use http::HeaderMap;

use super::{Prompt, thought};
use crate::json::{self, Edit};
use crate::refusal::Refusal;

/// A redacted prompt. It is made from what the engine lets through, and from nothing else.
#[derive(Debug)]
pub(crate) struct Redacted {
    prompt: Prompt,
    /// Items of `x-chaperone-adjusted`.
    adjusted: Vec<String>,
}

impl Redacted {
    /// The prompt with the engine's edits, and `added` text of ours. The edits do not overlap.
    ///
    /// # Errors
    /// The edited body is not one that we would read: a defect, and nothing is sent.
    pub(crate) fn new(
        prompt: &Prompt,
        engine: &redact::Redacted<Bytes>,
        added: Vec<Edit>,
    ) -> Result<Self, Refusal> {
        if engine.is_unchanged() && added.is_empty() {
            return Ok(Self { prompt: prompt.clone(), adjusted: Vec::new() });
        }
        let replaced = engine.replaced().map(|(range, text)| Edit::new(range, Bytes::copy_from_slice(text)));
        let (edits, cut) = thought::spare(engine.raw_body(), replaced.chain(added).collect());
        let adjusted = if cut { vec!["thinking=dropped".to_owned()] } else { Vec::new() };
        let body = json::splice(engine.raw_body(), edits).concat().into();
        let prompt = Prompt::read(prompt.api(), &HeaderMap::new(), body)?;
        Ok(Self { prompt, adjusted })
    }

    /// What the app is told of it.
    pub(crate) fn adjusted(&self) -> &[String] {
        &self.adjusted
    }
}

impl Deref for Redacted {
    type Target = Prompt;

    fn deref(&self) -> &Prompt {
        &self.prompt
    }
}
