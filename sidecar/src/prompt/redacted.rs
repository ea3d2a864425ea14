//! A prompt that one partner may see. Nothing else can be rendered for a partner: `exchange::Ask` takes no [`Prompt`].

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use chaperone_redact as redact;
use http::HeaderMap;

use super::{Prompt, thought};
use crate::json::{self, Edit};
use crate::memory::{self, BodyMemory};
use crate::refusal::Refusal;

/// A redacted prompt. It is made from what the engine lets through, and from nothing else.
#[derive(Debug)]
pub(crate) struct Redacted {
    prompt: Prompt,
    /// Items of `x-chaperone-adjusted`.
    adjusted: Vec<String>,
}

impl Redacted {
    /// The prompt with the engine's edits, and `added` text of ours. The edits do not overlap. What is edited is a body
    /// of its own in `memory`.
    ///
    /// # Errors
    /// There is no room for it, or the edited body is not one that we would read: a defect, and nothing is sent.
    pub(crate) fn new(
        prompt: &Prompt,
        engine: &redact::Redacted<Bytes>,
        added: Vec<Edit>,
        memory: &Arc<BodyMemory>,
    ) -> Result<Self, Refusal> {
        if engine.is_unchanged() && added.is_empty() {
            return Ok(Self { prompt: prompt.clone(), adjusted: Vec::new() });
        }
        let replaced = engine.replaced().map(|(range, text)| Edit::new(range, Bytes::copy_from_slice(text)));
        let (edits, cut) = thought::spare(engine.raw_body(), replaced.chain(added).collect());
        let adjusted = if cut { vec!["thinking=dropped".to_owned()] } else { Vec::new() };
        let body = memory.joined(&json::splice(engine.raw_body(), edits)).ok_or_else(memory::shortage)?;
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

#[cfg(test)]
mod tests {
    use chaperone_protocol::pair::ClientApi;
    use chaperone_protocol::reason::Reason;
    use redact::{FieldTable, Policy, PolicySpec, PseudonymKey, Rules, Vault};

    use super::*;

    #[test]
    fn a_body_with_findings_has_a_place_of_its_own_beside_what_came() {
        let body =
            r#"{"model":"fast","messages":[{"role":"user","content":"Write to ann.lee@example.org"}]}"#;
        let policy = Policy::compile(&PolicySpec::default()).unwrap();
        let redacted = |limit: usize| {
            let memory = BodyMemory::new(limit, None);
            let body = memory.joined(&[Bytes::from_static(body.as_bytes())]).unwrap();
            let prompt = Prompt::read(ClientApi::ChatCompletions, &HeaderMap::new(), body).unwrap();
            let rules = Rules { policy: &policy, table: FieldTable::OpenAiChat, names: None };
            let mut vault = Vault::new(PseudonymKey::new([7; 32]), "alpha", "");
            let engine = redact::redact_json(prompt.body().clone(), rules, &mut vault).unwrap();
            let redacted = Redacted::new(&prompt, &engine, Vec::new(), &memory);
            (memory, redacted)
        };
        let (memory, both) = redacted(1_000);
        let both = both.unwrap();
        let edited = both.body().len();
        assert_eq!(memory.used(), edited, "what came is gone, what was made of it is not");
        drop(both);
        assert_eq!(memory.used(), 0);
        let (memory, short) = redacted(body.len() + edited - 1);
        assert_eq!((short.unwrap_err().reason, memory.used()), (Reason::Memory, 0));
    }
}
