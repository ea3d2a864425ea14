//! Before an attempt: is its credential accepted, and does the partner's gate let it through, now or after a wait?

use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::Target;
use tokio::time::Instant;

use super::attempt::Call;
use crate::clock;
use crate::gate::{Asking, Closed, CredentialPass, Gate, Permit};
use crate::queue::Load;
use crate::record::Record;
use crate::refusal::Refusal;

/// Tokens of an answer of which nothing is known: neither a usual one, nor what the route allows.
const ANSWER: u64 = 1_024;
/// When to ask again where nobody can say.
const SOON: Duration = Duration::from_secs(1);
/// When to ask again after the queue has shed a request.
const LATER: Duration = Duration::from_secs(10);

/// How a target is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Now, or as soon as its rate allows.
    Try,
    /// Also as soon as its breaker allows: nobody else is left.
    Wait,
}

/// Leave to use the target's credential, where it has one.
///
/// # Errors
/// It rests: the partner has refused it.
pub(super) fn credential(call: &Call<'_>, target: &Target) -> Result<Option<CredentialPass>, Refusal> {
    let name = target.partner.credential.as_ref();
    let Some(key) = name.and_then(|name| call.key(name)) else { return Ok(None) };
    call.shared.gates.credential(key.hash()).map(Some).map_err(|cold| {
        let message = "the model's provider has refused the platform's credential, which now rests";
        Refusal { reason: cold.reason, message: message.to_owned(), retry_after: Some(cold.wait) }
    })
}

/// Goes through the gate.
///
/// # Errors
/// What keeps the request out.
pub(super) async fn enter(
    call: &Call<'_>,
    gate: &Arc<Gate>,
    entry: Entry,
    record: &mut Record,
) -> Result<Permit, Closed> {
    let (load, now) = (load(call, gate), clock::now());
    match gate.pass(load, now) {
        Err(Closed::Busy { ready_at }) if ready_at > now + gate.patience(call.deadline, now) => {
            Err(Closed::Waited { ready_at })
        }
        Err(Closed::Breaker { until }) if entry == Entry::Try => Err(Closed::Breaker { until }),
        Err(Closed::Busy { .. } | Closed::Breaker { .. }) => {
            record.queueing(now);
            let passed = gate.wait(Asking { tenant: &call.tenant.id, load, deadline: call.deadline }).await;
            record.queued(clock::now());
            passed
        }
        passed => passed,
    }
}

/// What a request weighs: its prompt, and what the answer will probably be.
fn load(call: &Call<'_>, gate: &Gate) -> Load {
    let prompt = call.prompt.estimate().0;
    let most = call.route.max_tokens.default.or(call.route.max_tokens.cap);
    let answer = gate.usual_answer().or(most.map(|tokens| tokens.0)).unwrap_or(ANSWER);
    Load { tokens: prompt.saturating_add(answer), prompt, bytes: call.prompt.body().len() }
}

/// What the app is told of a gate that is closed.
pub(super) fn refusal(closed: Closed, now: Instant) -> Refusal {
    let wait = |at: Instant| at.saturating_duration_since(now).max(SOON);
    let (reason, retry_after, message) = match closed {
        Closed::Breaker { until } => (
            Reason::BreakerOpen,
            until.map_or(SOON, wait),
            "the model's provider has failed too often, and is left alone for a while",
        ),
        Closed::Full { ready_at } => (
            Reason::QueueFull,
            wait(ready_at),
            "as many requests as may wait for the model's provider are waiting already",
        ),
        Closed::Waited { ready_at } | Closed::Busy { ready_at } => (
            Reason::QueueWait,
            wait(ready_at),
            "the rate of the model's provider is used up for longer than a request may wait",
        ),
        Closed::Shed => (
            Reason::QueueShed,
            LATER,
            "more is asked of the model's provider than its rate allows; this request gave way to others",
        ),
    };
    Refusal { reason, message: message.to_owned(), retry_after: Some(retry_after) }
}
