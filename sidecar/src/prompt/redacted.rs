//! A prompt that one partner may see. Nothing else can be rendered for a partner: `exchange::Ask` takes no [`Prompt`].

use std::ops::Deref;

use bytes::Bytes;
use chaperone_redact as redact;
use http::HeaderMap;

use super::Prompt;
use crate::json::{self, Edit};
use crate::refusal::Refusal;

/// A redacted prompt. It is made from what the engine lets through, and from nothing else.
#[derive(Debug)]
pub(crate) struct Redacted(Prompt);

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
            return Ok(Self(prompt.clone()));
        }
        let replaced = engine.replaced().map(|(range, text)| Edit::new(range, Bytes::copy_from_slice(text)));
        let edits = replaced.chain(added).collect();
        let body = json::splice(engine.raw_body(), edits).concat().into();
        Prompt::read(prompt.api(), &HeaderMap::new(), body).map(Self)
    }
}

impl Deref for Redacted {
    type Target = Prompt;

    fn deref(&self) -> &Prompt {
        &self.0
    }
}
