//! A Partner's spec -> its part of a snapshot.
//!
//! What it names in other objects (Secrets, ConfigMaps, other Partners) is looked up here; whether a route may use it
//! is judged where routes are.

mod convert;
mod model;
mod protection;
mod refs;

use std::collections::{BTreeMap, BTreeSet};

use chaperone_crds::PartnerSpec;
use chaperone_crds::field::TargetRef;
use chaperone_crds::partner as written;
use chaperone_protocol::adapter::{Adapter, ApiVersion, DataClass};
use chaperone_protocol::name::ModelName;
use chaperone_protocol::snapshot::{AddressPolicy, Endpoint, HttpVersion, Mock, Protection};
use chaperone_protocol::wire::WirePartner;

pub(super) use self::convert::{capability, data_class, milliseconds, seconds, tokens};
pub(super) use self::refs::tls;
use super::admission::Admission;
use super::chain::TargetKey;
use super::endpoint;
use super::finding::{Findings, Kind, Notes, Problem, Reason};
use super::pii;
use super::reference::{self, Unresolved};
use crate::world::{ObjectKey, World};

/// All partners of a World.
pub(super) type Partners<'w> = BTreeMap<&'w ObjectKey, CompiledPartner<'w>>;

/// A Partner, compiled by itself and then linked to those that it falls back to.
#[derive(Debug)]
pub(super) struct CompiledPartner<'w> {
    pub(super) admission: Admission<'w>,
    pub(super) data_classes: BTreeSet<DataClass>,
    pub(super) pii: pii::Side,
    /// Its part of a snapshot, or why it cannot be used.
    pub(super) wire: Result<WirePartner, String>,
    default_model: Option<ModelName>,
    written_fallbacks: &'w [TargetRef],
    /// Those of its fallbacks that could be resolved.
    pub(super) fallbacks: Vec<Fallback>,
    /// Why routes cannot rely on its fallbacks, if they cannot.
    pub(super) broken_fallbacks: Option<String>,
}

/// An entry of `spec.fallbacks`.
#[derive(Debug)]
pub(super) struct Fallback {
    pub(super) index: usize,
    pub(super) target: TargetKey,
}

impl CompiledPartner<'_> {
    pub(super) fn has_one_model(&self) -> bool {
        self.wire.as_ref().is_ok_and(|wire| wire.models.len() == 1)
    }

    /// The model of a reference that names none.
    pub(super) fn default_model(&self) -> Option<&ModelName> {
        let only = || {
            let models = &self.wire.as_ref().ok()?.models;
            models.keys().next().filter(|_| models.len() == 1)
        };
        self.default_model.as_ref().or_else(only)
    }
}

/// Compiles every partner by itself.
pub(super) fn all<'w>(world: &'w World, findings: &mut Findings) -> Partners<'w> {
    let compile = |(key, object): (&'w ObjectKey, &'w crate::world::Object<PartnerSpec>)| {
        let mut notes = Notes::of(Kind::Partner, key, findings);
        let wire = wire(&object.spec, key, world, &mut notes);
        let spec = &object.spec;
        let default_model = default_model(spec, wire.as_ref(), &mut notes);
        let pii = pii::of_partner(spec.pii.as_ref(), (key, world), &mut notes);
        let compiled = CompiledPartner {
            admission: Admission::new(&spec.allowed_namespaces),
            data_classes: spec.data_classes.iter().map(|class| data_class(*class)).collect(),
            pii,
            wire: notes.finish(wire),
            default_model,
            written_fallbacks: &spec.fallbacks,
            fallbacks: Vec::new(),
            broken_fallbacks: None,
        };
        (key, compiled)
    };
    world.partners.iter().map(compile).collect()
}

/// Resolves every partner's fallbacks, once all partners are known.
pub(super) fn link(partners: &mut Partners<'_>, world: &World, findings: &mut Findings) {
    let linked: Vec<_> =
        partners.iter().map(|(key, partner)| link_one(key, partner, partners, world, findings)).collect();
    for (partner, (fallbacks, broken)) in partners.values_mut().zip(linked) {
        partner.fallbacks = fallbacks;
        partner.broken_fallbacks = broken;
    }
}

fn link_one(
    key: &ObjectKey,
    partner: &CompiledPartner<'_>,
    partners: &Partners<'_>,
    world: &World,
    findings: &mut Findings,
) -> (Vec<Fallback>, Option<String>) {
    let mut notes = Notes::of(Kind::Partner, key, findings);
    let mut seen = BTreeSet::new();
    let mut fallbacks = Vec::new();
    for (index, written) in partner.written_fallbacks.iter().enumerate() {
        let path = format!("spec.fallbacks[{index}]");
        let target = match reference::resolve(written, &key.namespace, partners, world) {
            Ok(target) => target,
            Err(Unresolved { field, problem }) => {
                notes.add(format!("{path}{field}"), problem);
                continue;
            }
        };
        if seen.insert(target.clone()) {
            fallbacks.push(Fallback { index, target });
        } else {
            notes.add(path, duplicate(&target));
        }
    }
    (fallbacks, notes.finish(Some(())).err())
}

/// One target twice in one list.
pub(super) fn duplicate(target: &TargetKey) -> Problem {
    Problem::new(
        Reason::DuplicateTarget,
        format!("model {target} is already in the list, and no target is tried twice"),
        "remove one of the two",
    )
}

fn wire(spec: &PartnerSpec, key: &ObjectKey, world: &World, notes: &mut Notes<'_>) -> Option<WirePartner> {
    // Destructured without `..`, so that a new field fails to compile here instead of being dropped.
    let PartnerSpec {
        adapter,
        endpoint,
        allow_plaintext,
        allow_private,
        api_key_secret_ref,
        api_version,
        tls,
        schema_version,
        data_classes: _,
        models,
        default_model: _,
        timeouts,
        rate_limit,
        retry,
        breaker,
        queue,
        cancel_billing,
        pii: _,
        fallbacks: _,
        allowed_namespaces: _,
        http,
        health_check,
        mock,
    } = spec;
    let adapter = convert::adapter(*adapter);
    let addresses = if *allow_private { AddressPolicy::AllowPrivate } else { AddressPolicy::PublicOnly };
    let endpoint = endpoint_of(endpoint.as_deref(), adapter, addresses, notes);
    let plaintext = endpoint.as_ref().filter(|_| !allow_plaintext).and_then(endpoint::check_plaintext);
    if let Some(problem) = plaintext {
        notes.add("spec.endpoint", problem);
    }
    let credential = api_key_secret_ref
        .as_ref()
        .and_then(|reference| refs::secret_key(reference, "spec.apiKeySecretRef", key, world, notes));
    let timeouts = convert::timeouts(timeouts);
    let health_check =
        health_check.as_ref().map(|written| convert::health_check(written, adapter, endpoint.as_ref()));
    convert::check_timeouts(&timeouts, notes);
    Some(WirePartner {
        adapter,
        endpoint,
        addresses,
        credential,
        api_version: api_version.map_or_else(ApiVersion::default, convert::api_version),
        tls: refs::tls(tls.as_ref(), "spec.tls", (key, world), notes),
        schema_version: schema_version.clone(),
        models: model::all(models, adapter, notes),
        timeouts,
        protection: Protection {
            breaker: protection::breaker(breaker, notes)?,
            retry: protection::retry(retry, notes)?,
            rate_limit: protection::rate_limit(rate_limit.as_ref(), notes),
            queue: protection::queue(queue, notes)?,
            cancel_billing: protection::cancel_billing(*cancel_billing),
        },
        http: match http {
            written::HttpVersion::Http1 => HttpVersion::Http1,
            written::HttpVersion::Http2 => HttpVersion::Http2,
        },
        health_check,
        mock: mock_of(mock.as_ref(), adapter, notes),
    })
}

fn endpoint_of(
    written: Option<&str>,
    adapter: Adapter,
    addresses: AddressPolicy,
    notes: &mut Notes<'_>,
) -> Option<Endpoint> {
    let written = match (written, adapter) {
        (Some(written), Adapter::OpenAI | Adapter::Anthropic) => written,
        (None, Adapter::Mock) => return None,
        (None, Adapter::OpenAI | Adapter::Anthropic) => {
            let message = format!("adapter {} needs an endpoint", adapter.as_str());
            notes.add("spec.endpoint", Problem::new(Reason::InvalidValue, message, "add the base URL"));
            return None;
        }
        (Some(_), Adapter::Mock) => {
            let message = "adapter Mock has no endpoint";
            notes.add("spec.endpoint", Problem::new(Reason::InvalidValue, message, "remove it"));
            return None;
        }
    };
    let parsed = written.parse::<Endpoint>().map_err(|error| {
        Problem::new(Reason::InvalidValue, error, "write a URL as https://api.example.com/v1")
    });
    let endpoint = notes.keep("spec.endpoint", parsed)?;
    if let Some(problem) = endpoint::check_host(&endpoint, addresses) {
        notes.add("spec.endpoint", problem);
    }
    Some(endpoint)
}

fn mock_of(written: Option<&written::Mock>, adapter: Adapter, notes: &mut Notes<'_>) -> Option<Mock> {
    if adapter == Adapter::Mock {
        return convert::mock(written, notes);
    }
    if written.is_some() {
        let message = format!("adapter {} plays nothing", adapter.as_str());
        let remedy = "remove it, or change the adapter";
        notes.add("spec.mock", Problem::new(Reason::InvalidValue, message, remedy));
    }
    None
}

fn default_model(spec: &PartnerSpec, wire: Option<&WirePartner>, notes: &mut Notes<'_>) -> Option<ModelName> {
    let written = spec.default_model.as_ref()?;
    let found = wire?.models.keys().find(|model| model.as_str() == written);
    if found.is_none() {
        let message = format!("names model {written:?}, which is not among `models`");
        notes.add(
            "spec.defaultModel",
            Problem::new(Reason::UnknownModel, message, "correct it, or add the model"),
        );
    }
    found.cloned()
}
