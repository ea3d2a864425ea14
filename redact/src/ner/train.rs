//! Trains and measures the tagger. Only with the feature `train`: nothing of it is in a shipped binary.
//!
//! Reads labelled text from a folder that is no part of the repository. Everything is decided by the input and a fixed
//! seed: the same data gives the same bytes. See `MODEL.md`.

pub mod corpus;
pub mod evaluate;
pub mod learn;
mod lists;
mod random;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::label::NAMES;
use super::model::Parts;
use corpus::{Corpus, ShareAlike};

/// Reads a data folder, trains, and returns the bytes of a weight file. `progress` gets one line per step.
///
/// # Errors
/// A file cannot be read, is malformed, or differs from its recorded SHA-256.
pub fn weights(folder: &Path, share_alike: ShareAlike, progress: &mut dyn FnMut(&str)) -> Result<Vec<u8>> {
    let corpus = Corpus::read(folder, share_alike)?;
    progress(&format!("read {} sentences from {} files", corpus.sentences.len(), corpus.inputs.len()));
    let entries = lists::entries(folder, &corpus)?;
    progress(&format!("{} list entries", entries.len()));
    let (table, nats) = learn::table(&corpus.sentences, &entries, progress)?;
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
