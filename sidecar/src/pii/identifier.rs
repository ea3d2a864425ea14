//! Ids that apps make up: personal data in them becomes a hash, so that one person still has one id.

use std::sync::LazyLock;

use chaperone_protocol::keys::PseudonymKey;
use chaperone_redact::{FieldTable, Filter, Policy, PolicySpec, Refused, Rules, Vault, redact_json};

/// What ids are searched for before it is known which route they are for.
static USUAL: LazyLock<Option<Policy>> =
    LazyLock::new(|| Policy::compile(&PolicySpec { filter: Filter::Balanced, ..PolicySpec::default() }).ok());

/// The key of an object that holds one identifier, as a request's `user` does.
const USER: &str = "user";

/// `id` as it may be written down here; `None`: not at all.
pub(crate) fn local(id: &str, key: &PseudonymKey) -> Option<String> {
    let mut vault = Vault::new(chaperone_redact::PseudonymKey::new(*key.expose()), "", "");
    outgoing(id, USUAL.as_ref()?, &mut vault).ok()
}

/// `id` as a partner may see it.
///
/// # Errors
/// The policy blocks what stands in it.
pub(crate) fn outgoing(id: &str, policy: &Policy, vault: &mut Vault) -> Result<String, Refused> {
    let body = serde_json::json!({ USER: id }).to_string();
    let rules = Rules { policy, table: FieldTable::OpenAiChat, names: None };
    let redacted = redact_json(body, rules, vault)?;
    if redacted.is_unchanged() {
        return Ok(id.to_owned());
    }
    let body: serde_json::Value = serde_json::from_slice(&redacted.to_vec()).unwrap_or_default();
    Ok(body[USER].as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_an_id_becomes_a_hash_and_the_rest_stays() {
        let key = PseudonymKey::new([7; 32]);
        let hashed = local("order-17/ann.lee@example.org", &key).unwrap();
        assert!(hashed.starts_with("order-17/") && !hashed.contains("ann.lee"), "{hashed}");
        assert_eq!(local("order-17/ann.lee@example.org", &key), Some(hashed));
        assert_eq!(local("req_7bc871d02dc75b7f99e7601b", &key).unwrap(), "req_7bc871d02dc75b7f99e7601b");
        assert_eq!(local("a\"b\\c", &key).unwrap(), "a\"b\\c");
    }
}
