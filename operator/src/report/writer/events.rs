//! Findings as events: once for each, with the remedy.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Client;
use kube::runtime::events::{Event, Recorder};
use tokio::time::timeout;

use super::Assignment;
use crate::clock;
use crate::compile::Finding;
use crate::desk::Desk;
use crate::event;

/// Events of one round; what is beyond is said in the next.
const ROUND: usize = 20;
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
        Self { recorder: event::recorder(client), said: BTreeSet::new() }
    }

    /// Says what is new, while this process leads. What is repaired may be said again if it returns.
    pub(super) async fn say(&mut self, assignment: &Assignment, desk: &Desk) {
        let findings: BTreeSet<&Finding> = assignment.findings.iter().collect();
        self.said.retain(|finding| findings.contains(finding));
        let news: Vec<_> =
            findings.into_iter().filter(|finding| !self.said.contains(*finding)).take(ROUND).collect();
        for finding in news {
            let Some(found) = assignment.found.get(&finding.object) else { continue };
            if !desk.is_leading(clock::now()) {
                return;
            }
            let published = timeout(CALL, self.recorder.publish(&warning(finding), &found.reference)).await;
            match published {
                Ok(Ok(())) => drop(self.said.insert(finding.clone())),
                Ok(Err(error)) => tracing::warn!(object = %finding.object, %error, "cannot write an event"),
                Err(_) => return,
            }
        }
    }
}

fn warning(finding: &Finding) -> Event {
    let Finding { path, message, remedy, reason, .. } = finding;
    event::warning(reason.code(), "Compile", format!("{path}: {message}; {remedy}"))
}
