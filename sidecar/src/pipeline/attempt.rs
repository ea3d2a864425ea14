//! The loop over targets, up to the commit point: the first meaningful token, or the complete body of a whole answer.
//!
//! Nothing of an abandoned attempt (bytes, headers, usage) reaches the next one or the app.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Fault, FaultKind, Route, Target};
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::Tenant;
use super::deadline;
use super::plan::Plan;
use super::prepare::{Prepared, Ready, prepare};
use super::send::{Ended, run};
use super::upstream::Upstream;
use crate::clock;
use crate::exchange::{Answer, Failure, LocalAnswer};
use crate::fault;
use crate::live::World;
use crate::prompt::Prompt;
use crate::record::Record;
use crate::refusal::Refusal;

/// All that stays the same over the attempts of one request.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    pub(crate) route: &'a Route,
    pub(crate) prompt: &'a Prompt,
    pub(crate) tenant: &'a Tenant,
    pub(crate) headers: &'a HeaderMap,
    /// The declared fault that this request was drawn for.
    pub(crate) fault: Option<&'a Fault>,
}

/// How a request will be answered.
pub(crate) enum Outcome {
    Partner(Box<Committed>),
    /// Without a partner; and what was adjusted.
    Local(LocalAnswer, Vec<String>),
}

/// An answer that has passed its commit point.
pub(crate) struct Committed {
    pub(crate) answer: Answer,
    pub(crate) partner: Upstream,
    /// What is ready for the app.
    pub(crate) out: VecDeque<Bytes>,
    /// Whether `out` is all there will be.
    pub(crate) complete: bool,
    pub(crate) idle: Duration,
    pub(crate) total: Instant,
}

/// Ends at the first answer that commits.
pub(crate) async fn first_committed(call: &Call<'_>, record: &mut Record) -> Result<Outcome, Refusal> {
    let deadline = record.began() + deadline::of(call.route.deadline, call.headers, call.prompt.mode())?;
    let mut plan = Plan::new(call.route, record.request_id());
    let mut first = None;
    while let Some(target) = plan.next() {
        let first = *first.get_or_insert(target);
        let fault = call.fault.filter(|fault| fault::strikes(fault, target, first)).map(|fault| fault.kind);
        if deadline < clock::now() + target.partner.timeouts.connect {
            return Err(past_deadline());
        }
        match timeout_at(deadline, ask(call, (target, fault), record)).await {
            Ok(Ok(outcome)) => return Ok(outcome),
            // Another target may carry what this one cannot.
            Ok(Err(Miss::Unfit(refusal))) => {
                record.passed_over(target, refusal.reason);
                plan.skip(refusal);
            }
            Ok(Err(Miss::Failed(failure))) => {
                record.passed_over(target, failure.reason);
                plan.failed(target, failure);
            }
            Err(_) => {
                record.failed(target, &Failure::new(Reason::Deadline), clock::now() - record.began());
                return Err(past_deadline());
            }
        }
    }
    Err(plan.refusal())
}

/// Why a target did not serve.
enum Miss {
    /// It was not asked: it cannot carry the request.
    Unfit(Refusal),
    /// It was asked in vain.
    Failed(Failure),
}

/// Asks one target; twice if it turns out not to know `stream_options`.
async fn ask(
    call: &Call<'_>,
    (target, fault): (&Target, Option<FaultKind>),
    record: &mut Record,
) -> Result<Outcome, Miss> {
    let link = call.world.outbound.link(&target.partner.name);
    loop {
        let Ready { adjusted, attempt } = match prepare(call, target, record).map_err(Miss::Unfit)? {
            Prepared::Ready(ready) => *ready,
            Prepared::Local(local, adjusted) => return Ok(Outcome::Local(local, adjusted)),
        };
        record.attempting(target, fault);
        let began = clock::now();
        let ran = run((attempt, fault), target, call.prompt.api(), record.began()).await;
        let (failure, may_ask_again) = match ran {
            Ok(committed) => {
                record.committed(target, adjusted, clock::now() - began);
                return Ok(Outcome::Partner(Box::new(committed)));
            }
            Err(Ended::Failed(failure)) => (failure, false),
            Err(Ended::RefusesStreamOptions(failure)) => (failure, true),
        };
        record.failed(target, &failure, clock::now() - began);
        match link {
            Some(link) if may_ask_again => link.refuse_stream_options(),
            _ => return Err(Miss::Failed(failure)),
        }
    }
}

fn past_deadline() -> Refusal {
    Refusal::new(Reason::Deadline, "the request's deadline passed before an answer began")
}
