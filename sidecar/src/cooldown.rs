//! Credentials that partners refuse: left alone for a while, then tried by one request at a time. Pure.
//!
//! Keyed by the credential's hash, so that a new key in the Secret is not held responsible for the old one.

use std::collections::BTreeMap;
use std::time::Duration;

use chaperone_protocol::keys::CredentialHash;
use chaperone_protocol::reason::Reason;
use tokio::time::Instant;

use crate::exchange::Extent;

/// How long a refused credential is left alone.
pub(crate) const COOLDOWN: Duration = Duration::from_secs(300);
/// Credentials remembered. Beyond, the one that has waited longest is forgotten, and learned again.
const REMEMBERED: usize = 1_024;

/// All credentials that cool down.
#[derive(Debug, Default)]
pub(crate) struct Cooldowns {
    cooling: BTreeMap<CredentialHash, Cooling>,
}

#[derive(Debug)]
struct Cooling {
    until: Instant,
    reason: Reason,
    trial: Trial,
    source: Source,
    /// Others are told of what holds for them too.
    extent: Extent,
}

/// Who met the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// We did: only a trial ends it.
    Own,
    /// Others did: it ends with its time.
    Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    Free,
    Taken,
}

/// Leave to use a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Nothing is known against it.
    Clear,
    /// This request finds out whether it is accepted again; given back by [`Cooldowns::release`] or a verdict.
    Trial,
}

/// Why a credential is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cold {
    /// What the partner said about it.
    pub(crate) reason: Reason,
    /// How long it is left alone at least.
    pub(crate) wait: Duration,
}

impl Cooling {
    /// Whether it has ended by itself.
    fn is_over(&self, now: Instant) -> bool {
        self.source == Source::Told && self.until <= now
    }
}

impl Cooldowns {
    /// Whether a credential may be used now.
    pub(crate) fn enter(&mut self, credential: CredentialHash, now: Instant) -> Result<Pass, Cold> {
        if self.cooling.get(&credential).is_some_and(|it| it.is_over(now)) {
            self.cooling.remove(&credential);
        }
        let Some(cooling) = self.cooling.get_mut(&credential) else { return Ok(Pass::Clear) };
        if cooling.until > now || cooling.trial == Trial::Taken {
            let wait = cooling.until.saturating_duration_since(now).max(Duration::from_secs(1));
            return Err(Cold { reason: cooling.reason, wait });
        }
        cooling.trial = Trial::Taken;
        Ok(Pass::Trial)
    }

    /// The partner refused it, or its credit is spent.
    pub(crate) fn refused(
        &mut self,
        credential: CredentialHash,
        (reason, extent): (Reason, Extent),
        now: Instant,
    ) {
        let until = now + COOLDOWN;
        let cooling = Cooling { until, reason, trial: Trial::Free, source: Source::Own, extent };
        self.insert(credential, cooling);
    }

    /// Others say that the partner refused it, and for how long they leave it alone. What we know ourselves stands.
    pub(crate) fn told(
        &mut self,
        credential: CredentialHash,
        reason: Reason,
        (now, wait): (Instant, Duration),
    ) {
        self.cooling.retain(|_, it| !it.is_over(now));
        let until = now + wait.min(COOLDOWN);
        let is_news =
            self.cooling.get(&credential).is_none_or(|it| it.source == Source::Told && it.until < until);
        if is_news {
            let (source, extent) = (Source::Told, Extent::Here);
            self.insert(credential, Cooling { until, reason, trial: Trial::Free, source, extent });
        }
    }

    /// What partners have refused us ourselves, would refuse others, and is left alone still: why, and for how much
    /// longer.
    pub(crate) fn learned(&self, now: Instant) -> impl Iterator<Item = (CredentialHash, Reason, Duration)> {
        let own =
            self.cooling.iter().filter(move |(_, it)| it.extent == Extent::Everywhere && it.until > now);
        own.map(move |(credential, it)| (*credential, it.reason, it.until - now))
    }

    fn insert(&mut self, credential: CredentialHash, cooling: Cooling) {
        if self.cooling.len() >= REMEMBERED
            && !self.cooling.contains_key(&credential)
            && let Some(oldest) = self.cooling.iter().min_by_key(|(_, it)| it.until).map(|(hash, _)| *hash)
        {
            self.cooling.remove(&oldest);
        }
        self.cooling.insert(credential, cooling);
    }

    /// The partner served with it.
    pub(crate) fn accepted(&mut self, credential: CredentialHash) {
        self.cooling.remove(&credential);
    }

    /// A trial ended without a verdict on the credential.
    pub(crate) fn release(&mut self, credential: CredentialHash) {
        if let Some(cooling) = self.cooling.get_mut(&credential) {
            cooling.trial = Trial::Free;
        }
    }

    /// How many cool down now.
    pub(crate) fn count(&self) -> usize {
        self.cooling.len()
    }
}

#[cfg(test)]
mod tests {
    use chaperone_protocol::keys::Credential;

    use super::*;
    use crate::clock;

    fn key(value: &str) -> CredentialHash {
        Credential::new(value.as_bytes().to_vec()).hash()
    }

    #[test]
    fn rule_7_4_a_refused_credential_rests_then_is_tried_by_one_request_at_a_time() {
        let (mut cooldowns, now) = (Cooldowns::default(), clock::now());
        assert_eq!(cooldowns.enter(key("old"), now), Ok(Pass::Clear));
        cooldowns.refused(key("old"), (Reason::PartnerCredential, Extent::Everywhere), now);
        let cold = cooldowns.enter(key("old"), now).unwrap_err();
        assert_eq!(cold, Cold { reason: Reason::PartnerCredential, wait: COOLDOWN });
        let later = now + COOLDOWN;
        assert_eq!(cooldowns.enter(key("old"), later), Ok(Pass::Trial));
        assert!(cooldowns.enter(key("old"), later).is_err());
        cooldowns.release(key("old"));
        assert_eq!(cooldowns.enter(key("old"), later), Ok(Pass::Trial));
        cooldowns.accepted(key("old"));
        assert_eq!(cooldowns.enter(key("old"), later), Ok(Pass::Clear));
    }

    #[test]
    fn rule_7_4_a_new_key_is_not_held_responsible_for_the_old_one() {
        let (mut cooldowns, now) = (Cooldowns::default(), clock::now());
        cooldowns.refused(key("old"), (Reason::PartnerCredit, Extent::Everywhere), now);
        assert_eq!(cooldowns.enter(key("new"), now), Ok(Pass::Clear));
    }

    #[test]
    fn rule_7_4_a_failed_trial_rests_again() {
        let (mut cooldowns, now) = (Cooldowns::default(), clock::now());
        cooldowns.refused(key("old"), (Reason::PartnerCredit, Extent::Everywhere), now);
        let later = now + COOLDOWN;
        assert_eq!(cooldowns.enter(key("old"), later), Ok(Pass::Trial));
        cooldowns.refused(key("old"), (Reason::PartnerCredential, Extent::Everywhere), later);
        assert_eq!(cooldowns.enter(key("old"), later).unwrap_err().reason, Reason::PartnerCredential);
        assert!(cooldowns.enter(key("old"), later + COOLDOWN).is_ok());
    }

    #[test]
    fn rule_7_5_what_is_told_lasts_for_five_minutes_at_most_and_gives_way_to_what_is_met() {
        let (mut cooldowns, now) = (Cooldowns::default(), clock::now());
        cooldowns.told(key("told"), Reason::PartnerCredit, (now, 10 * COOLDOWN));
        assert_eq!(cooldowns.enter(key("told"), now).unwrap_err().wait, COOLDOWN);
        cooldowns.told(key("told"), Reason::PartnerCredit, (now, Duration::from_secs(1)));
        assert_eq!(cooldowns.enter(key("told"), now).unwrap_err().wait, COOLDOWN, "it is not shortened");
        assert_eq!(cooldowns.learned(now).count(), 0);
        let later = now + COOLDOWN;
        assert_eq!(cooldowns.enter(key("told"), later), Ok(Pass::Clear), "nobody has to try it");
        cooldowns.refused(key("told"), (Reason::PartnerCredential, Extent::Everywhere), later);
        cooldowns.told(key("told"), Reason::PartnerCredit, (later, COOLDOWN));
        let met: Vec<_> = cooldowns.learned(later).collect();
        assert_eq!(met, [(key("told"), Reason::PartnerCredential, COOLDOWN)]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut cooldowns, now) = (Cooldowns::default(), clock::now());
        for index in 0..REMEMBERED + 10 {
            cooldowns.refused(key(&index.to_string()), (Reason::PartnerCredit, Extent::Everywhere), now);
        }
        assert_eq!(cooldowns.count(), REMEMBERED);
    }
}
