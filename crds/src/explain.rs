//! Makes `kubectl explain` say what each value of an enum means.
//!
//! schemars keeps the doc comment of every variant, but the rewriting into a structural schema drops them.
//! They travel through it in `title`, which nothing else uses, and end as a list below the description.

use schemars::Schema;
use serde_json::{Value, json};

/// Turns the documented variants of a unit enum into a plain `enum`, with what they mean in `title`.
pub(crate) fn explain_values(schema: &mut Schema) {
    let Some(variants) = schema.remove("oneOf") else { return };
    let variants = variants.as_array().cloned().unwrap_or_default();
    let values: Vec<Value> = variants.iter().filter_map(value).cloned().collect();
    let lines: Vec<String> = variants.iter().filter_map(line).collect();
    schema.insert("type".into(), json!("string"));
    schema.insert("enum".into(), json!(values));
    schema.insert("title".into(), json!(lines.join("\n")));
}

fn value(variant: &Value) -> Option<&Value> {
    variant.get("const").or_else(|| variant.get("enum")?.get(0))
}

fn line(variant: &Value) -> Option<String> {
    let meaning = variant.get("description")?.as_str()?;
    Some(format!("- `{}`: {meaning}", value(variant)?.as_str()?))
}

/// Moves what the values mean from `title` to the end of the description, everywhere in a schema.
///
/// Also drops `nullable`: an explicit `null` then means what an absent field means, as the API server prunes it.
pub(crate) fn finish(schema: &mut Value) {
    match schema {
        Value::Object(node) => {
            node.remove("nullable")
                .filter(|mark| !mark.is_boolean())
                .map(|kept| node.insert("nullable".into(), kept));
            if let Some(Value::String(meanings)) = node.get("title").cloned()
                && node.contains_key("type")
            {
                node.remove("title");
                describe(node, &meanings);
            }
            node.values_mut().for_each(finish);
        }
        Value::Array(items) => items.iter_mut().for_each(finish),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn describe(node: &mut serde_json::Map<String, Value>, meanings: &str) {
    if !meanings.starts_with("- `") {
        return;
    }
    let description = node.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{description}\n{meanings}");
    node.insert("description".into(), json!(description.trim_start()));
}
