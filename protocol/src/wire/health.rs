//! What sidecars learn of partners and tell the leader ([`Health`]), and what it passes on to others ([`Hint`]).
//!
//! A report is whole: the newest replaces the one before, and what is not named is well. A hint adds to what was hinted
//! before, and each part of it ends with its time. States of breakers are for people to see and are never passed on:
//! each sidecar trips by what it met itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::keys::CredentialHash;
use crate::limits;
use crate::name::PartnerName;

/// What one sidecar has met itself. What others told it is not in here, or rumours would never end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Partners whose breaker does not admit everybody.
    pub breakers: BTreeMap<PartnerName, Withheld>,
    /// Credentials that partners refused.
    pub credentials: BTreeMap<CredentialHash, Resting>,
    /// Partners that asked for patience, and for how long.
    pub pauses: BTreeMap<PartnerName, Remaining>,
}

/// What a breaker does that does not admit everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Withheld {
    /// Nobody is let through.
    Refusing,
    /// One at a time is.
    Probing,
}

/// What others have met, that a sidecar need not meet itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hint {
    /// Credentials of the scope that partners refused.
    pub credentials: BTreeMap<CredentialHash, Resting>,
    /// Partners of the scope that asked for patience.
    pub pauses: BTreeMap<PartnerName, Remaining>,
}

/// A credential that is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resting {
    /// What the partner said about it.
    pub cause: RestingCause,
    /// How much longer.
    pub remaining_ms: Remaining,
}

/// Why a credential is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RestingCause {
    /// Its credit is spent.
    Credit,
    /// It is not accepted, or a later peer knows better why.
    #[serde(other)]
    Credential,
}

/// How much longer something lasts, in milliseconds: a duration, since clocks differ. Never above
/// [`limits::RETRY_AFTER`], whatever was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u64")]
pub struct Remaining(u64);

impl Remaining {
    /// The time itself.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Duration> for Remaining {
    fn from(duration: Duration) -> Self {
        Self::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<u64> for Remaining {
    fn from(milliseconds: u64) -> Self {
        let most = u64::try_from(limits::RETRY_AFTER.as_millis()).unwrap_or(u64::MAX);
        Self(milliseconds.min(most))
    }
}

impl Health {
    /// The first [`limits::HEALTH_ENTRIES`] of each kind: a frame that is too large would end the stream.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        bound(&mut self.breakers);
        bound(&mut self.credentials);
        bound(&mut self.pauses);
        self
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.breakers.is_empty() && self.credentials.is_empty() && self.pauses.is_empty()
    }
}

impl Hint {
    /// As [`Health::bounded`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        bound(&mut self.credentials);
        bound(&mut self.pauses);
        self
    }
}

fn bound<K: Ord + Clone, V>(entries: &mut BTreeMap<K, V>) {
    if let Some(first) = entries.keys().nth(limits::HEALTH_ENTRIES).cloned() {
        entries.split_off(&first);
    }
}
