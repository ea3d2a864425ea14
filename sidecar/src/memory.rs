//! How much of the process's memory requests may take, and when to shed.
//!
//! Bodies are counted by lease, as they came and as a partner may see them. Beside that the whole process is watched
//! against its cgroup's limit, because other copies of a body (translation, the partner's answer) are not in a lease.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::reason::Reason;

use crate::refusal::Refusal;

/// From this share of the cgroup's limit on, new requests are refused.
const SHED_PERCENT: u64 = 92;
/// Of the cgroup's limit, bodies may take at most one part in this many.
const BODY_SHARE: usize = 4;

/// The memory of all bodies that are held at a time.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    limit: usize,
    used: AtomicUsize,
    pressure: AtomicBool,
}

/// Memory held for one body. Given back on drop.
#[derive(Debug)]
pub(crate) struct Lease {
    memory: Arc<BodyMemory>,
    bytes: usize,
}

/// A body in memory, and its lease.
struct Held {
    bytes: Vec<u8>,
    _lease: Lease,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyMemory {
    /// At most `limit` bytes, and at most a quarter of what the process may have.
    pub(crate) fn new(limit: usize, cgroup: Option<&Cgroup>) -> Arc<Self> {
        let quarter = cgroup
            .and_then(Cgroup::limit)
            .and_then(|limit| usize::try_from(limit).ok())
            .map_or(usize::MAX, |limit| limit / BODY_SHARE);
        Arc::new(Self {
            limit: limit.min(quarter),
            used: AtomicUsize::new(0),
            pressure: AtomicBool::new(false),
        })
    }

    /// Holds nothing yet. `None` while memory is short.
    pub(crate) fn lease(self: &Arc<Self>) -> Option<Lease> {
        // Relaxed: a request more or less at the edge does no harm.
        let short = self.pressure.load(Ordering::Relaxed);
        (!short).then(|| Lease { memory: Arc::clone(self), bytes: 0 })
    }

    /// `pieces` as one body with a lease of its own; `None` if there is no room.
    pub(crate) fn joined(self: &Arc<Self>, pieces: &[Bytes]) -> Option<Bytes> {
        let mut lease = self.lease()?;
        lease.grow_to(pieces.iter().map(Bytes::len).sum()).then(|| lease.hold(pieces.concat()))
    }

    /// Bytes held now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Notes whether the process is near its limit.
    pub(crate) fn watch(&self, cgroup: &Cgroup) {
        self.pressure.store(cgroup.is_nearly_full(), Ordering::Relaxed);
    }
}

impl Lease {
    /// `bytes`, whose memory counts until the last piece of them is dropped, wherever that is.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { bytes, _lease: self })
    }

    /// Holds `bytes` in all from now on; `false` if there is no room.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        // Relaxed: the counter guards no other memory.
        let grown = self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|used| *used <= self.memory.limit)
        });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }
}

/// There is no room for a body.
pub(crate) fn shortage() -> Refusal {
    let mut refusal = Refusal::new(Reason::Memory, "too many bodies are in memory; ask again");
    refusal.retry_after = Some(Duration::from_secs(1));
    refusal
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The files that say how much memory the process has and may have.
#[derive(Debug)]
pub(crate) struct Cgroup {
    limit: PathBuf,
    used: PathBuf,
}

impl Cgroup {
    /// The cgroup of this process, version 2 or 1, if it has a memory limit.
    pub(crate) fn of_this_process() -> Option<Self> {
        let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find(Path::new("/sys/fs/cgroup"), &memberships)
    }

    fn find(root: &Path, memberships: &str) -> Option<Self> {
        memberships.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let (folder, limit, used) = if controllers.is_empty() {
                (root.join(path), "memory.max", "memory.current")
            } else if controllers.split(',').any(|name| name == "memory") {
                (root.join("memory").join(path), "memory.limit_in_bytes", "memory.usage_in_bytes")
            } else {
                return None;
            };
            let found = Self { limit: folder.join(limit), used: folder.join(used) };
            found.limit().is_some().then_some(found)
        })
    }

    /// Bytes; `None` if it is unlimited. Version 1 says "unlimited" by a number near 2^63.
    fn limit(&self) -> Option<u64> {
        read_number(&self.limit).filter(|limit| *limit < 1 << 60)
    }

    fn is_nearly_full(&self) -> bool {
        match (read_number(&self.used), self.limit()) {
            (Some(used), Some(limit)) => used.saturating_mul(100) >= limit.saturating_mul(SHED_PERCENT),
            _ => false,
        }
    }
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_one_bound_and_give_it_back() {
        let memory = BodyMemory::new(10, None);
        let mut first = memory.lease().unwrap();
        let mut second = memory.lease().unwrap();
        assert!(first.grow_to(6));
        assert!(!second.grow_to(5), "6 + 5 is over 10");
        assert!(second.grow_to(4));
        drop(first);
        assert!(second.grow_to(10));
        assert_eq!(memory.used(), 10);
    }

    #[test]
    fn a_body_counts_until_its_last_piece_is_gone() {
        let memory = BodyMemory::new(10, None);
        let mut lease = memory.lease().unwrap();
        assert!(lease.grow_to(6));
        let body = lease.hold(b"abcdef".to_vec());
        // What a connection still has to send.
        let rest = body.slice(4..);
        drop(body);
        assert_eq!((rest.as_ref(), memory.used()), (b"ef".as_slice(), 6));
        drop(rest);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_full_cgroup_sheds_and_an_unlimited_one_does_not() {
        let root = std::env::temp_dir().join(format!("chaperone-cgroup-{}", std::process::id()));
        fs::create_dir_all(root.join("pod")).unwrap();
        fs::write(root.join("pod/memory.max"), "1000\n").unwrap();
        fs::write(root.join("pod/memory.current"), "930\n").unwrap();
        let cgroup = Cgroup::find(&root, "0::/pod\n").unwrap();
        let memory = BodyMemory::new(usize::MAX, Some(&cgroup));
        assert_eq!(memory.limit, 250);
        memory.watch(&cgroup);
        assert!(memory.lease().is_none());
        fs::write(root.join("pod/memory.max"), "max\n").unwrap();
        assert!(Cgroup::find(&root, "0::/pod\n").is_none());
        fs::remove_dir_all(root).unwrap();
    }
}
