//! Whom to ask next, when to ask the same again, and what the app is told when nobody is left. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chaperone_protocol::name::PartnerName;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{CancelBilling, Route, Target};
use chaperone_protocol::units::Tokens;
use sha2::{Digest, Sha256};

use super::verdict::{self, Next, Retry};
use crate::exchange::Failure;
use crate::refusal::Refusal;
use crate::retry;

/// A retry that waits longer than this gives way to another target.
const HASTE: Duration = Duration::from_secs(1);

/// The targets of one request, in order, and how often they may be asked.
pub(crate) struct Plan<'a> {
    left: VecDeque<&'a Target>,
    /// Whom the request was drawn for: its Partner says how many attempts there are in all.
    drawn: Option<&'a Target>,
    attempts: u32,
    on_partner: BTreeMap<&'a PartnerName, u32>,
    /// Of the target at hand.
    retries: u32,
    free_retry: Spare,
    /// Only targets with a larger context help from now on.
    context_above: Option<Tokens>,
    stopped: bool,
    first: Option<Refusal>,
}

/// Whether the one retry that costs nothing is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spare {
    Left,
    Used,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The same target again, not before this has passed.
    Again(Duration),
    /// The next target, if there is one.
    Next,
}

/// What decides over a retry, besides the failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    /// Until the request's deadline.
    pub(crate) left: Duration,
    /// Whether the partner's budget allows a retry.
    pub(crate) budget: Allowed,
    /// Whether a newer key than the one that was refused is there.
    pub(crate) newer_key: Allowed,
    pub(crate) random: u64,
}

/// A yes or no that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    Yes,
    No,
}

impl From<bool> for Allowed {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Yes } else { Self::No }
    }
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
        let left: VecDeque<_> = drawn
            .into_iter()
            .flat_map(|drawn| std::iter::once(&drawn.target).chain(&drawn.fallbacks))
            .collect();
        Self {
            drawn: left.front().copied(),
            left,
            attempts: 0,
            on_partner: BTreeMap::new(),
            retries: 0,
            free_retry: Spare::Left,
            context_above: None,
            stopped: false,
            first: None,
        }
    }

    /// Whom the request was drawn for.
    pub(crate) fn drawn(&self) -> Option<&'a Target> {
        self.drawn
    }

    /// The next target that may help.
    pub(crate) fn next(&mut self) -> Option<&'a Target> {
        let at = self.left.iter().position(|target| self.may_help(target))?;
        self.retries = 0;
        self.left.drain(..=at).next_back()
    }

    /// Whether another target would be tried if the present one failed now. `open`: whether it would be asked at all.
    pub(crate) fn has_another(&self, open: impl Fn(&Target) -> bool) -> bool {
        self.left.iter().any(|target| self.may_help(target) && open(target))
    }

    /// Notes that a target is asked.
    pub(crate) fn asked(&mut self, target: &'a Target) {
        self.attempts += 1;
        *self.on_partner.entry(&target.partner.name).or_default() += 1;
    }

    /// Notes that a target was not asked, because it cannot carry the request or must not be asked now.
    pub(crate) fn skip(&mut self, refusal: Refusal) -> Step {
        self.tell(refusal);
        Step::Next
    }

    /// Decides what follows when a target was asked in vain.
    pub(crate) fn failed(&mut self, target: &'a Target, failure: Failure, chance: &Chance) -> Step {
        let verdict = verdict::of(&failure);
        let wait = self.wait(target, &failure, verdict.retry, chance);
        match verdict.next {
            Next::Another => {}
            Next::LargerContext => self.context_above = Some(target.model.context_tokens.unwrap_or_default()),
            Next::Nobody => self.stopped = true,
        }
        self.tell(refusal(failure));
        match wait {
            Some(wait) => {
                self.retries += 1;
                Step::Again(wait)
            }
            None => Step::Next,
        }
    }

    /// What the app is told: the first target's reason, and the shortest wait that any of them asked for.
    pub(crate) fn refusal(self) -> Refusal {
        self.first.unwrap_or_else(|| Refusal::new(Reason::Internal, "the route has no target"))
    }

    /// The first failure says more than what came of it; the shortest wait is the app's.
    fn tell(&mut self, refusal: Refusal) {
        match &mut self.first {
            None => self.first = Some(refusal),
            Some(first) => first.retry_after = shortest(first.retry_after, refusal.retry_after),
        }
    }

    fn may_help(&self, target: &Target) -> bool {
        let is_larger =
            self.context_above.is_none_or(|floor| target.model.context_tokens.is_some_and(|own| own > floor));
        is_larger && !self.stopped && self.may_ask(target)
    }

    /// Attempts of the request are bounded by its first target, those on one partner by that partner.
    fn may_ask(&self, target: &Target) -> bool {
        let on_partner = self.on_partner.get(&target.partner.name).copied().unwrap_or_default();
        self.attempts < self.most() && on_partner < max_attempts(target)
    }

    fn most(&self) -> u32 {
        self.drawn.map_or(0, max_attempts)
    }

    /// How long to wait before the same target is asked again, if it is.
    fn wait(&mut self, target: &Target, failure: &Failure, kind: Retry, chance: &Chance) -> Option<Duration> {
        let policy = &target.partner.protection;
        let has_another = self.has_another(|_| true);
        let is_once = self.retries == 0;
        let allowed = match kind {
            Retry::Never => false,
            Retry::Free => {
                return (std::mem::replace(&mut self.free_retry, Spare::Used) == Spare::Left)
                    .then_some(Duration::ZERO)
                    .filter(|_| self.may_ask(target));
            }
            // Others may serve at once what this one refuses for now.
            Retry::Backoff if failure.reason == Reason::PartnerRateLimited => !has_another,
            Retry::Backoff => true,
            Retry::IfNothingBilled => is_once && policy.cancel_billing == CancelBilling::None,
            Retry::IfNewerKey => is_once && chance.newer_key == Allowed::Yes,
        };
        if !allowed || chance.budget == Allowed::No || !self.may_ask(target) {
            return None;
        }
        if kind == Retry::IfNewerKey {
            return Some(Duration::ZERO);
        }
        let wait = retry::wait(&policy.retry, self.retries, failure.retry_after, chance.random);
        let fits = wait + target.partner.timeouts.connect <= chance.left;
        let fits_queue =
            failure.reason != Reason::PartnerRateLimited || wait <= policy.queue.max_wait.max(HASTE);
        // While somebody else could serve, one quick retry is all that this one gets, and never the other's attempt.
        let leaves_one = self.attempts + 1 < self.most();
        let is_quick = !has_another || (is_once && leaves_one && wait <= HASTE);
        (fits && fits_queue && is_quick).then_some(wait)
    }
}

fn max_attempts(target: &Target) -> u32 {
    target.partner.protection.retry.max_attempts.get()
}

fn refusal(failure: Failure) -> Refusal {
    let own_words = match failure.reason {
        Reason::PartnerUnavailable => "the model's provider cannot be reached",
        Reason::PartnerAddressForbidden => "the model's provider has an address that must not be dialled",
        Reason::PartnerError => "the model's provider failed",
        Reason::PartnerProtocol => "the model's provider sent an answer that its API does not describe",
        Reason::PartnerOverloaded => "the model's provider is overloaded",
        Reason::Overloaded => "this sidecar has no connection left to make; ask again later",
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

fn shortest(left: Option<Duration>, right: Option<Duration>) -> Option<Duration> {
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
