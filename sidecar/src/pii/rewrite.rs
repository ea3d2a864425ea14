//! What one answer needs, to be rewritten for its app: the values behind its request's placeholders, and the policy.

use std::fmt;
use std::sync::Arc;

use chaperone_protocol::keys::PseudonymKey;
use chaperone_protocol::snapshot::pii::Restored;
use chaperone_redact::Vault;

use super::PairPolicy;
use super::texts::Scrubber;

/// For the answers to one request by one partner. An abandoned attempt's never serves the next one's answer.
#[derive(Clone)]
pub(crate) struct Rewrite {
    policy: Arc<PairPolicy>,
    /// What was minted for the request.
    vault: Arc<Vault>,
    key: PseudonymKey,
    partner: String,
}

impl fmt::Debug for Rewrite {
    /// No values.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Rewrite({:?})", self.vault)
    }
}

impl Rewrite {
    /// With the vault that the request was redacted by.
    pub(crate) fn new(policy: Arc<PairPolicy>, vault: Vault, key: PseudonymKey, partner: &str) -> Self {
        Self { policy, vault: Arc::new(vault), key, partner: partner.to_owned() }
    }

    /// The rewriter of one answer; `None` if there is nothing to restore and nothing to look for.
    pub(crate) fn scrubber(&self) -> Option<Scrubber> {
        let places = [Restored::Text, Restored::ToolArguments];
        let restores = !self.vault.is_empty() && places.iter().any(|place| self.policy.restores(*place));
        (restores || self.policy.answers.is_some()).then(|| Scrubber::new(self.clone()))
    }

    /// What answers are searched for.
    pub(crate) fn answers(&self) -> Option<Arc<chaperone_redact::Policy>> {
        self.policy.answers.clone()
    }

    pub(super) fn policy(&self) -> &PairPolicy {
        &self.policy
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// For hashes of what the answer itself holds, and so that surrogates of the request are not taken for that.
    pub(super) fn own_vault(&self) -> Vault {
        let key = chaperone_redact::PseudonymKey::new(*self.key.expose());
        Vault::new(key, &self.partner, "").sparing(&self.vault)
    }
}
