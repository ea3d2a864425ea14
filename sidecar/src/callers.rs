//! Whose pages may ask. A browser reaches a port on its own machine too, and a page of any site can make it ask there, by
//! a name which that site lets point to 127.0.0.1 (DNS rebinding). What gives it away is the name it asks for.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// What a caller is told whose name is not one of this machine's.
const REFUSAL: &str =
    "asked by a name that is not this machine's: use localhost or 127.0.0.1, or listen on another address";

/// By which names a sidecar may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Callers {
    /// Any: only what runs in its Pod, or what its Service lets through, reaches it.
    #[default]
    Anybody,
    /// Those that mean this machine: browsers reach it too.
    ThisMachine,
}

impl Callers {
    /// Why a request is refused, if it is.
    pub(crate) fn refuse(self, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
        if self == Self::Anybody {
            return None;
        }
        let named = headers.get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(is_local))
            && uri.authority().is_none_or(|authority| is_local(authority.as_str()));
        // A page tells where it is from. `null` may be anybody's.
        let origin = headers.get_all(header::ORIGIN).iter().all(|origin| {
            let origin = origin.to_str().unwrap_or_default();
            let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            site.is_some_and(is_local)
        });
        (!named || !origin).then_some(REFUSAL)
    }
}

/// Whether a name, with a port or without, means this machine and nothing else (RFC 6761 §6.3).
fn is_local(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refuses(fields: &[(http::HeaderName, &'static str)], uri: &'static str) -> bool {
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Callers::ThisMachine.refuse(&Uri::from_static(uri), &fields.collect()).is_some()
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in
            ["localhost", "LocalHost:4141", "127.0.0.1:4141", "127.8.9.1", "[::1]:4141", "app.localhost"]
        {
            assert!(!refuses(&[(header::HOST, host)], "/v1/models"), "{host}");
        }
        for host in [
            "evil.test",
            "evil.test:4141",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "10.0.0.1",
            "a@b@c",
            "",
        ] {
            assert!(refuses(&[(header::HOST, host)], "/v1/models"), "{host}");
        }
        assert!(refuses(&[], "http://evil.test/v1/models"), "over HTTP/2 the name stands in the target");
        assert!(!refuses(&[], "http://localhost:4141/v1/models"));
    }

    #[test]
    fn a_page_of_another_site_is_not_answered() {
        let from = |origin| [(header::HOST, "localhost:4141"), (header::ORIGIN, origin)];
        assert!(!refuses(&from("http://localhost:3000"), "/v1/models"));
        for origin in ["https://evil.test", "null", "", "file://"] {
            assert!(refuses(&from(origin), "/v1/models"), "{origin}");
        }
        assert!(Callers::Anybody.refuse(&Uri::from_static("http://evil.test/"), &HeaderMap::new()).is_none());
    }
}
