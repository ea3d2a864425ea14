//! What an answer cost, as its client is told: the partner's counts, and ours where it gave none.

use chaperone_protocol::units::Tokens;

use crate::neutral::{Event, Usage};

/// Bytes of text that are taken for a token where nobody counted.
const BYTES_PER_TOKEN: u64 = 4;

/// Counts along with the events of one answer.
#[derive(Debug)]
pub(crate) struct Tally {
    usage: Usage,
    prompt_estimate: Tokens,
    written: u64,
}

/// A usage without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) prompt: Tokens,
    pub(crate) cached: Tokens,
    pub(crate) cache_written: Tokens,
    pub(crate) output: Tokens,
    pub(crate) reasoning: Option<Tokens>,
}

impl Tally {
    pub(crate) fn new(prompt_estimate: Tokens) -> Self {
        Self { usage: Usage::default(), prompt_estimate, written: 0 }
    }

    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::Usage(usage) => self.usage.update(*usage),
            Event::Delta { text, .. } => {
                let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
                self.written = self.written.saturating_add(bytes);
            }
            Event::Start { .. }
            | Event::BlockStart { .. }
            | Event::Signature { .. }
            | Event::BlockStop { .. }
            | Event::Stop(_)
            | Event::Ping
            | Event::End => {}
        }
    }

    /// What is known by now. A partner that reports more cached tokens than prompt tokens is not believed.
    pub(crate) fn totals(&self) -> Totals {
        let prompt = self.usage.prompt.unwrap_or(self.prompt_estimate);
        let cached = self.usage.cached.unwrap_or_default().min(prompt);
        let cache_written = self.usage.cache_written.unwrap_or_default().min(prompt.saturating_sub(cached));
        let output = self.usage.output.unwrap_or(Tokens(self.written.div_ceil(BYTES_PER_TOKEN)));
        Totals { prompt, cached, cache_written, output, reasoning: self.usage.reasoning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_set_and_never_added() {
        let mut tally = Tally::new(Tokens(40));
        let output = |count| Event::Usage(Usage { output: Some(Tokens(count)), ..Usage::default() });
        tally.take(&output(3));
        tally.take(&Event::Usage(Usage { prompt: Some(Tokens(9)), ..Usage::default() }));
        tally.take(&output(5));
        assert_eq!((tally.totals().prompt, tally.totals().output), (Tokens(9), Tokens(5)));
    }

    #[test]
    fn what_nobody_counted_is_estimated() {
        let mut tally = Tally::new(Tokens(40));
        tally.take(&Event::Delta { index: 0, text: "five!".to_owned() });
        assert_eq!((tally.totals().prompt, tally.totals().output), (Tokens(40), Tokens(2)));
    }
}
