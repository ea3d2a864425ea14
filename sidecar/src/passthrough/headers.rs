//! The headers of a request to a partner. They are made anew: nothing of the app's is passed on but what its dialect
//! defines, and that only to a partner of the same dialect.

use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::reason::Reason;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::exchange::{Ask, Mode};
use crate::refusal::Refusal;

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// Betas of one request. Anthropic's SDKs send a handful.
const BETAS: usize = 32;
/// Characters of a beta's name: the longest that Anthropic documents has about half.
const BETA_CHARS: usize = 64;

/// Of a request that stays in its dialect: the app's own version and betas.
///
/// # Errors
/// They are none: what leaves in a header is not scanned for personal data, so it has a form that holds none.
pub(crate) fn for_passthrough(ask: &Ask<'_>, mode: Mode) -> Result<HeaderMap, Refusal> {
    let mut headers = for_translation(ask, mode);
    if ask.target.partner.adapter == Adapter::Anthropic {
        if let Some(version) = ask.headers.get(VERSION) {
            headers.insert(VERSION, is_date(version).then(|| version.clone()).ok_or_else(no_version)?);
        }
        if let Some(betas) = betas(ask.headers)? {
            headers.insert(BETA, betas);
        }
    }
    Ok(headers)
}

fn is_date(value: &HeaderValue) -> bool {
    let shape =
        |(at, byte): (usize, &u8)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() };
    value.len() == 10 && value.as_bytes().iter().enumerate().all(shape)
}

fn no_version() -> Refusal {
    Refusal::new(Reason::InvalidRequest, "anthropic-version must be a date, such as 2023-06-01")
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
fn betas(headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
    let mut names: Vec<&str> = Vec::new();
    for value in headers.get_all(BETA) {
        for name in value.to_str().map_err(|_| no_betas())?.split(',').map(str::trim) {
            if name.is_empty() || names.contains(&name) {
                continue;
            }
            if names.len() == BETAS || !is_beta(name) {
                return Err(no_betas());
            }
            names.push(name);
        }
    }
    Ok(if names.is_empty() { None } else { HeaderValue::from_str(&names.join(",")).ok() })
}

fn is_beta(name: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    name.len() <= BETA_CHARS
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(known)
}

fn no_betas() -> Refusal {
    let message = format!(
        "anthropic-beta must name at most {BETAS} betas, each of at most {BETA_CHARS} letters, digits, '.', '_' and '-'"
    );
    Refusal::new(Reason::InvalidRequest, message)
}
