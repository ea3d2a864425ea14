//! `type` and `format`, in the words of an API server.

use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use regex::Regex;
use serde_json::Value;

/// RFC 3339 as an API server reads it; which days a month has is left to the reader of times.
static DATE_TIME: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2})$";
    Regex::new(pattern).expect("a constant pattern is a regular expression")
});

/// Why a value is of another type, or another format, than its schema's; `None` if it is not.
pub(super) fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    let wanted = schema["type"].as_str().unwrap_or_default();
    let format = schema["format"].as_str();
    let found = type_name(value);
    if found == wanted {
        let is_broken = format == Some("date-time") && !is_date_time(value);
        return is_broken.then(|| format!("Invalid value: {value}: must be of type date-time: {value}"));
    }
    // What has a format is called by it, but for texts and lists.
    let (wanted, found) = match (format, value) {
        (None, _) | (_, Value::String(_) | Value::Array(_)) => (wanted, found),
        (Some(format), Value::Number(_)) => (format, "float64"),
        (Some(format), Value::Null | Value::Bool(_) | Value::Object(_)) => (format, ""),
    };
    Some(format!("Invalid value: \"{found}\": must be of type {wanted}: \"{found}\""))
}

fn is_date_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| DATE_TIME.is_match(text))
        && serde_json::from_value::<Time>(value.clone()).is_ok()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
