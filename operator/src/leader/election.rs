//! When a Lease may be taken. Pure: judged by when its content was seen to change, not by the clock of whoever wrote it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

/// How long a Lease holds without a renewal.
pub(super) const LEASE: Duration = Duration::from_secs(15);
/// How often it is renewed.
pub(super) const RENEW: Duration = Duration::from_secs(5);
/// How long after its last renewal began a leader believes in itself: well before others may take the Lease.
pub(super) const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often a standby looks: a part of what a crash costs.
const LOOK: Duration = Duration::from_secs(2);

/// How long a leader waits for the next renewal after one that began at `begun`: slow calls are not paid for twice.
pub(super) fn rest(begun: Instant, now: Instant) -> Duration {
    RENEW.saturating_sub(now.saturating_duration_since(begun))
}

/// What to do with a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody holds it: write it with these transitions.
    Take { transitions: i32 },
    /// It is ours: write it again.
    Renew { transitions: i32 },
    /// Somebody holds it.
    Wait,
}

/// What is remembered of a Lease between two looks.
#[derive(Debug)]
pub(super) struct Elector {
    identity: String,
    seen: Option<(LeaseSpec, Instant)>,
    /// The highest number of transitions that was ever seen: a Lease that was deleted must not start again below it,
    /// since sidecars refuse an epoch lower than the one they have seen.
    highest: i32,
}

impl Elector {
    /// Takes part as `identity`.
    pub(super) fn new(identity: String) -> Self {
        Self { identity, seen: None, highest: 0 }
    }

    /// Judges the Lease as it is now.
    pub(super) fn look(&mut self, lease: Option<&LeaseSpec>, now: Instant) -> Claim {
        let Some(lease) = lease else {
            self.seen = None;
            // Never 0: that is the epoch of frames that name none.
            return self.take();
        };
        let transitions = lease.lease_transitions.unwrap_or_default().max(0);
        let since = match &self.seen {
            Some((seen, since)) if seen == lease => *since,
            _ => {
                self.seen = Some((lease.clone(), now));
                now
            }
        };
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity && transitions >= self.highest {
            self.highest = transitions;
            return Claim::Renew { transitions };
        }
        self.highest = self.highest.max(transitions);
        let duration = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = duration.map_or(LEASE, Duration::from_secs);
        if holder == self.identity || holder.is_empty() || now >= since + duration {
            return self.take();
        }
        Claim::Wait
    }

    fn take(&self) -> Claim {
        Claim::Take { transitions: self.highest.saturating_add(1) }
    }

    /// How long a standby may wait before it looks again.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        let ends = self.seen.as_ref().map(|(_, since)| (*since + LEASE).saturating_duration_since(now));
        ends.map_or(LOOK, |ends| ends.clamp(Duration::from_millis(100), LOOK))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    fn lease(holder: &str, renewed: &str, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_renewal_begins_when_it_is_due_however_long_the_one_before_took() {
        let begun = crate::clock::now();
        let after = |seconds| rest(begun, begun + Duration::from_secs(seconds));
        assert_eq!(after(0), RENEW);
        // Lease read and written, label read, each in a second.
        assert_eq!(after(3), Duration::from_secs(2));
        assert_eq!(after(8), Duration::ZERO);
    }

    #[test]
    fn a_lease_that_nobody_made_is_taken() {
        let mut elector = Elector::new("me".to_owned());
        assert_eq!(elector.look(None, crate::clock::now()), Claim::Take { transitions: 1 });
    }

    #[test]
    fn a_lease_is_taken_when_it_has_not_changed_for_its_duration_whatever_its_times_say() {
        let mut elector = Elector::new("me".to_owned());
        let start = crate::clock::now();
        let old = lease("other", "2001-01-01T00:00:00Z", 4);
        assert_eq!(elector.look(Some(&old), start), Claim::Wait, "its clock may be wrong");
        assert_eq!(elector.look(Some(&old), start + Duration::from_secs(14)), Claim::Wait);
        let renewed = lease("other", "2001-01-01T00:00:14Z", 4);
        assert_eq!(elector.look(Some(&renewed), start + Duration::from_secs(14)), Claim::Wait);
        assert_eq!(elector.look(Some(&renewed), start + Duration::from_secs(28)), Claim::Wait);
        let taken = Claim::Take { transitions: 5 };
        assert_eq!(elector.look(Some(&renewed), start + Duration::from_secs(29)), taken);
    }

    #[test]
    fn a_released_lease_is_taken_at_once_and_the_epoch_rises() {
        let mut elector = Elector::new("me".to_owned());
        let released = lease("", "2026-01-01T00:00:00Z", 7);
        assert_eq!(elector.look(Some(&released), crate::clock::now()), Claim::Take { transitions: 8 });
        let ours = lease("me", "2026-01-01T00:00:00Z", 8);
        assert_eq!(elector.look(Some(&ours), crate::clock::now()), Claim::Renew { transitions: 8 });
    }

    #[test]
    fn the_epoch_rises_though_the_lease_was_deleted_or_restored_from_a_backup() {
        let mut elector = Elector::new("me".to_owned());
        let now = crate::clock::now();
        assert_eq!(
            elector.look(Some(&lease("me", "2026-01-01T00:00:00Z", 8)), now),
            Claim::Renew { transitions: 8 }
        );
        assert_eq!(elector.look(None, now), Claim::Take { transitions: 9 });
        let restored = lease("me", "2025-12-01T00:00:00Z", 3);
        assert_eq!(elector.look(Some(&restored), now), Claim::Take { transitions: 9 });
        let of_another = lease("", "2025-12-01T00:00:00Z", 4);
        assert_eq!(elector.look(Some(&of_another), now), Claim::Take { transitions: 9 });
    }

    #[test]
    fn a_leader_gives_up_before_another_may_begin() {
        assert!(RENEW < RENEW_DEADLINE && RENEW_DEADLINE + RENEW <= LEASE);
    }

    #[test]
    fn a_standby_looks_when_the_lease_ends() {
        let mut elector = Elector::new("me".to_owned());
        let start = crate::clock::now();
        assert_eq!(elector.look(Some(&lease("other", "2026-01-01T00:00:00Z", 1)), start), Claim::Wait);
        assert_eq!(elector.patience(start), LOOK);
        assert_eq!(elector.patience(start + Duration::from_millis(14_500)), Duration::from_millis(500));
    }
}
