//! What an API server checks by the schema alone: types, required and unknown fields, bounds, patterns, uniqueness.
//!
//! It knows the keywords that our definitions use; a test fails when a definition uses another one.

mod bounds;
mod format;
mod unique;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::Problem;
use crate::path;

/// A schema, with its patterns compiled.
pub(super) struct Structure {
    schema: Value,
    patterns: BTreeMap<String, Regex>,
}

impl Structure {
    pub(super) fn new(schema: Value) -> Self {
        let mut patterns = BTreeMap::new();
        collect_patterns(&schema, &mut patterns);
        Self { schema, patterns }
    }

    /// Drops nulls, which mean absence, and fills in defaults.
    pub(super) fn complete(&self, object: Value) -> Value {
        kube_cel::apply_defaults(&self.schema, &without_nulls(&self.schema, object))
    }

    /// Everything in `object` that the schema does not allow. `metadata` is not the schema's.
    pub(super) fn check(&self, object: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.walk(&self.schema, object, "", &mut problems);
        problems
    }

    fn walk(&self, schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
        if let Some(message) = format::wrong_type(schema, value) {
            problems.push(Problem::of_shape(path, message));
            return problems.extend(bad_value(schema, value).map(|message| Problem::of_shape(path, message)));
        }
        match value {
            Value::Object(members) => self.members(schema, members, path, problems),
            Value::Array(items) => self.items(schema, items, path, problems),
            Value::String(text) => self.text(schema, text, path, problems),
            Value::Number(number) => bounds::number(schema, number, path, problems),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn members(&self, schema: &Value, members: &Map<String, Value>, path: &str, problems: &mut Vec<Problem>) {
        bounds::size(schema, "Properties", members.len(), path, problems);
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(required) {
                problems.push(Problem::of_shape(path::member(path, required), "Required value"));
            }
        }
        for (key, value) in members {
            let inside = path::member(path, key);
            let property = schema.get("properties").and_then(|properties| properties.get(key));
            match property.or_else(|| schema.get("additionalProperties")) {
                Some(property) => self.walk(property, value, &inside, problems),
                None if path.is_empty() && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") => {}
                None => problems.push(Problem::of_shape(&inside, format!("unknown field {inside:?}"))),
            }
        }
    }

    fn items(&self, schema: &Value, items: &[Value], path: &str, problems: &mut Vec<Problem>) {
        bounds::size(schema, "Items", items.len(), path, problems);
        unique::check(schema, items, path, problems);
        for (index, item) in items.iter().enumerate() {
            self.walk(&schema["items"], item, &path::item(path, index), problems);
        }
    }

    /// One problem at most: a text of the wrong length is not measured by a pattern too, as an API server has it.
    fn text(&self, schema: &Value, text: &str, path: &str, problems: &mut Vec<Problem>) {
        let broken = bad_value(schema, &Value::String(text.to_owned()))
            .or_else(|| bounds::too_long(schema, text))
            .map(|message| Problem::of_shape(path, message));
        let broken = broken.or_else(|| {
            let message = bounds::too_short(schema, text).or_else(|| self.mismatch(schema, text))?;
            Some(Problem::new(path, message))
        });
        problems.extend(broken);
    }

    fn mismatch(&self, schema: &Value, text: &str) -> Option<String> {
        let pattern = schema["pattern"].as_str()?;
        let is_match = self.patterns.get(pattern).is_some_and(|regex| regex.is_match(text));
        (!is_match).then(|| format!("Invalid value: {}: should match '{pattern}'", quoted(text)))
    }
}

/// A value that its enum does not have.
fn bad_value(schema: &Value, value: &Value) -> Option<String> {
    let values = schema["enum"].as_array().filter(|values| !values.contains(value))?;
    let values: Vec<String> = values.iter().map(Value::to_string).collect();
    let shown = value.as_str().map_or_else(|| value.to_string(), quoted);
    Some(format!("Unsupported value: {shown}: supported values: {}", values.join(", ")))
}

fn collect_patterns(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    match schema {
        Value::Object(members) => {
            if let Some(pattern) = members.get("pattern").and_then(Value::as_str) {
                let regex = Regex::new(pattern).expect("a pattern in our own schema is a regular expression");
                patterns.insert(pattern.to_owned(), regex);
            }
            members.values().for_each(|member| collect_patterns(member, patterns));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_patterns(item, patterns)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Nulls in fields that the schema knows. Elsewhere they stay, to be refused as what they are.
fn without_nulls(schema: &Value, value: Value) -> Value {
    let property = |key: &str| schema.get("properties").and_then(|properties| properties.get(key));
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(key, member)| !member.is_null() || property(key).is_none())
                .map(|(key, member)| match property(&key) {
                    Some(inside) => (key, without_nulls(inside, member)),
                    None => (key, member),
                })
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| without_nulls(&schema["items"], item)).collect())
        }
        scalar => scalar,
    }
}

/// A value as messages show it: long ones are cut, since a message is read by people.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crds;

    /// Keywords that are checked here, run as CEL, or say nothing about a value.
    const KNOWN: [&str; 21] = [
        "type",
        "properties",
        "additionalProperties",
        "required",
        "items",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "default",
        "description",
        "format",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    ];

    fn assert_known(schema: &Value, path: &str) {
        for (key, value) in schema.as_object().unwrap() {
            assert!(KNOWN.contains(&key.as_str()), "{path}: no check knows the keyword {key:?}");
            match key.as_str() {
                "properties" => {
                    value
                        .as_object()
                        .unwrap()
                        .iter()
                        .for_each(|(name, inner)| assert_known(inner, &format!("{path}.{name}")));
                }
                "items" | "additionalProperties" => assert_known(value, path),
                _ => {}
            }
        }
    }

    #[test]
    fn every_keyword_of_our_definitions_is_known() {
        for crd in crds() {
            let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            assert_known(&serde_json::to_value(schema).unwrap(), &crd.spec.names.kind);
        }
    }
}
