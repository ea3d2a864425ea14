//! Credentials of a scope. They travel beside the snapshot that names them and never inside it.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::name::CredentialName;
use crate::sensitive::Sensitive;

/// Tells one value of a credential from the next, without saying anything about the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialHash([u8; 16]);

/// The credentials that a snapshot names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    credentials: BTreeMap<CredentialName, Credential>,
}

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
        self.credentials.insert(name, credential);
    }

    /// Looks a credential up.
    #[must_use]
    pub fn get(&self, name: &CredentialName) -> Option<&Credential> {
        self.credentials.get(name)
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
}
