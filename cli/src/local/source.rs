//! Manifests that change while they are served. What cannot be used keeps its last good version, and is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use chaperone_operator::compile::{Compiled, Severity, compile};
use chaperone_protocol::keys::Keys;
use chaperone_protocol::name::ObjectName;
use chaperone_protocol::snapshot::{Scope, Snapshot};
use chaperone_protocol::wire::Document;

use super::event::Event;
use crate::args::{Environment, Manifests};
use crate::manifests::{self, Id, Loaded, Manifest};
use crate::output::Output;

/// What a sidecar needs.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) keys: Keys,
}

/// Where manifests come from, and what of them was good last.
pub(super) struct Source {
    manifests: Manifests,
    service_account: ObjectName,
    environment: Environment,
    good: BTreeMap<Id, Manifest>,
    /// Of the files that were loaded last.
    loaded: Stamp,
    /// Of the last look.
    seen: Stamp,
}

/// Tells whether files were edited: by all that changes when they are.
type Stamp = Vec<(PathBuf, u64, i64, i64, u64)>;

impl Source {
    pub(super) fn new(manifests: Manifests, service_account: ObjectName, environment: Environment) -> Self {
        let (good, loaded, seen) = (BTreeMap::new(), Stamp::new(), Stamp::new());
        Self { manifests, service_account, environment, good, loaded, seen }
    }

    /// Whether the files are not those that were loaded last, and rest since the last look: an editor may take a
    /// file away before it puts it back, or write it in parts.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = self.stamp();
        let rests = now == self.seen;
        self.seen = now;
        rests && self.seen != self.loaded
    }

    /// Reads and compiles, and says what is wrong.
    ///
    /// # Errors
    /// If a path cannot be read, or nothing can be served.
    pub(super) fn load(&mut self, output: &Output) -> Result<World> {
        self.loaded = self.stamp(); // Before reading, so that an edit in between is seen next time.
        let mut loaded = manifests::read(&self.manifests, &self.environment)?;
        // Whose sidecar this is stays: an object of another namespace must not change it.
        self.manifests.namespace.get_or_insert_with(|| loaded.namespace.clone());
        let mut kept = loaded.keep_last_good(&self.good);
        let scope =
            Scope { namespace: loaded.namespace.clone(), service_account: self.service_account.clone() };
        let mut compiled = compile(&manifests::world(&loaded, [scope.clone()]));
        let notes = loaded.notes_with(&compiled.findings);
        if !notes.is_empty() {
            output.event(&Event::findings(&notes))?;
        }
        // Each round puts at least one object back to what it was, so there are no more rounds than objects.
        while self.put_back(&mut loaded, &compiled, &mut kept) {
            compiled = compile(&manifests::world(&loaded, [scope.clone()]));
        }
        for Id { kind, key } in kept {
            output.event(&Event::Kept { object: format!("{kind} {key}") })?;
        }
        let document = compiled.snapshots.remove(&scope).context("the scope was not compiled")?;
        // At the start that is a mistake; later somebody has deleted the last route.
        if self.good.is_empty() && document.routes.is_empty() && document.refused.is_empty() {
            bail!("no ModelRoute can be used by {scope}: there is nothing to serve");
        }
        let world = world(&loaded, document)?;
        self.remember(loaded, &compiled);
        Ok(world)
    }

    /// Puts objects with errors back to their last good version. `false` if there was nothing to put back.
    fn put_back(&self, loaded: &mut Loaded, compiled: &Compiled, kept: &mut BTreeSet<Id>) -> bool {
        let mut changed = false;
        for id in broken(compiled) {
            if let (Some(good), Some(now)) = (self.good.get(&id), loaded.objects.get_mut(&id))
                && now.object != good.object
            {
                *now = good.clone();
                kept.insert(id);
                changed = true;
            }
        }
        changed
    }

    fn remember(&mut self, loaded: Loaded, compiled: &Compiled) {
        self.good = loaded.objects;
        for id in broken(compiled) {
            self.good.remove(&id);
        }
    }

    fn stamp(&self) -> Stamp {
        // A path that cannot be read gives no stamp, and loading says why.
        let files = manifests::files(&self.manifests.filename).unwrap_or_default();
        let stamp = |path: PathBuf| {
            let metadata = fs::metadata(&path).ok()?;
            Some((path, metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.len()))
        };
        files.into_iter().filter_map(stamp).collect()
    }
}

fn broken(compiled: &Compiled) -> impl Iterator<Item = Id> {
    let errors = compiled.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| Id { kind: finding.object.kind.as_str(), key: finding.object.key.clone() })
}

fn world(loaded: &Loaded, document: Document) -> Result<World> {
    let snapshot = Snapshot::try_from(document).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the snapshot is not valid: {}", problems.join("; "))
    })?;
    Ok(World { snapshot, keys: manifests::keys(loaded) })
}

#[cfg(test)]
mod tests;
