//! Makes a request ready for one target: rendered in its dialect, with the URL, the key and the ids that it may see.

use std::sync::Arc;

use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Partner, Target};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use tokio::sync::watch;

use super::attempt::Call;
use super::redaction::{Redaction, redact};
use crate::adapter;
use crate::adapter::mock::MockScript;
use crate::clock;
use crate::dialect::recall::Recall;
use crate::exchange::{Answer, Ask, Exchange, LocalAnswer, Mode, Outgoing, StreamOptions};
use crate::outbound::{Link, Segments};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::trace::TraceContext;

/// What becomes of a request at one target.
pub(super) enum Prepared {
    /// Something can be sent.
    Ready(Box<Ready>),
    /// It is answered here; and what was adjusted.
    Local(LocalAnswer, Vec<String>),
}

/// What will be sent.
pub(super) struct Ready {
    /// Items of `x-chaperone-adjusted`.
    pub(super) adjusted: Vec<String>,
    pub(super) attempt: Attempt,
}

/// One try.
pub(super) enum Attempt {
    Http {
        request: Request<Segments>,
        /// Bytes of the body that the connection has not taken yet.
        unsent: watch::Receiver<u64>,
        link: Arc<Link>,
        mode: Mode,
        answer: Answer,
    },
    Mock(MockScript, Answer),
}

/// Renders the request for `target`.
///
/// # Errors
/// The target cannot carry it, or must not be asked: another one may.
pub(super) async fn prepare(
    call: &Call<'_>,
    target: &Target,
    stream_options: StreamOptions,
    record: &mut Record,
) -> Result<Prepared, Refusal> {
    // Boxed: the engine's state is large, is needed briefly, and would be part of every request's future for its life.
    let redaction = Box::pin(redact(call, target, record)).await?;
    let ask = Ask {
        prompt: &redaction.prompt,
        rewrite: &redaction.rewrite,
        target,
        route: call.route,
        tenant_cap: call.tenant.policy.max_tokens_per_request,
        headers: call.headers,
        request_id: record.request_id(),
        correlation_id: record.correlation_id(),
        attempt: u32::try_from(record.attempts() + 1).unwrap_or(u32::MAX),
        stream_options,
        recall: Recall { thoughts: &call.shared.thoughts, owner: call.tenant.id.as_str(), now: clock::now() },
        created: clock::unix_seconds(),
    };
    let mut exchanged = adapter::infer(&ask)?;
    exchanged.adjusted.extend_from_slice(redaction.prompt.adjusted());
    let attempt = match exchanged.exchange {
        Exchange::Local(local) => return Ok(Prepared::Local(local, exchanged.adjusted)),
        Exchange::Mock(script, answer) => Attempt::Mock(script, answer),
        Exchange::Partner(outgoing, answer) => address(call, target, (record, &redaction), outgoing, answer)?,
    };
    Ok(Prepared::Ready(Box::new(Ready { adjusted: exchanged.adjusted, attempt })))
}

/// Adds to what the dialect sends: the URL, the key, and the ids that a partner may see.
fn address(
    call: &Call<'_>,
    target: &Target,
    (record, redaction): (&Record, &Redaction),
    outgoing: Outgoing,
    answer: Answer,
) -> Result<Attempt, Refusal> {
    let partner = &target.partner;
    let internal =
        || Refusal::new(Reason::Internal, "the request could not be addressed to the model's provider");
    let link = call.world.outbound.link(&partner.name).ok_or_else(internal)?;
    let (body, unsent) = Segments::new(outgoing.body);
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = link.uri(&outgoing.path).ok_or_else(internal)?;
    *request.headers_mut() = outgoing.headers;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    authorize(call, partner, headers)?;
    let parent = record.trace().map(TraceContext::child);
    let ids = [
        ("x-request-id", Some(redaction.request_id.as_str())),
        ("x-correlation-id", Some(redaction.correlation_id.as_str())),
        ("traceparent", parent.as_deref()),
    ];
    for (name, value) in ids {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(Attempt::Http { request, unsent, link: Arc::clone(link), mode: outgoing.mode, answer })
}

fn authorize(call: &Call<'_>, partner: &Partner, headers: &mut HeaderMap) -> Result<(), Refusal> {
    let Some(name) = &partner.credential else { return Ok(()) };
    let missing = |message| Refusal::new(Reason::CredentialMissing, message);
    let key = call.key(name).ok_or_else(|| missing("the credential for the model's provider is missing"))?;
    let (name, value) = adapter::credential(partner.adapter, key.expose()).map_err(|_| {
        missing("the credential for the model's provider has characters that no header can carry")
    })?;
    headers.insert(name, value);
    Ok(())
}
