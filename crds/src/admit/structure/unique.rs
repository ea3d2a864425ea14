//! Lists that are sets or maps: no item, and no key, twice.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Problem;
use crate::path;

/// Names every item whose value, or whose key, an earlier item has.
pub(super) fn check(schema: &Value, items: &[Value], path: &str, problems: &mut Vec<Problem>) {
    let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Vec::new(),
        Some("map") => schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
        _ => return,
    };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let identity = if keys.is_empty() { item.to_string() } else { key_of(item, &keys).to_string() };
        if !seen.insert(identity.clone()) {
            problems.push(Problem::new(path::item(path, index), format!("Duplicate value: {identity}")));
        }
    }
}

fn key_of(item: &Value, keys: &[&str]) -> Value {
    let members: Map<String, Value> =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone()))).collect();
    Value::Object(members)
}
