//! What a request's headers say about its body.

use chaperone_protocol::reason::Reason;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::refusal::Refusal;

/// JSON, as it is. An app has no reason to compress for loopback, and a bomb would be ours to defuse.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    for encoding in headers.get_all(CONTENT_ENCODING) {
        if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
            return Err(unsupported("a body must not have a Content-Encoding"));
        }
    }
    match headers.get(CONTENT_TYPE) {
        // Hand-made clients leave it out.
        None => Ok(()),
        Some(value) if is(value.as_bytes(), "application/json") => Ok(()),
        Some(_) => Err(unsupported("the Content-Type must be application/json")),
    }
}

/// Whether a `Content-Type` is this media type, with whatever parameters.
pub(crate) fn is(value: &[u8], media_type: &str) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
}

fn unsupported(message: &str) -> Refusal {
    Refusal::new(Reason::UnsupportedMediaType, message)
}
