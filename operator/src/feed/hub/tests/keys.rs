//! Which keys travel beside a snapshot.

use super::*;

#[test]
fn keys_beyond_what_a_frame_holds_are_left_out() {
    let mut large = pass(&[]);
    let mut world = (*large.world).clone();
    for index in 0..9 {
        let partner = object(Kind::Partner, &format!("partner-{index}"));
        let spec = serde_json::json!({
            "adapter": "OpenAI", "endpoint": "https://api.example", "models": [{"name": "m1"}],
            "apiKeySecretRef": {"name": partner.key.name.as_str(), "key": "key"},
        });
        let spec = serde_json::from_value(spec).unwrap();
        world.partners.insert(partner.key.clone(), crate::world::Object { created: None, spec });
        let route = serde_json::json!({
            "alias": partner.key.name.as_str(), "targets": [{"partner": partner.key.name.as_str()}],
        });
        let spec = serde_json::from_value(route).unwrap();
        world.routes.insert(partner.key.clone(), crate::world::Object { created: None, spec });
        let name = format!("{}/key", partner.key).parse().unwrap();
        large.secrets.keys.insert(name, Credential::new(vec![b'k'; limits::CREDENTIAL_BYTES]));
    }
    large.world = Arc::new(world);
    let mut fleet = Fleet::of(1, &[]);
    fleet.publish_pass(&large);
    fleet.acknowledge_all();
    let offer = fleet.sidecars[0].connection.signal.borrow().offer.clone().unwrap();
    let frame = offer.keys.frame(&offer.edition.version, 7);
    assert!(frame.len() <= limits::LEADER_FRAME_BYTES, "{} bytes", frame.len());
    assert!(frame.len() > limits::KEYS_BYTES / 2, "most of them are there: {} bytes", frame.len());
}

#[test]
fn pods_of_a_namespace_share_a_key_of_pseudonyms_that_survives_a_leader() {
    let keys_under = |root: u8| {
        let mut pass = pass(&[("chat", 1)]);
        pass.secrets.root = Some(Arc::new(Sensitive::new([root; 32])));
        let mut world = (*pass.world).clone();
        let scopes = [scope("shop", "app"), scope("shop", "batch"), scope("bank", "app")];
        world.scopes.extend(scopes.clone());
        pass.world = Arc::new(world);
        let (mut hub, now) = (Hub::new(1), crate::clock::now());
        hub.publish(&pass, &compile(&pass.world), now);
        scopes.map(|scope| hub.scopes[&scope].keys.as_ref().unwrap().version.clone())
    };
    let [app, batch, bank] = keys_under(7);
    assert_eq!(app, batch);
    assert_ne!(app, bank);
    assert_eq!(keys_under(7), [app.clone(), batch, bank], "the next leader derives the same");
    assert_ne!(keys_under(8)[0], app);
}
