//! The compiled world of one scope (a namespace and a ServiceAccount), as types that are valid by construction.
//!
//! A snapshot names credentials and never holds them. It comes from [`crate::wire`] alone.

mod endpoint;
pub(crate) mod fault;
mod partner;
pub mod pii;
mod protection;
mod route;
mod tenant;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::endpoint::{Endpoint, InvalidEndpoint};
pub use self::fault::{Fault, FaultKind, FaultWindow, WrongUsage};
pub use self::partner::{
    AddressPolicy, HealthCheck, HttpVersion, Mock, MockReply, Model, Partner, Timeouts, Tls,
};
pub use self::protection::{BreakerPolicy, CancelBilling, Protection, QueuePolicy, RateLimit, RetryPolicy};
pub use self::route::{MaxTokens, Route, Target, WeightedTarget, WholeAnswers};
pub use self::tenant::{TenantPolicy, Tenants};
use crate::name::{Alias, ObjectName, PartnerName};

/// Whose snapshot it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// The namespace of the Pod.
    pub namespace: ObjectName,
    /// The Pod's ServiceAccount.
    pub service_account: ObjectName,
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.service_account)
    }
}

/// The SHA-256 of a content, so that equal content has one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// Why a string is not a [`Version`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("is not a version: 64 lower-case hex characters are")]
pub struct InvalidVersion;

impl TryFrom<String> for Version {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, InvalidVersion> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_hex) { Ok(Self(text)) } else { Err(InvalidVersion) }
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl Version {
    /// The version of these bytes. White space around a content is not part of it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes.trim_ascii()).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// 64 hex characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 characters: enough to tell versions apart in a log or a record.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// Everything that a sidecar needs to know to serve its scope.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) version: Version,
    pub(crate) scope: Scope,
    pub(crate) partners: BTreeMap<PartnerName, Arc<Partner>>,
    pub(crate) routes: BTreeMap<Alias, Arc<Route>>,
    pub(crate) refused: BTreeMap<Alias, String>,
    pub(crate) tenants: Tenants,
    pub(crate) feed_ca: Option<String>,
}

/// What an alias stands for.
#[derive(Debug, Clone)]
pub enum Lookup<'a> {
    /// A route that can be used.
    Route(&'a Arc<Route>),
    /// A route that could not be compiled, and what is wrong with it.
    Refused(&'a str),
    /// No route at all.
    Unknown,
}

impl Snapshot {
    /// Its version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Whose it is.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The authorities to trust the operator's feed by, in PEM; they replace those that the sidecar was started with.
    #[must_use]
    pub fn feed_ca(&self) -> Option<&str> {
        self.feed_ca.as_deref()
    }

    /// What `alias` stands for.
    #[must_use]
    pub fn route(&self, alias: &str) -> Lookup<'_> {
        if let Some(route) = self.routes.get(alias) {
            return Lookup::Route(route);
        }
        self.refused.get(alias).map_or(Lookup::Unknown, |problem| Lookup::Refused(problem))
    }

    /// The routes that can be used, by alias.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// The partners of those routes, by name.
    pub fn partners(&self) -> impl ExactSizeIterator<Item = &Arc<Partner>> {
        self.partners.values()
    }

    /// A partner by its name.
    #[must_use]
    pub fn partner(&self, name: &str) -> Option<&Arc<Partner>> {
        self.partners.get(name)
    }

    /// Who may be charged.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }
}
