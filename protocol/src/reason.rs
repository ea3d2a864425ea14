//! Why a request was refused or an attempt failed: one closed list, for headers, records and metric labels.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A stable code. Its status and its text for the app stand in the sidecar's `refusal.rs`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code, as in `x-chaperone-reason`.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

reasons! {
    /// The request is malformed.
    InvalidRequest = "invalid_request",
    /// The route's partner has no such endpoint.
    UnsupportedEndpoint = "unsupported_endpoint",
    /// The request has a part that no target can carry.
    UnsupportedContent = "unsupported_content",
    /// The body is not JSON, or is encoded.
    UnsupportedMediaType = "unsupported_media_type",
    /// The body is larger than the limit.
    TooLarge = "too_large",
    /// The body did not arrive in time.
    RequestTimeout = "request_timeout",
    /// There is no such path.
    NotFound = "not_found",
    /// The path takes another method.
    MethodNotAllowed = "method_not_allowed",
    /// No route has this alias.
    UnknownAlias = "unknown_alias",
    /// The alias belongs to a route that could not be compiled.
    RouteInvalid = "route_invalid",
    /// No TenantQuota covers the caller.
    NoQuota = "no_quota",
    /// The caller may not act for this tenant.
    TenantForbidden = "tenant_forbidden",
    /// More than one tenant is named.
    TenantAmbiguous = "tenant_ambiguous",
    /// The caller may act for several tenants and named none.
    TenantRequired = "tenant_required",
    /// The prompt is longer than the model's context.
    ContextLength = "context_length",
    /// The partner's content policy refused the request.
    ContentPolicy = "content_policy",
    /// The request holds personal data, or data other than text, that must not reach any of the route's partners.
    PiiBlocked = "pii_blocked",
    /// The request could not be scanned for personal data to its end.
    PiiUnscannable = "pii_unscannable",
    /// The analyzer that the request must pass could not be asked, or gave no usable answer.
    PiiBackend = "pii_backend",
    /// The partner found the request malformed.
    PartnerRejected = "partner_rejected",
    /// There is no configuration yet.
    NoConfig = "no_config",
    /// The sidecar is ending.
    Draining = "draining",
    /// Too much memory is in use.
    Memory = "memory",
    /// Too many requests or connections at once.
    Overloaded = "overloaded",
    /// The request's deadline has passed.
    Deadline = "deadline",
    /// No meaningful token in time.
    FirstTokenTimeout = "first_token_timeout",
    /// No complete answer in time.
    WholeTimeout = "whole_timeout",
    /// The stream fell silent.
    IdleTimeout = "idle_timeout",
    /// The attempt took longer than its limit.
    TotalTimeout = "total_timeout",
    /// Connect, DNS, TLS or reset.
    PartnerUnavailable = "partner_unavailable",
    /// The partner's address is one that must not be dialled.
    PartnerAddressForbidden = "partner_address_forbidden",
    /// The partner answered with a 5xx.
    PartnerError = "partner_error",
    /// The partner answered with something that its API does not say.
    PartnerProtocol = "partner_protocol",
    /// The partner is overloaded.
    PartnerOverloaded = "partner_overloaded",
    /// The partner limits our rate.
    PartnerRateLimited = "partner_rate_limited",
    /// The partner refuses our credential.
    PartnerCredential = "partner_credential",
    /// Our credit with the partner is spent.
    PartnerCredit = "partner_credit",
    /// The partner does not know the model.
    PartnerModel = "partner_model",
    /// The partner's credential is not at hand.
    CredentialMissing = "credential_missing",
    /// The partner has failed too often and is left alone.
    BreakerOpen = "breaker_open",
    /// No more may wait for the partner's rate.
    QueueFull = "queue_full",
    /// The wait for the partner's rate would be, or was, too long.
    QueueWait = "queue_wait",
    /// Given up so that others can be served: the queue stood.
    QueueShed = "queue_shed",
    /// The stream broke after it had begun.
    StreamBroken = "stream_broken",
    /// A defect of ours.
    Internal = "internal",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
