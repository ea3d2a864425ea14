//! The loop over targets, up to the commit point: the first meaningful token, or the complete body of a whole answer.
//!
//! `plan.rs` decides whom to ask and when, `entry.rs` waits for the gate, `send.rs` sends. Nothing of an abandoned
//! attempt (bytes, headers, usage) reaches the next one or the app.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::keys::{Credential, CredentialHash};
use chaperone_protocol::name::{CredentialName, PartnerName};
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Fault, FaultKind, Route, Target};
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::Tenant;
use super::entry::{self, Entry};
use super::plan::{Allowed, Chance, Plan, Step};
use super::prepare::{Prepared, Ready, prepare};
use super::redaction::Redactions;
use super::send::{Ended, Lateness, run};
use super::upstream::Upstream;
use super::verdict::{self, Breaker};
use crate::clock;
use crate::exchange::{Answer, Failure, LocalAnswer, Reached, StreamOptions};
use crate::fault;
use crate::gate::{Closed, CredentialPass, Gate, Permit};
use crate::json::ROOT;
use crate::live::World;
use crate::prompt::Prompt;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::sidecar::Shared;

/// All that stays the same over the attempts of one request.
pub(crate) struct Call<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) world: &'a World,
    pub(crate) route: &'a Route,
    pub(crate) prompt: &'a Prompt,
    pub(crate) tenant: &'a Tenant,
    pub(crate) headers: &'a HeaderMap,
    /// What the request is for the partner that was asked last.
    pub(crate) redactions: Redactions,
    /// The declared fault that this request was drawn for.
    pub(crate) fault: Option<&'a Fault>,
    /// Until when it must have committed.
    pub(crate) deadline: Instant,
    /// Keys that arrived after a partner had refused an older one.
    pub(crate) newer: OnceLock<Arc<World>>,
}

impl Call<'_> {
    /// The credential of that name: the newest that is worth trying.
    pub(crate) fn key(&self, name: &CredentialName) -> Option<&Credential> {
        let newer = self.newer.get().and_then(|world| world.keys.get(name));
        newer.or_else(|| self.world.keys.get(name))
    }

    fn gate(&self, target: &Target) -> Arc<Gate> {
        let known = self.world.gates.get(&target.partner.name);
        match (self.route.isolation(), known) {
            (None, Some(gate)) => Arc::clone(gate),
            (drill, _) => self.shared.gates.gate(&target.partner, drill),
        }
    }

    /// The declared fault that is played on a target.
    fn fault_at(&self, target: &Target, plan: &Plan<'_>) -> Option<FaultKind> {
        let fault =
            self.fault.filter(|fault| fault::strikes(fault, target, plan.drawn().unwrap_or(target)))?;
        Some(fault.kind)
    }

    /// Takes up a newer key than the one that was refused, if there is one.
    fn take_newer_key(&self, target: &Target, refused: CredentialHash) -> Allowed {
        let (Some(name), Some(world)) = (&target.partner.credential, self.shared.live.world()) else {
            return Allowed::No;
        };
        let is_newer = world.keys.get(name).is_some_and(|key| key.hash() != refused);
        Allowed::from(is_newer && self.newer.set(world).is_ok())
    }
}

/// How a request will be answered.
pub(crate) enum Outcome {
    Partner(Box<Committed>, Permit),
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
    pub(crate) served_by: PartnerName,
}

/// Why a target did not serve.
enum Miss {
    /// It was not asked: it cannot carry the request.
    Unfit(Refusal),
    /// It was not asked: its gate is closed.
    Closed(Closed),
    /// It was asked in vain.
    Failed(Failure, Chance),
}

/// A target, and how it is asked.
#[derive(Clone, Copy)]
struct Turn<'a> {
    target: &'a Target,
    entry: Entry,
    /// Not before this has passed.
    wait: Duration,
    kind: Kind,
}

/// Whether a target is asked for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    Retry,
}

impl<'a> Turn<'a> {
    fn of(target: &'a Target) -> Self {
        Self { target, entry: Entry::Try, wait: Duration::ZERO, kind: Kind::First }
    }
}

/// Ends at the first answer that commits.
pub(crate) async fn first_committed(call: &Call<'_>, record: &mut Record) -> Result<Outcome, Refusal> {
    let mut plan = Plan::new(call.route, record.request_id());
    count_the_apps_retry(call, &plan);
    let mut kept_out = Vec::new();
    let mut next = plan.next().map(Turn::of);
    while let Some(turn) = next {
        let target = turn.target;
        if call.deadline < clock::now() + turn.wait + target.partner.timeouts.connect {
            return Err(past_deadline());
        }
        let asked = timeout_at(call.deadline, ask(call, turn, &mut plan, record)).await;
        let Ok(asked) = asked else {
            record.abandoned(Reason::Deadline);
            return Err(past_deadline());
        };
        let (reason, step) = match asked {
            Ok(outcome) => return Ok(outcome),
            // Another target may carry what this one cannot.
            Err(Miss::Unfit(refusal)) => (refusal.reason, plan.skip(refusal)),
            Err(Miss::Closed(closed)) => {
                kept_out.extend(by_breaker(target, closed));
                let refusal = entry::refusal(closed, clock::now());
                (refusal.reason, plan.skip(refusal))
            }
            Err(Miss::Failed(failure, chance)) => (failure.reason, plan.failed(target, failure, &chance)),
        };
        if let Step::Again(wait) = step {
            next = Some(Turn { target, entry: Entry::Try, wait, kind: Kind::Retry });
            continue;
        }
        record.passed_over(target, reason);
        next = plan.next().map(Turn::of);
        if next.is_none() && record.attempts() == 0 {
            next = soonest(call, std::mem::take(&mut kept_out));
        }
    }
    Err(plan.refusal())
}

/// An app's SDK that asks again by itself spends what we would spend on a retry.
fn count_the_apps_retry(call: &Call<'_>, plan: &Plan<'_>) {
    let count = call.headers.get("x-stainless-retry-count").and_then(|value| value.to_str().ok());
    if let (Some(1..), Some(target)) = (count.and_then(|count| count.parse::<u32>().ok()), plan.drawn()) {
        call.gate(target).asked_again();
    }
}

/// A target that only its breaker kept out, and until when: unknown while somebody else probes.
fn by_breaker(target: &Target, closed: Closed) -> Option<(&Target, Option<Instant>)> {
    if let Closed::Breaker { until } = closed { Some((target, until)) } else { None }
}

/// Where all that could be asked refuse, the one that refuses for the shortest time, if that is worth waiting for.
fn soonest<'a>(call: &Call<'_>, kept_out: Vec<(&'a Target, Option<Instant>)>) -> Option<Turn<'a>> {
    let now = clock::now();
    let (target, until) = kept_out.into_iter().min_by_key(|(_, until)| until.unwrap_or(now))?;
    let first_token = target.model.first_token.unwrap_or(target.partner.timeouts.first_token);
    let left = call.deadline.saturating_duration_since(now).saturating_sub(first_token);
    let patience = target.partner.protection.queue.max_wait.min(left);
    let is_soon = until.unwrap_or(now) <= now + patience;
    is_soon.then_some(Turn { entry: Entry::Wait, ..Turn::of(target) })
}

/// Asks one target; twice if it turns out not to know `stream_options`.
async fn ask<'a>(
    call: &Call<'_>,
    Turn { target, entry, wait, mut kind }: Turn<'a>,
    plan: &mut Plan<'a>,
    record: &mut Record,
) -> Result<Outcome, Miss> {
    tokio::time::sleep(wait).await;
    let link = call.world.outbound.link(&target.partner.name);
    let gate = call.gate(target);
    let fault = call.fault_at(target, plan);
    let mut options = link.map_or(StreamOptions::Taken, |link| link.stream_options());
    loop {
        if entry == Entry::Try {
            // Before any work: a partner that is left alone is not written to.
            gate.check(clock::now()).map_err(|closed| kept_out(&gate, closed))?;
        }
        let Ready { adjusted, attempt } =
            match prepare(call, target, options, record).await.map_err(Miss::Unfit)? {
                Prepared::Ready(ready) => *ready,
                Prepared::Local(local, adjusted) => return Ok(Outcome::Local(local, adjusted)),
            };
        let credential = entry::credential(call, target).map_err(Miss::Unfit)?;
        let mut permit =
            entry::enter(call, &gate, entry, record).await.map_err(|closed| kept_out(&gate, closed))?;
        plan.asked(target);
        record.attempting(target, fault);
        permit.sent();
        if std::mem::replace(&mut kind, Kind::First) == Kind::Retry {
            call.shared.metrics.gates.retried(target.partner.name.as_str());
        }
        let others = || plan.has_another(|other| call.gate(other).check(clock::now()).is_ok());
        let lateness = Lateness { permit: &mut permit, others: &others };
        let (failure, may_ask_again) = match Box::pin(run(
            (attempt, fault),
            target,
            call.prompt.api(),
            record.began(),
            lateness,
        ))
        .await
        {
            Ok(committed) => {
                permit.committed(record.committed(target, adjusted));
                if let Some(credential) = credential {
                    credential.accepted();
                }
                return Ok(Outcome::Partner(Box::new(committed), permit));
            }
            Err(Ended::Failed(failure)) => (failure, false),
            Err(Ended::RefusesStreamOptions(failure)) => (failure, true),
        };
        record.failed(&failure);
        // A fault that is played says nothing about a real credential.
        let credential = credential.filter(|_| fault.is_none());
        let chance = learn(call, target, (permit, credential), &failure);
        if !may_ask_again {
            return Err(Miss::Failed(failure, chance));
        }
        options = StreamOptions::Refused;
        // What an app wrote itself may be wrong in a way that says nothing of the partner.
        let is_ours = call.prompt.skim().get(ROOT, "stream_options").is_none();
        if let Some(link) = link.filter(|_| is_ours) {
            link.refuse_stream_options();
        }
    }
}

fn kept_out(gate: &Gate, closed: Closed) -> Miss {
    if matches!(closed, Closed::Breaker { .. }) {
        gate.refused();
    }
    Miss::Closed(closed)
}

/// Tells the gate and the credential what the attempt says about them, and asks what is possible now.
fn learn(
    call: &Call<'_>,
    target: &Target,
    (mut permit, credential): (Permit, Option<CredentialPass>),
    failure: &Failure,
) -> Chance {
    let verdict = verdict::of(failure);
    let billing = target.partner.protection.cancel_billing;
    let cost = verdict.reservation.cost(billing, failure.reached, call.prompt.estimate().0);
    if failure.reached == Reached::Unprocessed {
        permit.unprocessed();
    } else {
        permit.failed(verdict.breaker.said(), failure.retry_after, cost);
    }
    let mut newer_key = Allowed::No;
    if let (Breaker::Cooldown, Some(credential)) = (verdict.breaker, credential) {
        newer_key = call.take_newer_key(target, credential.hash());
        credential.refused(failure.reason, failure.extent);
    }
    Chance {
        left: call.deadline.saturating_duration_since(clock::now()),
        budget: call.gate(target).may_retry().into(),
        newer_key,
        random: clock::random_number(),
    }
}

fn past_deadline() -> Refusal {
    Refusal::new(Reason::Deadline, "the request's deadline passed before an answer began")
}
