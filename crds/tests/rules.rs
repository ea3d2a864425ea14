#![cfg(test)]
//! Every rule, at every place where a definition has it, has judged two manifests of `cases/`: one that it refuses, and
//! one that it lets pass. A rule that two fields share counts twice: each may be forgotten alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use chaperone_crds::{Problem, admit, crds, read_documents};
use serde_json::Value;

/// Kind, place in its schema, message.
type Rule = (String, String, String);

/// Judges two forms of one object, which no manifest has: `cases.rs` tries it on updates.
const OF_UPDATES: &str = "`alias` cannot change";

/// Walks a schema, and every value that stands at its nodes: `visit` gets a node, its place, the paths of those values.
fn walk(
    schema: &Value,
    place: &str,
    values: &[(String, &Value)],
    visit: &mut impl FnMut(&Value, &str, &[String]),
) {
    visit(schema, place, &values.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>());
    for (name, inside) in schema["properties"].as_object().into_iter().flatten() {
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        let found = values.iter().filter_map(|(path, value)| Some((member(path, name), value.get(name)?)));
        walk(inside, &place, &found.collect::<Vec<_>>(), visit);
    }
    if let Some(inside) = schema.get("additionalProperties") {
        let found = values.iter().filter_map(|(path, value)| Some((path, value.as_object()?)));
        let found = found
            .flat_map(|(path, members)| members.iter().map(move |(key, value)| (member(path, key), value)));
        walk(inside, &format!("{place}.*"), &found.collect::<Vec<_>>(), visit);
    }
    if let Some(inside) = schema.get("items") {
        let found = values.iter().filter_map(|(path, value)| Some((path, value.as_array()?)));
        let found = found.flat_map(|(path, items)| {
            items.iter().enumerate().map(move |(index, value)| (format!("{path}[{index}]"), value))
        });
        walk(inside, &format!("{place}[]"), &found.collect::<Vec<_>>(), visit);
    }
}

fn member(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The rules of a kind that judged one of these values and, with problems, refused it.
fn judged(kind: &str, schema: &Value, object: &Value, problems: Option<&[Problem]>) -> BTreeSet<Rule> {
    let mut found = BTreeSet::new();
    walk(schema, "", &[(String::new(), object)], &mut |node, place, paths| {
        for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            let refuses = |path: &String, problems: &[Problem]| {
                problems.iter().any(|problem| problem.path == *path && problem.message == message)
            };
            if paths.iter().any(|path| problems.is_none_or(|problems| refuses(path, problems))) {
                found.insert((kind.to_owned(), place.to_owned(), message.to_owned()));
            }
        }
    });
    found
}

fn objects(folder: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    let documents = files.flat_map(|file| read_documents(&fs::read_to_string(file).unwrap()).unwrap());
    documents.map(|document| document.value).collect()
}

#[test]
fn every_rule_has_refused_a_manifest_and_let_one_pass() {
    let (good, bad) = (objects("good"), objects("bad"));
    let (mut rules, mut refused, mut passed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for crd in crds() {
        let kind = crd.spec.names.kind;
        let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema).unwrap();
        walk(&schema, "", &[], &mut |node, place, _| {
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                rules.insert((kind.clone(), place.to_owned(), rule["message"].as_str().unwrap().to_owned()));
            }
        });
        for object in good.iter().filter(|object| object["kind"] == *kind) {
            passed.extend(judged(&kind, &schema, object, None));
        }
        for object in bad.iter().filter(|object| object["kind"] == *kind) {
            let problems = admit(object).unwrap_err();
            refused.extend(judged(&kind, &schema, object, Some(&problems)));
        }
    }
    assert!(rules.len() > 40, "only {}", rules.len());
    rules.retain(|(_, _, message)| !message.starts_with(OF_UPDATES));
    let without = |done: &BTreeSet<Rule>| {
        let missing = rules.difference(done).map(|(kind, place, rule)| format!("{kind} {place}: {rule}\n"));
        missing.collect::<String>()
    };
    assert_eq!(without(&refused), "", "rules that refuse no manifest of cases/bad");
    assert_eq!(without(&passed), "", "rules that judge no manifest of cases/good");
}
