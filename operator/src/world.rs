//! The World: everything that the compiler may look at. Plain data, gathered by somebody else.
//!
//! It names Secrets and the keys inside them, and never holds their values: what is not here cannot leak from here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chaperone_crds::{ModelRouteSpec, PartnerSpec, TenantQuotaSpec};
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
    /// Secrets, as the names of the keys that they hold.
    pub secrets: BTreeMap<ObjectKey, BTreeSet<String>>,
    /// Secrets and ConfigMaps that are there without the label that lets them be read.
    pub unlabelled: BTreeSet<Unlabelled>,
    /// Namespaces with their labels. One that is not here has none.
    pub namespaces: BTreeMap<ObjectName, Labels>,
    /// The authorities that sidecars should trust the operator's feed by, in PEM. `None`: there is no feed.
    pub feed_ca: Option<String>,
    /// For whom snapshots are wanted.
    pub scopes: BTreeSet<Scope>,
}
