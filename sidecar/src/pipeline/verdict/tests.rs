use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::pair::ClientApi;

use super::*;
use crate::adapter::error::classify;
use crate::refusal::Refusal;

use Breaker as B;
use Next as N;
use Reservation as V;
use Retry as R;

/// The table as the design has it: event, breaker, retry, fallback, reservation.
const ROWS: &[(Reason, Reached, B, R, N, V)] = &[
    (Reason::PartnerUnavailable, Reached::Nothing, B::Failure, R::Backoff, N::Another, V::Release),
    (
        Reason::PartnerUnavailable,
        Reached::Everything,
        B::Failure,
        R::IfNothingBilled,
        N::Another,
        V::CancelBilling,
    ),
    (Reason::PartnerUnavailable, Reached::Unprocessed, B::Neutral, R::Free, N::Another, V::Release),
    (Reason::FirstTokenTimeout, Reached::Everything, B::Failure, R::Never, N::Another, V::CancelBilling),
    (Reason::WholeTimeout, Reached::Everything, B::Failure, R::Never, N::Another, V::CancelBilling),
    (Reason::IdleTimeout, Reached::Everything, B::Failure, R::Never, N::Another, V::CancelBilling),
    (Reason::TotalTimeout, Reached::Everything, B::Failure, R::Never, N::Another, V::CancelBilling),
    (Reason::Deadline, Reached::Everything, B::Neutral, R::Never, N::Nobody, V::CancelBilling),
    (Reason::PartnerError, Reached::Everything, B::Failure, R::Backoff, N::Another, V::Release),
    (Reason::PartnerOverloaded, Reached::Everything, B::Overload, R::Backoff, N::Another, V::Release),
    (Reason::PartnerRateLimited, Reached::Everything, B::Limited, R::Backoff, N::Another, V::KeepSlot),
    (Reason::PartnerCredit, Reached::Everything, B::Cooldown, R::Never, N::Another, V::Release),
    (Reason::PartnerCredential, Reached::Everything, B::Cooldown, R::IfNewerKey, N::Another, V::Release),
    (Reason::PartnerModel, Reached::Everything, B::Neutral, R::Never, N::Another, V::Release),
    (Reason::PartnerRejected, Reached::Everything, B::Neutral, R::Never, N::Nobody, V::Release),
    (Reason::ContextLength, Reached::Everything, B::Neutral, R::Never, N::LargerContext, V::Release),
    (Reason::ContentPolicy, Reached::Everything, B::Neutral, R::Never, N::Nobody, V::Release),
    (Reason::PartnerProtocol, Reached::Everything, B::Failure, R::Never, N::Another, V::Estimate),
];

#[test]
fn every_row_says_what_the_table_says() {
    for (reason, reached, breaker, retry, next, reservation) in ROWS {
        let failure = Failure { reached: *reached, ..Failure::new(*reason) };
        let expected = Verdict { breaker: *breaker, retry: *retry, next: *next, reservation: *reservation };
        assert_eq!(of(&failure), expected, "{} {reached:?}", reason.code());
    }
}

/// What partners answer, by which row it is judged.
const ANSWERS: &[(u16, &str, Reason)] = &[
    (500, "", Reason::PartnerError),
    (502, "<html>", Reason::PartnerError),
    (503, "{}", Reason::PartnerError),
    (504, "", Reason::PartnerError),
    (408, "", Reason::PartnerError),
    (424, "", Reason::PartnerError),
    (529, "", Reason::PartnerOverloaded),
    (429, "", Reason::PartnerRateLimited),
    (429, r#"{"error":{"code":"insufficient_quota"}}"#, Reason::PartnerCredit),
    (402, "", Reason::PartnerCredit),
    (401, "", Reason::PartnerCredential),
    (403, "", Reason::PartnerCredential),
    (404, "", Reason::PartnerModel),
    (400, r#"{"error":{"code":"content_filter"}}"#, Reason::ContentPolicy),
    (400, r#"{"error":{"code":"context_length_exceeded"}}"#, Reason::ContextLength),
    (400, "", Reason::PartnerRejected),
    (413, "", Reason::PartnerRejected),
    (422, "", Reason::PartnerRejected),
];

/// The same answer is the same row whatever the app speaks, and becomes an error that its dialect has.
#[test]
fn every_answer_has_its_row_and_its_error_on_every_endpoint() {
    for (status, body, reason) in ANSWERS {
        let failure = classify(Some(*status), body.as_bytes(), None);
        assert_eq!(failure.reason, *reason, "{status} {body}");
        assert!(ROWS.iter().any(|row| row.0 == *reason));
        for api in ClientApi::ALL {
            let refusal = Refusal::new(failure.reason, "words");
            let expected = match failure.reason {
                Reason::PartnerOverloaded if api.dialect() == Dialect::Anthropic => 529,
                Reason::PartnerOverloaded | Reason::PartnerCredit => 503,
                Reason::PartnerRateLimited => 429,
                Reason::PartnerRejected | Reason::ContextLength | Reason::ContentPolicy => 400,
                _ => 502,
            };
            assert_eq!(refusal.status(api.dialect()), expected, "{} for {status}", api.path());
            let text = crate::dialect::error::body(api.dialect(), &refusal, "req_1");
            let json: serde_json::Value = serde_json::from_slice(text.as_ref()).unwrap();
            assert!(json.to_string().contains("words"), "{}", api.path());
        }
    }
}

#[test]
fn what_an_attempt_costs_follows_reservation_and_billing() {
    let cost = |reservation: V, billing| reservation.cost(billing, Reached::Everything, 7);
    for billing in [CancelBilling::None, CancelBilling::Partial, CancelBilling::Full, CancelBilling::Unknown]
    {
        assert_eq!(cost(V::Release, billing), Cost::Tokens(0));
        assert_eq!(cost(V::KeepSlot, billing), Cost::Tokens(0));
        assert_eq!(cost(V::Estimate, billing), Cost::Reserved);
        assert_eq!(V::CancelBilling.cost(billing, Reached::Nothing, 7), Cost::Nothing);
    }
    assert_eq!(cost(V::CancelBilling, CancelBilling::None), Cost::Tokens(0));
    assert_eq!(cost(V::CancelBilling, CancelBilling::Partial), Cost::Tokens(7));
    assert_eq!(cost(V::CancelBilling, CancelBilling::Full), Cost::Reserved);
    assert_eq!(cost(V::CancelBilling, CancelBilling::Unknown), Cost::Reserved);
}
