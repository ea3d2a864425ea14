//! Which target comes next, and what the app is told when none is left. Pure.

use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Route, Target};
use chaperone_protocol::units::Tokens;
use sha2::{Digest, Sha256};

use crate::exchange::Failure;
use crate::refusal::Refusal;

/// The targets of one request, in order.
pub(crate) struct Plan<'a> {
    order: std::vec::IntoIter<&'a Target>,
    /// Only targets with a larger context help from now on.
    context_above: Option<Tokens>,
    stopped: bool,
    first: Option<Refusal>,
}

impl<'a> Plan<'a> {
    /// One target, drawn by weight, then its fallbacks. The same request id draws the same target.
    pub(crate) fn new(route: &'a Route, request_id: &str) -> Self {
        let sum: u64 = route.targets.iter().map(|target| u64::from(target.weight)).sum();
        let mut point = draw(request_id) % sum.max(1);
        let drawn = route.targets.iter().find(|target| {
            let weight = u64::from(target.weight);
            let here = point < weight;
            point = point.saturating_sub(weight);
            here
        });
        let order: Vec<_> = drawn
            .into_iter()
            .flat_map(|drawn| std::iter::once(&drawn.target).chain(&drawn.fallbacks))
            .collect();
        Self { order: order.into_iter(), context_above: None, stopped: false, first: None }
    }

    /// The next target that may help.
    pub(crate) fn next(&mut self) -> Option<&'a Target> {
        if self.stopped {
            return None;
        }
        let floor = self.context_above;
        self.order.find(|target| {
            floor.is_none_or(|floor| target.model.context_tokens.is_some_and(|own| own > floor))
        })
    }

    /// Notes that a target was not asked, because it cannot carry the request or must not be asked now.
    pub(crate) fn skip(&mut self, refusal: Refusal) {
        self.first.get_or_insert(refusal);
    }

    /// Notes that a target was asked in vain.
    pub(crate) fn failed(&mut self, target: &Target, failure: Failure) {
        match after(failure.reason) {
            Next::Another => {}
            Next::LargerContext => self.context_above = Some(target.model.context_tokens.unwrap_or_default()),
            Next::Nobody => self.stopped = true,
        }
        let refusal = refusal(failure);
        match &mut self.first {
            // The first failure of an attempt says more than a target that was passed over.
            None => self.first = Some(refusal),
            Some(first) => first.retry_after = shortest(first.retry_after, refusal.retry_after),
        }
    }

    /// What the app is told: the first target's reason, and the shortest wait that any of them asked for.
    pub(crate) fn refusal(self) -> Refusal {
        self.first.unwrap_or_else(|| Refusal::new(Reason::Internal, "the route has no target"))
    }
}

/// Who may help after a failure.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Another,
    LargerContext,
    Nobody,
}

fn after(reason: Reason) -> Next {
    match reason {
        Reason::PartnerUnavailable
        | Reason::PartnerAddressForbidden
        | Reason::PartnerError
        | Reason::PartnerProtocol
        | Reason::PartnerOverloaded
        | Reason::PartnerRateLimited
        | Reason::PartnerCredential
        | Reason::PartnerCredit
        | Reason::PartnerModel
        | Reason::CredentialMissing
        | Reason::FirstTokenTimeout
        | Reason::WholeTimeout
        | Reason::IdleTimeout
        | Reason::TotalTimeout
        | Reason::StreamBroken => Next::Another,
        Reason::ContextLength => Next::LargerContext,
        // The app's own fault, a refusal that is not shopped around, or nothing that a partner can say.
        Reason::PartnerRejected
        | Reason::ContentPolicy
        | Reason::InvalidRequest
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
        | Reason::Deadline
        | Reason::Internal => Next::Nobody,
    }
}

fn refusal(failure: Failure) -> Refusal {
    let own_words = match failure.reason {
        Reason::PartnerUnavailable => "the model's provider cannot be reached",
        Reason::PartnerAddressForbidden => "the model's provider has an address that must not be dialled",
        Reason::PartnerError => "the model's provider failed",
        Reason::PartnerProtocol => "the model's provider sent an answer that its API does not describe",
        Reason::PartnerOverloaded => "the model's provider is overloaded",
        Reason::PartnerRateLimited => "the model's provider limits our rate",
        Reason::PartnerCredential => "the model's provider refuses the platform's credential",
        Reason::PartnerCredit => "the platform's credit with the model's provider is spent",
        Reason::PartnerModel => "the model's provider does not know the model",
        Reason::CredentialMissing => "the credential for the model's provider is missing",
        Reason::FirstTokenTimeout => "the model's provider sent no token in time",
        Reason::WholeTimeout => "the model's provider sent no complete answer in time",
        Reason::IdleTimeout => "the model's provider fell silent",
        Reason::TotalTimeout => "the model's provider took longer than its limit",
        Reason::Deadline => "the request's deadline has passed",
        Reason::ContextLength => "the prompt is longer than the model's context",
        Reason::ContentPolicy => "the provider's content policy refused the request",
        Reason::PartnerRejected => "the model's provider found the request malformed",
        Reason::StreamBroken => "the model's provider broke the stream off",
        _ => "the request could not be served",
    };
    let message = failure.message.unwrap_or_else(|| own_words.to_owned());
    Refusal { reason: failure.reason, message, retry_after: failure.retry_after }
}

fn shortest(
    left: Option<std::time::Duration>,
    right: Option<std::time::Duration>,
) -> Option<std::time::Duration> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

/// A number that depends on nothing but the request's id.
fn draw(request_id: &str) -> u64 {
    let digest = Sha256::digest(request_id.as_bytes());
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests;
