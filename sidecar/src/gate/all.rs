//! All gates of one process, and the credentials that rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chaperone_protocol::keys::CredentialHash;
use chaperone_protocol::limits;
use chaperone_protocol::name::{Alias, PartnerName};
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Partner, Snapshot};
use tokio::sync::Notify;

use super::{Gate, GateKey};
use crate::clock;
use crate::cooldown::{Cold, Cooldowns, Pass};
use crate::exchange::Extent;
use crate::metrics::GateMetrics;

/// Gates that are kept although no snapshot names their partner any more.
const SPARE: usize = limits::PARTNERS;

/// Live state by name: it survives every swap of snapshots.
#[derive(Debug)]
pub(crate) struct Gates {
    gates: Mutex<BTreeMap<GateKey, Arc<Gate>>>,
    pub(super) cooldowns: Arc<Mutex<Cooldowns>>,
    metrics: GateMetrics,
    pub(super) news: Arc<Notify>,
}

impl Gates {
    /// None yet.
    pub(crate) fn new(metrics: GateMetrics) -> Self {
        Self { gates: Mutex::default(), cooldowns: Arc::default(), metrics, news: Arc::default() }
    }

    /// The gate of a partner. A route that is drilled learns for itself alone.
    pub(crate) fn gate(&self, partner: &Partner, drill: Option<&Alias>) -> Arc<Gate> {
        let key = GateKey::of(partner, drill);
        let mut gates = lock(&self.gates);
        let new = |key: &GateKey| {
            let watchers = (self.metrics.clone(), Arc::clone(&self.news));
            Arc::new(Gate::new(key.clone(), partner.protection, watchers, clock::now()))
        };
        Arc::clone(gates.entry(key).or_insert_with_key(new))
    }

    /// Puts the settings of a snapshot in force, and gives the gates of its partners.
    pub(crate) fn configure(&self, snapshot: &Snapshot) -> BTreeMap<PartnerName, Arc<Gate>> {
        let mut gates = lock(&self.gates);
        for (key, gate) in gates.iter() {
            if let Some(partner) = snapshot.partner(key.partner.as_str()) {
                gate.configure(&partner.protection);
            }
        }
        let known = |key: &GateKey| {
            let partner = snapshot.partner(key.partner.as_str());
            partner.is_some_and(|partner| GateKey::of(partner, key.drill.as_ref()) == *key)
        };
        if gates.keys().filter(|key| !known(key)).count() > SPARE {
            // Whoever holds one still keeps it.
            gates.retain(|key, _| known(key));
        }
        drop(gates);
        // What is known of a partner that is gone, or has moved, is not told any more.
        self.news.notify_one();
        snapshot.partners().map(|partner| (partner.name.clone(), self.gate(partner, None))).collect()
    }

    /// All gates, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Gate>> {
        lock(&self.gates).values().map(Arc::clone).collect()
    }

    /// Leave to use a credential, unless it rests.
    pub(crate) fn credential(&self, credential: CredentialHash) -> Result<CredentialPass, Cold> {
        let pass = lock(&self.cooldowns).enter(credential, clock::now())?;
        let (cooldowns, news) = (Arc::clone(&self.cooldowns), Arc::clone(&self.news));
        Ok(CredentialPass { cooldowns, news, credential, pass })
    }

    /// How many credentials rest.
    pub(crate) fn resting(&self) -> usize {
        lock(&self.cooldowns).count()
    }
}

/// Leave to use a credential: dropped, a trial is free for the next one.
#[derive(Debug)]
pub(crate) struct CredentialPass {
    cooldowns: Arc<Mutex<Cooldowns>>,
    news: Arc<Notify>,
    credential: CredentialHash,
    pass: Pass,
}

impl CredentialPass {
    /// Which credential it is for.
    pub(crate) fn hash(&self) -> CredentialHash {
        self.credential
    }

    /// The partner served with it.
    pub(crate) fn accepted(self) {
        if self.pass == Pass::Trial {
            lock(&self.cooldowns).accepted(self.credential);
            self.news.notify_one();
        }
    }

    /// The partner refused it: why, and to whom.
    pub(crate) fn refused(self, reason: Reason, extent: Extent) {
        lock(&self.cooldowns).refused(self.credential, (reason, extent), clock::now());
        self.news.notify_one();
    }
}

impl Drop for CredentialPass {
    fn drop(&mut self) {
        if self.pass == Pass::Trial {
            lock(&self.cooldowns).release(self.credential);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
