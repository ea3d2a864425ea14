#![cfg(test)]
//! What the Helm chart promises in writing, held to what is there. Needs no cluster; `cluster_chart.rs` and
//! `cluster_helm.rs` have one.
use std::collections::BTreeSet;
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

/// Metrics of the API server, which alerts name. `cluster_injector.rs` has seen them there.
const OF_THE_API_SERVER: [&str; 2] =
    ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"];

/// Names of metrics in a text: words that begin as all of ours do, or those of the API server.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let prefixes = ["chaperone_", "gen_ai_client_", "apiserver_"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// String literals in the sources of a crate that name a metric.
fn registered(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            registered(&path, found);
        } else {
            let source = fs::read_to_string(path).unwrap();
            found.extend(source.split('"').flat_map(metrics).map(str::to_owned));
        }
    }
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let mut existing: BTreeSet<String> = OF_THE_API_SERVER.map(str::to_owned).into();
    registered(&root().join("operator/src"), &mut existing);
    registered(&root().join("sidecar/src"), &mut existing);
    let texts =
        [read("monitoring/alerts.yaml"), read("monitoring/dashboard.json"), read("templates/NOTES.txt")];
    let named: BTreeSet<&str> = texts.iter().flat_map(|text| metrics(text)).collect();
    assert!(named.len() > 15, "only {named:?}");
    for name in named {
        let series = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_there = existing.contains(name) || series.is_some_and(|family| existing.contains(family));
        assert!(is_there, "{name} is no metric of operator or sidecar");
    }
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
