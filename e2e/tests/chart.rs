#![cfg(test)]
//! What the Helm chart promises in writing, held to what is there. Needs no cluster; `cluster_chart.rs` and
//! `cluster_helm.rs` have one.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chaperone_crds::{admit, crds, read_documents};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join("charts/chaperone").join(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    read_documents(text).unwrap().remove(0).value
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn every_value_is_in_the_schema_and_nothing_else_is() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values = yaml(&read("values.yaml"));
    assert_alike(&schema, &values, "");
}

fn assert_alike(schema: &Value, values: &Value, path: &str) {
    let Some(properties) = schema.get("properties") else { return };
    assert_eq!(schema["additionalProperties"], false, "{path}");
    let mut known = keys(properties);
    // Helm hands every chart the values of the chart above it.
    known.retain(|key| !path.is_empty() || *key != "global");
    assert_eq!(known, keys(values), "{path}");
    for key in known {
        assert_alike(&properties[key], &values[key], &format!("{path}.{key}"));
    }
}

#[test]
fn every_value_is_commented() {
    let mut is_documented = false;
    for line in read("values.yaml").lines() {
        // Lines that stand together share a comment; a group may leave it to its members.
        is_documented = match line.trim_start() {
            "" => false,
            comment if comment.starts_with('#') => true,
            _ => is_documented,
        };
        assert!(is_documented || line.is_empty() || line.ends_with(':'), "no comment above {line:?}");
    }
}

/// Metrics, and labels of each.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Metrics of the API server, which alerts name. `cluster_injector.rs` has seen them there.
const OF_THE_API_SERVER: [&str; 2] =
    ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"];

/// Labels that a metric has by where it is scraped, or as a histogram.
const OF_ALL: [&str; 3] = ["namespace", "pod", "le"];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
}

/// Names of metrics in a text: words that begin as all of ours do, or those of the API server.
fn metrics(text: &str) -> BTreeSet<&str> {
    let prefixes = ["chaperone_", "gen_ai_client_", "apiserver_"];
    words(text).filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// String literals in the sources of a crate that name a metric, each with the words of those that follow: its help, which
/// is a sentence, and its labels.
fn registered(folder: &Path, found: &mut Metrics) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            registered(&path, found);
            continue;
        }
        let source = fs::read_to_string(path).unwrap();
        let mut labels = None;
        for literal in source.split('"') {
            if metrics(literal).contains(literal) {
                labels = Some(found.entry(literal.to_owned()).or_default());
            } else if let Some(labels) = &mut labels
                && words(literal).eq([literal])
            {
                labels.insert(literal.to_owned());
            }
        }
    }
}

fn existing() -> Metrics {
    let of_the_api_server = ["name", "error_type"].map(str::to_owned);
    let known = OF_THE_API_SERVER.map(|name| (name.to_owned(), of_the_api_server.clone().into()));
    let mut existing = Metrics::from(known);
    registered(&root().join("operator/src"), &mut existing);
    registered(&root().join("sidecar/src"), &mut existing);
    existing
}

/// The labels of a metric, or of the histogram that a series belongs to.
fn labels<'m>(existing: &'m Metrics, name: &str) -> Option<&'m BTreeSet<String>> {
    let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    existing.get(name).or_else(|| existing.get(family?))
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let existing = existing();
    let texts =
        [read("monitoring/alerts.yaml"), read("monitoring/dashboard.json"), read("templates/NOTES.txt")];
    let named: BTreeSet<&str> = texts.iter().flat_map(|text| metrics(text)).collect();
    assert!(named.len() > 15, "only {named:?}");
    for name in named {
        assert!(labels(&existing, name).is_some(), "{name} is no metric of operator or sidecar");
    }
}

/// Every `expr` in a tree of JSON.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                found.extend(member.as_str().filter(|_| name == "expr").map(str::to_owned));
                expressions(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Labels that an expression groups by or selects.
fn labels_in(expression: &str) -> BTreeSet<&str> {
    let groups = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let selectors = expression.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    // A label stands before the first quotation mark of what it is to be, and after the comma of the one before.
    let selected = selectors.flat_map(|selector| selector.split('"').step_by(2)).flat_map(words);
    groups.flat_map(words).chain(selected).collect()
}

#[test]
fn alerts_and_dashboard_use_only_labels_that_their_metrics_have() {
    let (existing, mut all) = (existing(), Vec::new());
    expressions(&yaml(&format!("groups:\n{}", read("monitoring/alerts.yaml"))), &mut all);
    expressions(&serde_json::from_str(&read("monitoring/dashboard.json")).unwrap(), &mut all);
    assert!(all.len() > 25, "only {all:?}");
    let mut used = 0;
    for expression in all {
        let named = metrics(&expression).into_iter();
        let known: BTreeSet<&str> = named
            .flat_map(|name| labels(&existing, name).unwrap())
            .map(String::as_str)
            .chain(OF_ALL)
            .collect();
        for label in labels_in(&expression) {
            assert!(known.contains(label), "no metric of {expression} has label {label}");
            used += 1;
        }
    }
    assert!(used > 30, "only {used}");
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let groups = yaml(&format!("groups:\n{}", read("monitoring/alerts.yaml")));
    let groups = groups["groups"].as_array().unwrap();
    let alerts: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        for text in [&alert["alert"], &alert["expr"], &alert["labels"]["severity"]] {
            assert!(text.is_string(), "{alert}");
        }
        for text in ["summary", "description"] {
            assert!(alert["annotations"][text].is_string(), "{alert}");
        }
    }
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

#[test]
fn artifact_hub_is_told_of_every_kind_and_of_examples_that_are_admitted() {
    let chart = yaml(&read("Chart.yaml"));
    let list = |name: &str| {
        let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap();
        yaml(&format!("list:\n{text}"))["list"].as_array().unwrap().clone()
    };
    let told: Vec<Value> = list("crds").iter().map(|kind| kind["name"].clone()).collect();
    let ours: Vec<Value> = crds().into_iter().map(|crd| crd.metadata.name.unwrap().into()).collect();
    assert_eq!(told, ours);
    let examples = list("crdsExamples");
    assert_eq!(examples.len(), ours.len());
    for example in examples {
        admit(&example).unwrap();
    }
}
