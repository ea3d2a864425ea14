//! What was learned of partners, as it is told to the operator, and what the operator passes on from others.
//!
//! Told is what this sidecar has met itself: a hint is never repeated, so that it ends when its time does. A hint never
//! moves a breaker. What declared faults have taught is nobody's business.

use std::sync::Arc;

use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::Snapshot;
use chaperone_protocol::wire::feed::{Health, Hint, Resting, RestingCause, Withheld};
use tokio::time::Instant;

use super::all::lock;
use super::{Gate, GateKey, Gates};
use crate::breaker::Phase;

impl Gates {
    /// Waits until there may be something new in [`Gates::health`]. One waiter at a time.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// What is known of the partners of `snapshot`, where it is not good.
    pub(crate) fn health(&self, snapshot: &Snapshot, now: Instant) -> Health {
        let mut health = Health::default();
        for gate in self.all().iter().filter(|gate| gate.is_of(snapshot)) {
            let (phase, asked) = gate.learned(now);
            let partner = &gate.key.partner;
            if let Some(withheld) = phase.and_then(withheld) {
                health.breakers.insert(partner.clone(), withheld);
            }
            if let Some(until) = asked {
                health.pauses.insert(partner.clone(), (until - now).into());
            }
        }
        for (credential, reason, wait) in lock(&self.cooldowns).learned(now) {
            let cause = match reason {
                Reason::PartnerCredit => RestingCause::Credit,
                _ => RestingCause::Credential,
            };
            health.credentials.insert(credential, Resting { cause, remaining_ms: wait.into() });
        }
        health.bounded()
    }

    /// Heeds what others have met.
    pub(crate) fn heed(&self, hint: &Hint, snapshot: &Snapshot, now: Instant) {
        for (name, remaining) in &hint.pauses {
            if let Some(partner) = snapshot.partner(name.as_str()) {
                self.gate(partner, None).with(|core| core.rate.told(now + remaining.duration()));
            }
        }
        let mut cooldowns = lock(&self.cooldowns);
        for (credential, resting) in &hint.credentials {
            let reason = match resting.cause {
                RestingCause::Credit => Reason::PartnerCredit,
                RestingCause::Credential => Reason::PartnerCredential,
            };
            cooldowns.told(*credential, reason, (now, resting.remaining_ms.duration()));
        }
    }
}

impl Gate {
    /// Whether requests under `snapshot` go through this gate, and not only those of a drill.
    fn is_of(self: &Arc<Self>, snapshot: &Snapshot) -> bool {
        let partner = snapshot.partner(self.key.partner.as_str());
        partner.is_some_and(|partner| GateKey::of(partner, None) == self.key)
    }

    /// What its breaker does, where it would not let the next request through, and until when the partner has asked us
    /// ourselves for patience.
    fn learned(&self, now: Instant) -> (Option<Phase>, Option<Instant>) {
        let core = self.lock();
        let shut = core.breaker.check(now).is_err();
        (shut.then(|| core.breaker.phase(now)), core.rate.asked(now))
    }
}

fn withheld(phase: Phase) -> Option<Withheld> {
    match phase {
        Phase::Admitting => None,
        Phase::Refusing => Some(Withheld::Refusing),
        Phase::Probing => Some(Withheld::Probing),
    }
}
