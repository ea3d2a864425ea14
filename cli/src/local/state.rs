//! The folder for what outlives the process. One process has it at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::args::Environment;

/// The folder that was asked for, else the user's.
pub(super) fn folder(asked: Option<PathBuf>, environment: &Environment) -> Result<PathBuf> {
    let of_user = || {
        let state = environment.get("XDG_STATE_HOME").map(PathBuf::from);
        let state = state.or_else(|| Some(Path::new(environment.get("HOME")?).join(".local/state")))?;
        Some(state.join("chaperone"))
    };
    asked.or_else(of_user).context("there is no state folder: HOME is not set; name one by --state")
}

/// Takes the folder for this process, until the file is dropped.
pub(super) fn lock(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join("lock");
    let problem = || format!("cannot use {}", path.display());
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(problem)?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder).with_context(problem)?;
        bail!("{} is in use by process {}; name another folder by --state", folder.display(), holder.trim());
    }
    file.set_len(0).with_context(problem)?;
    write!(file, "{}", std::process::id()).with_context(problem)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_process_and_the_second_is_told_which() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        let refusal = lock(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("in use by process {}", std::process::id())), "{refusal}");
        drop(first);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn the_folder_is_the_users_unless_one_is_named() {
        let environment = Environment::from([("HOME", "/home/ada")]);
        let named = folder(Some("here".into()), &environment).unwrap();
        assert_eq!(named, Path::new("here"));
        assert_eq!(folder(None, &environment).unwrap(), Path::new("/home/ada/.local/state/chaperone"));
        assert!(folder(None, &Environment::from([])).is_err());
    }
}
