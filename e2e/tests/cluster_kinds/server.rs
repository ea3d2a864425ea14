//! What the API server says of an object, without storing it, in the words that `admit` uses.
use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use chaperone_crds::crds;
use chaperone_e2e::cluster::Cluster;
use http::Request;
use kube::core::Status;
use serde_json::Value;

/// Its verdict.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Said {
    Accepted,
    /// Fields that the definition does not have. Nothing else was judged.
    UnknownFields(BTreeSet<String>),
    /// Path and message of everything that is wrong.
    Invalid(BTreeSet<(String, String)>),
}

/// As strictly as kubectl asks.
pub(crate) async fn ask(cluster: &Cluster, namespace: &str, object: &Value) -> Result<Said> {
    post(cluster, namespace, object, "Strict").await
}

/// Unknown fields are dropped.
pub(crate) async fn ask_loosely(cluster: &Cluster, namespace: &str, object: &Value) -> Result<Said> {
    post(cluster, namespace, object, "Ignore").await
}

async fn post(cluster: &Cluster, namespace: &str, object: &Value, validation: &str) -> Result<Said> {
    let version = object["apiVersion"].as_str().context("a version")?;
    let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let plural = plural(object["kind"].as_str().context("a kind")?);
    let path = format!("{root}/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation={validation}");
    let request =
        Request::post(path).header("content-type", "application/json").body(serde_json::to_vec(object)?)?;
    match cluster.client().request::<Value>(request).await {
        Ok(_) => Ok(Said::Accepted),
        Err(kube::Error::Api(status)) if status.message.contains("strict decoding error") => {
            Ok(Said::UnknownFields(unknown_fields(&status.message)))
        }
        Err(kube::Error::Api(status)) => invalid(&status),
        Err(other) => bail!(other),
    }
}

fn plural(kind: &str) -> String {
    let ours = crds().into_iter().find(|crd| crd.spec.names.kind == kind);
    ours.map_or_else(|| format!("{}s", kind.to_lowercase()), |crd| crd.spec.names.plural)
}

fn unknown_fields(message: &str) -> BTreeSet<String> {
    let mentions = message.split("unknown field \"").skip(1);
    mentions.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

fn invalid(status: &Status) -> Result<Said> {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let said = causes
        .iter()
        // Remarks on the object as a whole repeat what is said of fields.
        .filter(|cause| cause.field != "<nil>")
        .map(|cause| (cause.field.clone(), in_our_words(&cause.field, &cause.message)))
        .collect();
    if causes.is_empty() {
        bail!("refused without a cause: {}", status.message);
    }
    Ok(Said::Invalid(said))
}

/// A schema's messages name the field again; a rule's come after the value, which may be secret.
fn in_our_words(field: &str, message: &str) -> String {
    let message = message.replace(&format!("{field} in body "), "");
    let rules = rules();
    let mut rest = message.as_str();
    while let Some((_, after)) = rest.split_once(": ") {
        if rules.contains(after) {
            return after.to_owned();
        }
        rest = after;
    }
    message
}

/// The messages of all our rules.
pub(crate) fn rules() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(&serde_json::to_value(crds()).expect("definitions are JSON"), &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == "x-kubernetes-validations" {
                    let rules = member.as_array().into_iter().flatten();
                    found.extend(rules.filter_map(|rule| rule["message"].as_str()).map(str::to_owned));
                }
                collect(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
