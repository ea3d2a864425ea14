//! The folder for what outlives the process. One process has it at a time.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chaperone_protocol::sensitive::Sensitive;

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

/// The secret that pseudonyms are derived from: made on the first run, for this user's eyes alone.
pub(super) fn pseudonym_secret(folder: &Path) -> Result<Sensitive<[u8; 32]>> {
    let path = folder.join("pseudonyms.key");
    let problem = || format!("cannot use {}", path.display());
    let mut secret = [0; 32];
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            File::open("/dev/urandom")
                .and_then(|mut random| random.read_exact(&mut secret))
                .with_context(problem)?;
            file.write_all(&secret).and_then(|()| file.sync_all()).with_context(problem)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let stored = Sensitive::new(std::fs::read(&path).with_context(problem)?);
            let stored = <[u8; 32]>::try_from(stored.expose().as_slice());
            secret = stored.ok().with_context(|| {
                format!("{} does not have 32 bytes; remove it, and a new one is made", path.display())
            })?;
        }
        Err(error) => return Err(error).with_context(problem),
    }
    Ok(Sensitive::new(secret))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
    fn the_secret_of_pseudonyms_is_made_once_and_for_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = pseudonym_secret(folder.path()).unwrap();
        let path = folder.path().join("pseudonyms.key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(first.expose(), &[0; 32]);
        assert_eq!(pseudonym_secret(folder.path()).unwrap(), first);
        std::fs::write(&path, "short").unwrap();
        assert!(pseudonym_secret(folder.path()).unwrap_err().to_string().contains("32 bytes"));
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
