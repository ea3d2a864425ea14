//! What sidecars have met at partners: counted for status, and passed on to others as hints. Pure.
//!
//! A sidecar is believed on what its own scope has, and no further. Its own namespace hears of it at once, and so does
//! everybody if the partner is of that namespace; others only when a second namespace says the same: who may use a
//! shared partner must not be able to take it from all others. Everything ends with its time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::keys::{CredentialHash, Keys};
use chaperone_protocol::name::{ObjectName, PartnerName};
use chaperone_protocol::wire::feed::{Health, Hint, LeaderFrame, Resting, RestingCause, Withheld};
use tokio::time::Instant;

use crate::compile::Compiled;
use crate::world::ObjectKey;

/// What makes a rest longer by less is not passed on: remaining times arrive a little late, and would go in circles.
const NEWS: Duration = Duration::from_secs(1);

/// The partners and credentials of one scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Acquaintance {
    pub(super) partners: BTreeMap<PartnerName, ObjectKey>,
    /// Those that partners of the scope are called with.
    pub(super) credentials: BTreeMap<ObjectKey, CredentialHash>,
}

impl Acquaintance {
    /// The partners of a scope, with what they are called with.
    pub(super) fn of(partners: &BTreeMap<PartnerName, ObjectKey>, compiled: &Compiled, keys: &Keys) -> Self {
        let credential = |key: &ObjectKey| keys.get(compiled.partners.get(key)?.credential.as_ref()?);
        let hashed = partners.values().filter_map(|key| Some((key.clone(), credential(key)?.hash())));
        Self { partners: partners.clone(), credentials: hashed.collect() }
    }
}

/// Until when a credential rests, and why.
type Rest = (RestingCause, Instant);

/// What one sidecar has met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Met {
    breakers: BTreeMap<ObjectKey, Withheld>,
    credentials: BTreeMap<CredentialHash, Rest>,
    pauses: BTreeMap<ObjectKey, Instant>,
}

/// What any sidecar has met and others should know.
#[derive(Debug, Default)]
pub(super) struct Learned {
    credentials: BTreeMap<CredentialHash, Reports<Rest>>,
    pauses: BTreeMap<ObjectKey, Reports<Instant>>,
}

/// The same thing, as sidecars of these namespaces say it.
#[derive(Debug)]
struct Reports<T>(BTreeMap<ObjectName, T>);

/// What lasts until a time.
trait Lasting: Copy {
    fn until(self) -> Instant;
}

impl Lasting for Instant {
    fn until(self) -> Instant {
        self
    }
}

impl Lasting for Rest {
    fn until(self) -> Instant {
        self.1
    }
}

/// The part of it that concerns one scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    credentials: BTreeMap<CredentialHash, Rest>,
    pauses: BTreeMap<PartnerName, Instant>,
}

/// How sidecars get on with one partner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Connected sidecars that have the partner.
    pub(crate) total: usize,
    /// Those whose breaker lets nobody through.
    pub(crate) refusing: usize,
    /// Those whose breaker lets one through at a time.
    pub(crate) probing: usize,
    /// Those that leave its credential alone, since the partner does not accept it.
    pub(crate) refused_credential: usize,
    /// Those that leave its credential alone, since its credit is spent.
    pub(crate) spent_credit: usize,
}

impl Met {
    /// What a sidecar of a scope says, as far as it can know.
    pub(super) fn of(health: &Health, scope: &Acquaintance, now: Instant) -> Self {
        let known = |name: &PartnerName| scope.partners.get(name).cloned();
        let is_its = |hash: &CredentialHash| scope.credentials.values().any(|its| its == hash);
        let rest = |resting: &Resting| (resting.cause, now + resting.remaining_ms.duration());
        let Health { breakers, credentials, pauses } = health;
        Self {
            breakers: breakers.iter().filter_map(|(name, state)| Some((known(name)?, *state))).collect(),
            credentials: credentials
                .iter()
                .filter(|it| is_its(it.0))
                .map(|(it, how)| (*it, rest(how)))
                .collect(),
            pauses: pauses
                .iter()
                .filter_map(|(name, left)| Some((known(name)?, now + left.duration())))
                .collect(),
        }
    }

    /// Adds its breakers to how sidecars of its scope get on with their partners.
    pub(super) fn count(&self, scope: &Acquaintance, standings: &mut BTreeMap<ObjectKey, Standing>) {
        for partner in scope.partners.values() {
            let Some(standing) = standings.get_mut(partner) else { continue };
            match self.breakers.get(partner) {
                Some(Withheld::Refusing) => standing.refusing += 1,
                Some(Withheld::Probing) => standing.probing += 1,
                None => {}
            }
        }
    }
}

impl<T: Lasting> Reports<T> {
    /// Forgets what is over. Returns whether anything is left.
    fn last(&mut self, now: Instant) -> bool {
        self.0.retain(|_, report| report.until() > now);
        !self.0.is_empty()
    }

    /// Adds what sidecars of `namespace` say. Returns whether that is news.
    fn add(&mut self, namespace: &ObjectName, report: T) -> bool {
        let is_news = self.0.get(namespace).is_none_or(|before| before.until() + NEWS <= report.until());
        if is_news {
            self.0.insert(namespace.clone(), report);
        }
        is_news
    }

    /// What sidecars of `namespace` should believe, of something that is `owner`'s.
    fn believed(&self, namespace: &ObjectName, owner: &ObjectName) -> Option<T> {
        let mut all: Vec<T> = self.0.values().copied().collect();
        all.sort_by_key(|report| std::cmp::Reverse(report.until()));
        // For as long as two say so.
        let second = all.get(1).copied();
        let trusted = [namespace, owner].into_iter().filter_map(|name| self.0.get(name).copied());
        trusted.chain(second).max_by_key(|report| report.until())
    }
}

impl Learned {
    /// Adds what a sidecar of `namespace` has met. Returns whether others should hear of it.
    pub(super) fn add(&mut self, met: &Met, namespace: &ObjectName, now: Instant) -> bool {
        self.credentials.retain(|_, reports| reports.last(now));
        self.pauses.retain(|_, reports| reports.last(now));
        let mut is_news = false;
        for (credential, rest) in &met.credentials {
            let reports = self.credentials.entry(*credential).or_insert_with(|| Reports(BTreeMap::new()));
            is_news |= reports.add(namespace, *rest);
        }
        for (partner, until) in &met.pauses {
            let reports = self.pauses.entry(partner.clone()).or_insert_with(|| Reports(BTreeMap::new()));
            is_news |= reports.add(namespace, *until);
        }
        is_news
    }

    /// Why sidecars of `namespace` leave the credential of `partner` alone, though perhaps one alone has met it.
    pub(super) fn resting(
        &self,
        partner: &ObjectKey,
        scope: &Acquaintance,
        namespace: &ObjectName,
        now: Instant,
    ) -> Option<RestingCause> {
        let reports = self.credentials.get(scope.credentials.get(partner)?)?;
        let rest = reports.believed(namespace, &partner.namespace);
        rest.filter(|(_, until)| *until > now).map(|(cause, _)| cause)
    }

    /// What a scope of `namespace` should know of it. `None`: nothing.
    pub(super) fn hints(&self, scope: &Acquaintance, namespace: &ObjectName) -> Option<Hints> {
        let of_scope = |(partner, hash): (&ObjectKey, &CredentialHash)| {
            Some((*hash, self.credentials.get(hash)?.believed(namespace, &partner.namespace)?))
        };
        let pause = |(name, partner): (&PartnerName, &ObjectKey)| {
            Some((name.clone(), self.pauses.get(partner)?.believed(namespace, &partner.namespace)?))
        };
        let hints = Hints {
            credentials: scope.credentials.iter().filter_map(of_scope).collect(),
            pauses: scope.partners.iter().filter_map(pause).collect(),
        };
        (hints != Hints::default()).then_some(hints)
    }
}

impl Hints {
    /// The frame that brings what is not over yet. `None`: all is.
    pub(super) fn frame(&self, now: Instant, epoch: u64) -> Option<Bytes> {
        let lasting = |until: Instant| (until > now).then(|| (until - now).into());
        let credentials = self.credentials.iter().filter_map(|(hash, (cause, until))| {
            Some((*hash, Resting { cause: *cause, remaining_ms: lasting(*until)? }))
        });
        let pauses = self.pauses.iter().filter_map(|(name, until)| Some((name.clone(), lasting(*until)?)));
        let hint = Hint { credentials: credentials.collect(), pauses: pauses.collect() };
        (hint != Hint::default()).then(|| LeaderFrame::Hint(hint.bounded()).encode(epoch).into())
    }
}

#[cfg(test)]
mod tests {
    use chaperone_protocol::keys::Credential;
    use chaperone_protocol::wire::feed::Decoder;

    use super::*;

    fn hash(value: &str) -> CredentialHash {
        Credential::new(value.as_bytes().to_vec()).hash()
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "shop".parse().unwrap(), name: name.parse().unwrap() }
    }

    /// A scope that calls partner `alpha` of namespace `shop` by this name.
    fn scope(name: &str) -> Acquaintance {
        Acquaintance {
            partners: [(name.parse().unwrap(), key("alpha"))].into(),
            credentials: [(key("alpha"), hash("sk-alpha"))].into(),
        }
    }

    fn health(partner: &str, credential: &str) -> Health {
        let minute: chaperone_protocol::wire::feed::Remaining = Duration::from_secs(60).into();
        Health {
            breakers: [(partner.parse().unwrap(), Withheld::Refusing)].into(),
            credentials: [(hash(credential), Resting { cause: RestingCause::Credit, remaining_ms: minute })]
                .into(),
            pauses: [(partner.parse().unwrap(), minute)].into(),
        }
    }

    fn hint(hints: &Hints, now: Instant) -> Hint {
        let mut decoder = Decoder::new(1 << 20);
        decoder.push(&hints.frame(now, 7).unwrap());
        let frame = LeaderFrame::decode(&decoder.next_frame().unwrap().unwrap()).unwrap();
        let (7, Some(LeaderFrame::Hint(hint))) = frame else { panic!("{frame:?}") };
        hint
    }

    fn namespace(name: &str) -> ObjectName {
        name.parse().unwrap()
    }

    #[test]
    fn another_scope_hears_of_a_partner_by_its_own_name_and_for_the_time_that_is_left() {
        let (start, mut learned) = (crate::clock::now(), Learned::default());
        let met = Met::of(&health("alpha", "sk-alpha"), &scope("alpha"), start);
        assert!(learned.add(&met, &namespace("shop"), start));
        let hints = learned.hints(&scope("shop/alpha"), &namespace("bank")).unwrap();
        let later = hint(&hints, start + Duration::from_secs(20));
        let left = Duration::from_secs(40).into();
        assert_eq!(later.pauses, [("shop/alpha".parse().unwrap(), left)].into());
        assert_eq!(
            later.credentials[&hash("sk-alpha")],
            Resting { cause: RestingCause::Credit, remaining_ms: left }
        );
        assert_eq!(hints.frame(start + Duration::from_secs(60), 7), None, "it ends by itself");
    }

    #[test]
    fn a_sidecar_is_believed_on_what_its_scope_has_alone() {
        let (start, mut learned) = (crate::clock::now(), Learned::default());
        let met = Met::of(&health("beta", "sk-beta"), &scope("alpha"), start);
        assert_eq!(met, Met::default());
        assert!(!learned.add(&met, &namespace("shop"), start));
        learned.add(
            &Met::of(&health("alpha", "sk-alpha"), &scope("alpha"), start),
            &namespace("shop"),
            start,
        );
        let stranger = Acquaintance {
            partners: [("alpha".parse().unwrap(), key("another"))].into(),
            credentials: [(key("another"), hash("sk-another"))].into(),
        };
        assert_eq!(
            learned.hints(&stranger, &namespace("shop")),
            None,
            "a partner of the same name is another"
        );
    }

    #[test]
    fn what_is_known_is_no_news_and_is_not_shortened() {
        let (start, mut learned) = (crate::clock::now(), Learned::default());
        let met = |now| Met::of(&health("alpha", "sk-alpha"), &scope("alpha"), now);
        let mut add = |at| learned.add(&met(at), &namespace("shop"), at);
        assert!(add(start));
        let late = start + Duration::from_millis(300);
        assert!(!add(late), "the same, a little late");
        let later = start + Duration::from_secs(10);
        assert!(add(later), "it was refused again");
    }

    #[test]
    fn a_namespace_takes_a_shared_partner_from_no_other_by_its_word_alone() {
        let (start, mut learned) = (crate::clock::now(), Learned::default());
        let met = Met::of(&health("shop/alpha", "sk-alpha"), &scope("shop/alpha"), start);
        let hears =
            |learned: &Learned, who: &str| learned.hints(&scope("shop/alpha"), &namespace(who)).is_some();
        assert!(learned.add(&met, &namespace("stranger"), start));
        assert!(hears(&learned, "stranger") && !hears(&learned, "bank") && !hears(&learned, "shop"));
        let resting = learned.resting(&key("alpha"), &scope("shop/alpha"), &namespace("bank"), start);
        assert_eq!(resting, None);
        assert!(learned.add(&met, &namespace("another"), start));
        assert!(hears(&learned, "bank") && hears(&learned, "shop"));
    }
}
