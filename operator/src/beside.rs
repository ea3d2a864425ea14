//! What objects name beside themselves: Secrets and ConfigMaps, all in their own namespace.

use chaperone_crds::field::pii::Ner;
use chaperone_crds::partner::Tls;
use chaperone_crds::{ModelRouteSpec, PartnerSpec};

use crate::world::{ObjectKey, Unlabelled};

/// What the Partner `key` names.
pub(crate) fn partner(key: &ObjectKey, spec: &PartnerSpec) -> impl Iterator<Item = Unlabelled> {
    let api_key = spec.api_key_secret_ref.as_ref().map(|reference| &*reference.name);
    let api_key = api_key.and_then(|name| object(key, name)).map(Unlabelled::Secret);
    let analyzer = analyzer_tls(spec.pii.as_ref().and_then(|pii| pii.ner.as_ref()));
    api_key.into_iter().chain(tls(key, spec.tls.as_ref())).chain(tls(key, analyzer))
}

/// What the route `key` names.
pub(crate) fn route(key: &ObjectKey, spec: &ModelRouteSpec) -> impl Iterator<Item = Unlabelled> {
    tls(key, analyzer_tls(spec.pii.as_ref().and_then(|pii| pii.ner.as_ref())))
}

fn tls(owner: &ObjectKey, tls: Option<&Tls>) -> impl Iterator<Item = Unlabelled> + use<> {
    let client = tls.and_then(|tls| object(owner, &tls.client_cert_secret_ref.as_ref()?.name));
    let authority = tls.and_then(|tls| object(owner, &tls.ca_config_map_key_ref.as_ref()?.name));
    client.map(Unlabelled::Secret).into_iter().chain(authority.map(Unlabelled::ConfigMap))
}

fn analyzer_tls(ner: Option<&Ner>) -> Option<&Tls> {
    ner?.presidio.as_ref()?.tls.as_ref()
}

fn object(owner: &ObjectKey, name: &str) -> Option<ObjectKey> {
    Some(ObjectKey { namespace: owner.namespace.clone(), name: name.parse().ok()? })
}
