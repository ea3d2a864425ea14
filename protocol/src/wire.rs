//! The serialised form of a [`Snapshot`], and the only way in.
//!
//! Unknown fields are ignored, so that a newer operator can serve an older sidecar. What an older sidecar must not
//! ignore stands in `requires`: a capability that it does not know refuses the whole document.

pub mod feed;
mod frame;
mod health;
mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::adapter::{Adapter, ApiVersion, DataClass};
use crate::invalid::{Invalid, Problems};
use crate::limits;
use crate::name::{Alias, CredentialName, ModelName, PartnerName, TenantId};
use crate::snapshot::pii::Pii;
use crate::snapshot::{
    AddressPolicy, Endpoint, Fault, HealthCheck, HttpVersion, MaxTokens, Mock, Model, Partner, Protection,
    Route, Scope, Snapshot, Target, TenantPolicy, Tenants, Timeouts, Tls, Version, WeightedTarget,
    WholeAnswers, fault,
};

/// The version of this form. A sidecar refuses a later one.
pub const PROTOCOL: u32 = 1;

/// Capabilities of a sidecar that a document may require.
pub const KNOWN: &[&str] = &[REDACTION];

/// A reader redacts by [`WireRoute::pii`]: one that does not know it would send prompts as they are.
pub const REDACTION: &str = "redaction";

/// A snapshot as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// [`PROTOCOL`] of the writer.
    pub protocol: u32,
    /// What a reader must know about to obey this document.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requires: BTreeSet<String>,
    /// Whose it is.
    pub scope: Scope,
    /// Partners by name.
    #[serde(default)]
    pub partners: BTreeMap<PartnerName, WirePartner>,
    /// Routes by alias.
    #[serde(default)]
    pub routes: BTreeMap<Alias, WireRoute>,
    /// Aliases of routes that could not be compiled, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<Alias, String>,
    /// Who may be charged.
    #[serde(default)]
    pub tenants: WireTenants,
    /// See [`Snapshot::feed_ca`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_ca: Option<String>,
}

/// A [`Partner`] as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WirePartner {
    /// See [`Partner::adapter`].
    pub adapter: Adapter,
    /// See [`Partner::endpoint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// See [`Partner::addresses`].
    #[serde(default)]
    pub addresses: AddressPolicy,
    /// See [`Partner::credential`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialName>,
    /// See [`Partner::api_version`].
    #[serde(default)]
    pub api_version: ApiVersion,
    /// See [`Partner::tls`].
    #[serde(default)]
    pub tls: Tls,
    /// See [`Partner::schema_version`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<String>,
    /// See [`Partner::models`].
    pub models: BTreeMap<ModelName, Model>,
    /// See [`Partner::timeouts`].
    #[serde(default)]
    pub timeouts: Timeouts,
    /// See [`Partner::protection`].
    #[serde(default)]
    pub protection: Protection,
    /// See [`Partner::http`].
    #[serde(default, skip_serializing_if = "HttpVersion::is_default")]
    pub http: HttpVersion,
    /// See [`Partner::health_check`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// See [`Partner::mock`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<Mock>,
}

/// A [`Route`] as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireRoute {
    /// See [`Route::targets`].
    pub targets: Vec<WireWeightedTarget>,
    /// See [`Route::data_class`].
    pub data_class: DataClass,
    /// See [`Route::max_tokens`].
    #[serde(default)]
    pub max_tokens: MaxTokens,
    /// See [`Route::deadline`].
    pub deadline_ms: u64,
    /// See [`Route::whole_answers`].
    #[serde(default)]
    pub whole_answers: WholeAnswers,
    /// See [`Route::faults`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// See [`Route::pii`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pii: BTreeMap<PartnerName, Pii>,
}

/// A [`WeightedTarget`] as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireWeightedTarget {
    /// See [`WeightedTarget::target`].
    #[serde(flatten)]
    pub target: WireTarget,
    /// See [`WeightedTarget::weight`].
    pub weight: u32,
    /// See [`WeightedTarget::fallbacks`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<WireTarget>,
}

/// A [`Target`] as it travels: by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WireTarget {
    /// One of the document's partners.
    pub partner: PartnerName,
    /// One of that partner's models.
    pub model: ModelName,
}

/// [`Tenants`] as they travel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WireTenants {
    /// See [`Tenants::named`].
    #[serde(default)]
    pub named: BTreeMap<TenantId, TenantPolicy>,
    /// See [`Tenants::default`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<TenantPolicy>,
    /// See [`Tenants::withheld`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub withheld: BTreeSet<TenantId>,
}

impl Document {
    /// The bytes that travel and that the version is the hash of. Equal documents give equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .expect("maps have string keys, and nothing here fails to serialise");
        bytes.push(b'\n');
        bytes
    }
}

impl Snapshot {
    /// Parses a snapshot from its serialised form.
    ///
    /// # Errors
    /// All that is wrong with it, by path. Nothing of an invalid document is used.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Vec<Invalid>> {
        if bytes.len() > limits::SNAPSHOT_BYTES {
            let problem =
                format!("has {} bytes; at most {} are allowed", bytes.len(), limits::SNAPSHOT_BYTES);
            return Err(vec![Invalid { path: String::new(), problem }]);
        }
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| vec![Invalid { path: place(bytes, &error), problem: error.to_string() }])?;
        // Of what was received: a later operator's document has fields that do not survive a round trip through here.
        snapshot(document, Version::of(bytes))
    }
}

impl TryFrom<Document> for Snapshot {
    type Error = Vec<Invalid>;

    fn try_from(document: Document) -> Result<Self, Vec<Invalid>> {
        let version = Version::of(&document.to_bytes());
        snapshot(document, version)
    }
}

/// The path of the value that could not be read; empty where there is none, as in what is no JSON. Reads once more, so
/// that only a document that is refused pays for keeping track.
fn place(bytes: &[u8], error: &serde_json::Error) -> String {
    let reader = &mut serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, Document>(reader) {
        Err(found) if error.is_data() && found.path().iter().len() > 0 => found.path().to_string(),
        Ok(_) | Err(_) => String::new(),
    }
}

fn snapshot(document: Document, version: Version) -> Result<Snapshot, Vec<Invalid>> {
    let mut problems = Problems::default();
    check_protocol(&document, &mut problems);
    let partners: BTreeMap<_, _> = document
        .partners
        .into_iter()
        .map(|(name, wire)| (name.clone(), Arc::new(partner(name, wire, &mut problems))))
        .collect();
    let routes = document
        .routes
        .into_iter()
        .filter_map(|(alias, wire)| {
            Some((alias.clone(), Arc::new(route(alias, wire, &partners, &mut problems)?)))
        })
        .collect();
    let WireTenants { named, default, withheld } = document.tenants;
    let tenants = Tenants { named, default, withheld };
    let snapshot = Snapshot {
        version,
        scope: document.scope,
        partners,
        routes,
        refused: document.refused,
        tenants,
        feed_ca: document.feed_ca,
    };
    problems.finish(snapshot)
}

fn check_protocol(document: &Document, problems: &mut Problems) {
    if document.protocol > PROTOCOL {
        problems.add("protocol", format!("is {}; this build reads up to {PROTOCOL}", document.protocol));
    }
    for unknown in document.requires.iter().filter(|name| !KNOWN.contains(&name.as_str())) {
        problems.add("requires", format!("needs {unknown:?}, which this build does not know"));
    }
    problems.bound("partners", document.partners.len(), limits::PARTNERS);
    problems.bound("routes", document.routes.len() + document.refused.len(), limits::ROUTES);
    problems.bound("tenants.named", document.tenants.named.len(), limits::TENANTS);
    problems.bound("tenants.withheld", document.tenants.withheld.len(), limits::TENANTS);
    let feed_ca = document.feed_ca.as_ref().map_or(0, String::len);
    problems.bound("feedCa", feed_ca, limits::FEED_CA_BYTES);
    for alias in document.refused.keys().filter(|alias| document.routes.contains_key(*alias)) {
        problems.add(format!("refused.{alias}"), "is also a route");
    }
}

fn partner(name: PartnerName, wire: WirePartner, problems: &mut Problems) -> Partner {
    // Destructured without `..`, so that a new field fails to compile here instead of being dropped.
    let WirePartner {
        adapter,
        endpoint,
        addresses,
        credential,
        api_version,
        tls,
        schema_version,
        models,
        timeouts,
        protection,
        http,
        health_check,
        mock,
    } = wire;
    let path = format!("partners.{name}");
    problems.bound(format!("{path}.models"), models.len(), limits::MODELS);
    if models.is_empty() {
        problems.add(format!("{path}.models"), "is empty");
    }
    match (adapter, &endpoint, &mock) {
        (Adapter::Mock, None, Some(_)) | (Adapter::OpenAI | Adapter::Anthropic, Some(_), None) => {}
        (Adapter::Mock, ..) => problems.add(&path, "a Mock has `mock` and no `endpoint`"),
        (Adapter::OpenAI | Adapter::Anthropic, ..) => {
            problems.add(&path, "needs `endpoint`, and has no `mock`")
        }
    }
    protection.check(&format!("{path}.protection"), problems);
    if tls.client_certificate.is_some() != tls.client_key.is_some() {
        problems.add(format!("{path}.tls"), "a client certificate and its key come together");
    }
    Partner {
        name,
        adapter,
        endpoint,
        addresses,
        credential,
        api_version,
        tls,
        schema_version,
        models,
        timeouts,
        protection,
        http,
        health_check,
        mock,
    }
}

fn route(
    alias: Alias,
    wire: WireRoute,
    partners: &BTreeMap<PartnerName, Arc<Partner>>,
    problems: &mut Problems,
) -> Option<Route> {
    let WireRoute { targets, data_class, max_tokens, deadline_ms, whole_answers, faults, pii } = wire;
    let path = format!("routes.{alias}");
    problems.bound(format!("{path}.pii"), pii.len(), limits::PARTNERS);
    for (partner, pii) in &pii {
        pii.check(&format!("{path}.pii.{partner}"), problems);
    }
    problems.bound(format!("{path}.targets"), targets.len(), limits::TARGETS);
    let sum: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    if sum == 0 {
        problems.add(format!("{path}.targets"), "has no target with a weight above 0");
    }
    let targets = targets
        .into_iter()
        .enumerate()
        .map(|(index, wire)| weighted(wire, partners, &format!("{path}.targets[{index}]"), problems))
        .collect::<Option<Vec<_>>>()?;
    let deadline = Duration::from_millis(deadline_ms);
    let route = Route { alias, targets, data_class, max_tokens, deadline, whole_answers, faults, pii };
    let is_asked = |name: &PartnerName| route.every_target().any(|target| target.partner.name == *name);
    fault::check(&route.faults, is_asked, &format!("{path}.faults"), problems);
    Some(route)
}

fn weighted(
    wire: WireWeightedTarget,
    partners: &BTreeMap<PartnerName, Arc<Partner>>,
    path: &str,
    problems: &mut Problems,
) -> Option<WeightedTarget> {
    let WireWeightedTarget { target: first, weight, fallbacks } = wire;
    problems.bound(format!("{path}.fallbacks"), fallbacks.len(), limits::FALLBACKS);
    let mut seen = BTreeSet::from([&first]);
    for (index, fallback) in fallbacks.iter().enumerate() {
        if !seen.insert(fallback) {
            problems.add(format!("{path}.fallbacks[{index}]"), "is tried twice");
        }
    }
    let target = problems.keep(path, resolve(&first, partners))?;
    let fallbacks = fallbacks
        .iter()
        .enumerate()
        .map(|(index, fallback)| {
            problems.keep(format!("{path}.fallbacks[{index}]"), resolve(fallback, partners))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(WeightedTarget { target, weight, fallbacks })
}

fn resolve(wire: &WireTarget, partners: &BTreeMap<PartnerName, Arc<Partner>>) -> Result<Target, String> {
    let partner = partners
        .get(&wire.partner)
        .ok_or_else(|| format!("names unknown partner {:?}", wire.partner.as_str()))?;
    let model = partner.models.get(&wire.model).ok_or_else(|| {
        format!(
            "names model {:?}, which partner {:?} does not have",
            wire.model.as_str(),
            wire.partner.as_str()
        )
    })?;
    Ok(Target { partner: Arc::clone(partner), model_name: wire.model.clone(), model: model.clone() })
}
