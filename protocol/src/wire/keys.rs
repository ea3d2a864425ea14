//! The serialised form of [`Keys`]: base64. What is wrong with it is said without quoting it.
//!
//! Unknown fields are ignored, as in a snapshot; the version is of the bytes that were sent, so that it is the same on
//! both sides.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::invalid::{Invalid, Problems};
use crate::keys::{Credential, Keys, PseudonymKey};
use crate::limits;
use crate::name::CredentialName;
use crate::sensitive::Sensitive;
use crate::snapshot::Version;

/// [`Keys`] as they travel.
#[derive(Serialize, Deserialize)]
struct WireKeys {
    #[serde(default)]
    credentials: BTreeMap<CredentialName, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pseudonyms: Option<String>,
}

impl Keys {
    /// The bytes that travel. Equal keys give equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Sensitive<Vec<u8>> {
        let encode = |name: &CredentialName| Some((name.clone(), STANDARD.encode(self.get(name)?.expose())));
        let wire = WireKeys {
            credentials: self.names().filter_map(encode).collect(),
            pseudonyms: self.pseudonyms().map(|key| STANDARD.encode(key.expose())),
        };
        Sensitive::new(serde_json::to_vec(&wire).expect("names and base64 serialise"))
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
        let WireKeys { credentials, pseudonyms } = serde_json::from_slice(bytes).map_err(|error| {
            let problem = format!("cannot be read, at line {}, column {}", error.line(), error.column());
            vec![Invalid { path: String::new(), problem }]
        })?;
        let mut keys = Self::default();
        for (name, text) in credentials {
            match STANDARD.decode(text) {
                Ok(value) if value.len() <= limits::CREDENTIAL_BYTES => {
                    keys.insert(name, Credential::new(value))
                }
                Ok(_) => problems.add(name.as_str(), "is larger than a credential may be"),
                Err(_) => problems.add(name.as_str(), "is not base64"),
            }
        }
        if let Some(text) = pseudonyms {
            match STANDARD.decode(text).ok().and_then(|key| key.try_into().ok()) {
                Some(key) => keys.set_pseudonyms(PseudonymKey::new(key)),
                None => problems.add("pseudonyms", "is not base64 of 32 bytes"),
            }
        }
        keys.received = Some(Version::of(bytes));
        problems.finish(keys)
    }

    /// Tells one set of keys from the next: the hash of the bytes that they were read from, else of
    /// [`Keys::to_bytes`].
    #[must_use]
    pub fn version(&self) -> Version {
        self.received.clone().unwrap_or_else(|| Version::of(self.to_bytes().expose()))
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
        keys.set_pseudonyms(PseudonymKey::new([7; 32]));
        let bytes = keys.to_bytes();
        assert_eq!(Keys::from_bytes(bytes.expose()).unwrap(), keys);
        assert_eq!(keys.version(), Version::of(bytes.expose()));
        assert_ne!(keys.version(), Keys::default().version());
    }

    #[test]
    fn what_is_wrong_is_said_without_a_part_of_a_key() {
        for broken in [
            r#"{"credentials": {"shop/alpha/key": "sk-canary!"}}"#,
            r#"{"credentials": {"shop/alpha/key": ["sk-canary"]}}"#,
            r#"{"pseudonyms": "sk-canary!"}"#,
            r#"{"pseudonyms": "c2stY2FuYXJ5"}"#,
            r#"{"sk-canary"#,
        ] {
            let problems = Keys::from_bytes(broken.as_bytes()).unwrap_err();
            let said = format!("{problems:?}");
            assert!(!said.contains("canary") && !said.contains("c2stY2FuYXJ5"), "{said}");
        }
    }
}
