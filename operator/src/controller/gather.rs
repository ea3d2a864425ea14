//! Stores -> what one pass works on. Reads objects, judges none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chaperone_crds::condition::{Condition, Sidecars};
use chaperone_crds::model_route::LastDrill;
use chaperone_crds::partner::Breakers;
use chaperone_protocol::keys::Credential;
use chaperone_protocol::snapshot::Scope;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;

use super::stores::Stores;
use crate::beside;
use crate::compile::{Finding, Kind, ObjectRef, Reason};
use crate::feed::{Generation, Pass};
use crate::report::Status;
use crate::world::{KeyForm, Object, ObjectKey, Unlabelled, World};

/// What was gathered.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) pass: Pass,
    /// Objects that this build cannot read.
    pub(super) unreadable: Vec<Finding>,
    /// `resourceVersion` of labelled Secrets.
    pub(super) secret_versions: BTreeMap<ObjectKey, String>,
}

/// One object, besides its spec.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What its status says now.
    pub(crate) status: Status,
    /// What `chaperone drill` has written there.
    pub(crate) last_drill: Option<LastDrill>,
    /// For events about it.
    pub(crate) reference: ObjectReference,
}

/// Gathers all that is known, for `scopes`.
pub(super) fn gather(
    stores: &Stores,
    scopes: BTreeSet<Scope>,
    unlabelled: BTreeSet<Unlabelled>,
    feed_ca: Option<String>,
) -> Gathered {
    let mut gathered = Gathered::default();
    let mut world =
        World { scopes, unlabelled, feed_ca, watched: stores.watched.clone(), ..World::default() };
    let mut reader = Reader { gathered: &mut gathered };
    world.partners = reader.read(Kind::Partner, &stores.partners.state());
    world.routes = reader.read(Kind::ModelRoute, &stores.routes.state());
    world.quotas = reader.read(Kind::TenantQuota, &stores.quotas.state());
    let unreadable = gathered.unreadable.iter().filter(|finding| finding.object.kind == Kind::Partner);
    world.refused_partners = unreadable.map(|finding| finding.object.key.clone()).collect();
    for secret in stores.secrets.state() {
        let Some(key) = key_of(secret.namespace(), secret.name_any()) else { continue };
        let mut entries = BTreeMap::new();
        for (entry, value) in secret.data.iter().flatten() {
            // No sidecar could use the others: status is to say so before requests do.
            let Some(form) = KeyForm::of(&value.0) else { continue };
            if let Ok(name) = format!("{key}/{entry}").parse() {
                gathered.pass.secrets.keys.insert(name, Credential::new(value.0.clone()));
            }
            entries.insert(entry.clone(), form);
        }
        gathered.secret_versions.insert(key.clone(), secret.resource_version().unwrap_or_default());
        world.secrets.insert(key, entries);
    }
    for config_map in stores.config_maps.state() {
        if let Some(key) = key_of(config_map.namespace(), config_map.name_any()) {
            world.config_maps.insert(key, config_map.data.clone().unwrap_or_default());
        }
    }
    for namespace in stores.namespaces.state() {
        if let Ok(name) = namespace.name_any().parse() {
            world.namespaces.insert(name, namespace.labels().clone());
        }
    }
    gathered.pass.world = Arc::new(world);
    gathered
}

struct Reader<'g> {
    gathered: &'g mut Gathered,
}

impl Reader<'_> {
    fn read<Spec: DeserializeOwned>(
        &mut self,
        kind: Kind,
        objects: &[Arc<DynamicObject>],
    ) -> BTreeMap<ObjectKey, Object<Spec>> {
        let mut read = BTreeMap::new();
        for object in objects {
            let Some(key) = key_of(object.namespace(), object.name_any()) else { continue };
            let reference = ObjectRef { kind, key: key.clone() };
            let uid = object.metadata.uid.as_deref().unwrap_or_default().into();
            let generation = Generation { uid, number: object.metadata.generation.unwrap_or_default() };
            self.gathered.pass.generations.insert(reference.clone(), generation);
            let spec = object.data.get("spec").cloned().unwrap_or_default();
            match serde_json::from_value(spec) {
                Ok(spec) => {
                    let created = object.creation_timestamp().map(|time| time.0);
                    read.insert(key, Object { created, spec });
                }
                Err(error) => self.gathered.unreadable.push(Finding {
                    object: reference,
                    path: "spec".to_owned(),
                    severity: Reason::InvalidValue.severity(),
                    reason: Reason::InvalidValue,
                    message: format!("this version of the operator cannot read it: {error}"),
                    remedy: "bring operator and CustomResourceDefinitions to one version".to_owned(),
                }),
            }
        }
        read
    }
}

/// Every object of ours, as the API server has it now.
pub(super) fn found_all(stores: &Stores) -> BTreeMap<ObjectRef, Found> {
    let kinds = [
        (Kind::Partner, stores.partners.state()),
        (Kind::ModelRoute, stores.routes.state()),
        (Kind::TenantQuota, stores.quotas.state()),
    ];
    let mut all = BTreeMap::new();
    for (kind, objects) in kinds {
        for object in objects {
            if let Some(key) = key_of(object.namespace(), object.name_any()) {
                all.insert(ObjectRef { kind, key }, found(kind, &object));
            }
        }
    }
    all
}

fn found(kind: Kind, object: &DynamicObject) -> Found {
    let status = object.data.get("status").cloned().unwrap_or_default();
    let part = |name: &str| status.get(name).cloned();
    let conditions: Option<Vec<Condition>> =
        part("conditions").and_then(|it| serde_json::from_value(it).ok());
    let sidecars: Option<Sidecars> = part("sidecars").and_then(|it| serde_json::from_value(it).ok());
    let breakers: Option<Breakers> = part("breakers").and_then(|it| serde_json::from_value(it).ok());
    Found {
        status: Status {
            observed_generation: status.get("observedGeneration").and_then(serde_json::Value::as_i64),
            conditions: conditions.unwrap_or_default(),
            sidecars,
            breakers,
            secret_resource_version: part("secretResourceVersion")
                .and_then(|it| Some(it.as_str()?.to_owned())),
        },
        last_drill: part("lastDrill").and_then(|it| serde_json::from_value(it).ok()),
        reference: ObjectReference {
            api_version: Some(format!("{}/{}", chaperone_crds::GROUP, chaperone_crds::VERSION)),
            kind: Some(kind.as_str().to_owned()),
            name: object.metadata.name.clone(),
            namespace: object.metadata.namespace.clone(),
            uid: object.metadata.uid.clone(),
            ..ObjectReference::default()
        },
    }
}

fn key_of(namespace: Option<String>, name: String) -> Option<ObjectKey> {
    Some(ObjectKey { namespace: namespace?.parse().ok()?, name: name.parse().ok()? })
}

/// Secrets and ConfigMaps that Partners and routes name and that are not among those that may be read.
pub(super) fn missing(world: &World) -> BTreeSet<Unlabelled> {
    let by_partners = world.partners.iter().flat_map(|(key, partner)| beside::partner(key, &partner.spec));
    let by_routes = world.routes.iter().flat_map(|(key, route)| beside::route(key, &route.spec));
    let is_missing = |object: &Unlabelled| match object {
        Unlabelled::Secret(key) => !world.secrets.contains_key(key),
        Unlabelled::ConfigMap(key) => !world.config_maps.contains_key(key),
    };
    by_partners.chain(by_routes).filter(is_missing).collect()
}

/// The Secret whose key each Partner uses, with its `resourceVersion`.
pub(super) fn secret_in_use(gathered: &Gathered, object: &ObjectRef) -> Option<String> {
    let Kind::Partner = object.kind else { return None };
    let partner = gathered.pass.world.partners.get(&object.key)?;
    let name = partner.spec.api_key_secret_ref.as_ref()?.name.parse().ok()?;
    let secret = ObjectKey { namespace: object.key.namespace.clone(), name };
    gathered.secret_versions.get(&secret).cloned()
}
