//! Probes each partner once for the whole cluster, where its `healthCheck` asks for it. A probe moves no traffic.

mod probe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::wire::WirePartner;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock;
use crate::compile::{Kind, ObjectRef};
use crate::desk::Desk;
use crate::report::Health;
use crate::world::ObjectKey;

/// How often the list of partners is looked at.
const TURN: Duration = Duration::from_secs(1);
/// Probes under way. Others wait for the next turn.
const IN_FLIGHT: usize = 16;

/// Whom to probe, with what.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    pub(crate) partners: BTreeMap<ObjectKey, WirePartner>,
    pub(crate) keys: Keys,
}

/// What the last probes said.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<BTreeMap<ObjectKey, Health>>);

impl Outcomes {
    /// Of this object. Only partners have one.
    pub(crate) fn of(&self, object: &ObjectRef) -> Health {
        match object.kind {
            Kind::Partner => self.lock().get(&object.key).cloned().unwrap_or_default(),
            Kind::ModelRoute | Kind::TenantQuota => Health::NotProbed,
        }
    }

    /// Returns whether it is another than before.
    fn note(&self, partner: ObjectKey, health: Health) -> bool {
        self.lock().insert(partner, health.clone()) != Some(health)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ObjectKey, Health>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Probes while this process leads, until it is dropped.
pub(crate) async fn run(desk: Arc<Desk>, probes: watch::Receiver<Arc<Probes>>, outcomes: Arc<Outcomes>) {
    let mut due: BTreeMap<ObjectKey, Instant> = BTreeMap::new();
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(TURN) => {}
            Some(ended) = running.join_next() => {
                let Ok((partner, health)) = ended else { continue };
                if outcomes.note(partner, health) {
                    desk.report.notify_one();
                }
                continue;
            }
        }
        if !desk.is_leading(clock::now()) {
            continue;
        }
        let current = Arc::clone(&probes.borrow());
        let probed = |key: &ObjectKey| current.partners.get(key).is_some_and(|it| it.health_check.is_some());
        due.retain(|key, _| probed(key));
        outcomes.lock().retain(|key, _| probed(key));
        for (key, partner) in &current.partners {
            let Some(check) = &partner.health_check else { continue };
            let now = clock::now();
            if running.len() >= IN_FLIGHT || due.get(key).is_some_and(|at| *at > now) {
                continue;
            }
            due.insert(key.clone(), now + check.interval);
            let (key, current) = (key.clone(), Arc::clone(&current));
            running.spawn(async move {
                let health = match current.partners.get(&key) {
                    Some(partner) => probe::probe(partner, &current.keys).await,
                    None => Health::NotProbed,
                };
                (key, health)
            });
        }
    }
}
