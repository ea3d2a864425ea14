#![cfg(test)]
//! Manifests that are admitted, and manifests that are refused with exactly the message that users read.
//!
//! Each `bad/<topic>.yaml` has its refusals in `bad/<topic>.txt`, as `<name>, line <n>: <path>: <message>`. That no rule
//! is without a manifest is for `rules.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chaperone_crds::{Document, ModelRoute, Object, admit, crds, read_documents};
use serde_json::Value;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn documents(path: &Path) -> Vec<Document> {
    read_documents(&fs::read_to_string(path).unwrap()).unwrap()
}

fn name(document: &Document) -> &str {
    document.value["metadata"]["name"].as_str().unwrap_or("(no name)")
}

#[test]
fn good_manifests_are_admitted() {
    for path in files("good") {
        for document in documents(&path) {
            let refused = admit(&document.value).err();
            assert_eq!(refused, None, "{} in {}", name(&document), path.display());
        }
    }
}

#[test]
fn bad_manifests_are_refused_with_the_message_that_users_read() {
    for path in files("bad") {
        let mut found = String::new();
        for document in documents(&path) {
            let problems = admit(&document.value).expect_err(name(&document));
            for problem in problems {
                let line = document.line(&problem.path);
                found += &format!("{}, line {line}: {problem}\n", name(&document));
            }
        }
        let wanted = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        assert!(found == wanted, "{} says\n{wanted}\nbut the refusals are\n{found}", path.display());
    }
}

#[test]
fn rule_11_5_a_fault_that_cannot_be_meant_is_refused_at_apply() {
    let routes = files("bad").into_iter().find(|path| path.ends_with("model_route.yaml")).unwrap();
    let mut refused = BTreeSet::new();
    let documents = documents(&routes);
    for document in documents.iter().filter(|document| name(document).starts_with("fault-")) {
        let problems = admit(&document.value).expect_err(name(document));
        assert!(problems.iter().all(|problem| problem.path.starts_with("spec.faults")), "{problems:?}");
        refused.insert(name(document));
    }
    // An unknown kind, missing and surplus fields, percentages above 100, values out of their range, windows.
    let topics = ["structure", "fields-missing", "fields-surplus", "percentages", "values", "window"];
    assert_eq!(refused, topics.map(|topic| format!("fault-{topic}")).iter().map(String::as_str).collect());
}

#[test]
fn an_alias_cannot_change() {
    let route = |alias: &str| {
        let text = format!(
            "{{apiVersion: chaperone.dev/v1alpha1, kind: ModelRoute, metadata: {{name: r}}, spec: {{alias: {alias}, targets: [{{partner: p}}]}}}}"
        );
        match admit(&read_documents(&text).unwrap()[0].value).unwrap() {
            Object::ModelRoute(route) => *route,
            other => panic!("{other:?}"),
        }
    };
    let update = |old: &ModelRoute, new: &ModelRoute| kube::core::cel::validate_cel_update(new, old);
    assert_eq!(update(&route("a"), &route("a")), Ok(()));
    let refused = update(&route("a"), &route("b")).unwrap_err();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].field_path, "spec.alias");
    assert!(refused[0].message.starts_with("`alias` cannot change: create another"), "{refused}");
}

#[test]
fn every_field_of_a_spec_stands_in_the_full_manifest() {
    let full = documents(&files("good").into_iter().find(|path| path.ends_with("full.yaml")).unwrap());
    for crd in crds() {
        let kind = &crd.spec.names.kind;
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        let values: Vec<&Value> =
            full.iter().filter(|it| it.value["kind"] == **kind).map(|it| &it.value["spec"]).collect();
        assert_covered(spec, &values, kind);
    }
}

fn assert_covered(schema: &Value, values: &[&Value], path: &str) {
    for (name, inside) in schema["properties"].as_object().into_iter().flatten() {
        let found: Vec<&Value> = values.iter().filter_map(|value| value.get(name)).collect();
        assert!(!found.is_empty(), "{path}.{name} stands in no full manifest");
        assert_covered(inside, &found, &format!("{path}.{name}"));
    }
    let items: Vec<&Value> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
    if schema.get("items").is_some() {
        assert_covered(&schema["items"], &items, &format!("{path}[]"));
    }
}

#[test]
fn defaults_are_filled_in() {
    let minimal = files("good").into_iter().find(|path| path.ends_with("minimal.yaml")).unwrap();
    let objects: Vec<Object> = documents(&minimal).iter().map(|it| admit(&it.value).unwrap()).collect();
    let [Object::Partner(partner), _, Object::ModelRoute(route), Object::TenantQuota(quota)] =
        objects.as_slice()
    else {
        panic!("{objects:?}")
    };
    let spec = serde_json::to_value(&partner.spec).unwrap();
    assert_eq!(spec["dataClasses"], serde_json::json!(["Public", "Internal"]));
    assert_eq!(
        spec["timeouts"],
        serde_json::json!({"connect": "2s", "firstToken": "5s", "whole": "120s", "idle": "30s", "total": "600s"})
    );
    let route = serde_json::to_value(&route.spec).unwrap();
    assert_eq!(route["dataClass"], "Internal");
    assert_eq!(route["deadline"], "300s");
    assert_eq!(route["wholeAnswers"], "AsAsked");
    assert_eq!(route["targets"][0]["weight"], 1);
    assert_eq!(route.get("fallbackChain"), None, "absent inherits, so it must stay absent");
    assert_eq!(
        serde_json::to_value(&quota.spec.allowed_namespaces).unwrap(),
        serde_json::json!({"from": "Same"})
    );
}

#[test]
fn what_was_admitted_is_admitted_again_unchanged() {
    for document in files("good").iter().flat_map(|path| documents(path)) {
        let admitted = admit(&document.value).unwrap();
        let written = match &admitted {
            Object::Partner(partner) => serde_json::to_value(partner),
            Object::ModelRoute(route) => serde_json::to_value(route),
            Object::TenantQuota(quota) => serde_json::to_value(quota),
            Object::Secret(_) | Object::ConfigMap(_) | Object::Namespace(_) => continue,
        };
        assert_eq!(admit(&written.unwrap()), Ok(admitted), "{}", name(&document));
    }
}

#[test]
fn a_secret_is_decoded_and_never_printed() {
    let core = files("good").into_iter().find(|path| path.ends_with("core.yaml")).unwrap();
    let objects: Vec<Object> = documents(&core).iter().map(|it| admit(&it.value).unwrap()).collect();
    let [_, Object::Secret(key), Object::Secret(tls), Object::ConfigMap(config_map)] = objects.as_slice()
    else {
        panic!("{objects:?}")
    };
    assert_eq!(key.data["key"].expose(), b"not-a-real-key");
    assert_eq!(key.type_, "Opaque");
    assert_eq!(tls.data["tls.crt"].expose(), b"cert");
    assert_eq!(tls.type_, "kubernetes.io/tls");
    assert_eq!(config_map.data["ca.crt"], "-----BEGIN CERTIFICATE-----");
    assert!(!format!("{objects:?}").contains("not-a-real-key"));
}
