//! How far an answer has come: what timers, meters and records need to know of it.

use chaperone_protocol::name::is_sane_id;
use chaperone_protocol::units::Tokens;

use crate::dialect::Drift;
use crate::neutral::{Block, Event, Stop, Usage};

/// Bytes that are taken for one token where the partner does not count: few, since an estimate must not be below the
/// truth.
const BYTES_PER_TOKEN: u64 = 3;

/// What was seen of an answer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Meaningful tokens so far; the first one commits a stream.
    pub(crate) meaningful: u64,
    /// Whether the answer is complete: its terminal event, or its whole body, was seen.
    pub(crate) finished: bool,
    /// What the partner counted, as far as it can be believed.
    pub(crate) usage: Usage,
    /// What we counted of the output.
    pub(crate) output_estimate: Tokens,
    pub(crate) stop: Option<Stop>,
    /// The serving model, as the partner calls it, if that is a name: it goes into the record.
    pub(crate) model: Option<String>,
    pub(crate) partner_request_id: Option<String>,
    /// How it deviated from its dialect, each kind once.
    pub(crate) drift: Vec<Drift>,
    bytes: u64,
}

impl Progress {
    /// Takes note of an event.
    pub(crate) fn take(&mut self, event: &Event) {
        if event.is_meaningful() {
            self.meaningful = self.meaningful.saturating_add(1);
        }
        match event {
            Event::Start { model: Some(model), .. } if is_sane_id(model) => self.model = Some(model.clone()),
            Event::Start { .. } => {}
            Event::Delta { text, .. } => self.count(text),
            Event::BlockStart { block: Block::Tool { name, .. }, .. } => self.count(name),
            Event::BlockStart { block: Block::Opaque { data }, .. } => self.count(data),
            Event::Usage(usage) => self.usage.update(*usage),
            Event::Stop(stop) => self.stop = Some(*stop),
            Event::End => self.finished = true,
            Event::BlockStart { block: Block::Text | Block::Reasoning | Block::Refusal, .. }
            | Event::Signature { .. }
            | Event::BlockStop { .. }
            | Event::Ping => {}
        }
    }

    /// Takes note of deviations, each kind once: a stream of 10⁶ events may have as many.
    pub(crate) fn drifted(&mut self, kinds: Vec<Drift>) {
        for kind in kinds {
            if !self.drift.contains(&kind) {
                self.drift.push(kind);
            }
        }
    }

    fn count(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.output_estimate = Tokens(self.meaningful.max(self.bytes.div_ceil(BYTES_PER_TOKEN)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_not_below_the_deltas_nor_below_the_text() {
        let mut progress = Progress::default();
        for _ in 0..3 {
            progress.take(&Event::Delta { index: 0, text: "a".to_owned() });
        }
        assert_eq!((progress.meaningful, progress.output_estimate), (3, Tokens(3)));
        progress.take(&Event::Delta { index: 0, text: "x".repeat(30) });
        assert_eq!((progress.meaningful, progress.output_estimate), (4, Tokens(11)));
        progress.take(&Event::Delta { index: 0, text: String::new() });
        progress.take(&Event::Ping);
        assert_eq!(progress.meaningful, 4);
    }

    #[test]
    fn a_model_that_is_no_name_does_not_reach_the_record() {
        let mut progress = Progress::default();
        let start = |model: &str| Event::Start { id: None, model: Some(model.to_owned()) };
        for text in ["", "my secret plan", "caf\u{e9}", &"m".repeat(129)] {
            progress.take(&start(text));
            assert_eq!(progress.model, None);
        }
        progress.take(&start("gpt-4o-mini-2026-01-01"));
        assert_eq!(progress.model.as_deref(), Some("gpt-4o-mini-2026-01-01"));
    }
}
