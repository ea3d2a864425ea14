//! After the commit point: the partner's bytes in, the app's bytes out, until the last one. No retry from here on.
//!
//! A partner is read at its own pace into a bounded buffer; an app that does not read loses its own stream alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::reason::Reason;
use http::{HeaderValue, Response, header};
use tokio::time::{Instant, timeout_at};

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

/// Silence after which text leaves that only waits for the end of its sentence.
const PAUSE: Duration = Duration::from_millis(200);

/// Feeds one piece to the answer. `false`: that was the end.
pub(crate) async fn take(
    answer: &mut Answer,
    piece: Piece,
    out: &mut VecDeque<Bytes>,
) -> Result<bool, Failure> {
    match piece {
        Piece::Head(head) if head.status.is_success() => {
            answer.head(head.status, &head.headers).map(|()| true)
        }
        Piece::Head(head) => Err(answer.failure(head.status, &head.headers, b"")),
        Piece::Bytes(bytes) => answer.push(bytes, out).map(|()| true),
        Piece::Events(events) => answer.events(&events, out).map(|()| true),
        Piece::End => answer.end(out).await.map(|()| false),
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
    let mut pause = next_pause(&committed.answer);
    let result = loop {
        if !sender.send_all(&mut committed.out, &mut record) {
            return left(&shared, committed, permit, record, sender).await;
        }
        if committed.answer.progress().finished {
            break committed.answer.end(&mut committed.out).await;
        }
        let (until, reason) = if committed.total < idle {
            (committed.total, Reason::TotalTimeout)
        } else {
            (idle, Reason::IdleTimeout)
        };
        let taken = tokio::select! {
            biased;
            () = sender.app_is_gone() => return left(&shared, committed, permit, record, sender).await,
            taken = next(&mut committed, (until, reason), &mut pause) => taken,
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

/// Feeds what the partner sends next to the answer, or fails at a limit. At `pause`, if nothing came until then, text
/// leaves that only waits for more. Nothing that was not yet at its end is lost if this is dropped. `false`: that was the end.
async fn next(
    committed: &mut Committed,
    (until, reason): (Instant, Reason),
    pause: &mut Option<Instant>,
) -> Result<bool, Failure> {
    let Committed { answer, partner, out, .. } = committed;
    let wake = pause.map_or(until, |pause| pause.min(until));
    match timeout_at(wake, partner.next()).await {
        Ok(piece) => {
            *pause = next_pause(answer);
            take(answer, piece, out).await
        }
        Err(_) if wake < until => {
            *pause = None;
            answer.pause(out).map(|()| true)
        }
        Err(_) => Err(Failure::new(reason)),
    }
}

fn next_pause(answer: &Answer) -> Option<Instant> {
    answer.may_pause().then(|| clock::now() + PAUSE)
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

#[cfg(test)]
mod tests {
    use chaperone_protocol::adapter::Adapter;
    use chaperone_protocol::pair::ClientApi;
    use chaperone_protocol::snapshot::pii::{Action, Entity, Filter, Pii, ResponsePii};

    use super::super::upstream::MockPlayer;
    use super::*;
    use crate::exchange::testing::Setup;
    use crate::exchange::{Exchange, exchange};

    /// A stream that says each text after so many milliseconds, as its app sees it.
    fn spoken(api: ClientApi, texts: &[(u64, &str)]) -> Committed {
        let responses = ResponsePii { entities: [Entity::Person].into(), action: Action::Label };
        let pii = Pii { filter: Filter::Balanced, responses: Some(responses), ..Pii::default() };
        let body =
            r#"{"model":"fast","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"Who?"}]}"#;
        let setup = Setup::redacted(api, Adapter::OpenAI, body, &pii);
        let Exchange::Partner(_, answer) = exchange(&setup.ask()).unwrap().exchange else {
            panic!("no partner")
        };
        let moment = |(after, text): &(u64, &str)| {
            let chunk = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
            (Duration::from_millis(*after), Piece::Bytes(format!("data: {chunk}\n\n").into()))
        };
        let now = clock::now();
        Committed {
            answer,
            partner: Upstream::Mock(MockPlayer { began: now, moments: texts.iter().map(moment).collect() }),
            out: VecDeque::new(),
            complete: false,
            idle: Duration::from_secs(30),
            total: now + Duration::from_secs(60),
            served_by: setup.target.partner.name.clone(),
        }
    }

    fn seen(committed: &mut Committed) -> String {
        String::from_utf8(Vec::from(std::mem::take(&mut committed.out)).concat()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn text_that_waits_for_the_end_of_its_sentence_leaves_in_a_pause() {
        for api in [ClientApi::ChatCompletions, ClientApi::Messages] {
            let texts =
                [(0, "They told me that the garden was green and that Ang"), (5_000, "ela Merkel came. ")];
            let mut committed = spoken(api, &texts);
            let (limit, mut pause) = ((committed.total, Reason::TotalTimeout), None);
            let began = clock::now();
            assert_eq!(next(&mut committed, limit, &mut pause).await, Ok(true));
            assert!(!seen(&mut committed).contains("garden"), "held: its sentence goes on");
            assert_eq!(next(&mut committed, limit, &mut pause).await, Ok(true));
            assert_eq!(clock::now() - began, PAUSE);
            let early = seen(&mut committed);
            assert!(early.contains("They told me that the garden was green"), "{early}");
            assert!(!early.contains("Ang"), "{early}");
            assert_eq!(next(&mut committed, limit, &mut pause).await, Ok(true), "one pause, then the rest");
            assert_eq!(clock::now() - began, Duration::from_secs(5));
            let late = seen(&mut committed);
            assert!(late.contains("[PERSON] came.") && !late.contains("Merkel"), "{late}");
        }
    }
}
