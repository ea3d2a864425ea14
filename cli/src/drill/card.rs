//! The report card: who answered, how much later, what the app would have seen, and whether that is good enough.

use std::fmt;

use chaperone_protocol::name::Alias;
use serde::Serialize;

use super::plan::Play;
use super::play::{Record, Seen};
use crate::output::table;

/// What a drill has shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Card {
    pub(super) alias: String,
    pub(super) passed: bool,
    pub(super) plays: Vec<Row>,
    /// What went wrong, one line for each play that did.
    pub(super) failures: Vec<String>,
}

/// One play.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    fault: &'static str,
    served_by: Option<String>,
    attempts: usize,
    /// From accepting the request to its first token, or to its refusal.
    waited_ms: u64,
    /// How much more than without a fault.
    added_ms: u64,
    app_saw: String,
    passed: bool,
}

impl Card {
    /// The card of all plays, the first of which is without a fault.
    pub(super) fn of(alias: &Alias, seen: Vec<(Play, Seen)>) -> Self {
        let usual = seen.first().map_or(0, |(_, seen)| waited(&seen.record));
        let mut failures = Vec::new();
        let plays = seen.iter().map(|(play, seen)| {
            let failure = failure(play, seen);
            failures.extend(failure.as_ref().map(|failure| format!("{}: {failure}", play.name())));
            let record = &seen.record;
            Row {
                fault: play.name(),
                served_by: record.partner.clone(),
                attempts: record.attempts.len(),
                waited_ms: waited(record),
                added_ms: waited(record).saturating_sub(usual),
                app_saw: app_saw(seen),
                passed: failure.is_none(),
            }
        });
        let plays: Vec<_> = plays.collect();
        Self { alias: alias.to_string(), passed: failures.is_empty(), plays, failures }
    }
}

fn waited(record: &Record) -> u64 {
    record.ms.first_token.unwrap_or(record.ms.total)
}

fn is_complete(record: &Record) -> bool {
    matches!(record.ending.as_deref(), Some("complete" | "length"))
}

/// Why a play is not good enough: an app should notice nothing, or, behind its first token, be told.
fn failure(play: &Play, seen: &Seen) -> Option<String> {
    let record = &seen.record;
    let was_played = record.fault.as_deref() == play.fault.as_ref().map(|fault| fault.kind.code());
    let reason = record.reason.as_deref().unwrap_or("no reason");
    if !was_played {
        let seen = app_saw(seen);
        return Some(format!("was not played: whom it strikes was not asked, and the app saw {seen}"));
    }
    if is_complete(record) || play.strikes_late() && seen.has_error_event {
        return None;
    }
    Some(match record.event.as_str() {
        "request_served" => format!("the answer broke off ({reason}), and the app was not told"),
        _ => format!("nobody served the request: {} {reason}", record.status),
    })
}

fn app_saw(seen: &Seen) -> String {
    let record = &seen.record;
    let reason = record.reason.as_deref().unwrap_or_default();
    match (record.event.as_str(), is_complete(record), seen.has_error_event) {
        ("request_served", true, _) => format!("{}, a complete answer", record.status),
        ("request_served", false, true) => format!("{}, then an error event: {reason}", record.status),
        ("request_served", false, false) => format!("{}, then nothing", record.status),
        _ => format!("{} {reason}", record.status),
    }
}

impl fmt::Display for Card {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.plays.iter().map(|row| {
            [
                row.fault.to_owned(),
                row.served_by.clone().unwrap_or_else(|| "nobody".to_owned()),
                row.attempts.to_string(),
                format!("+{} ms", row.added_ms),
                row.app_saw.clone(),
                if row.passed { "passed" } else { "FAILED" }.to_owned(),
            ]
        });
        let header = ["FAULT", "SERVED BY", "ATTEMPTS", "FIRST TOKEN", "THE APP SAW", "RESULT"];
        formatter.write_str(&table(header, rows))?;
        let (failed, all) = (self.failures.len(), self.plays.len());
        writeln!(formatter, "\n{} of {all} plays passed on {:?}", all - failed, self.alias)?;
        self.failures.iter().try_for_each(|failure| writeln!(formatter, "{failure}"))
    }
}
