//! Secrets, ConfigMaps and Namespaces, as far as anything of ours reads them. No message quotes a value of a Secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::metadata::{self, Scope};
use super::{Object, Problem};
use crate::core::{ConfigMap, Namespace, Secret, SecretBytes};
use crate::path;

/// `None` if this is no kind of ours to read.
pub(super) fn admit(kind: &str, object: &Value) -> Option<Result<Object, Vec<Problem>>> {
    let mut manifest = Manifest { object, problems: Vec::new() };
    let admitted = match kind {
        "Secret" => Object::Secret(Box::new(manifest.secret())),
        "ConfigMap" => Object::ConfigMap(Box::new(manifest.config_map())),
        "Namespace" => Object::Namespace(Box::new(manifest.namespace())),
        _ => return None,
    };
    manifest.problems.sort();
    Some(if manifest.problems.is_empty() { Ok(admitted) } else { Err(manifest.problems) })
}

/// An object that is being read, and what was wrong with it so far.
struct Manifest<'object> {
    object: &'object Value,
    problems: Vec<Problem>,
}

impl Manifest<'_> {
    fn secret(&mut self) -> Secret {
        self.only(&["type", "data", "stringData", "immutable"]);
        let metadata = self.metadata(Scope::Namespaced);
        let mut data: BTreeMap<String, SecretBytes> = BTreeMap::new();
        for (key, value) in self.entries("data") {
            match serde_json::from_value::<ByteString>(value) {
                Ok(bytes) => drop(data.insert(key, SecretBytes::new(bytes.0))),
                Err(_) => self.refuse("data", &key, "is not base64; write it so, or move it to `stringData`"),
            }
        }
        for (key, value) in self.entries("stringData") {
            match value {
                Value::String(text) => drop(data.insert(key, SecretBytes::new(text.into_bytes()))),
                _ => self.refuse("stringData", &key, "must be a string; write it in quotes"),
            }
        }
        Secret { metadata, type_: self.secret_type(), data }
    }

    fn secret_type(&mut self) -> String {
        match self.object.get("type") {
            None | Some(Value::Null) => "Opaque".to_owned(),
            Some(Value::String(type_)) => type_.clone(),
            Some(_) => {
                self.problems.push(Problem::new("type", "must be a string"));
                String::new()
            }
        }
    }

    fn config_map(&mut self) -> ConfigMap {
        self.only(&["data", "binaryData", "immutable"]);
        let metadata = self.metadata(Scope::Namespaced);
        let mut data = BTreeMap::new();
        for (key, value) in self.entries("data") {
            match value {
                Value::String(text) => drop(data.insert(key, text)),
                _ => self.refuse("data", &key, "must be a string; write it in quotes"),
            }
        }
        ConfigMap { metadata, data }
    }

    fn namespace(&mut self) -> Namespace {
        self.only(&["spec", "status"]);
        Namespace { metadata: self.metadata(Scope::Cluster) }
    }

    fn only(&mut self, fields: &[&str]) {
        let members = self.object.as_object().into_iter().flat_map(|members| members.keys());
        let unknown = members.filter(|key| {
            !matches!(key.as_str(), "apiVersion" | "kind" | "metadata") && !fields.contains(&key.as_str())
        });
        let problems = unknown.map(|key| {
            let path = path::member("", key);
            Problem::new(&path, format!("unknown field {path:?}"))
        });
        self.problems.extend(problems);
    }

    fn metadata(&mut self, scope: Scope) -> ObjectMeta {
        let problems = metadata::check(self.object, scope);
        let is_sound = problems.is_empty();
        self.problems.extend(problems);
        match self.object.get("metadata").cloned().map(serde_json::from_value) {
            Some(Ok(metadata)) => metadata,
            Some(Err(error)) if is_sound => {
                self.problems.push(Problem::new("metadata", error.to_string()));
                ObjectMeta::default()
            }
            _ => ObjectMeta::default(),
        }
    }

    /// The entries of a map that have a proper key and a value.
    fn entries(&mut self, field: &'static str) -> Vec<(String, Value)> {
        let members = match self.object.get(field) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Object(members)) => members,
            Some(_) => {
                self.problems.push(Problem::new(field, "must be a map"));
                return Vec::new();
            }
        };
        let (good, bad): (Vec<_>, Vec<_>) = members.iter().partition(|(key, _)| is_data_key(key));
        for (key, _) in bad {
            self.refuse(
                field,
                key,
                "a key must consist of alphanumeric characters, '-', '_' or '.', at most 253",
            );
        }
        good.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn refuse(&mut self, field: &str, key: &str, message: &str) {
        self.problems.push(Problem::new(path::member(field, key), message));
    }
}

fn is_data_key(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&key.len()) && key.bytes().all(is_allowed) && !matches!(key, "." | "..")
}
