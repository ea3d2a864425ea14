//! A validator of the part of JSON Schema 2020-12 that our schemas use. A keyword that it does not know fails the test.

use serde_json::{Map, Value};

/// Asserts that `value` is what `schema` describes. An object with `properties` has no others: what we say, we list.
pub(crate) fn conforms(value: &Value, schema: &Value) {
    if let Err(problem) = check(value, schema, schema) {
        panic!("{problem}");
    }
}

fn check(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let keywords = schema.as_object().ok_or_else(|| format!("{schema} is no schema"))?;
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "$defs" => true,
            "additionalProperties" => rule == &Value::Bool(false),
            "$ref" => {
                let name = rule.as_str().and_then(|rule| rule.strip_prefix("#")).unwrap_or_default();
                let target = root.pointer(name).ok_or_else(|| format!("{rule} leads nowhere"))?;
                return check(value, target, root);
            }
            "type" => is_of(value, rule),
            "const" => value == rule,
            "enum" => rule.as_array().is_some_and(|allowed| allowed.contains(value)),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "minItems" => value.as_array().is_none_or(|items| Some(items.len() as u64) >= rule.as_u64()),
            "oneOf" => {
                let fits =
                    rule.as_array().into_iter().flatten().filter(|one| check(value, one, root).is_ok());
                fits.count() == 1
            }
            "required" => rule.as_array().into_iter().flatten().all(|name| {
                value
                    .as_object()
                    .is_none_or(|members| members.contains_key(name.as_str().unwrap_or_default()))
            }),
            "items" => {
                value.as_array().into_iter().flatten().try_for_each(|item| check(item, rule, root))?;
                true
            }
            "properties" => {
                let none = Map::new();
                for (name, member) in value.as_object().unwrap_or(&none) {
                    let rule = rule.get(name).ok_or_else(|| format!("{name} is not in the schema"))?;
                    check(member, rule, root)?;
                }
                true
            }
            _ => return Err(format!("{keyword} is not known here")),
        };
        if !holds {
            return Err(format!("{value} breaks {keyword}: {rule}"));
        }
    }
    Ok(())
}

fn is_of(value: &Value, kinds: &Value) -> bool {
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    };
    match kinds {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        kind => kind.as_str().is_some_and(is),
    }
}
