//! Reads files with several YAML documents, and remembers on which line every value stands.
//!
//! It reads what `kubectl` reads, but for what two readers of YAML could understand differently: that is refused,
//! with the line and the remedy. Input is bounded, and aliases cannot make it grow beyond its bounds.

mod builder;
mod scalar;

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use crate::path;

/// Bytes of one file.
pub const FILE_BYTES: usize = 1 << 20;
/// Documents in one file.
pub const DOCUMENTS: usize = 1_000;
/// Nesting of one document.
pub const DEPTH: usize = 64;
/// What all values of one file may weigh once aliases are expanded: one for each value, and its bytes of text.
pub const EXPANDED_WEIGHT: usize = 4 << 20;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it says.
    pub value: Value,
    position: Position,
}

impl Document {
    /// The line, from 1, of the value at `path`, as in `spec.models[0].name`; of its nearest parent if it is missing.
    #[must_use]
    pub fn line(&self, path: &str) -> usize {
        self.position.find(path)
    }
}

/// Where a value and what is inside it begin.
#[derive(Debug, Clone, PartialEq, Default)]
struct Position {
    line: usize,
    /// By path segment: `name` for a member, `[0]` for an item.
    inside: BTreeMap<String, Position>,
}

impl Position {
    fn find(&self, path: &str) -> usize {
        let rest = path.strip_prefix('.').unwrap_or(path);
        let inner = self
            .inside
            .iter()
            .filter_map(|(segment, position)| Some((segment, position, rest.strip_prefix(segment.as_str())?)))
            .filter(|(_, _, left)| left.is_empty() || left.starts_with(['.', '[']))
            .max_by_key(|(segment, _, _)| segment.len());
        match inner {
            Some((_, position, left)) => position.find(left),
            None => self.line,
        }
    }

    fn put(&mut self, segment: path::Segment<'_>, position: Position) {
        self.inside.insert(segment.to_string(), position);
    }
}

/// Why a file cannot be read, and on which line.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct InvalidDocument {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: DocumentProblem,
}

/// What can be wrong with a file. Values are never quoted, since they may be secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DocumentProblem {
    /// More than [`FILE_BYTES`].
    #[error("the file has more than {FILE_BYTES} bytes; split it")]
    TooLarge,
    /// More than [`DOCUMENTS`].
    #[error("the file has more than {DOCUMENTS} documents; split it")]
    TooMany,
    /// Deeper than [`DEPTH`].
    #[error("values are nested deeper than {DEPTH} levels; no kind needs that")]
    TooDeep,
    /// More than [`EXPANDED_WEIGHT`].
    #[error("aliases expand to more than {EXPANDED_WEIGHT} bytes; write the values out")]
    Expanded,
    /// Not YAML.
    #[error("is not YAML: {0}")]
    Syntax(String),
    /// The same key twice in one mapping.
    #[error("key {0:?} is already set in this mapping; remove one of the two")]
    DuplicateKey(String),
    /// A key that is not text.
    #[error("a key must be text; write it in quotes")]
    KeyNotText,
    /// `yes`, `0777` and the like.
    #[error(
        "a plain word here is read as text by some and as a boolean or a number by others; write it in quotes, or as true, false or a decimal number"
    )]
    Ambiguous,
    /// Infinity, not a number, or too large.
    #[error("this number does not exist in JSON; write a finite decimal number")]
    NotANumber,
    /// `<<`.
    #[error("merge keys (`<<`) are not read; repeat the fields")]
    MergeKey,
    /// `!!binary` and the like.
    #[error("tags (`!...`) are not read; remove it")]
    Tag,
}

/// Reads every document of a file. Empty ones are skipped, as `kubectl` does.
///
/// # Errors
/// The first problem, with its line: what follows a mistake in YAML cannot be told apart reliably.
pub fn read_documents(text: &str) -> Result<Vec<Document>, InvalidDocument> {
    if text.len() > FILE_BYTES {
        return Err(InvalidDocument { line: 1, problem: DocumentProblem::TooLarge });
    }
    builder::Builder::new(text).documents()
}

#[cfg(test)]
mod tests;
