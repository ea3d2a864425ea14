//! The door for manifests outside a cluster: does to an object what an API server does to it.
//!
//! In this order: kind and metadata are checked, `status` is dropped, nulls are pruned, defaults are filled in,
//! the schema and then the CEL rules are checked. Unlike an API server that prunes quietly, it refuses
//! unknown fields, as `kubectl` does. All problems are found, not the first; CEL does not run on an object of another
//! shape than the schema's, as it does not there.
//!
//! `structure.rs` holds the schema's checks, `core_kind.rs` reads Secrets, ConfigMaps and Namespaces.

mod core_kind;
mod metadata;
mod structure;

use std::fmt;
use std::sync::LazyLock;

use kube_cel::{CompiledSchema, Validator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::core::{ConfigMap, Namespace, Secret};
use crate::{GROUP, ModelRoute, Partner, TenantQuota, VERSION, crds, path};
use structure::Structure;

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: as in `spec.models[0].name`; empty for the object as a whole.
    pub path: String,
    /// What is wrong, and where it helps what to do.
    pub message: String,
    /// Whether rules cannot be asked any more: the object has not the shape that they were written for.
    stops_rules: bool,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), stops_rules: false }
    }

    fn of_shape(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { stops_rules: true, ..Self::new(path, message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => formatter.write_str(&self.message),
            path => write!(formatter, "{path}: {}", self.message),
        }
    }
}

/// An object that was admitted.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A provider that may be called.
    Partner(Box<Partner>),
    /// What an alias means.
    ModelRoute(Box<ModelRoute>),
    /// Who may spend how much.
    TenantQuota(Box<TenantQuota>),
    /// Credentials.
    Secret(Box<Secret>),
    /// Certificates and other public text.
    ConfigMap(Box<ConfigMap>),
    /// A namespace and its labels.
    Namespace(Box<Namespace>),
}

/// Checks one object, and reads it.
///
/// # Errors
/// All problems of the object, in the order of their paths; never empty.
pub fn admit(object: &Value) -> Result<Object, Vec<Problem>> {
    let (api_version, kind) = identify(object)?;
    if api_version == "v1" {
        return core_kind::admit(kind, object).unwrap_or_else(|| Err(unknown_kind(api_version, kind)));
    }
    let custom = DOOR.kinds.iter().find(|custom| custom.kind == kind);
    match custom.filter(|_| api_version == format!("{GROUP}/{VERSION}")) {
        Some(custom) => DOOR.admit(custom, object),
        None => Err(unknown_kind(api_version, kind)),
    }
}

fn identify(object: &Value) -> Result<(&str, &str), Vec<Problem>> {
    if !object.is_object() {
        return Err(vec![Problem::new(
            "",
            "is not an object: a manifest is a mapping with apiVersion and kind",
        )]);
    }
    let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text("apiVersion"), text("kind")) {
        (Some(api_version), Some(kind)) => Ok((api_version, kind)),
        (api_version, kind) => Err([("apiVersion", api_version), ("kind", kind)]
            .into_iter()
            .filter(|(_, found)| found.is_none())
            .map(|(key, _)| Problem::new(key, "Required value"))
            .collect()),
    }
}

fn unknown_kind(api_version: &str, kind: &str) -> Vec<Problem> {
    let message = format!(
        "no kind {kind:?} in {api_version:?}; known are Partner, ModelRoute and TenantQuota in \"{GROUP}/{VERSION}\", \
         and Secret, ConfigMap and Namespace in \"v1\""
    );
    vec![Problem::new("kind", message)]
}

/// The definitions, compiled once.
static DOOR: LazyLock<Door> = LazyLock::new(Door::new);

struct Door {
    validator: Validator,
    kinds: Vec<Custom>,
}

/// One of our kinds.
struct Custom {
    kind: String,
    structure: Structure,
    rules: CompiledSchema,
}

impl Door {
    fn new() -> Self {
        let kinds = crds().into_iter().map(|crd| {
            let version = crd.spec.versions.into_iter().next();
            let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
            let schema = serde_json::to_value(schema).expect("a schema made from types is JSON");
            let rules = kube_cel::compile_schema(&schema);
            Custom { kind: crd.spec.names.kind, structure: Structure::new(schema), rules }
        });
        Self { validator: Validator::new(), kinds: kinds.collect() }
    }

    fn admit(&self, custom: &Custom, object: &Value) -> Result<Object, Vec<Problem>> {
        let mut object = object.clone();
        if let Some(members) = object.as_object_mut() {
            members.remove("status");
        }
        let object = custom.structure.complete(object);
        let mut problems = metadata::check(&object, metadata::Scope::Namespaced);
        problems.extend(custom.structure.check(&object));
        if !problems.iter().any(|problem| problem.stops_rules) {
            problems.extend(self.rules_broken(custom, &object));
        }
        if !problems.is_empty() {
            problems.sort();
            return Err(problems);
        }
        match custom.kind.as_str() {
            "Partner" => read(object).map(Object::Partner),
            "ModelRoute" => read(object).map(Object::ModelRoute),
            "TenantQuota" => read(object).map(Object::TenantQuota),
            kind => Err(unknown_kind(VERSION, kind)),
        }
    }

    fn rules_broken(&self, custom: &Custom, object: &Value) -> Vec<Problem> {
        let outcome = self.validator.validate_compiled(&custom.rules, object, None);
        let broken = outcome.err().map(kube_cel::ValidationErrors::into_vec).unwrap_or_default();
        broken.into_iter().map(|error| Problem::new(error.field_path, error.message)).collect()
    }
}

/// Reads what has passed every check. A failure here is a gap between schema and type, and still a refusal.
fn read<T: DeserializeOwned>(object: Value) -> Result<Box<T>, Vec<Problem>> {
    serde_json::from_value(object)
        .map(Box::new)
        .map_err(|error| vec![Problem::new(path::member("", "spec"), error.to_string())])
}
