//! Trains and measures the tagger. Only with the feature `train`: nothing of it is in a shipped binary.
//!
//! Reads labelled text from a folder that is no part of the repository. Everything is decided by the input and a fixed
//! seed: the same data gives the same bytes. See `MODEL.md`.

pub mod corpus;
pub mod evaluate;
pub mod learn;
mod lists;
mod own;
mod random;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::label::NAMES;
use super::model::Parts;
use corpus::{Corpus, ShareAlike};

/// How much work training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As the shipped weights were made: sentences of our own too, and the mean of several runs.
    Full,
    /// One run on the folder's sentences alone: for tests.
    Quick,
}

/// Reads a data folder, trains, and returns the bytes of a weight file. `progress` gets one line per step.
///
/// # Errors
/// A file cannot be read, is malformed, or differs from its recorded SHA-256.
pub fn weights(
    folder: &Path,
    share_alike: ShareAlike,
    effort: Effort,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<u8>> {
    let mut corpus = Corpus::read(folder, share_alike)?;
    progress(&format!("read {} sentences from {} files", corpus.sentences.len(), corpus.inputs.len()));
    if effort == Effort::Full {
        let own = own::sentences(&lists::pools(folder)?);
        progress(&format!("{} sentences of our own", own.len()));
        corpus.sentences.extend(own);
        corpus.add_input("own/sentences.txt", own::SENTENCES);
    }
    let entries = lists::entries(folder, &corpus)?;
    progress(&format!("{} list entries", entries.len()));
    let (table, nats) = learn::table(&corpus.sentences, &entries, effort, progress)?;
    let manifest = manifest(&corpus);
    Ok(Parts { manifest: &manifest, entries: &entries, nats, table: &table }.write())
}

fn manifest(corpus: &Corpus) -> String {
    let mut manifest = format!("licence {}\nlabels {NAMES}\n", corpus.licence());
    for (path, hash) in &corpus.inputs {
        // Writing to a string cannot fail.
        let _ = writeln!(manifest, "input {hash} {path}");
    }
    manifest
}
