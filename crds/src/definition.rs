//! The CustomResourceDefinitions, made from the types. `make gen` writes them to `crds/yaml/` and into the chart.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::CustomResourceExt;
use serde_json::Value;

use crate::explain;
use crate::{ModelRoute, Partner, TenantQuota};

/// The definitions of all kinds, in the order in which a reader meets them.
///
/// They differ from `Partner::crd()` and its like: values of enums are explained, and nothing is nullable.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![finished(Partner::crd()), finished(ModelRoute::crd()), finished(TenantQuota::crd())]
}

/// One generated file: its name in its folder, and what stands in it.
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

/// The same definitions as templates of the Helm chart, which may leave them out and keeps them on uninstall.
#[must_use]
pub fn chart_files() -> Vec<GeneratedFile> {
    let template = |text: &str| {
        // What stands in a description is text to Helm, never an action.
        let text =
            text.replace("{{", "{{ \"{{\" }}").replacen("metadata:\n  annotations:\n", CHART_METADATA, 1);
        format!("{{{{- if .Values.crds.enabled }}}}\n{text}{{{{- end }}}}\n")
    };
    files().into_iter().map(|file| GeneratedFile { text: template(&file.text), ..file }).collect()
}

const CHART_METADATA: &str = r#"metadata:
  labels: {{- include "chaperone.labels" . | nindent 4 }}
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
"#;

/// All definitions as one YAML stream, for `kubectl apply --server-side -f -`.
#[must_use]
pub fn yaml() -> String {
    files().iter().map(|file| format!("---\n{}", file.text)).collect()
}

/// How many fields a definition has. Releases only add some, so one with fewer is older, and an API server that is given
/// it drops what it does not know from every object; the chart's admission policy refuses that.
const FIELDS: &str = "chaperone.dev/fields";

fn finished(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a definition made from types is JSON");
    explain::finish(&mut value);
    let fields = fields(&value["spec"]["versions"]);
    let mut crd: CustomResourceDefinition =
        serde_json::from_value(value).expect("finishing changes descriptions alone");
    crd.metadata.annotations = Some([(FIELDS.to_owned(), fields.to_string())].into());
    crd
}

/// Counts the properties of every schema below.
fn fields(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            let own = members.get("properties").and_then(Value::as_object).map_or(0, serde_json::Map::len);
            own + members.values().map(fields).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(fields).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
