//! `examples/` as their users apply them.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Folders with manifests, each of which is an example.
///
/// # Errors
/// If there is none.
pub fn folders() -> Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let folder = entry?.path();
        if folder.is_dir() && !manifests(&folder)?.is_empty() {
            folders.push(folder);
        }
    }
    folders.sort();
    ensure!(!folders.is_empty(), "no examples");
    Ok(folders)
}

/// The manifests of a folder.
///
/// # Errors
/// If it cannot be read.
pub fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(folder)?.collect();
    let mut files: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

/// A manifest after `envsubst`: variables that its user sets stand for endpoints and keys.
///
/// # Errors
/// If it cannot be read.
pub fn with_variables_set(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file)?;
    let mut pieces = text.split("${");
    let mut expanded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('}').context("a variable without end")?;
        expanded += if name.ends_with("_ENDPOINT") { "https://partner.example/v1" } else { "set" };
        expanded += rest;
    }
    Ok(expanded)
}
