//! Editions, keys and worlds for tests.

use std::sync::Arc;

use chaperone_protocol::keys::{Credential, Keys};
use serde_json::json;

use super::{Pass, Pod};
use crate::compile::{Contents, Kind, ObjectRef};
use crate::feed::publish::{Edition, Generation, Generations, KeySet, Offer, Secrets};
use crate::world::{KeyForm, Object, ObjectKey, World};
use chaperone_protocol::snapshot::Scope;

/// An edition that differs from those of other names.
pub(in crate::feed) fn edition(name: &str) -> Arc<Edition> {
    let document = json!({"protocol": 1, "scope": scope("shop", "app"), "refused": {name: "is an example"}});
    let document = serde_json::from_value(document).unwrap();
    Arc::new(Edition::new(&document, Contents::default(), &Arc::default(), &Generations::new(), 1))
}

/// Keys that differ from those of other values.
pub(in crate::feed) fn keys(value: &str) -> Arc<KeySet> {
    let mut keys = Keys::default();
    keys.insert("shop/alpha/key".parse().unwrap(), Credential::new(value.as_bytes().to_vec()));
    Arc::new(KeySet::new(keys))
}

/// Both.
pub(in crate::feed) fn offer(name: &str, value: &str) -> Offer {
    Offer { edition: edition(name), keys: keys(value) }
}

pub(in crate::feed) fn scope(namespace: &str, service_account: &str) -> Scope {
    Scope { namespace: namespace.parse().unwrap(), service_account: service_account.parse().unwrap() }
}

pub(in crate::feed) fn pod(name: &str) -> Pod {
    Pod { namespace: "shop".parse().unwrap(), name: name.to_owned(), uid: format!("uid-of-{name}") }
}

/// An object of namespace `shop`.
pub(in crate::feed) fn object(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef { kind, key: ObjectKey { namespace: "shop".parse().unwrap(), name: name.parse().unwrap() } }
}

/// A partner of API `alpha` with a key and an authority, whose ConfigMap has `authority` and whose Secret `key`, and a
/// route to it, all in their first generation.
pub(in crate::feed) fn pass_beside(authority: &str, key: &str) -> Pass {
    let mut pass = pass(&[]);
    let mut world = (*pass.world).clone();
    let (partner, route) = (object(Kind::Partner, "alpha"), object(Kind::ModelRoute, "chat"));
    let spec = json!({
        "adapter": "OpenAI", "endpoint": "https://api.example", "models": [{"name": "m1"}],
        "apiKeySecretRef": {"name": "alpha", "key": "key"},
        "tls": {"caConfigMapKeyRef": {"name": "alpha", "key": "ca.crt"}},
    });
    let spec = serde_json::from_value(spec).unwrap();
    world.partners.insert(partner.key.clone(), Object { created: None, spec });
    let spec = serde_json::from_value(json!({"alias": "chat", "targets": [{"partner": "alpha"}]})).unwrap();
    world.routes.insert(route.key.clone(), Object { created: None, spec });
    world.config_maps.insert(partner.key.clone(), [("ca.crt".to_owned(), authority.to_owned())].into());
    world.secrets.insert(partner.key.clone(), [("key".to_owned(), KeyForm::Text)].into());
    pass.secrets.keys.insert("shop/alpha/key".parse().unwrap(), Credential::new(key.as_bytes().to_vec()));
    pass.generations.extend([(partner, generation(1)), (route, generation(1))]);
    pass.world = Arc::new(world);
    pass
}

/// The same with the mock partner of this name as a new generation, whose model has so large a context. No route says
/// anything else for that.
pub(in crate::feed) fn with_partner(pass: &Pass, name: &str, context_tokens: u32) -> Pass {
    let mut edited = pass.clone();
    let partner = object(Kind::Partner, name);
    let models = json!([{"name": "m1", "contextTokens": context_tokens}]);
    let spec = serde_json::from_value(json!({"adapter": "Mock", "models": models})).unwrap();
    Arc::make_mut(&mut edited.world).partners.insert(partner.key.clone(), Object { created: None, spec });
    edited.generations.entry(partner).or_default().number += 1;
    edited
}

/// Of an object that was never made anew.
pub(in crate::feed) fn generation(number: i64) -> Generation {
    Generation { uid: "first".into(), number }
}

/// The same after the route was deleted and made anew as it is.
pub(in crate::feed) fn made_anew(mut pass: Pass, alias: &str) -> Pass {
    let again = Generation { uid: "second".into(), number: 1 };
    pass.generations.insert(object(Kind::ModelRoute, alias), again);
    pass
}

/// A mock partner and a route to it for each alias, in these generations; what a route says changes with them.
pub(in crate::feed) fn pass(routes: &[(&str, i64)]) -> Pass {
    let mut world = World::default();
    world.scopes.insert(scope("shop", "app"));
    let mut generations = Generations::new();
    let partner = object(Kind::Partner, "mock");
    let spec = json!({"adapter": "Mock", "models": [{"name": "m1"}]});
    world
        .partners
        .insert(partner.key.clone(), Object { created: None, spec: serde_json::from_value(spec).unwrap() });
    generations.insert(partner, generation(1));
    for (alias, number) in routes {
        let route = object(Kind::ModelRoute, alias);
        let cap = 100 + number;
        let spec = json!({"alias": alias, "targets": [{"partner": "mock"}], "maxTokens": {"cap": cap}});
        world
            .routes
            .insert(route.key.clone(), Object { created: None, spec: serde_json::from_value(spec).unwrap() });
        generations.insert(route, generation(*number));
    }
    Pass { world: Arc::new(world), generations, secrets: Secrets::default() }
}
