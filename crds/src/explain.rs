//! Makes `kubectl explain` say what each value of an enum means.
//!
//! schemars keeps the doc comment of every variant, but the rewriting into a structural schema drops them.
//! They travel through it in `title`, which nothing else uses, and end as a list below the description.

use schemars::Schema;
use serde_json::{Map, Value, json};

/// Begins every `title` that explains values, so that no other title is mistaken for one.
const MARK: &str = "- `";

/// Turns the documented variants of a unit enum into a plain `enum`, with what they mean in `title`.
pub(crate) fn explain_values(schema: &mut Schema) {
    let Some(variants) = schema.remove("oneOf") else { return };
    let variants = variants.as_array().cloned().unwrap_or_default();
    let values: Vec<&Value> = variants.iter().filter_map(|variant| variant.get("const")).collect();
    let lines: Vec<String> = variants.iter().filter_map(line).collect();
    schema.insert("type".into(), json!("string"));
    schema.insert("enum".into(), json!(values));
    schema.insert("title".into(), json!(lines.join("\n")));
}

fn line(variant: &Value) -> Option<String> {
    let meaning = variant.get("description")?.as_str()?;
    Some(format!("{MARK}{}`: {meaning}", variant.get("const")?.as_str()?))
}

/// Ends the journey: explanations move from `title` to the end of `description`, everywhere in a definition.
///
/// Also drops `nullable`: an explicit `null` then means what an absent field means, as an API server prunes it.
pub(crate) fn finish(node: &mut Value) {
    match node {
        Value::Object(members) => {
            if members.get("nullable").is_some_and(Value::is_boolean) {
                members.remove("nullable");
            }
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            describe(members);
            members.values_mut().for_each(finish);
        }
        Value::Array(items) => items.iter_mut().for_each(finish),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn describe(members: &mut Map<String, Value>) {
    let Some(title) = members.get("title").and_then(Value::as_str) else { return };
    if !title.starts_with(MARK) {
        // kube gives the root its kind's name as title, which says nothing that `kind` does not.
        members.remove("title");
        return;
    }
    let description = members.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{description}\n{title}");
    members.insert("description".into(), json!(description.trim_start()));
    members.remove("title");
}
