use chaperone_protocol::name::ObjectName;

use super::*;
use crate::compile::{ObjectRef, Reason};
use crate::feed::{Generation, Pod, Refusal};
use crate::world::ObjectKey;

const NOW: &str = "2026-11-27T08:00:00Z";
const EARLIER: &str = "2026-11-26T08:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn object(name: &str) -> ObjectRef {
    let name: ObjectName = name.parse().unwrap();
    ObjectRef { kind: Kind::ModelRoute, key: ObjectKey { namespace: "shop".parse().unwrap(), name } }
}

fn finding(reason: Reason) -> Finding {
    Finding {
        object: object("chat"),
        path: "spec.targets[0].partner".to_owned(),
        severity: reason.severity(),
        reason,
        message: "is wrong".to_owned(),
        remedy: "repair it".to_owned(),
    }
}

fn tally(programmed: usize, refused: usize, stale: usize) -> Tally {
    let pod = Pod { namespace: "shop".parse().unwrap(), name: "pod-2".to_owned(), uid: "u".to_owned() };
    let refusal = Refusal {
        generation: Generation::default(),
        path: "routes.chat".to_owned(),
        problem: "is not understood".to_owned(),
    };
    let first_refusal = (refused > 0).then_some((pod, refusal));
    Tally { programmed, refused, stale, first_refusal, held_back_by: None, behind: Vec::new() }
}

fn subject<'a>(findings: &'a [Finding], tally: Option<&'a Tally>) -> Subject<'a> {
    Subject {
        kind: Kind::ModelRoute,
        generation: 2,
        findings: findings.iter().collect(),
        tally,
        health: Health::NotProbed,
        standing: None,
        last_drill: None,
        drill_age: DrillAge::default(),
        secret_resource_version: None,
    }
}

fn judged(findings: &[Finding], tally: Option<&Tally>) -> Status {
    wanted(&subject(findings, tally), &Status::default(), Election::Past, time(NOW))
}

fn line(status: &Status, type_: ConditionType) -> (ConditionStatus, String) {
    let condition = status.conditions.iter().find(|it| it.type_ == type_.as_str()).unwrap();
    (condition.status, condition.reason.clone())
}

/// The table of cases of `Programmed`: programmed, refused, stale, who holds it back -> status and reason.
#[test]
fn programmed_says_what_sidecars_said() {
    use ConditionReason::{HeldBack, NoSidecars, Programmed, Propagating, Refused};
    use ConditionStatus::{False, True};
    let held = |tally| Tally { held_back_by: Some(object("other")), ..tally };
    let cases = [
        ("nobody needs it", tally(0, 0, 0), True, NoSidecars),
        ("all have it", tally(12, 0, 0), True, Programmed),
        ("one has it not", tally(11, 0, 1), False, Propagating),
        ("nobody has it", tally(0, 0, 12), False, Propagating),
        ("one refuses it", tally(11, 1, 0), False, Refused),
        ("one refuses it, one is frozen", tally(3, 1, 1), False, Refused),
        ("all refuse it", tally(0, 12, 0), False, Refused),
        ("another object is refused", held(tally(0, 0, 3)), False, HeldBack),
        ("another object is refused, and so is this one", held(tally(0, 1, 2)), False, Refused),
        ("another object is refused, which does not touch this one", held(tally(3, 0, 0)), True, Programmed),
    ];
    for (case, tally, status, reason) in cases {
        let judged = judged(&[], Some(&tally));
        let expected = (status, reason.as_str().to_owned());
        assert_eq!(line(&judged, ConditionType::Programmed), expected, "{case}");
        let ready = if status == True { "Ready" } else { reason.as_str() };
        assert_eq!(line(&judged, ConditionType::Ready), (status, ready.to_owned()), "{case}");
        let sidecars = judged.sidecars.unwrap();
        assert_eq!(sidecars.total, sidecars.programmed + sidecars.refused + sidecars.stale, "{case}");
    }
}

#[test]
fn an_object_in_no_scope_is_programmed_for_want_of_sidecars() {
    assert_eq!(line(&judged(&[], None), ConditionType::Ready), (ConditionStatus::True, "Ready".to_owned()));
}

#[test]
fn a_refusal_names_pod_path_and_reason() {
    let judged = judged(&[], Some(&tally(3, 1, 1)));
    let programmed = judged.conditions.iter().find(|it| it.type_ == "Programmed").unwrap();
    assert_eq!(programmed.message, "Pod shop/pod-2 refuses routes.chat: is not understood");
    assert_eq!(judged.sidecars.unwrap(), Sidecars::new(3, 1, 1));
}

#[test]
fn what_is_not_accepted_is_not_programmed_and_says_the_remedy() {
    let findings = [finding(Reason::FallbackCycle), finding(Reason::InvalidValue)];
    let judged = judged(&findings, Some(&tally(0, 0, 3)));
    let no = |reason: &str| (ConditionStatus::False, reason.to_owned());
    assert_eq!(line(&judged, ConditionType::Accepted), no("FallbackCycle"));
    assert_eq!(line(&judged, ConditionType::Programmed), no("NotAccepted"));
    assert_eq!(line(&judged, ConditionType::Ready), no("FallbackCycle"));
    assert_eq!(judged.conditions[0].message, "spec.targets[0].partner: is wrong; repair it (and 1 more)");
}

#[test]
fn a_missing_secret_leaves_the_object_accepted_and_not_ready() {
    for (reason, expected) in [
        (Reason::SecretMissing, "NotFound"),
        (Reason::SecretNotLabelled, "NotLabelled"),
        (Reason::NamespaceNotAllowed, "RefNotPermitted"),
        (Reason::PartnerRefused, "RefNotAccepted"),
        (Reason::InvalidCertificate, "InvalidKind"),
        (Reason::SecretKeyInvalid, "InvalidKind"),
    ] {
        let judged = judged(&[finding(reason)], Some(&tally(2, 0, 0)));
        assert_eq!(line(&judged, ConditionType::Accepted).0, ConditionStatus::True, "{reason:?}");
        let no = (ConditionStatus::False, expected.to_owned());
        assert_eq!(line(&judged, ConditionType::ResolvedRefs), no, "{reason:?}");
        assert_eq!(line(&judged, ConditionType::Ready), no, "{reason:?}");
    }
}

#[test]
fn a_warning_is_said_and_changes_nothing() {
    let judged = judged(&[finding(Reason::AliasShadowed)], None);
    assert_eq!(line(&judged, ConditionType::Ready).0, ConditionStatus::True);
    assert!(judged.conditions[0].message.starts_with("warning: "), "{}", judged.conditions[0].message);
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let before = wanted(&subject(&[], None), &Status::default(), Election::Past, time(EARLIER));
    let same = wanted(&subject(&[], None), &before, Election::Past, time(NOW));
    assert_eq!(same, before);
    let stale = tally(0, 0, 1);
    let changed = wanted(&subject(&[], Some(&stale)), &before, Election::Past, time(NOW));
    let at = |status: &Status, type_: &str| {
        status.conditions.iter().find(|it| it.type_ == type_).unwrap().last_transition_time.0
    };
    assert_eq!(at(&changed, "Programmed"), time(NOW));
    assert_eq!(at(&changed, "Accepted"), time(EARLIER));
}

#[test]
fn after_an_election_what_status_says_stands_until_it_is_proven_wrong() {
    let all = tally(5, 0, 0);
    let before = wanted(&subject(&[], Some(&all)), &Status::default(), Election::Past, time(EARLIER));
    let judge = |tally: &Tally, election| wanted(&subject(&[], Some(tally)), &before, election, time(NOW));
    assert_eq!(judge(&tally(0, 0, 0), Election::Recent), before, "nobody has returned yet");
    assert_eq!(judge(&tally(2, 0, 1), Election::Recent), before);
    let refused = judge(&tally(2, 1, 0), Election::Recent);
    assert_eq!(line(&refused, ConditionType::Programmed).1, "Refused");
    let late = judge(&tally(2, 0, 1), Election::Past);
    assert_eq!(line(&late, ConditionType::Programmed).1, "Propagating");
    let returning = tally(2, 0, 3);
    let edited = Subject { generation: 3, ..subject(&[], Some(&returning)) };
    let edited = wanted(&edited, &before, Election::Recent, time(NOW));
    assert_eq!(line(&edited, ConditionType::Programmed).1, "Propagating", "it was edited meanwhile");
}

#[test]
fn after_an_election_an_object_without_sidecars_counts_those_that_need_it_at_once() {
    let before = wanted(&subject(&[], None), &Status::default(), Election::Past, time(EARLIER));
    assert_eq!(line(&before, ConditionType::Programmed), (ConditionStatus::True, "NoSidecars".to_owned()));
    let judge = |tally| wanted(&subject(&[], Some(&tally)), &before, Election::Recent, time(NOW));
    let all = judge(tally(2, 0, 0));
    assert_eq!(line(&all, ConditionType::Programmed), (ConditionStatus::True, "Programmed".to_owned()));
    assert_eq!(all.sidecars.unwrap(), Sidecars::new(2, 0, 0));
    let some = judge(tally(1, 0, 1));
    assert_eq!(line(&some, ConditionType::Programmed), (ConditionStatus::False, "Propagating".to_owned()));
}

#[test]
fn the_health_of_a_partner_is_said_and_does_not_make_it_unready() {
    let judge = |health| {
        let subject = Subject { kind: Kind::Partner, health, ..subject(&[], None) };
        wanted(&subject, &Status::default(), Election::Past, time(NOW))
    };
    let failed = judge(Health::Unhealthy("answers 503".to_owned()));
    assert_eq!(line(&failed, ConditionType::Healthy), (ConditionStatus::False, "ProbeFailed".to_owned()));
    assert_eq!(line(&failed, ConditionType::Ready).0, ConditionStatus::True);
    assert_eq!(line(&judge(Health::Healthy), ConditionType::Healthy).0, ConditionStatus::True);
    assert_eq!(line(&judge(Health::NotProbed), ConditionType::Healthy).0, ConditionStatus::Unknown);
}
