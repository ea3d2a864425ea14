//! Reads a request's body within its bounds, and skims it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout_at;

use crate::clock;
use crate::memory::Lease;
use crate::prompt::Prompt;
use crate::refusal::Refusal;
use crate::sidecar::Shared;

/// A body may take this long, and longer only while it comes at [`RATE`].
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes per second.
const RATE: usize = 1_024;
/// What is left of a refused body is read for so long at most.
const DISCARD: Duration = Duration::from_secs(2);

/// Reads and skims a body. The lease counts its memory until it is dropped.
pub(crate) async fn prompt(
    shared: &Arc<Shared>,
    api: ClientApi,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<(Prompt, Lease), Refusal> {
    check_type(headers)?;
    let mut lease = shared.memory.lease().ok_or_else(short_of_memory)?;
    let bytes = collect(body, shared.body_limit, &mut lease).await?;
    Ok((Prompt::read(api, headers, bytes)?, lease))
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

async fn collect(body: &mut Incoming, limit: usize, lease: &mut Lease) -> Result<Bytes, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large(limit));
    }
    if !lease.grow_to(announced) {
        return Err(short_of_memory());
    }
    let began = clock::now();
    let mut bytes = BytesMut::with_capacity(announced);
    loop {
        let until = began + PATIENCE + Duration::from_secs((bytes.len() / RATE) as u64);
        let frame = match timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(bytes.freeze()),
            Ok(Some(Err(_))) => {
                return Err(Refusal::new(Reason::InvalidRequest, "the body broke off before its end"));
            }
            Err(_) => {
                let message = "the body did not arrive in 30 s; send it faster than 1 KiB/s";
                return Err(Refusal::new(Reason::RequestTimeout, message));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if !lease.grow_to(bytes.len() + data.len()) {
            return Err(short_of_memory());
        }
        bytes.extend_from_slice(&data);
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(Reason::TooLarge, format!("the body is larger than {limit} bytes"))
}

fn short_of_memory() -> Refusal {
    let mut refusal = Refusal::new(Reason::Memory, "too many bodies are in memory; ask again");
    refusal.retry_after = Some(Duration::from_secs(1));
    refusal
}
