//! The revision that `e2e/previous` names: its operator, its sidecar and its chart, for tests of two versions.
//!
//! Built once from this repository's history, and kept under `${XDG_CACHE_HOME:-~/.cache}/chaperone/previous/<commit>/`;
//! another pin removes it. Its dependencies are mostly ours, so it is built in our build folder, under a version of its
//! own: cargo would take packages of the same name and version for ours.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::tier::{self, Tier};
use crate::tools::{say, watch};
use crate::{process, settings};

/// What it is built of. `.` is this checkout.
const PROGRAMS: [&str; 2] = ["chaperone-operator", "chaperone-sidecar"];
const CHART: &str = "charts/chaperone";
/// The folder of a build that is not done yet.
const DRAFT: &str = ".draft";

/// The previous revision, built.
pub struct Previous(PathBuf);

impl Previous {
    /// Builds it where it is missing; `None`, with a line that says why, where `test` is not selected or it cannot be had.
    ///
    /// # Errors
    /// If it is required and cannot be had, or cannot be built.
    pub fn for_test(test: &str) -> Result<Option<Self>> {
        if !tier::is_selected(test, Tier::ControlPlane)? {
            return Ok(None);
        }
        match what_is_missing()? {
            Some(remedy) => tier::cannot_run(test, &remedy).map(|()| None),
            None => ensure_built().map(Some),
        }
    }

    /// Its operator.
    #[must_use]
    pub fn operator(&self) -> PathBuf {
        self.0.join("chaperone-operator")
    }

    /// Its sidecar.
    #[must_use]
    pub fn sidecar(&self) -> PathBuf {
        self.0.join("chaperone-sidecar")
    }

    /// Its chart.
    #[must_use]
    pub fn chart(&self) -> PathBuf {
        self.0.join("chart")
    }
}

/// The commit that is pinned.
fn commit() -> Result<&'static str> {
    let lines = include_str!("../previous").lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().context("e2e/previous names no commit")
}

/// Why it cannot be had, with the remedy.
///
/// # Errors
/// If `e2e/previous` is empty.
pub fn what_is_missing() -> Result<Option<String>> {
    let commit = commit()?;
    if folder(commit)?.is_dir() {
        return Ok(None);
    }
    let mut ask = git();
    let said = match ask.args(["cat-file", "-e", &format!("{commit}^{{commit}}")]).output() {
        Ok(output) if output.status.success() => return Ok(None),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Ok(Some(format!(
        "this checkout lacks commit {commit}, which e2e/previous names: clone the repository whole, or run \
         `git fetch --unshallow` (git: {said})"
    )))
}

/// Builds it where it is missing. Blocks while it is built, here or by another process.
///
/// # Errors
/// If the build fails.
pub fn ensure_built() -> Result<Previous> {
    let commit = commit()?;
    let built = folder(commit)?;
    let all = built.parent().context("a folder")?;
    fs::create_dir_all(all)?;
    // Held until the file is closed, by the kernel: also when this process is killed.
    let lock = File::create(all.join(".lock"))?;
    lock.lock()?;
    if !built.is_dir() {
        let draft = all.join(DRAFT);
        remove(&draft)?;
        build(commit, &draft)?;
        remove_others(all)?;
        fs::rename(draft.join("built"), &built)?;
        remove(&draft)?;
    }
    Ok(Previous(built))
}

fn folder(commit: &str) -> Result<PathBuf> {
    let cache = settings::cache().context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("previous").join(commit))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| folder.display().to_string())
        }
        _ => Ok(()),
    }
}

/// What earlier pins left.
fn remove_others(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != DRAFT {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn build(commit: &str, draft: &Path) -> Result<()> {
    say(&format!(
        "building operator and sidecar of {commit:.12} for the tests of two versions, once; it takes a minute or two"
    ));
    let (source, target, built) = (draft.join("source"), draft.join("target"), draft.join("built"));
    fs::create_dir_all(&source)?;
    fs::create_dir_all(&built)?;
    unpack(commit, &source)?;
    rename_version(&source)?;
    for program in PROGRAMS {
        let mut cargo = process::cargo();
        cargo
            .args(["build", "--quiet", "--locked", "--package", program])
            .current_dir(&source)
            // What is ours alone; dependencies are built as for our own, or they would be built again.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_BUILD_BUILD_DIR", process::build_folder()?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(draft.join("log"))?);
        let outcome = watch(cargo.spawn().context("running cargo")?, &format!("{program} of {commit:.12}"));
        outcome.with_context(|| process::tail_of(&draft.join("log")))?;
        fs::rename(target.join("debug").join(program), built.join(program))?;
    }
    Ok(fs::rename(source.join(CHART), built.join("chart"))?)
}

/// Unpacks the commit's files.
fn unpack(commit: &str, folder: &Path) -> Result<()> {
    let archive = folder.join("source.tar");
    run(git().args(["archive", "--format=tar", "--output"]).arg(&archive).arg(commit))?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder))?;
    Ok(fs::remove_file(archive)?)
}

/// Gives the packages of the workspace in `folder` a version that ours do not have.
fn rename_version(folder: &Path) -> Result<()> {
    let (manifest, lock) = (folder.join("Cargo.toml"), folder.join("Cargo.lock"));
    let text = fs::read_to_string(&manifest)?;
    fs::write(manifest, renamed(&text, |before| before == "[workspace.package]")?)?;
    let text = fs::read_to_string(&lock)?;
    Ok(fs::write(lock, renamed(&text, |before| before.starts_with("name = \"chaperone"))?)?)
}

/// `text` with every version renamed that stands in a line right after one that `follows` accepts.
fn renamed(text: &str, follows: impl Fn(&str) -> bool) -> Result<String> {
    let (mut lines, mut before, mut is_renamed) = (Vec::new(), "", false);
    for line in text.lines() {
        let version = line.strip_prefix("version = \"").and_then(|rest| rest.strip_suffix('"'));
        match version.filter(|_| follows(before)) {
            Some(version) => {
                is_renamed = true;
                lines.push(format!("version = \"{version}-previous\""));
            }
            None => lines.push(line.to_owned()),
        }
        before = line;
    }
    ensure!(is_renamed, "no version to rename");
    Ok(lines.join("\n") + "\n")
}

fn git() -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_our_own_packages_are_renamed() {
        let lock = "name = \"chaperone\"\nversion = \"0.1.0\"\n\nname = \"h2\"\nversion = \"0.4.1\"\n";
        let renamed = renamed(lock, |before| before.starts_with("name = \"chaperone")).unwrap();
        assert_eq!(renamed, lock.replace("0.1.0", "0.1.0-previous"));
    }

    #[test]
    fn a_file_without_our_version_is_not_built() {
        assert!(renamed("name = \"h2\"\nversion = \"0.4.1\"\n", |_| false).is_err());
    }

    #[test]
    fn the_pin_is_a_whole_commit() {
        let commit = commit().unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{commit}");
    }
}
