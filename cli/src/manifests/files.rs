//! Which files belong to the paths that a user named, and their text.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chaperone_crds::document::FILE_BYTES;

/// Folders inside folders; more are a loop of links.
const FOLDER_DEPTH: usize = 16;

/// Every manifest: a file as it is named, a folder's `*.yaml` and `*.yml` in order, once each.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            let before = found.len();
            search(path, FOLDER_DEPTH, &mut found)?;
            if found.len() == before {
                bail!("{} has no *.yaml or *.yml; name a folder with manifests", path.display());
            }
        } else {
            found.push(path.clone());
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth == 0 {
        bail!("{} lies deeper than {FOLDER_DEPTH} folders, or in a loop of links", folder.display());
    }
    let problem = || format!("cannot read {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).with_context(problem)? {
        entries.push(entry.with_context(problem)?.path());
    }
    entries.sort();
    for entry in entries.into_iter().filter(|entry| !is_hidden(entry)) {
        if entry.is_dir() {
            search(&entry, depth - 1, found)?;
        } else if is_manifest(&entry) && !is_special(&entry) {
            found.push(entry);
        }
    }
    Ok(())
}

/// Drafts of editors, `.git`, and the `..data` of mounted ConfigMaps.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// A pipe or a socket: reading it could wait for ever. Who wants one read names it.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// The text of a file, or what is wrong with it. Reads no more than a manifest may have.
pub(super) fn read(path: &Path) -> Result<Result<String, String>> {
    let problem = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(problem)?;
    let bound = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).with_context(problem)?;
    if bytes.len() > FILE_BYTES {
        return Ok(Err(format!("the file has more than {FILE_BYTES} bytes; split it")));
    }
    Ok(String::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_searched_in_order_and_drafts_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", ".draft.yaml", "notes.txt", "inner/c.yaml", ".git/d.yaml"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let twice = [folder.path().to_path_buf(), folder.path().join("a.yaml")];
        let found = find(&twice).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b.yml", "inner/c.yaml"].map(Path::new));
    }

    #[test]
    fn a_socket_in_a_folder_is_left_alone_and_a_link_to_nowhere_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s.yaml")).unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join("link.yaml")).unwrap();
        assert_eq!(find(&[folder.path().to_path_buf()]).unwrap(), [folder.path().join("link.yaml")]);
    }

    #[test]
    fn a_folder_without_manifests_and_a_missing_path_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(&[folder.path().to_path_buf()]).unwrap_err().to_string().contains("no *.yaml"));
        let missing = folder.path().join("missing.yaml");
        assert!(find(&[missing]).unwrap_err().to_string().contains("missing.yaml"));
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, vec![b'#'; FILE_BYTES]).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().len(), FILE_BYTES);
        fs::write(&path, vec![b'#'; FILE_BYTES + 1]).unwrap();
        assert!(read(&path).unwrap().unwrap_err().contains("split it"));
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(read(&path).unwrap(), Err("the file is not UTF-8".to_owned()));
    }
}
