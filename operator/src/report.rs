//! Findings, acknowledgements and health -> the status that an object should have. Pure.
//!
//! `Programmed` is True when sidecars have said so, and at no other time. The table of cases is in `report/tests.rs`.

mod drill;
mod reason;
mod standing;
pub(crate) mod writer;

pub(crate) use self::drill::DrillAge;

use chaperone_crds::condition::{Condition, ConditionReason, ConditionStatus, ConditionType, Sidecars};
use chaperone_crds::model_route::LastDrill;
use chaperone_crds::partner::Breakers;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::compile::{Finding, Kind, Severity};
use crate::feed::{Standing, Tally, TallyCounts};

/// What is known about one object.
#[derive(Debug, Clone)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: Kind,
    pub(crate) generation: i64,
    /// All findings of this object.
    pub(crate) findings: Vec<&'a Finding>,
    /// `None`: no scope has it.
    pub(crate) tally: Option<&'a Tally>,
    /// Of partners.
    pub(crate) health: Health,
    /// Of partners that a sidecar has.
    pub(crate) standing: Option<Standing>,
    /// Of routes that were drilled.
    pub(crate) last_drill: Option<&'a LastDrill>,
    /// How old a drill may be.
    pub(crate) drill_age: DrillAge,
    /// Of the Secret whose key is in use.
    pub(crate) secret_resource_version: Option<String>,
}

/// What the last probe of a partner said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Health {
    /// Nobody asked for probes, or none has ended yet.
    #[default]
    NotProbed,
    /// It answered.
    Healthy,
    /// It did not, and why.
    Unhealthy(String),
}

/// Whether sidecars are still returning to a new leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Election {
    /// Less than 30 s ago: what status says stands, unless it is proven wrong.
    Recent,
    /// Whoever is missing is missing.
    Past,
}

/// The part of a status that is the same for all kinds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Status {
    pub(crate) observed_generation: Option<i64>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) sidecars: Option<Sidecars>,
    /// Of partners alone.
    pub(crate) breakers: Option<Breakers>,
    pub(crate) secret_resource_version: Option<String>,
}

/// One condition without its time.
struct Verdict {
    type_: ConditionType,
    status: ConditionStatus,
    reason: ConditionReason,
    message: String,
}

/// The status that `subject` should have, where it has `before`.
pub(crate) fn wanted(subject: &Subject<'_>, before: &Status, election: Election, now: Timestamp) -> Status {
    let none = Tally::default();
    let tally = subject.tally.unwrap_or(&none);
    let accepted = accepted(&subject.findings);
    let resolved = resolved(&subject.findings);
    let kept = kept(subject, tally, before, election);
    let (programmed, sidecars) = match kept {
        Some((verdict, sidecars)) => (verdict, sidecars),
        None => (programmed(accepted.status, tally), tally.sidecars()),
    };
    let mut verdicts = vec![accepted, resolved, programmed];
    let ready = ready(&verdicts);
    let mut breakers = None;
    if subject.kind == Kind::Partner {
        let (admitting, counts) = standing::judge(subject.standing.unwrap_or_default(), before, election);
        verdicts.extend([healthy(&subject.health), admitting]);
        breakers = Some(counts);
    }
    verdicts.extend(subject.last_drill.map(|last| drill::judge(last, subject.drill_age, now)));
    verdicts.push(ready);
    let condition = |verdict| condition(verdict, subject.generation, before, now);
    Status {
        observed_generation: Some(subject.generation),
        conditions: verdicts.into_iter().map(condition).collect(),
        sidecars: Some(sidecars),
        breakers,
        secret_resource_version: subject.secret_resource_version.clone(),
    }
}

fn accepted(findings: &[&Finding]) -> Verdict {
    let type_ = ConditionType::Accepted;
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let mut errors = errors.filter_map(|finding| Some((reason::not_accepted(finding.reason)?, *finding)));
    if let Some((reason, finding)) = errors.next() {
        let message = sentence(finding, errors.count());
        return Verdict { type_, status: ConditionStatus::False, reason, message };
    }
    let warnings: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Warning).collect();
    let message = match warnings.split_first() {
        Some((first, others)) => format!("warning: {}", sentence(first, others.len())),
        None => "the object is in order".to_owned(),
    };
    Verdict { type_, status: ConditionStatus::True, reason: ConditionReason::Accepted, message }
}

fn resolved(findings: &[&Finding]) -> Verdict {
    let type_ = ConditionType::ResolvedRefs;
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let mut errors = errors.filter_map(|finding| Some((reason::not_resolved(finding.reason)?, *finding)));
    match errors.next() {
        Some((reason, finding)) => {
            let message = sentence(finding, errors.count());
            Verdict { type_, status: ConditionStatus::False, reason, message }
        }
        None => Verdict {
            type_,
            status: ConditionStatus::True,
            reason: ConditionReason::ResolvedRefs,
            message: "all that the object names exists and may be used".to_owned(),
        },
    }
}

fn sentence(finding: &Finding, others: usize) -> String {
    let Finding { path, message, remedy, .. } = finding;
    let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
    format!("{path}: {message}; {remedy}{more}")
}

fn programmed(accepted: ConditionStatus, tally: &Tally) -> Verdict {
    let type_ = ConditionType::Programmed;
    let verdict = |status, reason, message: String| Verdict { type_, status, reason, message };
    let no = |reason, message| verdict(ConditionStatus::False, reason, message);
    if accepted != ConditionStatus::True {
        return no(ConditionReason::NotAccepted, "the object is not accepted, so it is not sent".to_owned());
    }
    if let Some((pod, refusal)) = &tally.first_refusal {
        let path = if refusal.path.is_empty() { "all of it" } else { &refusal.path };
        let message = format!("Pod {}/{} refuses {path}: {}", pod.namespace, pod.name, refusal.problem);
        return no(ConditionReason::Refused, message);
    }
    let TallyCounts { total, programmed } = tally.counts();
    if total == 0 {
        let message = "no sidecar needs it yet".to_owned();
        return verdict(ConditionStatus::True, ConditionReason::NoSidecars, message);
    }
    if programmed == total {
        let message = format!("acknowledged by all {total} sidecars");
        return verdict(ConditionStatus::True, ConditionReason::Programmed, message);
    }
    match &tally.held_back_by {
        Some(other) => no(ConditionReason::HeldBack, format!("sidecars refuse {other}; repair that first")),
        None => {
            let message = "sidecars have still to acknowledge it; status.sidecars counts them".to_owned();
            no(ConditionReason::Propagating, message)
        }
    }
}

/// What status says of `Programmed`, where it stands while sidecars return to a new leader.
fn kept(
    subject: &Subject<'_>,
    tally: &Tally,
    before: &Status,
    election: Election,
) -> Option<(Verdict, Sidecars)> {
    let condition = before.conditions.iter().find(|it| it.type_ == ConditionType::Programmed.as_str())?;
    let sidecars = before.sidecars.as_ref()?;
    // Those that have not returned are not missed yet, but more than there were are no returning ones alone.
    let are_more = tally.sidecars().total > sidecars.total;
    let is_proven_wrong =
        are_more || tally.first_refusal.is_some() || condition.observed_generation != subject.generation;
    if election == Election::Past || is_proven_wrong || condition.status != ConditionStatus::True {
        return None;
    }
    let reason = [ConditionReason::Programmed, ConditionReason::NoSidecars];
    let reason = reason.into_iter().find(|reason| reason.as_str() == condition.reason)?;
    let (type_, status) = (ConditionType::Programmed, condition.status);
    Some((Verdict { type_, status, reason, message: condition.message.clone() }, sidecars.clone()))
}

fn healthy(health: &Health) -> Verdict {
    let (status, reason, message) = match health {
        Health::NotProbed => {
            let message = "nothing is probed: `healthCheck` asks for it".to_owned();
            (ConditionStatus::Unknown, ConditionReason::NotProbed, message)
        }
        Health::Healthy => {
            (ConditionStatus::True, ConditionReason::ProbeSucceeded, "the last probe was answered".to_owned())
        }
        Health::Unhealthy(problem) => (
            ConditionStatus::False,
            ConditionReason::ProbeFailed,
            format!("the last probe failed: {problem}"),
        ),
    };
    Verdict { type_: ConditionType::Healthy, status, reason, message }
}

fn ready(verdicts: &[Verdict]) -> Verdict {
    let type_ = ConditionType::Ready;
    match verdicts.iter().find(|verdict| verdict.status != ConditionStatus::True) {
        // The reason of the first that does not hold: it is what the column shows.
        Some(broken) => Verdict {
            type_,
            status: ConditionStatus::False,
            reason: broken.reason,
            message: format!("{} is not True: {}", broken.type_.as_str(), broken.message),
        },
        None => Verdict {
            type_,
            status: ConditionStatus::True,
            reason: ConditionReason::Ready,
            message: "accepted, resolved and programmed".to_owned(),
        },
    }
}

fn condition(verdict: Verdict, generation: i64, before: &Status, now: Timestamp) -> Condition {
    let Verdict { type_, status, reason, message } = verdict;
    let before = before.conditions.iter().find(|it| it.type_ == type_.as_str() && it.status == status);
    Condition {
        type_: type_.as_str().to_owned(),
        status,
        observed_generation: generation,
        last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
        reason: reason.as_str().to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests;
