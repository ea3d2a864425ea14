//! The World: everything that the compiler may look at. Plain data, gathered by somebody else.
//!
//! It names Secrets and the keys inside them, and never holds their values: what is not here cannot leak from here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chaperone_crds::{ModelRouteSpec, PartnerSpec, TenantQuotaSpec};
use chaperone_protocol::limits;
use chaperone_protocol::name::ObjectName;
use chaperone_protocol::snapshot::Scope;
use jiff::Timestamp;

/// Where an object stands. Ordered by namespace, then name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: ObjectName,
    /// Its name there.
    pub name: ObjectName,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// An object that a user wrote.
#[derive(Debug, Clone)]
pub struct Object<Spec> {
    /// When the API server took it; `None` for a manifest outside a cluster. It decides who came first.
    pub created: Option<Timestamp>,
    /// What the user wants.
    pub spec: Spec,
}

/// An object that may not be read before somebody labels it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unlabelled {
    /// Needs [`CREDENTIAL_LABEL`].
    Secret(ObjectKey),
    /// Needs [`SCHEMA_LABEL`].
    ConfigMap(ObjectKey),
}

/// What the value of a Secret's key is good for; nothing else of it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// For a header too.
    Text,
    /// It would be, but for the line break that it ends in. To cut that off is not ours: the value is the user's.
    EndsInLineBreak,
    /// Not for a header: it has characters that RFC 9110 §5.5 keeps out of field values.
    Other,
}

impl KeyForm {
    /// `None`: an empty value, or one of more than [`limits::CREDENTIAL_BYTES`], is good for nothing.
    #[must_use]
    pub fn of(value: &[u8]) -> Option<Self> {
        let is_text = |value: &[u8]| value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        let line = value.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        match value.len() {
            1..=limits::CREDENTIAL_BYTES if is_text(value) => Some(Self::Text),
            1..=limits::CREDENTIAL_BYTES if line.is_some_and(is_text) => Some(Self::EndsInLineBreak),
            1..=limits::CREDENTIAL_BYTES => Some(Self::Other),
            _ => None,
        }
    }
}

/// With value `true` on a Secret: its keys may be given to the sidecars that need them.
pub const CREDENTIAL_LABEL: &str = "chaperone.dev/credential";
/// With value `true` on a ConfigMap: its certificates and schemas may be read.
pub const SCHEMA_LABEL: &str = "chaperone.dev/schema";

/// Labels of a namespace.
pub type Labels = BTreeMap<String, String>;

/// All that [`crate::compile::compile`] knows. Maps, so that the order of arrival cannot matter.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Providers.
    pub partners: BTreeMap<ObjectKey, Object<PartnerSpec>>,
    /// Partners that are there and were not admitted, so that nothing is known of them. An API server keeps these
    /// out; manifests outside a cluster may have them.
    pub refused_partners: BTreeSet<ObjectKey>,
    /// Rules of aliases.
    pub routes: BTreeMap<ObjectKey, Object<ModelRouteSpec>>,
    /// Budgets.
    pub quotas: BTreeMap<ObjectKey, Object<TenantQuotaSpec>>,
    /// ConfigMaps with their content: certificates and schemas.
    pub config_maps: BTreeMap<ObjectKey, BTreeMap<String, String>>,
    /// Secrets, as the names of the keys that they hold with a value that anybody could use.
    pub secrets: BTreeMap<ObjectKey, BTreeMap<String, KeyForm>>,
    /// Secrets and ConfigMaps that are there without the label that lets them be read.
    pub unlabelled: BTreeSet<Unlabelled>,
    /// Namespaces with their labels. One that is not here has none.
    pub namespaces: BTreeMap<ObjectName, Labels>,
    /// Namespaces that are watched: nothing is known of others. `None`: all are.
    pub watched: Option<BTreeSet<String>>,
    /// The authorities that sidecars should trust the operator's feed by, in PEM. `None`: there is no feed.
    pub feed_ca: Option<String>,
    /// For whom snapshots are wanted.
    pub scopes: BTreeSet<Scope>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_good_for_a_header_if_a_header_can_carry_it() {
        for text in ["sk-canary", "a b\tc", "\u{e9}"] {
            assert_eq!(KeyForm::of(text.as_bytes()), Some(KeyForm::Text), "{text:?}");
        }
        for line in ["sk-canary\n", "sk-canary\r\n", "\n"] {
            assert_eq!(KeyForm::of(line.as_bytes()), Some(KeyForm::EndsInLineBreak), "{line:?}");
        }
        for other in ["sk\ncanary", "sk\n\n", "sk\r", "\u{7f}", "\0"] {
            assert_eq!(KeyForm::of(other.as_bytes()), Some(KeyForm::Other), "{other:?}");
        }
        assert_eq!(KeyForm::of(b""), None);
        assert_eq!(KeyForm::of(&[b'k'; limits::CREDENTIAL_BYTES]), Some(KeyForm::Text));
        assert_eq!(KeyForm::of(&[b'k'; limits::CREDENTIAL_BYTES + 1]), None);
    }
}
