//! Small random Worlds, as documents: few names, so that they meet and clash.

use proptest::prelude::*;
use serde_json::{Value, json};

const NAMESPACES: [&str; 3] = ["team-a", "team-b", "platform"];

fn namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMESPACES)
}

fn name(prefix: &'static str, count: u8) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |index| format!("{prefix}{index}"))
}

fn allowed() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"from": "Same"})),
        Just(json!({"from": "All"})),
        Just(json!({"from": "Selector", "selector": {"matchLabels": {"ai": "yes"}}})),
    ]
}

fn metadata(name: &str, namespace: &str, age: Option<u8>) -> Value {
    match age {
        None => json!({"name": name, "namespace": namespace}),
        Some(day) => json!({
            "name": name, "namespace": namespace, "creationTimestamp": format!("2026-10-{:02}T00:00:00Z", day + 1)
        }),
    }
}

fn age() -> impl Strategy<Value = Option<u8>> {
    prop::option::of(0..4_u8)
}

fn reference() -> impl Strategy<Value = Value> {
    (name("partner-", 4), prop::option::of(namespace()), prop::option::of(name("model-", 3))).prop_map(
        |(partner, namespace, model)| {
            let mut reference = json!({"partner": partner});
            if let Some(namespace) = namespace {
                reference["namespace"] = namespace.into();
            }
            if let Some(model) = model {
                reference["model"] = model.into();
            }
            reference
        },
    )
}

fn partner() -> impl Strategy<Value = Value> {
    let endpoint = prop_oneof![
        4 => Just("https://alpha.test/v1"),
        1 => Just("https://169.254.169.254"),
        1 => Just("http://alpha.test"),
    ];
    let fallbacks = prop::collection::vec(reference(), 0..3);
    (name("partner-", 4), namespace(), age(), endpoint, 1..4_u8, allowed(), fallbacks).prop_map(
        |(name, namespace, age, endpoint, models, allowed, fallbacks)| {
            let models: Vec<_> = (0..models)
                .map(|index| json!({"name": format!("model-{index}"), "contextTokens": 1000 + u16::from(index)}))
                .collect();
            json!({"kind": "Partner", "metadata": metadata(&name, namespace, age), "spec": {
                "adapter": "OpenAI", "endpoint": endpoint, "models": models, "defaultModel": "model-0",
                "apiKeySecretRef": {"name": name, "key": "key"},
                "allowedNamespaces": allowed, "fallbacks": fallbacks,
            }})
        },
    )
}

fn route() -> impl Strategy<Value = Value> {
    let targets = prop::collection::vec(reference(), 1..3);
    let chain = prop::option::of(prop::collection::vec(reference(), 0..3));
    (name("route-", 6), namespace(), age(), name("alias-", 4), targets, chain, allowed()).prop_map(
        |(name, namespace, age, alias, targets, chain, allowed)| {
            let mut spec = json!({"alias": alias, "targets": targets, "allowedNamespaces": allowed});
            if let Some(chain) = chain {
                spec["fallbackChain"] = chain.into();
            }
            json!({"kind": "ModelRoute", "metadata": metadata(&name, namespace, age), "spec": spec})
        },
    )
}

fn quota() -> impl Strategy<Value = Value> {
    let tenants = prop_oneof![
        1 => Just(vec!["*".to_owned()]),
        3 => prop::collection::vec(name("tenant-", 4), 1..3),
    ];
    let accounts = prop::collection::vec(Just("checkout"), 0..2);
    (name("quota-", 4), namespace(), age(), tenants, accounts, allowed(), 1..9_u8).prop_map(
        |(name, namespace, age, tenants, accounts, allowed, most)| {
            json!({"kind": "TenantQuota", "metadata": metadata(&name, namespace, age), "spec": {
                "tenants": tenants, "serviceAccounts": accounts, "allowedNamespaces": allowed,
                "limits": {"maxTokensPerRequest": most},
            }})
        },
    )
}

/// Namespaces, each with two ServiceAccounts, and up to a dozen objects. The same name may come twice; the last stands.
pub(crate) fn documents() -> impl Strategy<Value = Vec<Value>> {
    let objects = prop::collection::vec(prop_oneof![3 => partner(), 3 => route(), 2 => quota()], 0..16);
    objects.prop_map(|objects| {
        let mut documents: Vec<Value> = Vec::new();
        for namespace in NAMESPACES {
            let label = if namespace == "team-b" { "no" } else { "yes" };
            documents
                .push(json!({"kind": "Namespace", "metadata": {"name": namespace, "labels": {"ai": label}}}));
            documents.push(
                json!({"kind": "ServiceAccount", "metadata": {"name": "checkout", "namespace": namespace}}),
            );
        }
        for object in objects {
            documents.retain(|other| identity(other) != identity(&object));
            documents.push(object);
        }
        documents
    })
}

fn identity(document: &Value) -> (&Value, &Value, &Value) {
    (&document["kind"], &document["metadata"]["namespace"], &document["metadata"]["name"])
}
