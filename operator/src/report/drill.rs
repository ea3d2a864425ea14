//! A route's last drill -> the condition `Drilled`. A route that was never drilled has none.

use std::time::Duration;

use chaperone_crds::condition::{ConditionReason, ConditionStatus, ConditionType};
use chaperone_crds::model_route::LastDrill;
use jiff::Timestamp;

use super::Verdict;

/// How old a drill may be before the condition says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DrillAge {
    /// As old as it likes.
    #[default]
    Unlimited,
    /// Not older than this.
    AtMost(Duration),
}

pub(super) fn judge(last: &LastDrill, allowed: DrillAge, now: Timestamp) -> Verdict {
    let type_ = ConditionType::Drilled;
    let no = |reason, message| Verdict { type_, status: ConditionStatus::False, reason, message };
    // Of a drill by a clock that is ahead of ours, no time has passed.
    let age: Duration = now.duration_since(last.time.0).try_into().unwrap_or_default();
    if !last.passed {
        let first = last.failures.first().map_or("it does not say why", String::as_str);
        let more = last.failures.len().saturating_sub(1);
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        return no(
            ConditionReason::DrillFailed,
            format!("the drill of {} failed: {first}{more}", last.time.0),
        );
    }
    match allowed {
        DrillAge::AtMost(most) if age > most => {
            let message = format!(
                "the last drill was at {}, longer ago than {} h: run `chaperone drill --report-status`",
                last.time.0,
                most.as_secs().div_ceil(3_600)
            );
            no(ConditionReason::DrillTooOld, message)
        }
        DrillAge::AtMost(_) | DrillAge::Unlimited => Verdict {
            type_,
            status: ConditionStatus::True,
            reason: ConditionReason::DrillPassed,
            message: format!("every play of the drill of {} passed", last.time.0),
        },
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn judged(failures: &[&str], allowed: DrillAge) -> (ConditionStatus, ConditionReason, String) {
        let time = Time("2026-11-25T08:00:00Z".parse().unwrap());
        let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
        let now = "2026-11-27T08:00:00Z".parse().unwrap();
        let Verdict { status, reason, message, .. } =
            judge(&LastDrill { time, passed: failures.is_empty(), failures }, allowed, now);
        (status, reason, message)
    }

    #[test]
    fn rule_11_7_a_drill_that_failed_or_is_too_old_is_a_condition() {
        let (status, reason, _) = judged(&[], DrillAge::AtMost(2 * DAY));
        assert_eq!((status, reason), (ConditionStatus::True, ConditionReason::DrillPassed));
        let (status, reason, message) = judged(&[], DrillAge::AtMost(DAY));
        assert_eq!((status, reason), (ConditionStatus::False, ConditionReason::DrillTooOld));
        assert!(message.contains("2026-11-25T08:00:00Z, longer ago than 24 h"), "{message}");
        let (status, reason, message) = judged(&["abort: nobody served it", "x: y"], DrillAge::Unlimited);
        assert_eq!((status, reason), (ConditionStatus::False, ConditionReason::DrillFailed));
        assert_eq!(message, "the drill of 2026-11-25T08:00:00Z failed: abort: nobody served it (and 1 more)");
        assert_eq!(judged(&[], DrillAge::Unlimited).1, ConditionReason::DrillPassed);
    }
}
