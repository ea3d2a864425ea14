//! What holds for every World, whatever is wrong with it.
#![cfg(test)]

#[path = "support/random.rs"]
mod random;
#[path = "support/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use chaperone_operator::compile::{Compiled, Kind, Reason, compile};
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::Snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The bytes of every snapshot, without the entries of `alias`.
fn without(compiled: &Compiled, alias: &str) -> BTreeMap<String, Vec<u8>> {
    let strip = |(scope, document): (&chaperone_protocol::snapshot::Scope, &_)| {
        let mut document: chaperone_protocol::wire::Document = Clone::clone(document);
        document.refused.remove(alias);
        (scope.to_string(), document.to_bytes())
    };
    compiled.snapshots.iter().map(strip).collect()
}

/// Objects that are wrong in every way that a schema lets through, with names and an alias that nobody else has.
fn bad_objects() -> Vec<Value> {
    let partner = |spec: Value| {
        let mut object = json!({"kind": "Partner", "metadata": {"name": "bad", "namespace": "team-a"}, "spec": {
            "adapter": "OpenAI", "endpoint": "https://bad.test", "models": [{"name": "m"}],
            "allowedNamespaces": {"from": "All"},
        }});
        object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        object
    };
    let route = |spec: Value| {
        let mut object = json!({"kind": "ModelRoute", "metadata": {"name": "bad", "namespace": "team-a"}, "spec": {
            "alias": "bad", "targets": [{"partner": "nobody"}], "allowedNamespaces": {"from": "All"},
        }});
        object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        object
    };
    let quota = |tenants: Value| {
        json!({"kind": "TenantQuota", "metadata": {"name": "bad", "namespace": "nowhere"}, "spec": {
            "tenants": tenants, "limits": {"maxTokensPerRequest": 1},
        }})
    };
    vec![
        partner(json!({"endpoint": "https://169.254.169.254"})),
        partner(json!({"endpoint": "not a URL"})),
        partner(json!({"adapter": "Mock"})),
        partner(json!({"mock": {"reply": "Echo"}})),
        partner(json!({"models": []})),
        partner(json!({"models": [{"name": "a b", "contextTokens": -1}]})),
        partner(json!({"defaultModel": "other"})),
        partner(json!({"fallbacks": [{"partner": "partner-0"}, {"partner": "bad"}, {"partner": "nobody"}]})),
        partner(json!({"tls": {"caConfigMapKeyRef": {"name": "nowhere", "key": "ca.crt"}}})),
        partner(json!({"apiKeySecretRef": {"name": "Not A Name", "key": "key"}})),
        partner(json!({"pii": {"custom": [{"name": "Ahead", "pattern": "(?=a)b"}]}})),
        partner(json!({"pii": {"actions": {"Nobody": "Mask"}}})),
        route(json!({})),
        route(json!({"pii": {"mask": {"keepLast": 9}}})),
        route(json!({"targets": []})),
        route(json!({"targets": [{"partner": "partner-0", "weight": 0}]})),
        route(json!({"targets": [{"partner": "partner-0", "weight": -1}]})),
        route(json!({"fallbackChain": vec![json!({"partner": "partner-0"}); 40]})),
        route(json!({"maxTokens": {"cap": -5}})),
        quota(json!(["a b", ""])),
    ]
}

proptest! {
    #[test]
    fn every_snapshot_is_one_that_the_sidecar_takes(documents in random::documents()) {
        let world = world::of(&documents);
        let compiled = compile(&world);
        prop_assert_eq!(compiled.snapshots.keys().collect::<BTreeSet<_>>(), world.scopes.iter().collect());
        for document in compiled.snapshots.values() {
            prop_assert!(Snapshot::from_bytes(&document.to_bytes()).is_ok());
        }
    }

    #[test]
    fn the_order_of_objects_does_not_matter(
        (documents, shuffled) in random::documents()
            .prop_flat_map(|documents| (Just(documents.clone()), Just(documents).prop_shuffle()))
    ) {
        prop_assert_eq!(compile(&world::of(&documents)), compile(&world::of(&shuffled)));
    }

    #[test]
    fn f57_a_bad_object_changes_nothing_else(
        documents in random::documents(),
        bad in prop::sample::select(bad_objects()),
    ) {
        let before = compile(&world::of(&documents));
        let mut with_bad = documents;
        with_bad.push(bad);
        let after = compile(&world::of(&with_bad));
        prop_assert_eq!(without(&before, "bad"), without(&after, "bad"));
        let of_others = |compiled: &Compiled| -> Vec<_> {
            compiled.findings.iter().filter(|finding| finding.object.key.name.as_str() != "bad").cloned().collect()
        };
        prop_assert_eq!(of_others(&before), of_others(&after));
        prop_assert!(after.findings.len() > before.findings.len());
    }

    #[test]
    fn a_key_reaches_only_namespaces_that_its_owner_admits(documents in random::documents()) {
        let world = world::of(&documents);
        for (scope, document) in &compile(&world).snapshots {
            for partner in document.partners.keys() {
                let (namespace, name) = partner.as_str().split_once('/')
                    .unwrap_or((scope.namespace.as_str(), partner.as_str()));
                let owner = world.partners.iter()
                    .find(|(key, _)| key.namespace.as_str() == namespace && key.name.as_str() == name)
                    .map(|(_, object)| &object.spec.allowed_namespaces.from);
                let labelled = world.namespaces[&scope.namespace].get("ai").is_some_and(|label| label == "yes");
                let admitted = scope.namespace.as_str() == namespace || match owner {
                    Some(chaperone_crds::field::NamespacesFrom::All) => true,
                    Some(chaperone_crds::field::NamespacesFrom::Selector) => labelled,
                    Some(chaperone_crds::field::NamespacesFrom::Same) | None => false,
                };
                prop_assert!(admitted, "{} in {}", partner, scope);
            }
        }
    }

    #[test]
    fn an_alias_that_somebody_declares_is_served_or_refused_with_a_reason(documents in random::documents()) {
        let world = world::of(&documents);
        let compiled = compile(&world);
        for (key, route) in &world.routes {
            for (scope, document) in compiled.snapshots.iter().filter(|(scope, _)| scope.namespace == key.namespace) {
                let alias = route.spec.alias.as_str();
                let refusal = document.refused.get(alias);
                prop_assert!(document.routes.contains_key(alias) || refusal.is_some(), "{} in {}", alias, scope);
                prop_assert!(refusal.is_none_or(|refusal| !refusal.is_empty()));
            }
        }
    }
}

fn many(count: usize, object: impl Fn(usize) -> Value) -> Vec<Value> {
    let mut documents = vec![
        json!({"kind": "Namespace", "metadata": {"name": "team-a"}}),
        json!({"kind": "Partner", "metadata": {"name": "alpha", "namespace": "team-a"},
            "spec": {"adapter": "Mock", "models": [{"name": "m"}]}}),
    ];
    documents.extend((0..count).map(object));
    documents
}

fn limit_findings(compiled: &Compiled, kind: Kind) -> usize {
    let is_limit = |finding: &&chaperone_operator::compile::Finding| {
        finding.reason == Reason::LimitExceeded && finding.object.kind == kind
    };
    compiled.findings.iter().filter(is_limit).count()
}

#[test]
fn routes_beyond_the_limit_are_left_out_by_rank_and_named() {
    let compiled = compile(&world::of(&many(limits::ROUTES + 3, |index| {
        json!({"kind": "ModelRoute", "metadata": {"name": format!("r{index:04}"), "namespace": "team-a"},
            "spec": {"alias": format!("a{index:04}"), "targets": [{"partner": "alpha"}]}})
    })));
    let document = compiled.snapshots.values().next().unwrap();
    assert_eq!(document.routes.len(), limits::ROUTES);
    assert!(!document.routes.contains_key("a1000") && document.routes.contains_key("a0999"));
    assert_eq!(limit_findings(&compiled, Kind::ModelRoute), 3);
}

#[test]
fn a_snapshot_beyond_its_bytes_keeps_what_fits() {
    let text = "x".repeat(60_000);
    let mut documents = many(40, |index| {
        json!({"kind": "Partner", "metadata": {"name": format!("p{index:02}"), "namespace": "team-a"},
            "spec": {"adapter": "Mock", "models": [{"name": "m"}], "mock": {"reply": "Text", "text": text}}})
    });
    documents.extend((0..40).map(|index| {
        json!({"kind": "ModelRoute", "metadata": {"name": format!("r{index:02}"), "namespace": "team-a"},
            "spec": {"alias": format!("a{index:02}"), "targets": [{"partner": format!("p{index:02}")}]}})
    }));
    let compiled = compile(&world::of(&documents));
    let document = compiled.snapshots.values().next().unwrap();
    assert!(document.to_bytes().len() <= limits::SNAPSHOT_BYTES);
    assert_eq!(document.routes.len() + limit_findings(&compiled, Kind::ModelRoute), 40);
    assert!(document.routes.len() > 10);
}

/// Eleven TenantQuotas with a thousand tenants each, and one with `*`.
fn many_tenants(prefix: &str) -> Compiled {
    let quota = |name: String, tenants: Vec<String>| {
        json!({"kind": "TenantQuota", "metadata": {"name": name, "namespace": "team-a"},
            "spec": {"tenants": tenants, "limits": {"maxTokensPerRequest": 1}}})
    };
    let mut documents = many(11, |index| {
        let tenants = (0..1000).map(|tenant| format!("{prefix}-{index:02}-{tenant:03}")).collect();
        quota(format!("q{index:02}"), tenants)
    });
    documents.push(quota("everybody".to_owned(), vec!["*".to_owned()]));
    compile(&world::of(&documents))
}

#[test]
fn tenants_beyond_the_limit_are_left_out_and_do_not_fall_under_the_default() {
    for prefix in ["t", "a-tenant-whose-name-makes-the-snapshot-larger-than-its-limit-of-bytes"] {
        let compiled = many_tenants(prefix);
        let document = compiled.snapshots.values().next().unwrap();
        assert!(Snapshot::from_bytes(&document.to_bytes()).is_ok());
        let named = document.tenants.named.len();
        assert!((1_000..=limits::TENANTS).contains(&named), "{named}");
        assert_eq!(document.tenants.default, None);
        let first_left_out = named / 1_000;
        assert_eq!(limit_findings(&compiled, Kind::TenantQuota), 11 - first_left_out);
    }
}
