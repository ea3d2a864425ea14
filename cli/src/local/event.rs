//! What `local` says about itself, on standard error: lines for people, or one JSON object a line for programs.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::note::{Note, NoteJson, Tally};

/// Something that a user may want to know.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'e> {
    /// Both ports accept.
    Listening { listen: SocketAddr, admin: SocketAddr },
    /// Something is wrong with manifests.
    Findings {
        #[serde(serialize_with = "as_json")]
        findings: &'e [Note],
        #[serde(flatten)]
        tally: Tally,
    },
    /// A configuration is served from now on.
    InForce { snapshot: &'e str, routes: usize },
    /// An object cannot be used as it is now, and is served as it was.
    Kept { object: String },
    /// Nothing of an edit could be used.
    NothingUsed { error: String },
    /// It was told to end.
    Ending,
}

impl<'e> Event<'e> {
    pub(super) fn findings(findings: &'e [Note]) -> Self {
        Self::Findings { findings, tally: Tally::of(findings) }
    }
}

fn as_json<S: serde::Serializer>(notes: &[Note], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(NoteJson::from))
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { listen, admin } => {
                writeln!(formatter, "listening on http://{listen}\nadmin on http://{admin}")
            }
            Self::Findings { findings, tally } => {
                findings.iter().try_for_each(|note| note.fmt(formatter))?;
                writeln!(formatter, "{tally}")
            }
            Self::InForce { snapshot, routes } => {
                writeln!(formatter, "configuration {snapshot} is in force: {routes} routes")
            }
            Self::Kept { object } => writeln!(formatter, "keeping the last good version of {object}"),
            Self::NothingUsed { error } => {
                writeln!(formatter, "keeping the last good configuration: {error}")
            }
            Self::Ending => {
                writeln!(formatter, "ending: requests under way may finish; a second signal ends at once")
            }
        }
    }
}
