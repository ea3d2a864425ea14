//! A route's declared faults -> what a sidecar plays.

use std::time::Duration;

use chaperone_crds::model_route as written;
use chaperone_protocol::limits;
use chaperone_protocol::name::ObjectName;
use chaperone_protocol::snapshot::{Fault, FaultKind, FaultWindow, WrongUsage};
use jiff::Timestamp;

use super::chain::Link;
use super::finding::{Notes, Problem, Reason};
use super::reference::key_of;
use crate::world::ObjectKey;

/// A fault, and whom it strikes: the scope decides how that partner is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadyFault {
    /// Without its partner.
    pub(super) fault: Fault,
    pub(super) partner: Option<ObjectKey>,
}

/// Compiles `spec.faults` of a route with these targets.
pub(super) fn all(
    written: &[written::Fault],
    targets: &[Link],
    namespace: &ObjectName,
    notes: &mut Notes<'_>,
) -> Vec<ReadyFault> {
    let sum = written.iter().fold(0_i32, |sum, fault| sum.saturating_add(fault.percent));
    if sum > 100 || written.len() > limits::FAULTS {
        let message =
            format!("has {} faults whose percentages sum to {sum}; at most 100 is possible", written.len());
        notes.add("spec.faults", Problem::new(Reason::InvalidValue, message, "lower or remove some"));
    }
    written
        .iter()
        .enumerate()
        .filter_map(|(index, fault)| one(fault, &format!("spec.faults[{index}]"), targets, namespace, notes))
        .collect()
}

fn one(
    written: &written::Fault,
    path: &str,
    targets: &[Link],
    from: &ObjectName,
    notes: &mut Notes<'_>,
) -> Option<ReadyFault> {
    let partner = written.partner.as_deref().map(|name| {
        let key = key_of(name, written.namespace.as_deref(), from)?;
        let is_asked = targets.iter().flat_map(Link::partners).any(|partner| *partner == key);
        if is_asked { Ok(key) } else { Err(unreachable(&key)) }
    });
    let partner =
        partner.transpose().map_err(|problem| notes.add(format!("{path}.partner"), problem)).ok()?;
    let percent = u8::try_from(written.percent).map_err(|_| incomplete("percent"));
    let window = written.window.as_ref().map(window).transpose();
    let fault = Fault {
        percent: notes.keep(format!("{path}.percent"), percent)?,
        kind: notes.keep(path, kind(written))?,
        partner: None,
        window: notes.keep(format!("{path}.window"), window)?,
    };
    Some(ReadyFault { fault, partner })
}

/// The schema has seen to it that each kind has its fields; here the types learn it.
fn kind(written: &written::Fault) -> Result<FaultKind, Problem> {
    // Destructured without `..`, so that a new field fails to compile here instead of being dropped.
    let written::Fault {
        percent: _,
        kind,
        delay,
        tokens,
        status,
        retry_after,
        usage,
        partner: _,
        namespace: _,
        window: _,
    } = written;
    let delay = || delay.as_ref().map(|delay| delay.as_duration()).ok_or_else(|| incomplete("delay"));
    let tokens = |default| u32::try_from(tokens.or(default).unwrap_or(-1)).map_err(|_| incomplete("tokens"));
    let status = || u16::try_from(status.unwrap_or(-1)).map_err(|_| incomplete("status"));
    Ok(match kind {
        written::FaultKind::StallFirstToken => FaultKind::StallFirstToken { delay: delay()? },
        written::FaultKind::CutAfterTokens => FaultKind::CutAfterTokens { tokens: tokens(None)? },
        written::FaultKind::MalformedSse => FaultKind::MalformedSse { tokens: tokens(Some(0))? },
        written::FaultKind::Status => FaultKind::Status {
            status: status()?,
            retry_after: retry_after.as_ref().map(|wait| wait.as_duration()),
        },
        written::FaultKind::WrongUsage => FaultKind::WrongUsage {
            usage: match usage.ok_or_else(|| incomplete("usage"))? {
                written::FaultUsage::Missing => WrongUsage::Missing,
                written::FaultUsage::Zero => WrongUsage::Zero,
                written::FaultUsage::Huge => WrongUsage::Huge,
            },
        },
        written::FaultKind::Delay => FaultKind::Delay { delay: delay()? },
        written::FaultKind::Abort => FaultKind::Abort,
    })
}

fn window(written: &written::FaultWindow) -> Result<FaultWindow, Problem> {
    let written::FaultWindow { start, end } = written;
    let since_1970 = |time: Timestamp| u64::try_from(time.as_millisecond()).map(Duration::from_millis);
    match (since_1970(start.0), since_1970(end.0)) {
        (Ok(start), Ok(end)) if start < end => Ok(FaultWindow { start, end }),
        _ => {
            Err(Problem::new(Reason::InvalidValue, "is no span of time", "write a `start` before the `end`"))
        }
    }
}

fn incomplete(field: &str) -> Problem {
    let message = format!("`{field}` is missing or out of range for this kind");
    Problem::new(Reason::InvalidValue, message, "write what the schema says of this kind")
}

fn unreachable(key: &ObjectKey) -> Problem {
    Problem::new(
        Reason::FaultUnreachable,
        format!("names partner {key}, which the route never asks"),
        "name one of its targets or fallbacks, or remove the fault",
    )
}
