//! Runs the engine over one text.

use anyhow::Result;
use chaperone_redact::ner::Tagger;
use chaperone_redact::{
    Engine, FieldTable, NearMisses, Policy, PseudonymKey, Query, Rules, Vault, find, redact_text,
};

use super::arguments::{Args, Input};
use super::report::Report;

/// Pseudonyms of samples are nobody's secret.
const KEY: [u8; 32] = *b"chaperone redact: a key to try.\n";

/// Finds and replaces as the arguments say.
pub(super) struct Scanner<'a> {
    policy: &'a Policy,
    names: &'static Tagger,
    input: Input,
    explain: NearMisses,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(policy: &'a Policy, args: &Args) -> Result<Self> {
        let explain = if args.explain { NearMisses::Collect } else { NearMisses::Skip };
        Ok(Self { policy, names: Tagger::embedded()?, input: args.input, explain })
    }

    /// What is found in a text; or why it cannot be scanned.
    pub(super) fn spans(&self, text: &str) -> Result<Report, String> {
        match self.input {
            Input::Json => self.redacted(text.as_bytes()).map(|(_, report)| report),
            Input::Text => {
                let query =
                    Query { names: Some(self.names), near_misses: self.explain, ..Query::new(self.policy) };
                let found = find(text, &query).map_err(|error| error.to_string())?;
                Ok(Report::new(found.spans, found.near_misses, self.policy.entities(), self.explain))
            }
        }
    }

    /// A text without what is found in it, and what that was; or why it cannot be scanned.
    pub(super) fn redacted(&self, text: &[u8]) -> Result<(Vec<u8>, Report), String> {
        let mut vault = Vault::new(PseudonymKey::new(KEY), "", "");
        let table = FieldTable::Nested;
        let rules = Rules { policy: self.policy, table, names: Some(self.names) };
        let redacted = match self.input {
            Input::Text => redact_text(text, rules, &mut vault),
            Input::Json => {
                let engine = Engine::new(text, rules, &mut vault);
                match self.explain {
                    NearMisses::Collect => engine.explaining().finish(),
                    NearMisses::Skip => engine.finish(),
                }
            }
        };
        let redacted = redacted.map_err(|error| error.to_string())?;
        let report = match (self.input, self.explain) {
            (Input::Text, NearMisses::Collect) => {
                self.spans(std::str::from_utf8(text).map_err(|error| error.to_string())?)?
            }
            _ => {
                let (spans, misses) = (redacted.spans().cloned().collect(), redacted.near_misses().to_vec());
                Report::new(spans, misses, self.policy.entities(), self.explain)
            }
        };
        Ok((redacted.to_vec(), report))
    }
}
