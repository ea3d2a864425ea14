//! Manifests from files: read, expand `${VAR}`, admit, and give the compiler its World.
//!
//! `check` and `compile` use it, and so does `local`. Everything that is wrong is collected as a [`Note`] with its
//! place; only a path that cannot be read at all is an error.

mod expand;
mod files;
mod reader;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use chaperone_crds::{Document, Object};
use chaperone_operator::compile::Finding;
use chaperone_operator::world::ObjectKey;
use chaperone_protocol::name::ObjectName;

use self::reader::Reader;
pub(crate) use self::world::{keys, world};
use crate::args::{Environment, Manifests};
use crate::note::{Note, Place};

/// Which object: one file may define it, and no other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    /// As in `kind:`.
    pub(crate) kind: &'static str,
    /// Namespace and name; a Namespace stands in itself.
    pub(crate) key: ObjectKey,
}

/// An object that was admitted, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) object: Object,
    source: Source,
    completeness: Completeness,
}

impl Manifest {
    fn lacks_values_of(&self, other: &Self) -> bool {
        self.completeness == Completeness::ValuesMissing && other.completeness == Completeness::Complete
    }
}

/// Whether all variables of an object were set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completeness {
    /// They were.
    Complete,
    /// They were not: the object exists, and its values cannot be used. Only a Secret may be so, whose values the
    /// compiler does not see.
    ValuesMissing,
}

/// A document of a file, without its values: they may be secret, and are not needed any more.
#[derive(Debug, Clone)]
struct Source {
    file: Arc<Path>,
    document: Document,
}

impl Source {
    fn place(&self, path: &str) -> Place {
        Place { file: self.file.to_path_buf(), line: self.document.line(path) }
    }
}

/// What was found in files.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Objects that were admitted.
    pub(crate) objects: BTreeMap<Id, Manifest>,
    /// The namespace of objects that name none.
    pub(crate) namespace: ObjectName,
    /// Objects that are there, and were not admitted.
    pub(crate) refused: BTreeSet<Id>,
    /// Files where nobody can tell which objects are meant: not YAML, or a document without kind or name.
    unreadable: BTreeSet<Arc<Path>>,
    /// Objects that are defined twice.
    ambiguous: BTreeSet<Id>,
    /// What is wrong with files and with single objects.
    notes: Vec<Note>,
}

/// Reads and admits everything under the paths.
///
/// # Errors
/// If a path cannot be read, or a folder has no manifest.
pub(crate) fn read(args: &Manifests, environment: &Environment) -> Result<Loaded> {
    let mut reader = Reader::new(environment);
    for file in files::find(&args.filename)? {
        reader.file(&file)?;
    }
    Ok(reader.finish(args.namespace.clone()))
}

/// The files that paths stand for.
///
/// # Errors
/// As [`read`].
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    files::find(paths)
}

impl Loaded {
    /// Keeps the last good version of every object that is there and cannot be used as it is now. An object that
    /// is gone stays gone, unless its file cannot be read: who can tell whether it was meant to be? Says which.
    pub(crate) fn keep_last_good(&mut self, good: &BTreeMap<Id, Manifest>) -> BTreeSet<Id> {
        let mut kept = BTreeSet::new();
        for (id, manifest) in good {
            let is_kept = match self.objects.get(id) {
                Some(now) => self.ambiguous.contains(id) || now.lacks_values_of(manifest),
                None => self.refused.contains(id) || self.unreadable.contains(&manifest.source.file),
            };
            if is_kept {
                self.objects.insert(id.clone(), manifest.clone());
                self.refused.remove(id);
                kept.insert(id.clone());
            }
        }
        kept
    }

    /// All notes: those of reading, and `findings` with their places. Sorted by place.
    pub(crate) fn notes_with(&self, findings: &[Finding]) -> Vec<Note> {
        let mut notes = self.notes.clone();
        notes.extend(findings.iter().filter_map(|finding| self.note(finding)));
        notes.sort();
        without_echoes(&notes)
    }

    fn note(&self, finding: &Finding) -> Option<Note> {
        let Finding { object, path, severity, reason, message, remedy } = finding;
        let id = Id { kind: object.kind.as_str(), key: object.key.clone() };
        Some(Note {
            place: self.objects.get(&id)?.source.place(path),
            object: Some(object.to_string()),
            path: path.clone(),
            severity: *severity,
            reason: reason.code(),
            message: message.clone(),
            remedy: Some(remedy.clone()),
        })
    }
}

/// Leaves out that a rule could not be run on a value which is wrong already: an API server says that too, but the
/// other finding is what helps.
fn without_echoes(notes: &[Note]) -> Vec<Note> {
    let could_not_run = |note: &Note| note.message.contains("rule evaluation error");
    let is_echo = |note: &Note| {
        let same = |other: &&Note| {
            (&other.place, &other.object, &other.path) == (&note.place, &note.object, &note.path)
        };
        could_not_run(note) && notes.iter().filter(same).any(|other| !could_not_run(other))
    };
    notes.iter().filter(|note| !is_echo(note)).cloned().collect()
}

#[cfg(test)]
mod tests;
