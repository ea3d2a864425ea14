//! What a user is told about manifests: a problem of a file, of one object, or between objects, with its place.

use std::fmt;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use chaperone_operator::compile::Severity;
use serde::Serialize;

/// One thing to know, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Note {
    /// Where to look.
    pub(crate) place: Place,
    /// As `Partner team-a/alpha`, if it is about an object.
    pub(crate) object: Option<String>,
    /// Where in the object; empty for the whole.
    pub(crate) path: String,
    /// Whether it must be repaired.
    pub(crate) severity: Severity,
    /// A stable code.
    pub(crate) reason: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it, where the message does not say.
    pub(crate) remedy: Option<String>,
}

impl Note {
    /// An error at a place, about nothing in particular yet.
    pub(crate) fn error(place: Place, reason: &'static str, message: impl Into<String>) -> Self {
        let (message, severity) = (message.into(), Severity::Error);
        Self { place, object: None, path: String::new(), severity, reason, message, remedy: None }
    }

    /// Says which object it is about, and where in it.
    pub(crate) fn about(mut self, object: Option<String>, path: &str) -> Self {
        self.object = object;
        path.clone_into(&mut self.path);
        self
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The file, as the user named it.
    pub(crate) file: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Note {
    /// Two or three lines, in colour: `output.rs` takes the colour out where it does not belong.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bold = Style::new().bold();
        let colour = match self.severity {
            Severity::Error => AnsiColor::Red,
            Severity::Warning => AnsiColor::Yellow,
        };
        let severity = Style::new().bold().fg_color(Some(colour.into()));
        write!(
            formatter,
            "{bold}{}{bold:#}: {severity}{}{severity:#}: ",
            self.place,
            self.severity.as_str()
        )?;
        if let Some(object) = &self.object {
            write!(formatter, "{object}: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        writeln!(formatter, "{} [{}]", self.message, self.reason)?;
        match &self.remedy {
            Some(remedy) => writeln!(formatter, "    {remedy}"),
            None => Ok(()),
        }
    }
}

/// A note for programs.
#[derive(Debug, Serialize)]
pub(crate) struct NoteJson<'n> {
    file: String,
    line: usize,
    object: Option<&'n str>,
    path: &'n str,
    severity: &'static str,
    reason: &'static str,
    message: &'n str,
    remedy: Option<&'n str>,
}

impl<'n> From<&'n Note> for NoteJson<'n> {
    fn from(note: &'n Note) -> Self {
        let Note { place, object, path, severity, reason, message, remedy } = note;
        Self {
            file: place.file.display().to_string(),
            line: place.line,
            object: object.as_deref(),
            path,
            severity: severity.as_str(),
            reason,
            message,
            remedy: remedy.as_deref(),
        }
    }
}

/// How many notes there are of each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// What must be repaired.
    pub(crate) errors: usize,
    /// What works, but probably not as meant.
    pub(crate) warnings: usize,
}

impl Tally {
    pub(crate) fn of(notes: &[Note]) -> Self {
        let errors = notes.iter().filter(|note| note.severity == Severity::Error).count();
        Self { errors, warnings: notes.len() - errors }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let Self { errors, warnings } = *self;
        write!(formatter, "{errors} error{}, {warnings} warning{}", plural(errors), plural(warnings))
    }
}
