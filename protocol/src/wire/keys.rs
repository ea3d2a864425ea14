//! The serialised form of [`Keys`]: base64 by name. What is wrong with it is said without quoting it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::invalid::{Invalid, Problems};
use crate::keys::{Credential, Keys};
use crate::limits;
use crate::name::CredentialName;
use crate::sensitive::Sensitive;
use crate::snapshot::Version;

impl Keys {
    /// The bytes that travel, and that [`Keys::version`] is the hash of. Equal keys give equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Sensitive<Vec<u8>> {
        let encode = |name: &CredentialName| Some((name.clone(), STANDARD.encode(self.get(name)?.expose())));
        let encoded: BTreeMap<CredentialName, String> = self.names().filter_map(encode).collect();
        Sensitive::new(serde_json::to_vec(&encoded).expect("names and base64 serialise"))
    }

    /// Reads keys.
    ///
    /// # Errors
    /// What is wrong, and where; never with a part of a key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Vec<Invalid>> {
        let mut problems = Problems::default();
        if bytes.len() > limits::KEYS_BYTES {
            let problem = format!("have {} bytes; at most {} are allowed", bytes.len(), limits::KEYS_BYTES);
            return Err(vec![Invalid { path: String::new(), problem }]);
        }
        let encoded: BTreeMap<CredentialName, String> = serde_json::from_slice(bytes).map_err(|error| {
            let problem = format!("cannot be read, at line {}, column {}", error.line(), error.column());
            vec![Invalid { path: String::new(), problem }]
        })?;
        let mut keys = Self::default();
        for (name, text) in encoded {
            match STANDARD.decode(text) {
                Ok(value) if value.len() <= limits::CREDENTIAL_BYTES => {
                    keys.insert(name, Credential::new(value))
                }
                Ok(_) => problems.add(name.as_str(), "is larger than a credential may be"),
                Err(_) => problems.add(name.as_str(), "is not base64"),
            }
        }
        problems.finish(keys)
    }

    /// Tells one set of keys from the next.
    #[must_use]
    pub fn version(&self) -> Version {
        Version::of(self.to_bytes().expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_journey() {
        let mut keys = Keys::default();
        keys.insert("shop/alpha/key".parse().unwrap(), Credential::new(b"sk-canary".to_vec()));
        keys.insert("shop/beta/tls.key".parse().unwrap(), Credential::new(vec![0, 255]));
        let bytes = keys.to_bytes();
        assert_eq!(Keys::from_bytes(bytes.expose()).unwrap(), keys);
        assert_eq!(keys.version(), Version::of(bytes.expose()));
        assert_ne!(keys.version(), Keys::default().version());
    }

    #[test]
    fn what_is_wrong_is_said_without_a_part_of_a_key() {
        for broken in
            [r#"{"shop/alpha/key": "sk-canary!"}"#, r#"{"shop/alpha/key": ["sk-canary"]}"#, r#"{"sk-canary"#]
        {
            let problems = Keys::from_bytes(broken.as_bytes()).unwrap_err();
            assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
        }
    }
}
