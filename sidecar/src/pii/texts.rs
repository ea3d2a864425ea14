//! The texts of one answer, each a channel of its own: redacted as the policy says, then restored.
//!
//! Redaction goes first, so that what the app itself had sent comes back and what the partner made up does not. Text is
//! held back only as far as it is undecided. Reasoning is never restored: its partner may have signed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::pii::Restored;
use chaperone_redact::{
    ArgumentRedactor, Counts, Engine, FieldTable, Landing, Redacted, Refused, Rules, StreamRedactor,
    StreamRestorer, Urls, Vault,
};
use thiserror::Error;

use super::rewrite::Rewrite;
use super::{PairPolicy, turns};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Reasoning,
    Text,
    Refusal,
    /// What a voice says.
    Transcript,
    /// Arguments of a tool call: JSON.
    Arguments,
    /// What a tool without a schema is given: text.
    Input,
}

/// Which text of an answer. Ordered by choice first, so that a choice's channels stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel {
    /// The choice, or the content block.
    pub(crate) choice: u64,
    pub(crate) field: Field,
    /// The tool call within the choice.
    pub(crate) call: u64,
}

/// Why an answer must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unfit {
    #[error("the answer holds personal data that the policy blocks")]
    Blocked,
    #[error("the answer cannot be scanned for personal data")]
    Unscannable,
    #[error("the answer has too many texts at once")]
    TooMany,
}

impl From<Refused> for Unfit {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Blocked(_) | Refused::NonText => Self::Blocked,
            Refused::Unscannable(_) => Self::Unscannable,
        }
    }
}

/// What was done to an answer: counts, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Placeholders that were put back.
    pub(crate) restored: u64,
    /// Placeholders that stayed, because they stand in a URL.
    pub(crate) kept_in_urls: u64,
    /// Placeholders that stayed, because they stand where JSON has no string.
    pub(crate) kept_outside_strings: u64,
    /// Words that look like placeholders and were not minted for this request.
    pub(crate) foreign: u64,
    /// What was found in the answer itself.
    pub(crate) found: Counts,
}

impl Tally {
    fn add(&mut self, texts: &Texts) {
        if let Some(restorer) = &texts.restore {
            self.restored += u64::from(restorer.restored());
            self.kept_in_urls += u64::from(restorer.kept_in_urls());
            self.kept_outside_strings += u64::from(restorer.kept_outside_strings());
            self.foreign += u64::from(restorer.foreign());
        }
        for (kind, count) in texts.redact.iter().flat_map(Redactor::counts) {
            *self.found.entry(*kind).or_default() += count;
        }
    }

    /// Notes what was found in a document; what it says then, if anything was.
    fn redacted(&mut self, redacted: &Redacted<Bytes>) -> Option<Bytes> {
        for (kind, count) in redacted.counts() {
            *self.found.entry(*kind).or_default() += count;
        }
        (!redacted.is_unchanged()).then(|| redacted.to_vec().into())
    }
}

enum Redactor {
    Text(StreamRedactor<'static>),
    Arguments(ArgumentRedactor<'static>),
}

impl Redactor {
    fn push(&mut self, text: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Text(redactor) => redactor.push(text, vault),
            Self::Arguments(redactor) => redactor.push(text, vault),
        }
    }

    fn flush(&mut self, vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Text(redactor) => redactor.flush(vault),
            Self::Arguments(redactor) => redactor.flush(vault),
        }
    }

    fn finish(&mut self, rest: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Text(redactor) => redactor.finish(rest, vault),
            Self::Arguments(redactor) => redactor.finish(rest, vault),
        }
    }

    /// What need not wait for more text. Arguments do: nobody reads them before they are complete.
    fn pause(&mut self, vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        match self {
            Self::Text(redactor) => redactor.pause(vault),
            Self::Arguments(_) => Ok(Vec::new()),
        }
    }

    fn counts(&self) -> &Counts {
        match self {
            Self::Text(redactor) => redactor.counts(),
            Self::Arguments(redactor) => redactor.counts(),
        }
    }
}

/// One channel.
struct Texts {
    redact: Option<Redactor>,
    restore: Option<StreamRestorer>,
}

impl Texts {
    fn push(&mut self, text: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let text = match &mut self.redact {
            Some(redactor) => redactor.push(text, vault)?,
            None => text.to_vec(),
        };
        Ok(match &mut self.restore {
            Some(restorer) => restorer.push(&text),
            None => text,
        })
    }

    fn flush(&mut self, vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let rest = match &mut self.redact {
            Some(redactor) => redactor.flush(vault)?,
            None => Vec::new(),
        };
        Ok(self.restored(rest))
    }

    fn finish(&mut self, rest: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let rest = match &mut self.redact {
            Some(redactor) => redactor.finish(rest, vault)?,
            None => rest.to_vec(),
        };
        Ok(self.restored(rest))
    }

    /// The last of a text, with its values.
    fn restored(&mut self, rest: Vec<u8>) -> Vec<u8> {
        match &mut self.restore {
            Some(restorer) => [restorer.push(&rest), restorer.flush()].concat(),
            None => rest,
        }
    }

    fn pause(&mut self, vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let Some(redactor) = &mut self.redact else { return Ok(Vec::new()) };
        let text = redactor.pause(vault)?;
        Ok(match &mut self.restore {
            Some(restorer) => restorer.push(&text),
            None => text,
        })
    }
}

/// Rewrites all texts of one answer.
pub(crate) struct Scrubber {
    rewrite: Rewrite,
    open: BTreeMap<Channel, Texts>,
    /// For hashes of what the answer itself holds; spares the request's surrogates.
    vault: Vault,
    /// Of channels that are closed.
    closed: Tally,
}

impl Scrubber {
    pub(super) fn new(rewrite: Rewrite) -> Self {
        let vault = rewrite.own_vault();
        Self { rewrite, open: BTreeMap::new(), vault, closed: Tally::default() }
    }

    /// Takes more of a text, and gives what is decided of it.
    pub(crate) fn push(&mut self, channel: Channel, text: &str) -> Result<String, Unfit> {
        self.begin(channel)?;
        let texts = self.open.get_mut(&channel).ok_or(Unfit::TooMany)?;
        utf8(texts.push(text.as_bytes(), &mut self.vault)?)
    }

    fn begin(&mut self, channel: Channel) -> Result<(), Unfit> {
        if self.open.contains_key(&channel) {
            return Ok(());
        }
        if self.open.len() >= limits::PII_CHANNELS {
            return Err(Unfit::TooMany);
        }
        self.open.insert(channel, self.texts(channel.field));
        Ok(())
    }

    /// Ends a text, and gives what was held of it.
    pub(crate) fn close(&mut self, channel: Channel) -> Result<String, Unfit> {
        let Some(mut texts) = self.open.remove(&channel) else { return Ok(String::new()) };
        let rest = texts.flush(&mut self.vault)?;
        self.closed.add(&texts);
        utf8(rest)
    }

    /// What is held of a text, which may go on: something stands behind it that depends on all before.
    pub(crate) fn flush(&mut self, channel: Channel) -> Result<String, Unfit> {
        let Some(texts) = self.open.get_mut(&channel) else { return Ok(String::new()) };
        utf8(texts.flush(&mut self.vault)?)
    }

    /// What is held of a text and is decided all the same if its partner is silent for a moment.
    pub(crate) fn pause(&mut self, channel: Channel) -> Result<String, Unfit> {
        let Some(texts) = self.open.get_mut(&channel) else { return Ok(String::new()) };
        utf8(texts.pause(&mut self.vault)?)
    }

    /// Whether answers are searched, and not only restored.
    pub(crate) fn searches(&self) -> bool {
        self.rewrite.policy().answers.is_some()
    }

    /// Searches what else a document says than its texts, such as citations: each string by itself. `None`: it says
    /// nothing that is looked for.
    pub(crate) fn beside(&mut self, document: &Bytes, table: FieldTable) -> Result<Option<Bytes>, Unfit> {
        let Some(rules) = rules(self.rewrite.policy(), table) else { return Ok(None) };
        let redacted = Engine::new(document.clone(), rules, &mut self.vault).finish()?;
        Ok(self.closed.redacted(&redacted))
    }

    /// The same for a document of any size, in turns.
    pub(crate) async fn beside_in_turns(
        &mut self,
        document: &Bytes,
        table: FieldTable,
    ) -> Result<Option<Bytes>, Unfit> {
        let Some(rules) = rules(self.rewrite.policy(), table) else { return Ok(None) };
        let engine = Engine::new(document.clone(), rules, &mut self.vault);
        let redacted = turns::finish(engine, &rules).await?;
        Ok(self.closed.redacted(&redacted))
    }

    /// Takes a text that is complete, or the rest of one; what it says is looked at in one piece.
    pub(crate) fn whole(&mut self, channel: Channel, text: &str) -> Result<String, Unfit> {
        self.begin(channel)?;
        let mut texts = self.open.remove(&channel).ok_or(Unfit::TooMany)?;
        let rest = texts.finish(text.as_bytes(), &mut self.vault)?;
        self.closed.add(&texts);
        utf8(rest)
    }

    /// A text that is complete, of any size, in turns.
    pub(crate) async fn whole_in_turns(&mut self, channel: Channel, text: &str) -> Result<String, Unfit> {
        let mut texts = self.texts(channel.field);
        let mut searched = None;
        if let (Some(Redactor::Text(_)), Some(rules)) =
            (&texts.redact, rules(self.rewrite.policy(), FieldTable::Unknown))
        {
            // Looked at in one piece, which a stream cannot be.
            let engine = Engine::text(Bytes::from(text.to_owned()), rules, &mut self.vault);
            searched = self.closed.redacted(&turns::finish(engine, &rules).await?);
            texts.redact = None;
        }
        let text = searched.as_deref().unwrap_or(text.as_bytes());
        let mut rewritten = Vec::with_capacity(text.len());
        for piece in text.chunks(turns::PIECE) {
            rewritten.extend(texts.push(piece, &mut self.vault)?);
            turns::next().await;
        }
        rewritten.extend(texts.flush(&mut self.vault)?);
        self.closed.add(&texts);
        utf8(rewritten)
    }

    /// Channels that have begun and not ended, in order.
    pub(crate) fn open(&self) -> Vec<Channel> {
        self.open.keys().copied().collect()
    }

    /// Whether anything was found in this text so far.
    pub(crate) fn has_found(&self, channel: Channel) -> bool {
        let redactor = self.open.get(&channel).and_then(|texts| texts.redact.as_ref());
        redactor.is_some_and(|redactor| !redactor.counts().is_empty())
    }

    /// What was done so far.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = self.closed.clone();
        self.open.values().for_each(|texts| tally.add(texts));
        tally
    }

    fn texts(&self, field: Field) -> Texts {
        let policy = self.rewrite.policy();
        let redact = policy.answers.as_ref().map(|answers| {
            let names = policy.names();
            match field {
                Field::Arguments => Redactor::Arguments(ArgumentRedactor::new(Arc::clone(answers), names)),
                Field::Text | Field::Refusal | Field::Transcript | Field::Reasoning | Field::Input => {
                    Redactor::Text(StreamRedactor::new(Arc::clone(answers), names))
                }
            }
        });
        let (place, landing) = match field {
            Field::Text | Field::Refusal | Field::Transcript => (Some(Restored::Text), Landing::Text),
            Field::Arguments => (Some(Restored::ToolArguments), Landing::Json),
            Field::Input => (Some(Restored::ToolArguments), Landing::Text),
            Field::Reasoning => (None, Landing::Text),
        };
        let urls = if policy.restores(Restored::Urls) { Urls::Restore } else { Urls::Keep };
        let restores = place.is_some_and(|place| policy.restores(place));
        let restore = restores.then(|| StreamRestorer::new(self.rewrite.vault(), landing).with_urls(urls));
        Texts { redact, restore }
    }
}

/// What answers are searched by, if they are.
fn rules(policy: &PairPolicy, table: FieldTable) -> Option<Rules<'_>> {
    let answers = policy.answers.as_ref()?;
    Some(Rules { policy: answers, table, names: policy.names() })
}

/// Both stages release whole characters, since they were given whole ones.
fn utf8(bytes: Vec<u8>) -> Result<String, Unfit> {
    String::from_utf8(bytes).map_err(|_| Unfit::Unscannable)
}
