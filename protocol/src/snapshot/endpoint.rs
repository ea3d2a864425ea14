//! Where a partner is asked: a URL that can only mean one thing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
