//! A partner: where it is, how it is trusted, what its models can do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

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

/// An absolute `http` or `https` URL without userinfo, query or fragment; no slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// Why a string is not an [`Endpoint`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidEndpoint {
    /// Neither `http` nor `https`.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// A part that would be ignored or would carry a secret.
    #[error("must not have userinfo, a query or a fragment")]
    Part,
    /// The host is missing or has characters that no host has.
    #[error("has no valid host")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("has no valid port")]
    Port,
    /// The path has characters that must be escaped in a URL.
    #[error("has a path with characters that must be percent-encoded")]
    Path,
}

impl Endpoint {
    /// Whether it is `https`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host name or address; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where it is the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, without a slash at its end: empty for a bare origin.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Host and port as the `Host` header has them: without the scheme's own port.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(InvalidEndpoint::Scheme),
        };
        if rest.contains(['?', '#', '@']) {
            return Err(InvalidEndpoint::Part);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(authority, if tls { 443 } else { 80 })?;
        let path = path.trim_end_matches('/');
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err(InvalidEndpoint::Path);
        }
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { tls, host, port, path })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(authority: &str, default: u16) -> Result<(String, u16), InvalidEndpoint> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(InvalidEndpoint::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| InvalidEndpoint::Host)?;
            (host, rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("bad") }))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(is_host) {
        return Err(InvalidEndpoint::Host);
    }
    let port = match port {
        None => default,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(InvalidEndpoint::Port)?,
    };
    Ok((host.to_ascii_lowercase(), port))
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidEndpoint;
    fn try_from(text: String) -> Result<Self, InvalidEndpoint> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
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

/// How a partner's certificate is checked, and which one is shown to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_its_origin_and_path() {
        let cases = [
            ("https://api.alpha.test/v1", "https://api.alpha.test/v1"),
            ("https://API.alpha.test:443/v1/", "https://api.alpha.test/v1"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("https://[fd00::1]:8443/a/b", "https://[fd00::1]:8443/a/b"),
        ];
        for (text, printed) in cases {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(printed.to_owned()));
        }
    }

    #[test]
    fn an_endpoint_that_could_mislead_is_refused() {
        let cases = [
            ("api.alpha.test", InvalidEndpoint::Scheme),
            ("ftp://api.alpha.test", InvalidEndpoint::Scheme),
            ("https://user:key@api.alpha.test", InvalidEndpoint::Part),
            ("https://api.alpha.test/v1?key=1", InvalidEndpoint::Part),
            ("https://", InvalidEndpoint::Host),
            ("https://a b/", InvalidEndpoint::Host),
            ("https://[::1", InvalidEndpoint::Host),
            ("https://alpha:0", InvalidEndpoint::Port),
            ("https://alpha:70000", InvalidEndpoint::Port),
            ("https://[::1]x", InvalidEndpoint::Port),
            ("https://alpha/a b", InvalidEndpoint::Path),
        ];
        for (text, problem) in cases {
            assert_eq!(text.parse::<Endpoint>(), Err(problem), "{text}");
        }
    }
}
