//! Findings as events: once for each, with the remedy.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::time::timeout;

use super::Assignment;
use crate::clock;
use crate::compile::Finding;
use crate::desk::Desk;

/// Events of one round; what is beyond is said in the next.
const ROUND: usize = 20;
/// Bytes of an event's note, as the API server has it.
const NOTE: usize = 1_000;
/// How long one may take.
const CALL: Duration = Duration::from_secs(5);

/// What was said.
pub(super) struct Events {
    recorder: Recorder,
    said: BTreeSet<Finding>,
}

impl Events {
    /// Says by `client`.
    pub(super) fn new(client: &Client) -> Self {
        let reporter = Reporter { controller: "chaperone-operator".to_owned(), instance: None };
        Self { recorder: Recorder::new(client.clone(), reporter), said: BTreeSet::new() }
    }

    /// Says what is new, while this process leads. What is repaired may be said again if it returns.
    pub(super) async fn say(&mut self, assignment: &Assignment, desk: &Desk) {
        let findings: BTreeSet<&Finding> = assignment.findings.iter().collect();
        self.said.retain(|finding| findings.contains(finding));
        let news: Vec<_> = findings.into_iter().filter(|finding| !self.said.contains(*finding)).take(ROUND).collect();
        for finding in news {
            let Some(found) = assignment.found.get(&finding.object) else { continue };
            if !desk.is_leading(clock::now()) {
                return;
            }
            let published = timeout(CALL, self.recorder.publish(&event(finding), &found.reference)).await;
            match published {
                Ok(Ok(())) => drop(self.said.insert(finding.clone())),
                Ok(Err(error)) => tracing::warn!(object = %finding.object, %error, "cannot write an event"),
                Err(_) => return,
            }
        }
    }
}

fn event(finding: &Finding) -> Event {
    let Finding { path, message, remedy, reason, .. } = finding;
    let mut note = format!("{path}: {message}; {remedy}");
    let end = (0..=NOTE.min(note.len())).rev().find(|end| note.is_char_boundary(*end));
    note.truncate(end.unwrap_or_default());
    Event {
        type_: EventType::Warning,
        reason: reason.code().to_owned(),
        note: Some(note),
        action: "Compile".to_owned(),
        secondary: None,
    }
}
