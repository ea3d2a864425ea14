//! Reads a request's body within its bounds, and skims it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::memory::{self, Lease};
use crate::prompt::Prompt;
use crate::refusal::Refusal;
use crate::sidecar::Shared;

/// A body may take this long, and longer only while it comes at [`RATE`].
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes per second.
const RATE: usize = 1_024;
/// What is left of a refused body is read for so long at most.
const DISCARD: Duration = Duration::from_secs(2);

/// Reads and skims a body. Its memory counts until nobody holds a piece of it.
pub(crate) async fn prompt(
    shared: &Arc<Shared>,
    api: ClientApi,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Prompt, Refusal> {
    check_type(headers)?;
    let mut lease = shared.memory.lease().ok_or_else(memory::shortage)?;
    let bytes = collect(body, shared.body_limit, &mut lease).await?;
    Prompt::read(api, headers, lease.hold(bytes))
}

/// Reads and drops what is left of a refused body, up to twice the `limit` of one.
///
/// An app that still writes when its connection is closed sees a reset and not the refusal, and its SDK then sends it
/// all again: RFC 9112 §9.6. One that waits for `100 Continue` writes nothing yet.
pub(crate) async fn discard(headers: &HeaderMap, body: &mut Incoming, limit: usize) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let until = clock::now() + DISCARD;
    let mut left = limit.saturating_mul(2);
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        if read >= left {
            return;
        }
        left -= read;
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        let message = "an encoded body is not accepted; send it without Content-Encoding";
        return Err(Refusal::new(Reason::UnsupportedMediaType, message));
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Refusal::new(Reason::UnsupportedMediaType, "the body must be sent as Content-Type: application/json"))
}

async fn collect(body: &mut Incoming, limit: usize, lease: &mut Lease) -> Result<Vec<u8>, Refusal> {
    let announced = body.size_hint();
    let whole = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    if whole(announced.lower()) > limit {
        return Err(too_large(limit));
    }
    // What was announced takes memory as it arrives: whoever only announces must not take it from others. Its place
    // is one piece from the beginning, since pieces that grow side by side leave gaps that nobody gives back.
    let place = announced.exact().map(whole);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(place.unwrap_or_default()).map_err(|_| memory::shortage())?;
    let began = clock::now();
    while let Some(data) = next(body, began, bytes.len()).await? {
        let needed = bytes.len() + data.len();
        if needed > limit {
            return Err(too_large(limit));
        }
        // A place of unknown size grows by doubling.
        let room = if place.is_some() { needed } else { needed.next_power_of_two() };
        if !lease.grow_to(room) {
            return Err(memory::shortage());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The next part of a body of which `seen` bytes have arrived since `began`.
async fn next(body: &mut Incoming, began: Instant, seen: usize) -> Result<Option<Bytes>, Refusal> {
    let until = began + PATIENCE + Duration::from_secs((seen / RATE) as u64);
    match timeout_at(until, body.frame()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        Ok(Some(Err(_))) => Err(Refusal::new(Reason::InvalidRequest, "the body broke off before its end")),
        Err(_) => {
            let message = "the body did not arrive in 30 s; send it faster than 1 KiB/s";
            Err(Refusal::new(Reason::RequestTimeout, message))
        }
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(Reason::TooLarge, format!("the body is larger than {limit} bytes"))
}
