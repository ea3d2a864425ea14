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

/// One generated file: its name in `crds/yaml/`, and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Name of the file, as `chaperone.dev_partners.yaml`.
    pub name: String,
    /// One definition as YAML.
    pub text: String,
}

/// The files of `crds/yaml/`, one for each kind.
#[must_use]
pub fn files() -> Vec<GeneratedFile> {
    crds()
        .iter()
        .map(|crd| GeneratedFile {
            name: format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural),
            text: serde_saphyr::to_string(crd).expect("a definition made from types is YAML"),
        })
        .collect()
}

/// All definitions as one YAML stream, for `kubectl apply --server-side -f -`.
#[must_use]
pub fn yaml() -> String {
    files().iter().map(|file| format!("---\n{}", file.text)).collect()
}

fn finished(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a definition made from types is JSON");
    explain::finish(&mut value);
    serde_json::from_value(value).expect("finishing changes descriptions alone")
}
