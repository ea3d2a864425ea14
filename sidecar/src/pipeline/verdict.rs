//! What each way to fail means: for the partner's breaker, for a retry, for a fallback, for what was reserved.
//!
//! The one table of it. Whoever adds a reason says here what follows from it.

use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::CancelBilling;

use crate::exchange::{Failure, Reached};
use crate::gate::{Cost, Said};

/// All that follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) breaker: Breaker,
    pub(crate) retry: Retry,
    pub(crate) next: Next,
    pub(crate) reservation: Reservation,
}

/// What it says of the partner's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaker {
    Failure,
    /// A failure, and we send too much.
    Overload,
    /// No verdict, but we send too much.
    Limited,
    /// No verdict, but the credential rests.
    Cooldown,
    Neutral,
}

/// Whether the same partner is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// After a wait, of at least what the partner asks for.
    Backoff,
    /// Once, and at no cost: the partner did not begin to work.
    Free,
    /// Once, where the partner bills nothing for what it did not answer.
    IfNothingBilled,
    /// Once, if a newer key has arrived meanwhile.
    IfNewerKey,
}

/// Who may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Another,
    LargerContext,
    Nobody,
}

/// What becomes of what was reserved for the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reservation {
    /// All of it is given back.
    Release,
    /// Its tokens are given back. That it was sent counts: providers count failed requests too.
    KeepSlot,
    /// As the Partner's `cancelBilling` says.
    CancelBilling,
    /// It was answered, with what cannot be read: our estimate stands.
    Estimate,
}

impl Breaker {
    /// What the gate is told.
    pub(crate) fn said(self) -> Said {
        match self {
            Self::Failure => Said::Failure,
            Self::Overload => Said::Overload,
            Self::Limited => Said::Limited,
            Self::Cooldown | Self::Neutral => Said::Nothing,
        }
    }
}

impl Reservation {
    /// What an attempt costs at a partner that bills so, after `seen` tokens.
    pub(crate) fn cost(self, billing: CancelBilling, reached: Reached, seen: u64) -> Cost {
        match (self, reached) {
            (_, Reached::Nothing | Reached::Unprocessed) => Cost::Nothing,
            (Self::Release | Self::KeepSlot, Reached::Everything) => Cost::Tokens(0),
            (Self::CancelBilling, Reached::Everything) => Cost::of_cancelled(billing, seen),
            (Self::Estimate, Reached::Everything) => Cost::Reserved,
        }
    }
}

/// The row of a failure before the commit point.
pub(crate) fn of(failure: &Failure) -> Verdict {
    let row = |breaker, retry, next, reservation| Verdict { breaker, retry, next, reservation };
    match failure.reason {
        Reason::PartnerUnavailable => match failure.reached {
            Reached::Nothing => row(Breaker::Failure, Retry::Backoff, Next::Another, Reservation::Release),
            Reached::Unprocessed => row(Breaker::Neutral, Retry::Free, Next::Another, Reservation::Release),
            Reached::Everything => {
                row(Breaker::Failure, Retry::IfNothingBilled, Next::Another, Reservation::CancelBilling)
            }
        },
        // Nothing of the partner's: whoever may be dialled is for the platform to say.
        Reason::PartnerAddressForbidden | Reason::CredentialMissing => {
            row(Breaker::Neutral, Retry::Never, Next::Another, Reservation::Release)
        }
        // It may be generating: asked again it would bill twice.
        Reason::FirstTokenTimeout
        | Reason::WholeTimeout
        | Reason::IdleTimeout
        | Reason::TotalTimeout
        | Reason::StreamBroken => {
            row(Breaker::Failure, Retry::Never, Next::Another, Reservation::CancelBilling)
        }
        // An app's own haste must not trip a breaker that others share.
        Reason::Deadline => row(Breaker::Neutral, Retry::Never, Next::Nobody, Reservation::CancelBilling),
        Reason::PartnerError => row(Breaker::Failure, Retry::Backoff, Next::Another, Reservation::Release),
        Reason::PartnerOverloaded => {
            row(Breaker::Overload, Retry::Backoff, Next::Another, Reservation::Release)
        }
        Reason::PartnerRateLimited => {
            row(Breaker::Limited, Retry::Backoff, Next::Another, Reservation::KeepSlot)
        }
        Reason::PartnerCredit => row(Breaker::Cooldown, Retry::Never, Next::Another, Reservation::Release),
        Reason::PartnerCredential => {
            row(Breaker::Cooldown, Retry::IfNewerKey, Next::Another, Reservation::Release)
        }
        Reason::PartnerModel => row(Breaker::Neutral, Retry::Never, Next::Another, Reservation::Release),
        Reason::ContextLength => {
            row(Breaker::Neutral, Retry::Never, Next::LargerContext, Reservation::Release)
        }
        Reason::PartnerProtocol => row(Breaker::Failure, Retry::Never, Next::Another, Reservation::Estimate),
        // The app's own fault, or a refusal that is not shopped around.
        Reason::PartnerRejected | Reason::ContentPolicy => {
            row(Breaker::Neutral, Retry::Never, Next::Nobody, Reservation::Release)
        }
        // The answer was whole and is paid for; our own policy keeps it.
        Reason::PiiBlocked | Reason::PiiUnscannable => {
            row(Breaker::Neutral, Retry::Never, Next::Nobody, Reservation::Estimate)
        }
        // Nothing that a partner can say.
        Reason::InvalidRequest
        | Reason::PiiBackend
        | Reason::UnsupportedEndpoint
        | Reason::UnsupportedContent
        | Reason::UnsupportedMediaType
        | Reason::TooLarge
        | Reason::RequestTimeout
        | Reason::NotFound
        | Reason::MethodNotAllowed
        | Reason::UnknownAlias
        | Reason::RouteInvalid
        | Reason::NoQuota
        | Reason::TenantForbidden
        | Reason::TenantAmbiguous
        | Reason::TenantRequired
        | Reason::NoConfig
        | Reason::Draining
        | Reason::Memory
        | Reason::Overloaded
        | Reason::BreakerOpen
        | Reason::QueueFull
        | Reason::QueueWait
        | Reason::QueueShed
        | Reason::Internal => row(Breaker::Neutral, Retry::Never, Next::Nobody, Reservation::Release),
    }
}

#[cfg(test)]
mod tests;
