//! Namespaces that are watched although the operator may not read them: they are gone, or their Role is missing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::IntGauge;

use super::merged::Reading;

/// What is missing, and how many namespaces that concerns.
#[derive(Debug)]
pub(super) struct Unread {
    gauge: IntGauge,
    /// Namespace and kind.
    missing: Mutex<BTreeSet<(String, String)>>,
}

impl Unread {
    pub(super) fn counted_by(gauge: IntGauge) -> Self {
        Self { gauge, missing: Mutex::default() }
    }

    /// How far this `kind` is in `namespace`, as soon as it is another step than before.
    pub(super) fn note(&self, namespace: &str, kind: &str, reading: Reading) {
        let is_unread = reading == Reading::Unread;
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (namespace.to_owned(), kind.to_owned());
        let has_changed = if is_unread { missing.insert(place) } else { missing.remove(&place) };
        if !has_changed {
            return;
        }
        if is_unread {
            tracing::error!(
                namespace,
                kind,
                "is gone, or may not be read: going on without; its sidecars keep what they have. Upgrade the release to make its Role anew"
            );
        } else {
            tracing::info!(namespace, kind, "is read");
        }
        let namespaces: BTreeSet<&String> = missing.iter().map(|(namespace, _)| namespace).collect();
        self.gauge.set(i64::try_from(namespaces.len()).unwrap_or(i64::MAX));
    }

    pub(super) fn has(&self, namespace: &str) -> bool {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.iter().any(|(other, _)| other == namespace)
    }
}
