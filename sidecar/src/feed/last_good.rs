//! The copy of what is in force, from which a restarted sidecar serves when nobody answers.
//!
//! Two files: `snapshot.json`, which has no secret in it, and `keys.json` with the keys, the versions of the snapshots
//! that they go with and a hash of both. Keys are written first and go with the snapshot before as well, so that a
//! process that ends between the two renames leaves a pair that holds. A copy that was altered or cut is not used.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaperone_protocol::invalid::Invalid;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::{Snapshot, Version};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::clock;

/// What `chaperone compile` prints.
const SNAPSHOT: &str = "snapshot.json";
/// Readable by the owner alone.
const KEYS: &str = "keys.json";

/// The folder of the copy.
#[derive(Debug, Clone)]
pub(super) struct LastGood {
    folder: PathBuf,
    /// Version of the snapshot that is in the folder, as far as this process has put it there.
    written: Option<Version>,
}

/// A copy that holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) snapshot: Snapshot,
    pub(super) keys: Keys,
    /// Since it was written.
    pub(super) age: Duration,
}

/// Why a copy is not used.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("{file} cannot be read: {error}")]
    Unreadable { file: &'static str, error: io::Error },
    #[error("{file} is cut or altered: {problem}")]
    Broken { file: &'static str, problem: String },
}

/// `keys.json`.
#[derive(Serialize, Deserialize)]
struct KeysFile<'a> {
    hash: Version,
    snapshots: Vec<Version>,
    #[serde(borrow)]
    keys: &'a RawValue,
}

impl LastGood {
    /// Of this folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), written: None }
    }

    /// What is there. `None`: nothing was ever written.
    ///
    /// # Errors
    /// If what is there does not hold together.
    pub(super) fn load(&self) -> Result<Option<Loaded>, Refused> {
        let (Some(document), Some(keys)) = (self.read(SNAPSHOT)?, self.read(KEYS)?) else { return Ok(None) };
        let broken = |file| move |problem: String| Refused::Broken { file, problem };
        let (keys, snapshots) = parse_keys(&keys).map_err(broken(KEYS))?;
        let version = Version::of(&document);
        if !snapshots.contains(&version) {
            let problem = format!("its hash is {}, which {KEYS} does not name", version.short());
            return Err(broken(SNAPSHOT)(problem));
        }
        let snapshot =
            Snapshot::from_bytes(&document).map_err(|problems| broken(SNAPSHOT)(first(&problems)))?;
        Ok(Some(Loaded { snapshot, keys, age: self.age() }))
    }

    /// Writes what is in force.
    ///
    /// # Errors
    /// If the folder cannot be written. What was there before still holds.
    pub(super) fn store(&mut self, version: &Version, document: &[u8], keys: &Keys) -> io::Result<()> {
        let before = self.written.clone().or_else(|| Some(Version::of(&self.read(SNAPSHOT).ok()??)));
        let mut snapshots = vec![version.clone()];
        snapshots.extend(before.filter(|before| before != version));
        self.replace(KEYS, &keys_file(&snapshots, keys)?)?;
        if self.written.as_ref() != Some(version) {
            self.replace(SNAPSHOT, document)?;
            self.written = Some(version.clone());
        }
        Ok(())
    }

    /// The document that is in the folder.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        self.read(SNAPSHOT).ok()?
    }

    fn read(&self, file: &'static str) -> Result<Option<Vec<u8>>, Refused> {
        match fs::read(self.folder.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Refused::Unreadable { file, error }),
        }
    }

    fn replace(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.folder.join(format!("{file}.new"));
        // One that a process left behind may have another mode.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        written.write_all(bytes)?;
        written.sync_all()?;
        fs::rename(&new, self.folder.join(file))
    }

    fn age(&self) -> Duration {
        let modified = fs::metadata(self.folder.join(KEYS)).and_then(|metadata| metadata.modified());
        modified.ok().and_then(|modified| clock::wall().duration_since(modified).ok()).unwrap_or_default()
    }
}

fn keys_file(snapshots: &[Version], keys: &Keys) -> io::Result<Vec<u8>> {
    let bytes = keys.to_bytes();
    let file = KeysFile {
        hash: hash(snapshots, bytes.expose()),
        snapshots: snapshots.to_vec(),
        keys: serde_json::from_slice(bytes.expose())?,
    };
    Ok(serde_json::to_vec(&file)?)
}

fn parse_keys(bytes: &[u8]) -> Result<(Keys, Vec<Version>), String> {
    // Where, and never what: it is a file of keys.
    let unreadable = |error: serde_json::Error| format!("line {}, column {}", error.line(), error.column());
    let file: KeysFile<'_> = serde_json::from_slice(bytes).map_err(unreadable)?;
    if hash(&file.snapshots, file.keys.get().as_bytes()) != file.hash {
        return Err("it does not have the hash that it names".to_owned());
    }
    let keys = Keys::from_bytes(file.keys.get().as_bytes()).map_err(|problems| first(&problems))?;
    Ok((keys, file.snapshots))
}

fn hash(snapshots: &[Version], keys: &[u8]) -> Version {
    let names: Vec<&str> = snapshots.iter().map(Version::as_str).collect();
    Version::of(&[names.join(",").as_bytes(), b"\n", keys].concat())
}

fn first(problems: &[Invalid]) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use chaperone_protocol::keys::{Credential, PseudonymKey};

    use super::*;

    const DOCUMENT: &str =
        r#"{"protocol":1,"scope":{"namespace":"shop","serviceAccount":"checkout"},"later":1}"#;
    const OTHER: &str = r#"{"protocol":1,"scope":{"namespace":"shop","serviceAccount":"other"}}"#;

    fn keys(value: &str) -> Keys {
        let mut keys = Keys::default();
        keys.insert("shop/alpha/key".parse().unwrap(), Credential::new(value.as_bytes().to_vec()));
        keys.set_pseudonyms(PseudonymKey::new([7; 32]));
        keys
    }

    fn stored() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut copy = LastGood::new(folder.path());
        assert!(copy.load().unwrap().is_none(), "nothing is there yet");
        copy.store(&Version::of(DOCUMENT.as_bytes()), DOCUMENT.as_bytes(), &keys("sk-canary")).unwrap();
        folder
    }

    #[test]
    fn what_was_written_is_read_and_nobody_else_may() {
        let folder = stored();
        let loaded = LastGood::new(folder.path()).load().unwrap().unwrap();
        assert_eq!(*loaded.snapshot.version(), Version::of(DOCUMENT.as_bytes()));
        assert_eq!(loaded.keys, keys("sk-canary"));
        assert!(loaded.age < Duration::from_secs(60));
        for file in [SNAPSHOT, KEYS] {
            let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let snapshot = fs::read_to_string(folder.path().join(SNAPSHOT)).unwrap();
        assert!(!snapshot.contains("canary"));
    }

    #[test]
    fn keys_that_were_rotated_replace_those_before() {
        let folder = stored();
        let mut copy = LastGood::new(folder.path());
        copy.store(&Version::of(DOCUMENT.as_bytes()), DOCUMENT.as_bytes(), &keys("sk-new")).unwrap();
        assert_eq!(copy.load().unwrap().unwrap().keys, keys("sk-new"));
    }

    #[test]
    fn an_end_between_the_two_files_leaves_a_pair_that_holds() {
        let folder = stored();
        let before = fs::read(folder.path().join(SNAPSHOT)).unwrap();
        LastGood::new(folder.path())
            .store(&Version::of(OTHER.as_bytes()), OTHER.as_bytes(), &keys("sk-new"))
            .unwrap();
        fs::write(folder.path().join(SNAPSHOT), before).unwrap();
        let loaded = LastGood::new(folder.path()).load().unwrap().unwrap();
        assert_eq!(*loaded.snapshot.version(), Version::of(DOCUMENT.as_bytes()));
    }

    #[test]
    fn f60_a_copy_that_was_cut_or_altered_is_refused_and_named() {
        for file in [SNAPSHOT, KEYS] {
            let folder = stored();
            let path = folder.path().join(file);
            let whole = fs::read(&path).unwrap();
            let mut broken: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
            broken.extend((0..whole.len()).map(|index| {
                let mut altered = whole.clone();
                altered[index] ^= 1;
                altered
            }));
            for bytes in broken {
                fs::write(&path, &bytes).unwrap();
                let refused = LastGood::new(folder.path()).load().unwrap_err().to_string();
                assert!(refused.contains(".json"), "{refused}");
                assert!(!refused.contains("canary") && !refused.contains("c2st"), "{refused}");
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_and_no_panic() {
        let mut copy = LastGood::new(Path::new("/nonexistent"));
        assert!(copy.store(&Version::of(b"x"), b"x", &Keys::default()).is_err());
    }
}
