//! Paths of the data port, and the headers and errors that every answer has.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;

use crate::adapter;
use crate::dialect;
use crate::exchange::{Answer, LocalAnswer};
use crate::live::World;
use crate::models;
use crate::pipeline::{self, ClientBody};
use crate::record::{Ids, Record};
use crate::refusal::Refusal;
use crate::sidecar::Shared;

/// What a path stands for.
enum Endpoint<'a> {
    Model(ClientApi),
    Models,
    OneModel(&'a str),
    InferSchema(&'a str),
    Unknown,
}

/// Answers any request of the data port.
pub(crate) async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Response<ClientBody> {
    let path = request.uri().path().to_owned();
    let endpoint = endpoint(&path);
    let wanted = if matches!(endpoint, Endpoint::Model(_)) { Method::POST } else { Method::GET };
    let dialect = dialect_of(&endpoint, request.headers());
    let problem = ill_framed(&request).or_else(|| shared.callers.refuse(request.uri(), request.headers()));
    if let Some(problem) = problem {
        let mut response =
            refuse(begin(&shared, &request), dialect, &Refusal::new(Reason::InvalidRequest, problem));
        // What follows may not be what it seems: it must not be read as a second request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let is_wanted = request.method() == wanted || (request.method() == Method::HEAD && wanted == Method::GET);
    if !matches!(endpoint, Endpoint::Unknown) && !is_wanted {
        let refusal = Refusal::new(Reason::MethodNotAllowed, format!("{path} takes {wanted}"));
        let mut response = refuse(begin(&shared, &request), dialect, &refusal);
        if let Ok(allow) = HeaderValue::from_str(wanted.as_str()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        return response;
    }
    match endpoint {
        Endpoint::Model(api) => pipeline::serve(&shared, api, request).await,
        Endpoint::Models => local(&shared, &request, dialect, |world| {
            let aliases = world.snapshot.routes().map(|route| route.alias.as_str());
            Ok(models::list(dialect, aliases).into())
        }),
        Endpoint::OneModel(alias) => local(&shared, &request, dialect, |world| {
            let route = pipeline::route_of(&world.snapshot, &decoded(alias))?;
            Ok(models::one(dialect, route.alias.as_str()).into())
        }),
        Endpoint::InferSchema(alias) => local(&shared, &request, dialect, |world| {
            let route = pipeline::route_of(&world.snapshot, &decoded(alias))?;
            let internal = || Refusal::new(Reason::Internal, "the route has no target");
            let partner = &route.targets.first().ok_or_else(internal)?.target.partner;
            Ok(adapter::get_schema(partner, route.alias.as_str()).into())
        }),
        Endpoint::Unknown => {
            let message = "no such path; see GET /v1/models for what there is to ask";
            refuse(begin(&shared, &request), dialect, &Refusal::new(Reason::NotFound, message))
        }
    }
}

/// What a request may not be, whatever it asks for.
fn ill_framed(request: &Request<Incoming>) -> Option<&'static str> {
    if request.headers().contains_key(header::UPGRADE) {
        return Some("protocols are not switched here; send it without Upgrade");
    }
    // RFC 9112 §3.2. Two intermediaries could take it for two different services.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let is_odd = hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11);
    is_odd.then_some("send exactly one Host header")
}

fn endpoint(path: &str) -> Endpoint<'_> {
    if let Some(api) = ClientApi::ALL.into_iter().find(|api| api.path() == path) {
        return Endpoint::Model(api);
    }
    if path == "/v1/models" {
        return Endpoint::Models;
    }
    if let Some(alias) = path.strip_prefix("/v1/models/") {
        return Endpoint::OneModel(alias);
    }
    let schema = path.strip_prefix("/v1/infer/").and_then(|rest| rest.strip_suffix("/schema"));
    schema.map_or(Endpoint::Unknown, Endpoint::InferSchema)
}

/// A part of a path without its percent-encoding (RFC 3986 §2.1). What is malformed stays, and names nothing.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit =
            |at: usize| char::from(*behind.get(at)?).to_digit(16).and_then(|it| u8::try_from(it).ok());
        let byte = digit(0).zip(digit(1)).map(|(high, low)| high << 4 | low).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = behind.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

/// What the caller speaks: the path's dialect; for the list of models, what its headers say.
fn dialect_of(endpoint: &Endpoint<'_>, headers: &HeaderMap) -> Dialect {
    match endpoint {
        Endpoint::Model(api) => api.dialect(),
        Endpoint::InferSchema(_) => Dialect::Neutral,
        Endpoint::Models | Endpoint::OneModel(_) => models::dialect(headers),
        Endpoint::Unknown => Dialect::OpenAi,
    }
}

fn begin(shared: &Arc<Shared>, request: &Request<Incoming>) -> Record {
    let path = match endpoint(request.uri().path()) {
        Endpoint::Model(api) => api.path(),
        Endpoint::Models | Endpoint::OneModel(_) => "/v1/models",
        Endpoint::InferSchema(_) => "/v1/infer/schema",
        Endpoint::Unknown => "_unknown",
    };
    Record::begin(shared, path, Ids::of(request.headers(), shared.live.world().as_deref()))
}

fn local(
    shared: &Arc<Shared>,
    request: &Request<Incoming>,
    dialect: Dialect,
    body: impl FnOnce(&World) -> Result<Bytes, Refusal>,
) -> Response<ClientBody> {
    let record = begin(shared, request);
    let answered = pipeline::admit(shared).and_then(|world| {
        pipeline::caller(&world, request.headers())?;
        body(&world)
    });
    match answered {
        Ok(body) => {
            pipeline::answer_locally(&LocalAnswer { body, content_type: "application/json" }, &[], record)
        }
        Err(refusal) => refuse(record, dialect, &refusal),
    }
}

/// The refusal as the caller's dialect has it, and the end of the record.
pub(crate) fn refuse(record: Record, dialect: Dialect, refusal: &Refusal) -> Response<ClientBody> {
    let status = refusal.status(dialect);
    let body = dialect::error::body(dialect, refusal, record.request_id());
    let mut response = Response::new(ClientBody::whole(VecDeque::from([Bytes::from(body)]), None));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    common_headers(headers, &record);
    set(headers, "x-chaperone-reason", refusal.reason.code());
    let seconds = refusal.retry_after.map(|wait| wait.as_millis().div_ceil(1_000).max(1));
    if let Some(seconds) = seconds {
        set(headers, "retry-after", &seconds.to_string());
    }
    // One layer retries. The app may only where nothing was sent, and where the SDKs will wait as long as we ask.
    let app_may_retry = record.attempts() == 0 && seconds.is_some_and(|seconds| seconds <= 60);
    set(headers, "x-should-retry", if app_may_retry { "true" } else { "false" });
    if matches!(refusal.reason, Reason::TooLarge | Reason::RequestTimeout | Reason::Draining) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record.refused(refusal, status);
    response
}

/// Headers of an answer that a partner gave.
pub(crate) fn served_headers(headers: &mut HeaderMap, record: &Record, answer: &Answer) {
    common_headers(headers, record);
    let (partner, model) = record.served_by();
    set(headers, "x-chaperone-partner", partner);
    set(headers, "x-chaperone-model", model);
    if let Some(reason) = record.first_failure() {
        set(headers, "x-chaperone-fallback", reason);
    }
    if let Some(id) = &answer.progress().partner_request_id {
        set(headers, "x-chaperone-partner-request-id", id);
    }
    adjusted(headers, record.adjusted());
}

/// Headers of an answer that the sidecar gave.
pub(crate) fn local_headers(headers: &mut HeaderMap, record: &Record, items: &[String]) {
    common_headers(headers, record);
    adjusted(headers, items);
}

fn common_headers(headers: &mut HeaderMap, record: &Record) {
    set(headers, "x-request-id", record.request_id());
    set(headers, "request-id", record.request_id());
    set(headers, "x-correlation-id", record.correlation_id());
    set(headers, "x-chaperone-attempts", &record.attempts().to_string());
    set(headers, "x-chaperone-queue-ms", &record.waited().as_millis().to_string());
    if let Some(fault) = record.fault() {
        set(headers, "x-chaperone-fault", fault);
    }
}

fn adjusted(headers: &mut HeaderMap, items: &[String]) {
    if !items.is_empty() {
        set(headers, "x-chaperone-adjusted", &items.join(", "));
    }
}

/// Sets a header whose value is known to be visible ASCII, or leaves it out.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
