//! A defect on the data thread, for a test: a log that cannot bear one of its lines.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Panics at the line that says that a dial took too long. Only one test of this process makes one do so.
pub(crate) struct Brittle;

impl Visit for Brittle {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        assert!(!format!("{value:?}").contains("no connection within"), "a defect, for a test");
    }
}

impl Subscriber for Brittle {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("chaperone")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
