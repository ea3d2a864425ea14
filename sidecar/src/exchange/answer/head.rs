//! What the head of an answer says: that it is one, or what went wrong.

use chaperone_protocol::limits;
use chaperone_protocol::name::is_sane_id;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use super::{Answer, Body, protocol};
use crate::adapter::error::classify;
use crate::exchange::Failure;
use crate::prompt::media;
use crate::retry_after::retry_after;

impl Answer {
    /// Takes the head of an answer that says it is one.
    ///
    /// # Errors
    /// Its status or its headers are not those of an answer in this dialect.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
        self.progress.partner_request_id = request_id(headers);
        let is_encoded = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let expected = match self.body {
            Body::Whole { .. } => "application/json",
            Body::Stream(_) => "text/event-stream",
        };
        let is_expected =
            headers.get(CONTENT_TYPE).is_some_and(|value| media::is(value.as_bytes(), expected));
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let is_too_long =
            matches!(self.body, Body::Whole { .. }) && length.is_some_and(|it| it > limits::ANSWER_BYTES);
        // We asked for an answer as it is: whoever compresses it anyway is not understood, nor inflated.
        if !matches!(status, StatusCode::OK | StatusCode::CREATED)
            || is_encoded
            || !is_expected
            || is_too_long
        {
            return Err(protocol());
        }
        Ok(())
    }

    /// What an answer means that says it is none.
    pub(crate) fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        let wait = retry_after(status, headers, self.created);
        classify(Some(status.as_u16()), body, wait)
    }

    /// Whether an error answer says that the partner does not know our wish for usage.
    pub(crate) fn refuses_stream_options(&self, status: StatusCode, body: &[u8]) -> bool {
        let is_about_it = memchr::memmem::find(body, b"stream_options").is_some();
        self.asks_for_usage && status == StatusCode::BAD_REQUEST && is_about_it
    }
}

/// The partner's own id of the request, if it is fit to be shown.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("request-id").or_else(|| headers.get("x-request-id"))?.to_str().ok()?;
    is_sane_id(value).then(|| value.to_owned())
}
