//! Every refusal: its status, its text for the app, and whether the app should try again.
//!
//! What the app may read and what the log may read are kept apart: `message` is for the app.

use std::time::Duration;

use chaperone_protocol::adapter::Dialect;
use chaperone_protocol::reason::Reason;

use crate::defect::Defect;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The stable code.
    pub(crate) reason: Reason,
    /// For the app: names the thing and the remedy. Never holds a secret, nor the content of a prompt.
    pub(crate) message: String,
    /// When another try may help.
    pub(crate) retry_after: Option<Duration>,
}

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The app's request is at fault.
    InvalidRequest,
    /// The app may not do this.
    Permission,
    /// There is no such thing.
    NotFound,
    /// Too much at once.
    TooLarge,
    /// Too often.
    RateLimit,
    /// We, or a partner, could not.
    Server,
    /// A partner, or we, have too much to do.
    Overloaded,
    /// It took too long.
    Timeout,
}

impl Refusal {
    /// A refusal without advice on when to try again.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }

    /// The status for an app that speaks `dialect`.
    pub(crate) fn status(&self, dialect: Dialect) -> u16 {
        let overloaded = matches!(self.reason, Reason::PartnerOverloaded | Reason::Overloaded);
        match row(self.reason) {
            (503, Class::Overloaded) if overloaded && dialect == Dialect::Anthropic => 529,
            (status, _) => status,
        }
    }

    /// Who has to act.
    pub(crate) fn class(&self) -> Class {
        row(self.reason).1
    }
}

impl From<Defect> for Refusal {
    fn from(_: Defect) -> Self {
        Self::new(Reason::Internal, "this sidecar has a defect, which ended the request; its log says where")
    }
}

/// Status and class of every reason.
fn row(reason: Reason) -> (u16, Class) {
    match reason {
        Reason::InvalidRequest
        | Reason::UnsupportedEndpoint
        | Reason::UnsupportedContent
        | Reason::TenantAmbiguous
        | Reason::TenantRequired
        | Reason::ContextLength
        | Reason::ContentPolicy
        | Reason::PiiBlocked
        | Reason::PiiUnscannable
        | Reason::PartnerRejected => (400, Class::InvalidRequest),
        Reason::NoQuota | Reason::TenantForbidden => (403, Class::Permission),
        Reason::NotFound | Reason::UnknownAlias => (404, Class::NotFound),
        Reason::MethodNotAllowed => (405, Class::InvalidRequest),
        Reason::RequestTimeout => (408, Class::InvalidRequest),
        Reason::TooLarge => (413, Class::TooLarge),
        Reason::UnsupportedMediaType => (415, Class::InvalidRequest),
        Reason::PartnerRateLimited | Reason::QueueFull | Reason::QueueWait | Reason::QueueShed => {
            (429, Class::RateLimit)
        }
        Reason::Internal => (500, Class::Server),
        Reason::PartnerUnavailable
        | Reason::PartnerAddressForbidden
        | Reason::PartnerError
        | Reason::PartnerProtocol
        | Reason::PartnerCredential
        | Reason::PartnerModel
        | Reason::StreamBroken => (502, Class::Server),
        Reason::PartnerCredit
        | Reason::CredentialMissing
        | Reason::RouteInvalid
        | Reason::NoConfig
        | Reason::PiiBackend => (503, Class::Server),
        Reason::Draining
        | Reason::Memory
        | Reason::Overloaded
        | Reason::BreakerOpen
        | Reason::PartnerOverloaded => (503, Class::Overloaded),
        Reason::Deadline
        | Reason::FirstTokenTimeout
        | Reason::WholeTimeout
        | Reason::IdleTimeout
        | Reason::TotalTimeout => (504, Class::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_readme_lists_every_reason_under_its_status() {
        let readme = include_str!("../../README.md");
        let mut listed: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
        for line in readme.lines().filter(|line| line.starts_with("| ")) {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let (Some(status), Some(codes)) = (cells.next(), cells.next()) else { continue };
            let Ok(status) = status.parse() else { continue };
            listed.entry(status).or_default().extend(codes.split(", ").map(|code| code.trim_matches('`')));
        }
        let mut known: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
        for reason in Reason::ALL {
            known.entry(row(*reason).0).or_default().insert(reason.code());
        }
        assert_eq!(listed, known);
    }
}
