//! Who leads: a Lease, its transitions as the epoch, and the label that the feed's Service selects.
//!
//! A leader steps down by its own monotonic clock, before anybody else may take the Lease: what happens to the API
//! server, to the network or to this process cannot make two replicas believe that they lead for longer.

mod election;
mod label;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use self::election::{Claim, Elector, LEASE, RENEW, RENEW_DEADLINE, rest};
use self::label::Label;
use crate::clock;

/// A call that takes longer is as good as lost.
const CALL: Duration = Duration::from_secs(4);
/// Renewals from one look at the label to the next: who takes it off the leader is nobody's usual business.
const LABEL_GOOD_FOR: u32 = 4;

/// Whether this process leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// Another does, or nobody.
    Standby,
    /// It does.
    Leading {
        /// Higher than that of every leader before.
        epoch: u64,
        /// Not longer than this, unless the Lease is renewed.
        until: Instant,
    },
}

impl Leadership {
    /// The epoch, if this process leads now.
    pub(crate) fn epoch(self, now: Instant) -> Option<u64> {
        match self {
            Self::Leading { epoch, until } if now < until => Some(epoch),
            Self::Leading { .. } | Self::Standby => None,
        }
    }
}

/// What takes part in the election.
pub(crate) struct Candidate {
    leases: Api<Lease>,
    lease: String,
    /// Of this process: a restarted one is another.
    identity: String,
    label: Label,
    /// Renewals that may pass without a look at the label.
    label_good_for: u32,
    leadership: watch::Sender<Leadership>,
}

impl Candidate {
    /// Takes part under `lease` in `namespace`; `pod` is the own Pod.
    pub(crate) fn new(client: &Client, namespace: &str, lease: &str, pod: Option<String>) -> Self {
        let name = pod.clone().unwrap_or_else(|| "chaperone-operator".to_owned());
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            lease: lease.to_owned(),
            identity: format!("{name}_{:016x}", clock::random_below(u64::MAX)),
            label: Label::new(client, namespace, pod),
            label_good_for: 0,
            leadership: watch::channel(Leadership::Standby).0,
        }
    }

    /// Tells who leads.
    pub(crate) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    /// Takes part once all that a leader must know `is_known`, until `ending`; then gives up label and Lease, so that
    /// another takes over at once.
    pub(crate) async fn run(mut self, mut is_known: watch::Receiver<bool>, ending: CancellationToken) {
        let mut elector = Elector::new(self.identity.clone());
        // A process that ended badly has left the label on the Pod.
        self.label.remove_own().await;
        tokio::select! {
            known = is_known.wait_for(|is_known| *is_known) => if known.is_err() { return },
            () = ending.cancelled() => return,
        }
        loop {
            let wait = self.turn(&mut elector).await;
            tokio::select! {
                () = ending.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        if self.leadership.send_replace(Leadership::Standby) != Leadership::Standby {
            self.label.remove_own().await;
            self.release().await;
        }
    }

    /// One look at the Lease. Returns how long to wait for the next.
    async fn turn(&mut self, elector: &mut Elector) -> Duration {
        let begun = clock::now();
        let before = *self.leadership.borrow();
        let outcome = match before {
            // A renewal must not outlast the leadership that it renews.
            Leadership::Leading { until, .. } => timeout_at(until, self.claim(elector)).await.unwrap_or(None),
            Leadership::Standby => self.claim(elector).await,
        };
        let now = clock::now();
        match (outcome, before) {
            (Some(Held::Ours { epoch }), _) => {
                let until = begun + RENEW_DEADLINE;
                if before.epoch(now) != Some(epoch) {
                    tracing::info!(epoch, "leading");
                    self.label.take(until).await;
                    self.label_good_for = 0;
                }
                self.leadership.send_replace(Leadership::Leading { epoch, until });
                self.look_at_label(until).await;
                rest(begun, clock::now())
            }
            (outcome, Leadership::Leading { until, .. }) if outcome.is_some() || now >= until => {
                tracing::warn!("not leading any more");
                self.leadership.send_replace(Leadership::Standby);
                self.label.remove_own().await;
                RENEW / 2
            }
            // The API server does not answer: try again while there is time.
            (_, Leadership::Leading { until, .. }) => {
                Duration::from_secs(1).min(until.saturating_duration_since(now))
            }
            (_, Leadership::Standby) => elector.patience(now),
        }
    }

    async fn look_at_label(&mut self, until: Instant) {
        self.label_good_for = match self.label_good_for.checked_sub(1) {
            Some(left) => left,
            None if self.label.keep(until).await => LABEL_GOOD_FOR - 1,
            None => 0,
        };
    }

    async fn claim(&self, elector: &mut Elector) -> Option<Held> {
        let lease = timeout(CALL, self.leases.get_opt(&self.lease)).await.ok()?.ok()?;
        let claim = elector.look(lease.as_ref().and_then(|lease| lease.spec.as_ref()), clock::now());
        let transitions = match claim {
            Claim::Wait => return Some(Held::Theirs),
            Claim::Take { transitions } | Claim::Renew { transitions } => transitions,
        };
        let spec = self.spec(transitions, lease.as_ref().and_then(|lease| lease.spec.as_ref()), claim);
        let written = match lease {
            Some(Lease { metadata, .. }) => {
                // With the version that was read: whoever is second is told so.
                let lease = Lease { metadata, spec: Some(spec) };
                timeout(CALL, self.leases.replace(&self.lease, &PostParams::default(), &lease)).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(self.lease.clone()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(spec) };
                timeout(CALL, self.leases.create(&PostParams::default(), &lease)).await
            }
        };
        match written {
            Ok(Ok(_)) => Some(Held::Ours { epoch: u64::try_from(transitions).unwrap_or_default() }),
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => {
                Some(Held::Theirs)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot write the Lease");
                None
            }
            Err(_) => None,
        }
    }

    fn spec(&self, transitions: i32, before: Option<&LeaseSpec>, claim: Claim) -> LeaseSpec {
        let now = MicroTime(clock::wall());
        let acquired = match claim {
            Claim::Renew { .. } => before.and_then(|before| before.acquire_time.clone()),
            Claim::Take { .. } | Claim::Wait => None,
        };
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Lets another take the Lease without waiting for its end.
    async fn release(&self) {
        let release = async {
            let lease = self.leases.get_opt(&self.lease).await.ok()??;
            let mut spec = lease.spec.clone()?;
            if spec.holder_identity.as_ref() != Some(&self.identity) {
                return None;
            }
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            let lease = Lease { spec: Some(spec), ..lease };
            self.leases.replace(&self.lease, &PostParams::default(), &lease).await.ok()
        };
        if !matches!(timeout(CALL, release).await, Ok(Some(_))) {
            tracing::warn!("the Lease was not released; another replica leads when it ends");
        }
    }
}

/// Who holds the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Ours { epoch: u64 },
    Theirs,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::played;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_know_all_does_not_ask_to_lead() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let client = played::client(move |request| {
            // Relaxed: one thread.
            count.fetch_add(usize::from(request.uri().path().contains("/leases/")), Ordering::Relaxed);
            Some(played::forbidden())
        });
        let (known, is_known) = watch::channel(false);
        let candidate = Candidate::new(&client, "platform", "chaperone", Some("pod-1".to_owned()));
        let taking_part = candidate.run(is_known, CancellationToken::new());
        tokio::pin!(taking_part);
        assert!(timeout(Duration::from_secs(60), taking_part.as_mut()).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        known.send_replace(true);
        assert!(timeout(Duration::from_secs(60), taking_part.as_mut()).await.is_err());
        assert!(asked.load(Ordering::Relaxed) > 0);
    }
}
