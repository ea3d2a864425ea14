//! `${NAME}` in any string value becomes that variable. Keys stay, and what was put in is not expanded again.

use serde_json::Value;

use crate::args::Environment;

/// Expands `value` in place. Returns path and message of every variable that is not set.
pub(super) fn expand(value: &mut Value, environment: &Environment) -> Vec<(String, String)> {
    let mut missing = Vec::new();
    walk(value, "", environment, &mut missing);
    missing
}

fn walk(value: &mut Value, path: &str, environment: &Environment, missing: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => {
            if text.contains("${") {
                match expand_text(text, environment) {
                    Ok(expanded) => *text = expanded,
                    Err(name) => {
                        let message = format!("variable {name} is not set; set it, or write the value out");
                        missing.push((path.to_owned(), message));
                    }
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{path}[{index}]"), environment, missing);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                walk(member, &join(path, key), environment, missing);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// As paths are written everywhere: a key that could be mistaken for a path stands in brackets.
fn join(path: &str, key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match (path, !key.is_empty() && key.bytes().all(is_plain)) {
        (_, false) => format!("{path}[{key}]"),
        ("", true) => key.to_owned(),
        (path, true) => format!("{path}.{key}"),
    }
}

/// The text with its variables put in, or the name of one that is not set.
fn expand_text(text: &str, environment: &Environment) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        match after.split_once('}').filter(|(name, _)| is_name(name)) {
            Some((name, after)) => {
                expanded.push_str(environment.get(name).ok_or(name)?);
                rest = after;
            }
            // Not a variable: shell in a ConfigMap, say.
            None => {
                expanded.push_str("${");
                rest = after;
            }
        }
    }
    Ok(expanded + rest)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_are_put_in_once_wherever_a_string_stands() {
        let environment = Environment::from([("A", "1"), ("B_2", "${A}"), ("EMPTY", "")]);
        let mut value = json!({"${A}": ["${A}-${B_2}", "${}", "${a b}", "$A ${", "${EMPTY}", 7]});
        assert_eq!(expand(&mut value, &environment), []);
        assert_eq!(value, json!({"${A}": ["1-${A}", "${}", "${a b}", "$A ${", "", 7]}));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named_with_its_place() {
        let mut value = json!({"data": {"ca.crt": "${X}"}, "spec": [{"key": "a${Y}"}]});
        let missing = expand(&mut value, &Environment::from([]));
        let paths: Vec<_> = missing.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["data[ca.crt]", "spec[0].key"]);
        assert!(missing[1].1.contains("variable Y is not set"));
    }
}
