//! Which status is written next, and when. Pure.
//!
//! Transitions at once; counters every 2 s while `Programmed` is False, else every 10 s; all within 20 writes a second.

use std::collections::BTreeMap;
use std::time::Duration;

use chaperone_crds::condition::{ConditionStatus, ConditionType};
use tokio::time::Instant;

use super::{Assignment, Outcome, Status};
use crate::compile::ObjectRef;

/// Between two writes, once the burst is used up: 20 a second.
const SPACING: Duration = Duration::from_millis(50);
/// Writes that may follow each other at once after a rest.
const BURST: u32 = 20;
/// Between two writes of counters of an object that is on its way.
const COUNTERS_MOVING: Duration = Duration::from_secs(2);
/// Between two writes of counters of any other object, and before what was written is looked for on the server.
const COUNTERS: Duration = Duration::from_secs(10);
/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Write this one now.
    Write(ObjectRef),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing before something changes.
    Idle,
}

/// What was written, and what may be.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    written: BTreeMap<ObjectRef, Written>,
    /// The time at which the budget is whole again.
    whole_at: Option<Instant>,
}

#[derive(Debug)]
struct Written {
    status: Option<Status>,
    at: Instant,
    not_before: Instant,
}

impl Schedule {
    /// What to do at `now`.
    pub(super) fn turn(&mut self, assignment: &Assignment, now: Instant) -> Turn {
        self.written.retain(|object, _| assignment.wanted.contains_key(object));
        let due =
            assignment.wanted.keys().filter_map(|object| Some((self.due(object, assignment, now)?, object)));
        let Some((due, object)) = due.min() else { return Turn::Idle };
        let due = due.max(self.budget_at(now));
        if due <= now { Turn::Write(object.clone()) } else { Turn::Wait(due) }
    }

    /// When `object` may be written; `None` if there is nothing to write.
    fn due(&self, object: &ObjectRef, assignment: &Assignment, now: Instant) -> Option<Instant> {
        let wanted = assignment.wanted.get(object)?;
        let found = &assignment.found.get(object)?.status;
        let written = self.written.get(object);
        // The copy of what the server has is behind our own writes for a moment.
        let recent = written.filter(|written| now < written.at + COUNTERS);
        let before = recent.and_then(|written| written.status.as_ref()).unwrap_or(found);
        if before == wanted {
            return None;
        }
        let earliest = written.map_or(now, |written| written.not_before);
        if is_transition(before, wanted) {
            return Some(earliest);
        }
        let spacing = if is_moving(wanted) { COUNTERS_MOVING } else { COUNTERS };
        Some(written.map_or(now, |written| written.at + spacing).max(earliest))
    }

    /// When the next write fits into the budget.
    fn budget_at(&self, now: Instant) -> Instant {
        let whole = self.whole_at.unwrap_or(now);
        (whole + SPACING).checked_sub(SPACING * BURST).map_or(now, |at| at.max(now))
    }

    /// A write has ended.
    pub(super) fn written(&mut self, object: &ObjectRef, status: &Status, outcome: Outcome, now: Instant) {
        self.whole_at = Some(self.whole_at.unwrap_or(now).max(now) + SPACING);
        let (status, not_before) = match outcome {
            Outcome::Written => (Some(status.clone()), now),
            // Its deletion is on its way to us.
            Outcome::Gone => (Some(status.clone()), now + COUNTERS),
            Outcome::Failed => (None, now + AGAIN),
        };
        self.written.insert(object.clone(), Written { status, at: now, not_before });
    }
}

/// Whether something else than counters, and texts that quote them, has changed.
fn is_transition(before: &Status, wanted: &Status) -> bool {
    let essence = |status: &Status| {
        let conditions = status.conditions.iter();
        conditions
            .map(|it| (it.type_.clone(), it.status, it.reason.clone(), it.observed_generation))
            .collect::<Vec<_>>()
    };
    essence(before) != essence(wanted) || before.secret_resource_version != wanted.secret_resource_version
}

fn is_moving(status: &Status) -> bool {
    let programmed = status.conditions.iter().find(|it| it.type_ == ConditionType::Programmed.as_str());
    programmed.is_some_and(|condition| condition.status == ConditionStatus::False)
}

#[cfg(test)]
mod tests {
    use chaperone_crds::condition::{Condition, Sidecars};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::compile::Kind;
    use crate::controller::Found;
    use crate::world::ObjectKey;

    fn object(index: usize) -> ObjectRef {
        let name = format!("route-{index}").parse().unwrap();
        ObjectRef { kind: Kind::ModelRoute, key: ObjectKey { namespace: "shop".parse().unwrap(), name } }
    }

    fn status(programmed: ConditionStatus, count: i32) -> Status {
        let condition = Condition {
            type_: "Programmed".to_owned(),
            status: programmed,
            observed_generation: 1,
            last_transition_time: Time("2026-11-27T08:00:00Z".parse().unwrap()),
            reason: "Example".to_owned(),
            message: format!("{count}"),
        };
        Status {
            conditions: vec![condition],
            sidecars: Some(Sidecars::new(count, 0, 1)),
            ..Status::default()
        }
    }

    fn assignment(wanted: Vec<Status>) -> Assignment {
        let found = Found { status: Status::default(), last_drill: None, reference: Default::default() };
        let found = (0..wanted.len()).map(|index| (object(index), found.clone())).collect();
        let wanted = wanted.into_iter().enumerate().map(|(index, status)| (object(index), status)).collect();
        Assignment { wanted, found, findings: Vec::new() }
    }

    /// Writes whatever is due until `end`; returns when, in milliseconds.
    fn play(
        schedule: &mut Schedule,
        assignment: &Assignment,
        start: Instant,
        from: u64,
        end: u64,
    ) -> Vec<u128> {
        let (mut now, mut writes) = (start + Duration::from_millis(from), Vec::new());
        while now < start + Duration::from_millis(end) {
            match schedule.turn(assignment, now) {
                Turn::Write(object) => {
                    writes.push((now - start).as_millis());
                    schedule.written(&object, &assignment.wanted[&object], Outcome::Written, now);
                }
                Turn::Wait(until) => now = until,
                Turn::Idle => break,
            }
        }
        writes
    }

    #[test]
    fn a_transition_is_written_at_once_and_once() {
        let (mut schedule, start) = (Schedule::default(), crate::clock::now());
        let propagating = assignment(vec![status(ConditionStatus::False, 1)]);
        assert_eq!(play(&mut schedule, &propagating, start, 0, 5_000), [0]);
        let programmed = assignment(vec![status(ConditionStatus::True, 2)]);
        assert_eq!(play(&mut schedule, &programmed, start, 100, 5_000), [100]);
    }

    #[test]
    fn counters_wait_for_two_seconds_while_moving_and_else_for_ten() {
        for (programmed, spacing) in [(ConditionStatus::False, 2_000), (ConditionStatus::True, 10_000)] {
            let (mut schedule, start) = (Schedule::default(), crate::clock::now());
            assert_eq!(play(&mut schedule, &assignment(vec![status(programmed, 1)]), start, 0, 50), [0]);
            let more = assignment(vec![status(programmed, 2)]);
            assert_eq!(play(&mut schedule, &more, start, 100, 11_000)[0], spacing);
        }
    }

    #[test]
    fn a_thousand_transitions_keep_to_the_budget() {
        let (mut schedule, start) = (Schedule::default(), crate::clock::now());
        let many = assignment((0..1_000).map(|_| status(ConditionStatus::True, 1)).collect());
        let writes = play(&mut schedule, &many, start, 0, 5_000);
        assert!((110..=125).contains(&writes.len()), "{} writes in 5 s", writes.len());
        assert!(writes.iter().filter(|at| **at < 1_000).count() <= 40);
    }

    #[test]
    fn a_write_that_failed_is_tried_again_later() {
        let (mut schedule, start) = (Schedule::default(), crate::clock::now());
        let one = assignment(vec![status(ConditionStatus::True, 1)]);
        assert_eq!(schedule.turn(&one, start), Turn::Write(object(0)));
        schedule.written(&object(0), &one.wanted[&object(0)], Outcome::Failed, start);
        assert_eq!(schedule.turn(&one, start), Turn::Wait(start + AGAIN));
    }

    #[test]
    fn what_somebody_else_overwrote_is_written_again() {
        let (mut schedule, start) = (Schedule::default(), crate::clock::now());
        let one = assignment(vec![status(ConditionStatus::True, 1)]);
        assert_eq!(play(&mut schedule, &one, start, 0, 50), [0]);
        assert_eq!(schedule.turn(&one, start + Duration::from_secs(5)), Turn::Idle, "the copy may be behind");
        assert_eq!(schedule.turn(&one, start + COUNTERS), Turn::Write(object(0)));
    }
}
