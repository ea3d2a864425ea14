//! The headers of a request to a partner. They are made anew: nothing of the app's is passed on but what its dialect
//! defines, and that only to a partner of the same dialect.

use chaperone_protocol::adapter::Adapter;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::exchange::{Ask, Mode};

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// Of a request that stays in its dialect: the app's own version and betas.
pub(crate) fn for_passthrough(ask: &Ask<'_>, mode: Mode) -> HeaderMap {
    let mut headers = for_translation(ask, mode);
    if ask.target.partner.adapter == Adapter::Anthropic {
        if let Some(version) = ask.headers.get(VERSION) {
            headers.insert(VERSION, version.clone());
        }
        if let Some(betas) = betas(ask.headers) {
            headers.insert(BETA, betas);
        }
    }
    headers
}

/// Of a request that was written anew: the version that its Partner declares.
pub(crate) fn for_translation(ask: &Ask<'_>, mode: Mode) -> HeaderMap {
    let accept = match mode {
        Mode::Whole => "application/json",
        Mode::Stream => "text/event-stream",
    };
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let agent = concat!("chaperone/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    if ask.target.partner.adapter == Adapter::Anthropic {
        let version = ask.target.partner.api_version.as_str();
        headers.insert(VERSION, HeaderValue::from_static(version));
    }
    headers
}

/// All betas of the app in one field, without repeats.
fn betas(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut names: Vec<&str> = Vec::new();
    for value in headers.get_all(BETA) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(",")).ok() }
}
