//! What an API server demands of `metadata`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::Problem;
use crate::field::{NAMESPACE, OBJECT_NAME};
use crate::path;

/// Fields of `ObjectMeta`: what a server added stays in manifests that were read from a cluster.
const FIELDS: [&str; 14] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "selfLink",
];

/// Where objects of a kind live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// In a namespace, which a manifest may leave open.
    Namespaced,
    /// In the cluster.
    Cluster,
}

static NAME: LazyLock<Regex> = LazyLock::new(|| compiled(OBJECT_NAME));
static LABEL: LazyLock<Regex> = LazyLock::new(|| compiled(NAMESPACE));
static LABEL_VALUE: LazyLock<Regex> =
    LazyLock::new(|| compiled("^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"));

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern is a regular expression")
}

pub(super) fn check(object: &Value, scope: Scope) -> Vec<Problem> {
    let Some(metadata) = object.get("metadata").filter(|metadata| !metadata.is_null()) else {
        return vec![Problem::new("metadata.name", "Required value")];
    };
    let Some(members) = metadata.as_object() else {
        return vec![Problem::new("metadata", "Invalid value: must be of type object")];
    };
    let mut problems: Vec<Problem> = Vec::new();
    for key in members.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
        let path = path::member("metadata", key);
        problems.push(Problem::new(&path, format!("unknown field {path:?}")));
    }
    name(members, scope, &mut problems);
    namespace(members, scope, &mut problems);
    texts(members, "labels", &mut problems);
    texts(members, "annotations", &mut problems);
    problems
}

/// A field that is there and not null: tools write `creationTimestamp: null`.
fn given<'object>(members: &'object Map<String, Value>, field: &str) -> Option<&'object Value> {
    members.get(field).filter(|value| !value.is_null())
}

fn name(members: &Map<String, Value>, scope: Scope, problems: &mut Vec<Problem>) {
    let (pattern, longest, remedy) = match scope {
        Scope::Namespaced => (
            &NAME,
            253,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        ),
        Scope::Cluster => (
            &LABEL,
            63,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
        ),
    };
    match given(members, "name") {
        None => problems.push(Problem::new("metadata.name", "Required value")),
        Some(Value::String(name)) if name.len() <= longest && pattern.is_match(name) => {}
        Some(name) => {
            problems.push(Problem::new(
                "metadata.name",
                format!("Invalid value: {name}: {remedy}, and have at most {longest}"),
            ));
        }
    }
}

fn namespace(members: &Map<String, Value>, scope: Scope, problems: &mut Vec<Problem>) {
    match (given(members, "namespace"), scope) {
        (None, _) => {}
        (Some(_), Scope::Cluster) => {
            problems.push(Problem::new(
                "metadata.namespace",
                "Forbidden: this kind lives in no namespace; remove it",
            ));
        }
        (Some(Value::String(name)), Scope::Namespaced) if name.len() <= 63 && LABEL.is_match(name) => {}
        (Some(name), Scope::Namespaced) => {
            let message = format!(
                "Invalid value: {name}: a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
                 or '-', and must start and end with an alphanumeric character, and have at most 63"
            );
            problems.push(Problem::new("metadata.namespace", message));
        }
    }
}

/// A map from text to text. Labels are also bounded, since selectors read them.
fn texts(members: &Map<String, Value>, field: &str, problems: &mut Vec<Problem>) {
    let path = path::member("metadata", field);
    let texts = match given(members, field) {
        None => return,
        Some(Value::Object(texts)) => texts,
        Some(_) => return problems.push(Problem::new(path, "Invalid value: must be a map of strings")),
    };
    for (key, value) in texts {
        let path = path::member(&path, key);
        match value {
            Value::String(text) if field == "labels" && (text.len() > 63 || !LABEL_VALUE.is_match(text)) => {
                let message = format!(
                    "Invalid value: {value}: a valid label must be an empty string or consist of alphanumeric characters, \
                     '-', '_' or '.', must start and end with an alphanumeric character, and have at most 63"
                );
                problems.push(Problem::new(path, message));
            }
            Value::String(_) => {}
            _ => problems.push(Problem::new(path, "Invalid value: must be a string; write it in quotes")),
        }
    }
}
