#![cfg(test)]
//! `admit` and the real API server judge every manifest alike, with the same messages.
#[path = "cluster_kinds/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use chaperone_crds::{Document, GROUP, VERSION, admit, crds, read_documents};
use chaperone_e2e::cluster::Cluster;
use chaperone_e2e::examples;
use serde_json::{Value, json};
use server::{Said, ask, ask_loosely, rules};

/// What is wrong with an object, by path.
type Refusal = BTreeSet<(String, String)>;

/// The manifests of `crds/tests/cases/<folder>`.
fn cases(folder: &str) -> Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/tests/cases");
    let files = examples::manifests(&root.join(folder))?;
    ensure!(!files.is_empty(), "no manifest in {folder}");
    Ok(files)
}

fn documents(file: &Path) -> Vec<Document> {
    read_documents(&fs::read_to_string(file).unwrap()).unwrap()
}

fn is_ours(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| crds().iter().any(|crd| crd.spec.names.kind == kind))
}

fn refused_by_admit(object: &Value) -> Refusal {
    let problems = admit(object).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.path, problem.message)).collect()
}

/// Puts an object into the test's namespace, which exists.
fn moved(object: &Value, namespace: &str) -> Value {
    let mut object = object.clone();
    if object["metadata"].get("namespace").is_some() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

#[tokio::test]
async fn every_example_and_every_good_manifest_is_accepted() -> Result<()> {
    let Some(cluster) = Cluster::for_test("every_example_and_every_good_manifest_is_accepted").await? else {
        return Ok(());
    };
    let namespace = cluster.namespace("good", &[]).await?;
    let mut asked = 0;
    let mut files = cases("good")?;
    for folder in examples::folders()? {
        files.extend(examples::manifests(&folder)?);
    }
    for file in files {
        for document in read_documents(&examples::with_variables_set(&file)?)? {
            if document.value["kind"] == "Namespace" {
                continue;
            }
            let object = moved(&document.value, namespace.name());
            let said = ask(&cluster, namespace.name(), &object).await?;
            assert_eq!(said, Said::Accepted, "{} in {}", object["metadata"]["name"], file.display());
            assert_eq!(refused_by_admit(&object), Refusal::new());
            asked += 1;
        }
    }
    assert!(asked > 20, "only {asked}");
    Ok(())
}

#[tokio::test]
async fn every_bad_manifest_of_our_kinds_is_refused_with_the_messages_of_admit() -> Result<()> {
    let test = "every_bad_manifest_of_our_kinds_is_refused_with_the_messages_of_admit";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    let namespace = cluster.namespace("bad", &[]).await?;
    let mut differences = Vec::new();
    let files = cases("bad")?.into_iter();
    // What is wrong with metadata, an API server words in its own way: see the next test.
    for file in files.filter(|file| !file.ends_with("manifest.yaml")) {
        for document in documents(&file) {
            let object = moved(&document.value, namespace.name());
            let name = object["metadata"]["name"].to_string();
            if let Some(difference) = difference(&cluster, namespace.name(), &object).await? {
                differences.push(format!("{name}: {difference}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// How the two verdicts differ, if they do.
async fn difference(cluster: &Cluster, namespace: &str, object: &Value) -> Result<Option<String>> {
    let mut ours = refused_by_admit(object);
    let theirs = match ask(cluster, namespace, object).await? {
        Said::Accepted => return Ok(Some("the API server accepts it".to_owned())),
        Said::Invalid(theirs) => theirs,
        // An API server stops here; what else is wrong it says when the fields are gone.
        Said::UnknownFields(fields) => {
            let unknown: BTreeSet<String> = ours
                .iter()
                .filter(|(_, message)| message.starts_with("unknown field"))
                .map(|(path, _)| path.clone())
                .collect();
            ours.retain(|(path, _)| !unknown.contains(path));
            // Inside of what is of the wrong type, it takes every member for unknown.
            let is_inside = |field: &str| ours.iter().any(|(path, _)| field.starts_with(&format!("{path}.")));
            if fields.iter().any(|field| !unknown.contains(field) && !is_inside(field))
                || !unknown.is_subset(&fields)
            {
                return Ok(Some(format!("unknown fields are {unknown:?}, the API server says {fields:?}")));
            }
            match ask_loosely(cluster, namespace, object).await? {
                Said::Accepted => Refusal::new(),
                // Rules judge what is left without the fields; `admit` does not ask them.
                Said::Invalid(theirs) => theirs.into_iter().filter(|(_, it)| !rules().contains(it)).collect(),
                Said::UnknownFields(fields) => return Ok(Some(format!("still unknown: {fields:?}"))),
            }
        }
    };
    Ok((ours != theirs).then(|| format!("admit says\n  {ours:#?}\nthe API server\n  {theirs:#?}")))
}

#[tokio::test]
async fn what_is_wrong_with_metadata_and_core_kinds_is_refused_by_both() -> Result<()> {
    let test = "what_is_wrong_with_metadata_and_core_kinds_is_refused_by_both";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    let file = cases("bad")?.into_iter().find(|file| file.ends_with("manifest.yaml"));
    let mut asked = 0;
    for document in documents(&file.context("manifest.yaml")?) {
        let kind = document.value["kind"].as_str().unwrap_or_default();
        // Kinds of a cluster that are not for a folder of manifests are none of its business.
        if !is_ours(&document.value) && !["Secret", "ConfigMap", "Namespace"].contains(&kind) {
            continue;
        }
        assert_ne!(refused_by_admit(&document.value), Refusal::new());
        let applied = cluster
            .kubectl_with(
                &["create", "--dry-run=server", "--validate=strict", "-f", "-"],
                &document.value.to_string(),
            )
            .await?;
        assert!(!applied.is_success, "{}: {}", document.value, applied.stdout);
        asked += 1;
    }
    assert!(asked >= 5, "only {asked}");
    Ok(())
}

#[tokio::test]
async fn an_alias_cannot_change_on_the_api_server_either() -> Result<()> {
    let Some(cluster) = Cluster::for_test("an_alias_cannot_change_on_the_api_server_either").await? else {
        return Ok(());
    };
    let namespace = cluster.namespace("alias", &[]).await?;
    let route = |alias: &str, weight: u8| {
        json!({
            "apiVersion": "chaperone.dev/v1alpha1", "kind": "ModelRoute",
            "metadata": {"name": "route", "namespace": namespace.name()},
            "spec": {"alias": alias, "targets": [{"partner": "p", "weight": weight}]},
        })
        .to_string()
    };
    let apply = ["apply", "--server-side", "-f", "-"];
    cluster.kubectl_with(&apply, &route("first", 1)).await?.ok()?;
    cluster.kubectl_with(&apply, &route("first", 2)).await?.ok()?;
    let refused = cluster.kubectl_with(&apply, &route("second", 2)).await?;
    assert!(!refused.is_success);
    assert!(
        refused.stderr.contains("`alias` cannot change: create another ModelRoute"),
        "{}",
        refused.stderr
    );
    Ok(())
}

#[tokio::test]
async fn kubectl_explains_every_field_in_at_most_three_sentences() -> Result<()> {
    let test = "kubectl_explains_every_field_in_at_most_three_sentences";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    // What kubectl reads. To run it for each of the fields would take minutes.
    let request = http::Request::get(format!("/openapi/v3/apis/{GROUP}/{VERSION}")).body(Vec::new())?;
    let served: Value = cluster.client().request(request).await?;
    let mut fields = 0;
    for crd in crds() {
        let (kind, plural) = (crd.spec.names.kind, crd.spec.names.plural);
        let schema = &served["components"]["schemas"][format!("dev.chaperone.{VERSION}.{kind}")];
        fields += assert_explained(schema, &kind);
        for path in [plural.clone(), format!("{plural}.spec"), format!("{plural}.status")] {
            let explained = cluster.kubectl(&["explain", &path]).await?.ok()?;
            let description = explained.split_once("DESCRIPTION:").context("a description")?.1;
            let first = description.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            assert!(!first.is_empty() && first != "<empty>", "{path}: {explained}");
        }
    }
    assert!(fields > 100, "only {fields}");
    Ok(())
}

/// Counts the fields below a schema, all of which must be explained; metadata is explained by Kubernetes.
fn assert_explained(schema: &Value, path: &str) -> usize {
    let mut fields = 0;
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if path.contains('.') || matches!(name.as_str(), "spec" | "status") {
            let path = format!("{path}.{name}");
            let description = field["description"].as_str().unwrap_or_default();
            // The values of an enum are explained in a list after it.
            let text = description.split("\n- `").next().unwrap_or_default();
            let words = text.split_whitespace();
            let sentences = words.filter(|word| word.ends_with(['.', '!', '?'])).count();
            assert!((1..=3).contains(&sentences), "{path} is explained in {sentences} sentences: {text:?}");
            fields += 1 + assert_explained(field, &path);
        }
    }
    let inside = ["items", "additionalProperties"].into_iter().filter_map(|part| schema.get(part));
    fields + inside.map(|schema| assert_explained(schema, path)).sum::<usize>()
}
