//! Credentials of a scope. They travel beside the snapshot that names them and never inside it.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::name::{CredentialName, ObjectName};
use crate::sensitive::Sensitive;
use crate::snapshot::Version;

/// Tells one value of a credential from the next, without saying anything about the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialHash([u8; 16]);

/// Why a string is not a [`CredentialHash`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("is not a hash of a credential: 32 lower-case hex characters are")]
pub struct InvalidCredentialHash;

impl TryFrom<String> for CredentialHash {
    type Error = InvalidCredentialHash;

    fn try_from(text: String) -> Result<Self, InvalidCredentialHash> {
        let is_canonical = text.len() == 32 && !text.bytes().any(|byte| matches!(byte, b'A'..=b'Z' | b'+'));
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| is_canonical);
        number.map(|number| Self(number.to_be_bytes())).ok_or(InvalidCredentialHash)
    }
}

impl From<CredentialHash> for String {
    fn from(hash: CredentialHash) -> Self {
        format!("{:032x}", u128::from_be_bytes(hash.0))
    }
}

/// What pseudonyms and hashes of a namespace are derived with. It can be replaced at any time: maps of pseudonyms live
/// for one request, so that only caches of prompts notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PseudonymKey(Sensitive<[u8; 32]>);

impl PseudonymKey {
    /// The key of `namespace`, derived from one secret of all namespaces: HKDF-Expand with SHA-256 (RFC 5869 §2.3), one
    /// block. `secret` must be random; it is the pseudorandom key, so that nothing is left to extract.
    #[must_use]
    pub fn derive(secret: &[u8; 32], namespace: &ObjectName) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(b"chaperone pseudonym key\0");
        mac.update(namespace.as_str().as_bytes());
        // The number of the block, which is the first and the last.
        mac.update(&[1]);
        Self::new(mac.finalize().into_bytes().into())
    }

    /// Takes 32 bytes that nobody else knows into custody.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Sensitive::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// The credentials that a snapshot names, and the key of its namespace's pseudonyms.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    credentials: BTreeMap<CredentialName, Credential>,
    pseudonyms: Option<PseudonymKey>,
    /// Version of the bytes that they were read from: a later operator's have parts that are not kept here.
    pub(crate) received: Option<Version>,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        // Where they were read from makes no difference.
        (&self.credentials, &self.pseudonyms) == (&other.credentials, &other.pseudonyms)
    }
}

impl Eq for Keys {}

/// A secret value, with the hash by which cooldowns and pools tell it from its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    value: Sensitive<Vec<u8>>,
    hash: CredentialHash,
}

impl Credential {
    /// Takes a secret into custody.
    #[must_use]
    pub fn new(value: Vec<u8>) -> Self {
        let digest = Sha256::digest(&value);
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        Self { value: Sensitive::new(value), hash: CredentialHash(hash) }
    }

    /// The secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.value.expose()
    }

    /// Which value it is.
    #[must_use]
    pub fn hash(&self) -> CredentialHash {
        self.hash
    }
}

impl Keys {
    /// Adds or replaces one credential.
    pub fn insert(&mut self, name: CredentialName, credential: Credential) {
        self.received = None;
        self.credentials.insert(name, credential);
    }

    /// Looks a credential up.
    #[must_use]
    pub fn get(&self, name: &CredentialName) -> Option<&Credential> {
        self.credentials.get(name)
    }

    /// Sets the key of pseudonyms.
    pub fn set_pseudonyms(&mut self, key: PseudonymKey) {
        self.received = None;
        self.pseudonyms = Some(key);
    }

    /// The key of pseudonyms, if whoever sent the keys has one.
    #[must_use]
    pub fn pseudonyms(&self) -> Option<&PseudonymKey> {
        self.pseudonyms.as_ref()
    }

    /// Names of all credentials, in order.
    pub fn names(&self) -> impl Iterator<Item = &CredentialName> {
        self.credentials.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_a_key() {
        let mut keys = Keys::default();
        keys.insert("ns/alpha/key".parse().unwrap(), Credential::new(b"sk-canary".to_vec()));
        assert!(!format!("{keys:?}").contains("canary"));
    }

    #[test]
    fn hashes_survive_the_journey_and_nothing_else_is_one() {
        let hash = Credential::new(b"sk-test".to_vec()).hash();
        assert_eq!(CredentialHash::try_from(String::from(hash)), Ok(hash));
        for text in
            ["", "0", &"0".repeat(33), &"A".repeat(32), &format!("+{}", "0".repeat(31)), &"g".repeat(32)]
        {
            assert_eq!(CredentialHash::try_from(text.to_owned()), Err(InvalidCredentialHash), "{text}");
        }
    }

    #[test]
    fn namespaces_have_keys_of_their_own() {
        let key = |namespace: &str| PseudonymKey::derive(&[7; 32], &namespace.parse().unwrap());
        assert_eq!(key("shop"), key("shop"));
        assert_ne!(key("shop"), key("shop-2"));
        assert_ne!(key("shop").expose(), &[7; 32]);
    }
}
