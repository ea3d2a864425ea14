//! The few kinds of Kubernetes itself that our kinds refer to, reduced to what is read of them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Credentials: keys of partners, client certificates.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret {
    /// Name, namespace and labels.
    pub metadata: ObjectMeta,
    /// As `Opaque` or `kubernetes.io/tls`.
    pub type_: String,
    /// Decoded `data`, with `stringData` over it.
    pub data: BTreeMap<String, SecretBytes>,
}

/// Public text: certificates of authorities.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigMap {
    /// Name, namespace and labels.
    pub metadata: ObjectMeta,
    /// Text by key. `binaryData` is not read.
    pub data: BTreeMap<String, String>,
}

/// A namespace, for the sake of its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Namespace {
    /// Name and labels.
    pub metadata: ObjectMeta,
}

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Hides `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever sends them to where they belong.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretBytes({} bytes)", self.0.len())
    }
}
