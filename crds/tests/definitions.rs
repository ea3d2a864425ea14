#![cfg(test)]
//! What every definition owes its readers and the API server: descriptions, bounds, rules that compile.

use chaperone_crds::crds;
use serde_json::Value;

/// Calls `visit` with every node that describes a value, and its path.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, inside) in schema["properties"].as_object().into_iter().flatten() {
        walk(inside, &format!("{path}.{name}"), visit);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(inside) = schema.get(part) {
            walk(inside, &format!("{path}[]"), visit);
        }
    }
}

fn for_each_node(mut visit: impl FnMut(&str, &Value)) {
    for crd in crds() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        walk(&serde_json::to_value(schema).unwrap(), &crd.spec.names.kind, &mut visit);
    }
}

fn sentences(text: &str) -> usize {
    let ends = text.char_indices().filter(|(at, letter)| {
        matches!(letter, '.' | '!' | '?')
            && text.get(at + 1..).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\n']))
    });
    ends.count()
}

#[test]
fn every_property_is_described_in_at_most_three_sentences() {
    for_each_node(|path, schema| {
        if path.ends_with("[]") {
            return;
        }
        let description =
            schema["description"].as_str().unwrap_or_else(|| panic!("{path} has no description"));
        let text = description.split("\n- `").next().unwrap();
        let count = sentences(text);
        assert!((1..=3).contains(&count), "{path} has {count} sentences: {text}");
    });
}

#[test]
fn every_value_of_an_enum_is_explained() {
    let mut enums = 0;
    for_each_node(|path, schema| {
        for value in schema["enum"].as_array().into_iter().flatten() {
            let value = value.as_str().unwrap_or_else(|| panic!("{path} takes {value}"));
            let line = format!("\n- `{value}`: ");
            assert!(
                schema["description"].as_str().unwrap().contains(&line),
                "{path} does not explain {value}"
            );
            enums += 1;
        }
    });
    assert!(enums > 30);
}

#[test]
fn everything_in_a_spec_is_bounded() {
    for_each_node(|path, schema| {
        let needs: &[&str] = match schema["type"].as_str().unwrap() {
            _ if !path.contains(".spec") => return,
            "string" if schema.get("enum").is_some() => &[],
            "string" => &["maxLength"],
            "array" => &["maxItems"],
            "integer" => &["minimum", "maximum"],
            "object" if schema.get("additionalProperties").is_some() => &["maxProperties"],
            _ => &[],
        };
        for bound in needs {
            assert!(schema.get(bound).is_some(), "{path} has no {bound}");
        }
    });
}

#[test]
fn nothing_is_nullable_so_that_null_means_absent() {
    for_each_node(|path, schema| assert_eq!(schema.get("nullable"), None, "{path}"));
}

#[test]
fn every_rule_compiles_and_has_a_message() {
    let mut rules = 0;
    for crd in crds() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        let compiled = kube_cel::compile_schema(&serde_json::to_value(schema).unwrap());
        assert!(!compiled.has_errors(), "{}: {:?}", crd.spec.names.kind, compiled.compilation_errors());
    }
    for_each_node(|path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["message"].is_string(), "{path}: {} has no message", rule["rule"]);
            rules += 1;
        }
    });
    assert!(rules > 25);
}

#[test]
fn every_list_says_how_it_is_merged() {
    for_each_node(|path, schema| {
        if schema["type"] == "array" {
            assert!(schema.get("x-kubernetes-list-type").is_some(), "{path} has no list type");
        }
    });
}

#[test]
fn the_kinds_are_found_by_short_name_category_and_field() {
    let names = crds().into_iter().map(|crd| {
        let version = &crd.spec.versions[0];
        let selectable = version.selectable_fields.iter().flatten().map(|field| field.json_path.clone());
        let columns = version.additional_printer_columns.iter().flatten().map(|column| column.name.clone());
        (
            crd.spec.names.short_names.unwrap_or_default().join(","),
            crd.spec.names.categories.unwrap_or_default().join(","),
            selectable.collect::<Vec<_>>().join(","),
            columns.collect::<Vec<_>>().join(","),
        )
    });
    let wanted = [
        ("pt", "chaperone", ".spec.adapter", "Adapter,Ready,Programmed,Reason,Age"),
        ("mr", "chaperone", ".spec.alias", "Alias,Ready,Programmed,Reason,Age"),
        ("tq", "chaperone", "", "Tenants,Ready,Programmed,Reason,Age"),
    ];
    let wanted = wanted.map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()));
    assert_eq!(names.collect::<Vec<_>>(), wanted);
}
