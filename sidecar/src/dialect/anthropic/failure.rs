//! Errors that come inside an answer whose status was 200.

use chaperone_protocol::reason::Reason;

use crate::exchange::Failure;

/// What a declared error of this type means.
pub(crate) fn declared(kind: &str) -> Failure {
    Failure::new(match kind {
        "overloaded_error" => Reason::PartnerOverloaded,
        "rate_limit_error" => Reason::PartnerRateLimited,
        "billing_error" => Reason::PartnerCredit,
        "authentication_error" | "permission_error" => Reason::PartnerCredential,
        "not_found_error" => Reason::PartnerModel,
        "request_too_large" => Reason::ContextLength,
        "invalid_request_error" => Reason::PartnerRejected,
        _ => Reason::PartnerError,
    })
}
