//! From admitted objects to what the compiler looks at, and to the keys that it must not see.

use chaperone_crds::Object;
use chaperone_operator::compile::Kind;
use chaperone_operator::world::{self, KeyForm, Labels, ObjectKey, World};
use chaperone_protocol::keys::{Credential, Keys};
use chaperone_protocol::name::ObjectName;
use chaperone_protocol::snapshot::Scope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Completeness, Id, Loaded, Manifest};

/// What every namespace carries in a cluster.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The World of these objects, as seen by `scopes`.
pub(crate) fn world(loaded: &Loaded, scopes: impl IntoIterator<Item = Scope>) -> World {
    let mut world = World { scopes: scopes.into_iter().collect(), ..World::default() };
    for (Id { key, .. }, manifest) in &loaded.objects {
        add(&mut world, key, manifest);
    }
    let refused = loaded.refused.iter().filter(|id| id.kind == Kind::Partner.as_str());
    world.refused_partners = refused.map(|id| id.key.clone()).collect();
    let mentioned = loaded.objects.keys().map(|id| id.key.namespace.clone());
    let scopes: Vec<_> = world.scopes.iter().map(|scope| scope.namespace.clone()).collect();
    for namespace in mentioned.chain(scopes) {
        let name = namespace.to_string();
        world.namespaces.entry(namespace).or_default().insert(NAME_LABEL.to_owned(), name);
    }
    world
}

fn add(world: &mut World, key: &ObjectKey, manifest: &Manifest) {
    let object = &manifest.object;
    let created = metadata(object).creation_timestamp.as_ref().map(|time| time.0);
    let key = key.clone();
    match object {
        Object::Partner(partner) => {
            world.partners.insert(key, world::Object { created, spec: partner.spec.clone() });
        }
        Object::ModelRoute(route) => {
            world.routes.insert(key, world::Object { created, spec: route.spec.clone() });
        }
        Object::TenantQuota(quota) => {
            world.quotas.insert(key, world::Object { created, spec: quota.spec.clone() });
        }
        Object::Secret(secret) => {
            // A value whose variable is not set has its finding already.
            let is_known = manifest.completeness == Completeness::Complete;
            let form = |value: &[u8]| if is_known { KeyForm::of(value) } else { Some(KeyForm::Text) };
            let forms = secret.data.iter().map(|(entry, value)| Some((entry.clone(), form(value.expose())?)));
            world.secrets.insert(key, forms.flatten().collect());
        }
        Object::ConfigMap(config_map) => {
            world.config_maps.insert(key, config_map.data.clone());
        }
        Object::Namespace(namespace) => {
            let labels = namespace.metadata.labels.clone().unwrap_or_default();
            world.namespaces.insert(key.name, Labels::from_iter(labels));
        }
    }
}

/// The values of all Secrets that anybody could use, under the names that snapshots use. A Secret with a variable that is not set has none.
pub(crate) fn keys(loaded: &Loaded) -> Keys {
    let mut keys = Keys::default();
    for (Id { key, .. }, manifest) in &loaded.objects {
        let Object::Secret(secret) = &manifest.object else { continue };
        if manifest.completeness == Completeness::ValuesMissing {
            continue;
        }
        for (entry, value) in &secret.data {
            if KeyForm::of(value.expose()).is_some()
                && let Ok(name) = format!("{key}/{entry}").parse()
            {
                keys.insert(name, Credential::new(value.expose().to_vec()));
            }
        }
    }
    keys
}

/// The kinds that are read.
pub(super) const KINDS: [&str; 6] =
    ["Partner", "ModelRoute", "TenantQuota", "Secret", "ConfigMap", "Namespace"];

/// Which object it is. `None` if its name is longer than a name may be.
pub(super) fn id(object: &Object, default_namespace: &ObjectName) -> Option<Id> {
    let [partner, model_route, tenant_quota, secret, config_map, namespace] = KINDS;
    let kind = match object {
        Object::Partner(_) => partner,
        Object::ModelRoute(_) => model_route,
        Object::TenantQuota(_) => tenant_quota,
        Object::Secret(_) => secret,
        Object::ConfigMap(_) => config_map,
        Object::Namespace(_) => namespace,
    };
    let metadata = metadata(object);
    id_of(kind, metadata.namespace.as_deref(), metadata.name.as_deref()?, default_namespace)
}

/// The same from its parts. A Namespace stands in itself.
pub(super) fn id_of(
    kind: &'static str,
    namespace: Option<&str>,
    name: &str,
    default_namespace: &ObjectName,
) -> Option<Id> {
    let name: ObjectName = name.parse().ok()?;
    let namespace = match (kind, namespace) {
        ("Namespace", _) => name.clone(),
        (_, Some(namespace)) => namespace.parse().ok()?,
        (_, None) => default_namespace.clone(),
    };
    Some(Id { kind, key: ObjectKey { namespace, name } })
}

pub(super) fn metadata(object: &Object) -> &ObjectMeta {
    match object {
        Object::Partner(partner) => &partner.metadata,
        Object::ModelRoute(route) => &route.metadata,
        Object::TenantQuota(quota) => &quota.metadata,
        Object::Secret(secret) => &secret.metadata,
        Object::ConfigMap(config_map) => &config_map.metadata,
        Object::Namespace(namespace) => &namespace.metadata,
    }
}
