//! What stands in the place of a finding.

use crate::entity::Entity;
use crate::finding::Span;
use crate::policy::{Action, Policy};
use crate::pseudonym::Vault;

/// What stands in the place of a finding.
pub(crate) fn replacement(
    policy: &Policy,
    vault: &mut Vault,
    span: &Span,
    action: Action,
    value: &str,
) -> String {
    let label = policy.label(span.entity);
    match action {
        Action::Mask | Action::Block => {
            mask(value, if keeps_last(span.entity) { policy.keep_last } else { 0 })
        }
        Action::Label => format!("[{label}]"),
        Action::Hash => vault.digest(label, value),
        Action::Pseudonym => vault.mint(label, value, policy.form(span.entity)),
    }
}

const fn keeps_last(entity: Entity) -> bool {
    matches!(entity, Entity::CreditCard | Entity::Phone | Entity::Iban | Entity::BankAccount)
}

fn mask(value: &str, keep: usize) -> String {
    let letters: Vec<char> = value.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let kept = letters.iter().skip(letters.len().saturating_sub(keep));
    "****".chars().chain(kept.copied()).collect()
}
