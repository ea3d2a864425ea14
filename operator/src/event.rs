//! Events: what `kubectl describe` tells the owner of an object.

use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Bytes of an event's note, as the API server has it.
const NOTE: usize = 1_000;

/// Writes events by `client`.
pub(crate) fn recorder(client: &Client) -> Recorder {
    let reporter = Reporter { controller: "chaperone-operator".to_owned(), instance: None };
    Recorder::new(client.clone(), reporter)
}

/// A warning; a note that is too long loses its end.
pub(crate) fn warning(reason: &str, action: &str, note: String) -> Event {
    event(EventType::Warning, reason, action, note)
}

/// What is as it should be.
pub(crate) fn normal(reason: &str, action: &str, note: String) -> Event {
    event(EventType::Normal, reason, action, note)
}

fn event(type_: EventType, reason: &str, action: &str, mut note: String) -> Event {
    let end = (0..=NOTE.min(note.len())).rev().find(|end| note.is_char_boundary(*end));
    note.truncate(end.unwrap_or_default());
    Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_ends_between_letters() {
        let note = warning("Reason", "Action", "é".repeat(NOTE)).note.unwrap();
        assert_eq!(note, "é".repeat(NOTE / 2));
    }
}
