//! After the commit point: the partner's bytes in, the app's bytes out, until the last one. No retry from here on.
//!
//! A partner is read at its own pace into a bounded buffer; an app that does not read loses its own stream alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::reason::Reason;
use http::{HeaderValue, Response, header};
use tokio::time::timeout_at;

use super::abandoned::{self, Seen};
use super::attempt::Committed;
use super::body::{ClientBody, Finish, Sender};
use super::upstream::{Piece, Upstream};
use crate::api;
use crate::clock;
use crate::exchange::{Answer, Failure, LocalAnswer, Progress};
use crate::gate::{Permit, Used};
use crate::neutral::Stop;
use crate::record::{Ending, Record};
use crate::refusal::Refusal;
use crate::sidecar::Shared;

/// How long the end of the HTTP message is waited for behind the end of the answer, so that the connection can be used again.
const TAIL: Duration = Duration::from_secs(1);

/// Feeds one piece to the answer. `false`: that was the end.
pub(crate) fn take(answer: &mut Answer, piece: Piece, out: &mut VecDeque<Bytes>) -> Result<bool, Failure> {
    match piece {
        Piece::Head(head) if head.status.is_success() => {
            answer.head(head.status, &head.headers).map(|()| true)
        }
        Piece::Head(head) => Err(answer.failure(head.status, &head.headers, b"")),
        Piece::Bytes(bytes) => answer.push(bytes, out).map(|()| true),
        Piece::Events(events) => answer.events(&events, out).map(|()| true),
        Piece::End => answer.end(out).map(|()| false),
        Piece::Broken(reached) => Err(Failure { reached, ..Failure::new(Reason::StreamBroken) }),
    }
}

/// Answers with what a partner sends.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    committed: Committed,
    permit: Permit,
    mut record: Record,
) -> Response<ClientBody> {
    let mut response = Response::new(ClientBody::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(committed.answer.content_type()));
    api::served_headers(headers, &record, &committed.answer);
    record.progressed(committed.answer.progress());
    if committed.complete {
        permit.ended(used(committed.answer.progress()));
        committed.answer.report(&mut record);
        shared.pools.spawn(tail(committed.partner));
        *response.body_mut() =
            ClientBody::whole(committed.out, Some(finish_later(&committed.answer, record)));
        return response;
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let (sender, body) = ClientBody::stream();
    shared.tasks.spawn(relay(Arc::clone(shared), committed, permit, record, sender));
    *response.body_mut() = body;
    response
}

/// Answers without a partner.
pub(crate) fn answer_locally(
    local: &LocalAnswer,
    adjusted: &[String],
    record: Record,
) -> Response<ClientBody> {
    let mut response = Response::new(ClientBody::whole(VecDeque::from([local.body.clone()]), None));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(local.content_type));
    api::local_headers(headers, &record, adjusted);
    record.served_locally(local.body.len());
    response
}

/// What was seen of an answer, for the partner's rate.
fn used(progress: &Progress) -> Used {
    let usage = &progress.usage;
    Used {
        prompt: usage.prompt.map(|tokens| tokens.0),
        output: usage.output.unwrap_or(progress.output_estimate).0,
    }
}

fn finish_later(answer: &Answer, record: Record) -> Box<Finish> {
    Box::new(Finish { record, ending: ending(answer.progress()) })
}

fn ending(progress: &Progress) -> Ending {
    if progress.stop == Some(Stop::Length) { Ending::Length } else { Ending::Complete }
}

/// Awaited by nobody but the task tracker; ends with the answer, with the app, or at its limits.
async fn relay(
    shared: Arc<Shared>,
    mut committed: Committed,
    permit: Permit,
    mut record: Record,
    sender: Sender,
) {
    let mut idle = clock::now() + committed.idle;
    let mut seen = committed.answer.progress().meaningful;
    let result = loop {
        if !sender.send_all(&mut committed.out, &mut record) {
            return left(&shared, committed, permit, record, sender).await;
        }
        if committed.answer.progress().finished {
            break committed.answer.end(&mut committed.out);
        }
        let (until, reason) = if committed.total < idle {
            (committed.total, Reason::TotalTimeout)
        } else {
            (idle, Reason::IdleTimeout)
        };
        let piece = tokio::select! {
            biased;
            () = sender.app_is_gone() => return left(&shared, committed, permit, record, sender).await,
            piece = timeout_at(until, committed.partner.next()) => piece,
        };
        let taken = match piece {
            Ok(piece) => take(&mut committed.answer, piece, &mut committed.out),
            Err(_) => Err(Failure::new(reason)),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(failure) => break Err(failure),
        }
        let meaningful = committed.answer.progress().meaningful;
        if meaningful > seen {
            seen = meaningful;
            idle = clock::now() + committed.idle;
        }
    };
    let used = used(committed.answer.progress());
    match &result {
        Ok(()) => permit.ended(used),
        Err(failure) if is_kept_back(failure.reason) => permit.left(used),
        Err(_) => permit.broke(used),
    }
    conclude(committed, record, sender, result).await;
}

/// The app is gone, or it does not read. What its partner has sent by now is what it cost, unless more can be known.
async fn left(shared: &Shared, mut committed: Committed, permit: Permit, mut record: Record, sender: Sender) {
    let is_gone = sender.is_app_gone();
    drop(sender); // An app that does not read sees its stream cut.
    let seen = if is_gone {
        // Boxed: most apps stay, and what this holds would be part of every answer's future.
        Box::pin(abandoned::read_on(shared, &mut committed, permit.billing())).await
    } else {
        Seen::Part
    };
    let progress = committed.answer.progress();
    match seen {
        Seen::Whole => {
            permit.read_on(used(progress));
            record.drained(progress);
        }
        Seen::Part => {
            permit.left(used(progress));
            record.progressed(progress);
        }
    }
    committed.answer.report(&mut record);
    drop(record);
    if seen == Seen::Whole {
        tail(committed.partner).await;
    }
}

/// Whether our own policy ended the answer, and not its partner.
fn is_kept_back(reason: Reason) -> bool {
    matches!(reason, Reason::PiiBlocked | Reason::PiiUnscannable)
}

async fn conclude(mut committed: Committed, mut record: Record, sender: Sender, result: Result<(), Failure>) {
    let (ending, reason) = match result {
        Ok(()) => (ending(committed.answer.progress()), None),
        Err(failure) => {
            let message = if is_kept_back(failure.reason) {
                "the answer holds what the route's policy keeps back; what came is not complete"
            } else {
                "the model's provider broke the answer off; what came is not complete"
            };
            let refusal = Refusal::new(failure.reason, message);
            committed.answer.break_off(&refusal, &mut committed.out);
            (Ending::Broken, Some(failure.reason))
        }
    };
    record.progressed(committed.answer.progress());
    committed.answer.report(&mut record);
    if sender.send_all(&mut committed.out, &mut record) {
        sender.end();
        record.served(ending, reason);
    } else {
        drop(sender);
    }
    if reason.is_none() {
        tail(committed.partner).await;
    }
}

/// Reads what a partner sends behind its answer.
async fn tail(mut partner: Upstream) {
    if matches!(partner, Upstream::Http(_)) {
        let rest = async { while matches!(partner.next().await, Piece::Bytes(_)) {} };
        let _ = timeout_at(clock::now() + TAIL, rest).await;
    }
}
