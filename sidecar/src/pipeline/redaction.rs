//! Prompt x policy -> what one partner may see. What cannot be scanned to its end is not sent.
//!
//! The data runtime has one thread, so the engine gives it back between steps. A redaction serves every attempt at its
//! partner; the next partner gets one of its own.

mod analysis;

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chaperone_protocol::keys::PseudonymKey;
use chaperone_protocol::limits;
use chaperone_protocol::name::{PartnerName, is_sane_id};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::Target;
use chaperone_redact::{Counts, Engine, NameFinder, Refused, Rules, Unscannable, Vault};
use http::HeaderMap;
use tokio::time::timeout;

use super::attempt::Call;
use crate::analyzer::Assisted;
use crate::clock;
use crate::defect::caught;
use crate::pii::{self, PairPolicy, Rewrite, hint, identifier, turns};
use crate::prompt::Redacted;
use crate::record::Record;
use crate::refusal::Refusal;

/// A body that takes longer is not sent. The largest body takes a part of this.
const PATIENCE: Duration = Duration::from_secs(20);
// An analyzer that hangs is found out before the request gives up.
const _: () = assert!(limits::PII_ANALYZER_TIMEOUT.as_secs() * 2 <= PATIENCE.as_secs());

/// A request as one partner may see it.
pub(super) struct Redaction {
    pub(super) prompt: Redacted,
    pub(super) rewrite: Rewrite,
    pub(super) request_id: String,
    pub(super) correlation_id: String,
}

/// The last redaction of a request, and what analyzers have found in it.
#[derive(Default)]
pub(crate) struct Redactions {
    last: Mutex<Option<(PartnerName, Arc<Redaction>)>>,
    analyses: analysis::Analyses,
}

impl Redactions {
    fn of(&self, partner: &PartnerName) -> Option<Arc<Redaction>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(of, _)| of == partner).map(|(_, redaction)| Arc::clone(redaction))
    }

    fn keep(&self, partner: &PartnerName, redaction: &Arc<Redaction>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((partner.clone(), Arc::clone(redaction)));
    }
}

/// Redacts the request for `target`.
///
/// # Errors
/// The policy blocks what stands in it, or it cannot be scanned or analyzed.
pub(super) async fn redact(
    call: &Call<'_>,
    target: &Target,
    record: &mut Record,
) -> Result<Arc<Redaction>, Refusal> {
    let partner = &target.partner.name;
    if let Some(known) = call.redactions.of(partner) {
        return Ok(known);
    }
    let policy = call.world.policies.get(&call.route.alias, partner).ok_or_else(no_policy)?;
    let scope = pii::scope_text(policy.written.scope, conversation(call.headers)?, record.request_id());
    let mut vault = vault(&call.world.pseudonyms, partner, scope);
    let analyses = match analysis::analyzers(policy) {
        [] => Vec::new(),
        some => Box::pin(analysis::all(call, policy, some, record)).await?,
    };
    let began = clock::now();
    let assisted = policy.names().map(|own| Assisted { own, analyses: &analyses });
    let names = assisted.as_ref().map(|assisted| assisted as &dyn NameFinder);
    let rules = Rules { policy: &policy.requests, table: pii::field_table(call.prompt.api()), names };
    let scanned = scan(call.prompt.body(), rules, &mut vault, PATIENCE).await;
    let took = clock::now() - began;
    let engine = scanned.map_err(|failure| refuse(&failure, policy, record, took))?;
    record.redacted(&policy.requests, engine.counts(), took);
    let hint = hint(policy, call.prompt.api(), call.prompt.body());
    let prompt = Redacted::new(call.prompt, &engine, hint, &call.shared.memory)?;
    let mut id = |id: &str| {
        let outgoing = identifier::outgoing(id, &policy.requests, &mut vault);
        outgoing.map_err(|refused| Failure::from(refused).refusal(policy))
    };
    let (request_id, correlation_id) = (id(record.request_id())?, id(record.correlation_id())?);
    let rewrite = Rewrite::new(Arc::clone(policy), vault, call.world.pseudonyms.clone(), partner.as_str());
    let redaction = Arc::new(Redaction { prompt, rewrite, request_id, correlation_id });
    call.redactions.keep(partner, &redaction);
    Ok(redaction)
}

fn refuse(failure: &Failure, policy: &PairPolicy, record: &mut Record, took: Duration) -> Refusal {
    record.redacted(&policy.requests, failure.found(), took);
    if let Some(bound) = failure.bound() {
        record.bound_hit(bound);
    }
    failure.refusal(policy)
}

fn vault(key: &PseudonymKey, partner: &PartnerName, scope: &str) -> Vault {
    Vault::new(chaperone_redact::PseudonymKey::new(*key.expose()), partner.as_str(), scope)
}

fn hint(policy: &PairPolicy, api: ClientApi, body: &Bytes) -> Vec<crate::json::Edit> {
    let wanted = policy.written.hint && policy.mints();
    if wanted { hint::edit(api, body).into_iter().collect() } else { Vec::new() }
}

/// `x-chaperone-conversation`: whose turns share their placeholders.
fn conversation(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get("x-chaperone-conversation") else { return Ok(None) };
    let sane = value.to_str().ok().filter(|id| is_sane_id(id));
    let message = "x-chaperone-conversation must have 1 to 128 visible ASCII characters";
    sane.map(Some).ok_or_else(|| Refusal::new(Reason::InvalidRequest, message))
}

/// Why a request is not sent.
enum Failure {
    Refused(Refused),
    /// A defect of ours, or more time than there is.
    Defect,
    Slow,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Runs the engine step by step, and gives way to the other requests in between.
async fn scan(
    body: &Bytes,
    rules: Rules<'_>,
    vault: &mut Vault,
    patience: Duration,
) -> Result<chaperone_redact::Redacted<Bytes>, Failure> {
    let engine = Engine::new(body.clone(), rules, vault);
    match timeout(patience, caught(pin!(turns::finish(engine, &rules)))).await {
        Ok(Ok(redacted)) => Ok(redacted?),
        Ok(Err(_)) => Err(Failure::Defect),
        Err(_) => Err(Failure::Slow),
    }
}

impl Failure {
    fn found(&self) -> &Counts {
        static NOTHING: Counts = Counts::new();
        match self {
            Self::Refused(Refused::Blocked(found)) => found,
            Self::Refused(Refused::Unscannable(_) | Refused::NonText) | Self::Defect | Self::Slow => &NOTHING,
        }
    }

    fn bound(&self) -> Option<&'static str> {
        match self {
            Self::Refused(Refused::Unscannable(Unscannable::TooManyFindings)) => Some("findings"),
            Self::Refused(Refused::Unscannable(Unscannable::TooDeep)) => Some("depth"),
            Self::Slow => Some("time"),
            Self::Refused(_) | Self::Defect => None,
        }
    }

    /// Kinds and counts, never values.
    fn refusal(&self, policy: &PairPolicy) -> Refusal {
        match self {
            Self::Refused(Refused::Blocked(found)) => {
                let kinds: Vec<_> = found
                    .iter()
                    .map(|((entity, _), count)| format!("{} ({count})", policy.requests.label(*entity)))
                    .collect();
                let message =
                    format!("the request holds personal data that must not be sent: {}", kinds.join(", "));
                Refusal::new(Reason::PiiBlocked, message)
            }
            Self::Refused(Refused::NonText) => Refusal::new(
                Reason::PiiBlocked,
                "the request holds images, audio or files, which this route does not send unread",
            ),
            Self::Refused(Refused::Unscannable(why)) => Refusal::new(
                Reason::PiiUnscannable,
                format!("the request cannot be scanned for personal data: {why}"),
            ),
            Self::Defect => Refusal::new(
                Reason::PiiUnscannable,
                "the request could not be scanned for personal data, and was not sent",
            ),
            Self::Slow => Refusal::new(
                Reason::PiiUnscannable,
                "the request took too long to be scanned for personal data, and was not sent",
            ),
        }
    }
}

fn no_policy() -> Refusal {
    Refusal::new(
        Reason::RouteInvalid,
        "this model's route has a redaction policy that this sidecar cannot run; nothing was sent",
    )
}

#[cfg(test)]
mod tests;
