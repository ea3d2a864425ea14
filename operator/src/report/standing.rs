//! What sidecars say of a partner -> the condition `Admitting`, and its counters.

use chaperone_crds::condition::{ConditionReason, ConditionStatus, ConditionType};
use chaperone_crds::partner::Breakers;

use super::{Election, Status, Verdict};
use crate::feed::Standing;

/// The condition and the counters of a partner with this standing.
pub(super) fn judge(standing: Standing, before: &Status, election: Election) -> (Verdict, Breakers) {
    let counts = breakers(standing);
    let verdict = verdict(standing);
    match kept(before, election) {
        Some(kept) if verdict.status != ConditionStatus::False => kept,
        _ => (verdict, counts),
    }
}

fn breakers(standing: Standing) -> Breakers {
    let count = |count| i32::try_from(count).unwrap_or(i32::MAX);
    let Standing { total, refusing, probing, refused_credential, spent_credit } = standing;
    let resting = count(refused_credential + spent_credit);
    Breakers { total: count(total), refusing: count(refusing), probing: count(probing), resting }
}

fn verdict(standing: Standing) -> Verdict {
    let Standing { total, refusing, probing, refused_credential, spent_credit } = standing;
    let type_ = ConditionType::Admitting;
    let no = |reason, message| Verdict { type_, status: ConditionStatus::False, reason, message };
    if refused_credential > 0 {
        let message = format!(
            "the partner does not accept the credential of {refused_credential} of {total} sidecars, which leave it \
             alone; put one that it accepts into the Secret"
        );
        return no(ConditionReason::CredentialRefused, message);
    }
    if spent_credit > 0 {
        let message = format!(
            "the partner says to {spent_credit} of {total} sidecars that the credit is spent, and they leave it alone; \
             renew it, or put another credential into the Secret"
        );
        return no(ConditionReason::CreditSpent, message);
    }
    if refusing + probing > 0 {
        let message = format!("breakers of {} of {total} sidecars keep requests from it", refusing + probing);
        return no(ConditionReason::Refusing, message);
    }
    if total == 0 {
        let message = "no sidecar has it yet".to_owned();
        return Verdict {
            type_,
            status: ConditionStatus::Unknown,
            reason: ConditionReason::NoSidecars,
            message,
        };
    }
    let message = format!("no breaker of {total} sidecars keeps requests from it");
    Verdict { type_, status: ConditionStatus::True, reason: ConditionReason::Admitting, message }
}

/// What status says, where it stands while sidecars return to a new leader and say it again.
fn kept(before: &Status, election: Election) -> Option<(Verdict, Breakers)> {
    let condition = before.conditions.iter().find(|it| it.type_ == ConditionType::Admitting.as_str())?;
    if election == Election::Past || condition.status != ConditionStatus::False {
        return None;
    }
    let reasons =
        [ConditionReason::CredentialRefused, ConditionReason::CreditSpent, ConditionReason::Refusing];
    let reason = reasons.into_iter().find(|reason| reason.as_str() == condition.reason)?;
    let (type_, status) = (ConditionType::Admitting, condition.status);
    Some((Verdict { type_, status, reason, message: condition.message.clone() }, before.breakers?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConditionReason::{Admitting, CredentialRefused, CreditSpent, NoSidecars, Refusing};
    use ConditionStatus::{False, True, Unknown};

    fn judged(standing: Standing) -> (Verdict, Breakers) {
        judge(standing, &Status::default(), Election::Past)
    }

    /// The table: total, refusing, probing, refused credential, spent credit -> status and reason.
    #[test]
    fn a_partner_is_admitting_while_nobody_keeps_requests_from_it() {
        let cases = [
            ([0, 0, 0, 0, 0], Unknown, NoSidecars),
            ([5, 0, 0, 0, 0], True, Admitting),
            ([5, 1, 0, 0, 0], False, Refusing),
            ([5, 0, 1, 0, 0], False, Refusing),
            ([5, 0, 0, 0, 2], False, CreditSpent),
            ([5, 3, 0, 1, 2], False, CredentialRefused),
        ];
        for ([total, refusing, probing, refused_credential, spent_credit], status, reason) in cases {
            let standing = Standing { total, refusing, probing, refused_credential, spent_credit };
            let (verdict, _) = judged(standing);
            assert_eq!((verdict.status, verdict.reason), (status, reason), "{standing:?}");
        }
    }

    #[test]
    fn the_counters_say_how_many_of_how_many() {
        let standing = Standing { total: 5, refusing: 2, probing: 1, refused_credential: 1, spent_credit: 1 };
        assert_eq!(judged(standing).1, Breakers { total: 5, refusing: 2, probing: 1, resting: 2 });
        let (verdict, _) = judged(Standing { refused_credential: 0, spent_credit: 0, ..standing });
        assert_eq!(verdict.message, "breakers of 3 of 5 sidecars keep requests from it");
    }

    #[test]
    fn trouble_stands_while_sidecars_return_to_a_new_leader() {
        let bad = Standing { total: 5, refusing: 2, ..Standing::default() };
        let (verdict, counts) = judged(bad);
        let condition = super::super::condition(verdict, 1, &Status::default(), jiff::Timestamp::UNIX_EPOCH);
        let before = Status { conditions: vec![condition], breakers: Some(counts), ..Status::default() };
        let returning = Standing { total: 1, ..Standing::default() };
        let (verdict, kept) = judge(returning, &before, Election::Recent);
        assert_eq!((verdict.reason, kept), (Refusing, counts));
        assert_eq!(judge(returning, &before, Election::Past).0.reason, Admitting);
        let worse = Standing { total: 1, spent_credit: 1, ..Standing::default() };
        assert_eq!(judge(worse, &before, Election::Recent).0.reason, CreditSpent, "it is proven wrong");
    }
}
