//! A partner: where it is, how it is trusted, what its models can do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::protection::Protection;
use crate::adapter::{Adapter, ApiVersion, Capability};
use crate::name::{CredentialName, ModelName, PartnerName};
use crate::units::{Price, Tokens};

/// A provider that this scope may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// How it is called here.
    pub name: PartnerName,
    /// Whose URL scheme, authentication and quirks apply.
    pub adapter: Adapter,
    /// Where it is. `None` only for the Mock adapter.
    pub endpoint: Option<Endpoint>,
    /// Which addresses may be dialled for it.
    pub addresses: AddressPolicy,
    /// Its key. An in-cluster model server has none.
    pub credential: Option<CredentialName>,
    /// The version of Anthropic's API in which translated requests are written.
    pub api_version: ApiVersion,
    /// How its certificate is checked, and ours shown.
    pub tls: Tls,
    /// The version of its contract, as its owner calls it.
    pub schema_version: Option<String>,
    /// Its models.
    pub models: BTreeMap<ModelName, Model>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How its failures are contained.
    pub protection: Protection,
    /// Which version of HTTP it is spoken to.
    pub http: HttpVersion,
    /// How its health is probed, if it is.
    pub health_check: Option<HealthCheck>,
    /// What the Mock adapter plays. Present only with it.
    pub mock: Option<Mock>,
}

/// A model, as far as a request must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Prompt and answer together, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<Tokens>,
    /// The longest answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<Tokens>,
    /// What it can carry.
    #[serde(default)]
    pub capabilities: BTreeSet<Capability>,
    /// What it costs; `None` if nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Overrides [`Timeouts::first_token`] for a model that thinks before it speaks.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "super::partner::optional_milliseconds"
    )]
    pub first_token: Option<Duration>,
}

impl Model {
    /// Whether it can carry `capability`.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// Which addresses may be dialled. Link-local and metadata addresses never may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AddressPolicy {
    /// Only addresses that are routed on the internet.
    #[default]
    PublicOnly,
    /// Also loopback and private ones: a model server in the cluster.
    AllowPrivate,
}

/// How a server's certificate is checked, and which one is shown to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM certificates that replace the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Our certificate chain, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<CredentialName>,
    /// Its private key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<CredentialName>,
    /// The name to verify, where it is not the endpoint's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

impl Tls {
    /// Whether nothing was said: public roots, and no certificate of ours.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The credentials that it names.
    pub fn credentials(&self) -> impl Iterator<Item = &CredentialName> {
        let Self { ca: _, client_certificate, client_key, server_name: _ } = self;
        [client_certificate, client_key].into_iter().flatten()
    }
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.1: one answer at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2: over TLS where the partner offers it, without TLS from the first byte.
    Http2,
}

impl HttpVersion {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::Http1
    }
}

/// How long each part of an attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// From dialling to the end of the TLS handshake.
    #[serde(with = "milliseconds")]
    pub connect: Duration,
    /// From the last byte of the request to the first meaningful token of a stream.
    #[serde(with = "milliseconds")]
    pub first_token: Duration,
    /// From the last byte of the request to the complete body of an answer that does not stream.
    #[serde(with = "milliseconds")]
    pub whole: Duration,
    /// Between two meaningful tokens.
    #[serde(with = "milliseconds")]
    pub idle: Duration,
    /// From the attempt's start to its last byte.
    #[serde(with = "milliseconds")]
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_token: Duration::from_secs(5),
            whole: Duration::from_secs(120),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(600),
        }
    }
}

/// A cheap request that tells whether a partner is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// Appended to the endpoint, as `/models`.
    pub path: String,
    /// Between two probes.
    #[serde(with = "milliseconds")]
    pub interval: Duration,
}

/// What the Mock adapter plays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mock {
    /// What it answers.
    pub reply: MockReply,
    /// Before the first token.
    #[serde(with = "milliseconds")]
    pub first_token_delay: Duration,
    /// How fast it speaks; 0 means at once.
    pub tokens_per_second: u32,
    /// Of 100 requests, how many fail; drawn by the request's id.
    pub fail_percent: u8,
    /// The status of those that fail.
    pub status: u16,
}

/// The answer of a [`Mock`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MockReply {
    /// The last user message, as it arrived at the partner.
    Echo,
    /// This text.
    Text(String),
}

/// Durations as whole milliseconds.
pub(crate) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// The same for a duration that may be absent.
pub(crate) mod optional_milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::milliseconds::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
