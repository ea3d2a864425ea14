//! The CustomResourceDefinitions, made from the types. `make gen` writes them to `crds/yaml/`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::CustomResourceExt;

use crate::explain;
use crate::{ModelRoute, Partner, TenantQuota};

/// The definitions of all kinds, in the order in which a reader meets them.
///
/// They differ from `Partner::crd()` and its like: values of enums are explained, and nothing is nullable.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![finished(Partner::crd()), finished(ModelRoute::crd()), finished(TenantQuota::crd())]
}

fn finished(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a definition made from types is JSON");
    explain::finish(&mut value);
    serde_json::from_value(value).expect("finishing changes descriptions alone")
}
