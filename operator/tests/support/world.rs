//! A World from documents, for tests: objects, namespaces, Secrets and ConfigMaps.
#![cfg(test)]

use std::collections::BTreeMap;

use chaperone_operator::world::{KeyForm, Object, ObjectKey, Unlabelled, World};
use chaperone_protocol::snapshot::Scope;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A World of documents. Each Namespace has the scope of its ServiceAccount `default`, and one for each
/// ServiceAccount here.
pub(crate) fn of(documents: &[Value]) -> World {
    let mut world = World::default();
    for document in documents {
        add(&mut world, document);
    }
    world
}

fn add(world: &mut World, document: &Value) {
    let key = key(document);
    let is_unlabelled = document["unlabelled"] == true;
    match text(document, "/kind") {
        "Secret" if is_unlabelled => drop(world.unlabelled.insert(Unlabelled::Secret(key))),
        "ConfigMap" if is_unlabelled => drop(world.unlabelled.insert(Unlabelled::ConfigMap(key))),
        "Partner" => drop(world.partners.insert(key, object(document))),
        "ModelRoute" => drop(world.routes.insert(key, object(document))),
        "TenantQuota" => drop(world.quotas.insert(key, object(document))),
        "ConfigMap" => drop(world.config_maps.insert(key, data(document))),
        "Secret" => drop(world.secrets.insert(key, forms(document))),
        "ServiceAccount" => {
            world.scopes.insert(Scope { namespace: key.namespace, service_account: key.name });
        }
        "Namespace" => {
            let labels = document.pointer("/metadata/labels").cloned().unwrap_or_default();
            let labels = serde_json::from_value(labels).unwrap_or_default();
            world
                .scopes
                .insert(Scope { namespace: key.name.clone(), service_account: "default".parse().unwrap() });
            world.namespaces.insert(key.name, labels);
        }
        other => panic!("a World has no {other}"),
    }
}

fn object<Spec: DeserializeOwned>(document: &Value) -> Object<Spec> {
    let created = document.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    let spec = serde_json::from_value(document["spec"].clone());
    Object {
        created: created.map(|text| text.parse().unwrap()),
        spec: spec.unwrap_or_else(|error| panic!("{}: {error}", key(document))),
    }
}

fn data(document: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(document["data"].clone()).unwrap()
}

fn forms(secret: &Value) -> BTreeMap<String, KeyForm> {
    let forms = data(secret).into_iter().map(|(key, value)| Some((key, KeyForm::of(value.as_bytes())?)));
    forms.flatten().collect()
}

fn key(document: &Value) -> ObjectKey {
    let namespace = document.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("cluster");
    ObjectKey {
        namespace: namespace.parse().unwrap(),
        name: text(document, "/metadata/name").parse().unwrap(),
    }
}

fn text<'d>(document: &'d Value, pointer: &str) -> &'d str {
    document.pointer(pointer).and_then(Value::as_str).unwrap()
}
