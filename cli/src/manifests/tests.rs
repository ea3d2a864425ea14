use std::fs;

use super::*;

/// What is read from these files, with `ALPHA_KEY` set.
fn load(files: &[(&str, &str)]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let args = Manifests { filename: vec![folder.path().to_path_buf()], namespace: None };
    read(&args, &Environment::from([("ALPHA_KEY", "sk-canary")])).unwrap()
}

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: alpha, namespace: platform}
data: {plain: c2stb3RoZXI=}
stringData: {key: '${ALPHA_KEY}'}
";

const PARTNER: &str = "
apiVersion: chaperone.dev/v1alpha1
kind: Partner
metadata: {name: alpha}
spec: {adapter: Mock, models: [{name: m1}]}
";

#[test]
fn keys_have_the_names_that_snapshots_use_and_are_not_printed() {
    let loaded = load(&[("secret.yaml", SECRET)]);
    let keys = keys(&loaded);
    let names: Vec<_> = keys.names().map(ToString::to_string).collect();
    assert_eq!(names, ["platform/alpha/key", "platform/alpha/plain"]);
    let value = |name: &str| keys.get(&name.parse().unwrap()).unwrap().expose().to_vec();
    assert_eq!(value("platform/alpha/key"), b"sk-canary");
    assert_eq!(value("platform/alpha/plain"), b"sk-other");
    assert!(!format!("{loaded:?}{keys:?}").contains("sk-"));
}

#[test]
fn a_secret_with_a_variable_that_is_not_set_exists_and_has_no_keys() {
    let loaded = load(&[("secret.yaml", &SECRET.replace("ALPHA", "OTHER"))]);
    assert_eq!(keys(&loaded).names().count(), 0);
    assert_eq!(world(&loaded, []).secrets.len(), 1);
    assert_eq!(loaded.notes_with(&[]).len(), 1);
}

#[test]
fn objects_without_a_namespace_stand_in_the_only_one_or_in_default() {
    assert_eq!(load(&[("partner.yaml", PARTNER)]).namespace.as_str(), "default");
    let both = load(&[("partner.yaml", PARTNER), ("secret.yaml", SECRET)]);
    assert_eq!(both.namespace.as_str(), "platform");
    let third = SECRET.replace("platform", "team-a");
    let several = load(&[("a.yaml", PARTNER), ("b.yaml", SECRET), ("c.yaml", &third)]);
    assert_eq!(several.namespace.as_str(), "default");
}

#[test]
fn every_namespace_carries_its_name_as_a_cluster_would_have_it() {
    let world = world(&load(&[("partner.yaml", PARTNER)]), []);
    let labels = &world.namespaces[&"default".parse::<ObjectName>().unwrap()];
    assert_eq!(labels["kubernetes.io/metadata.name"], "default");
}

#[test]
fn a_broken_file_takes_no_other_with_it() {
    let loaded = load(&[("a.yaml", "spec: ["), ("b.yaml", PARTNER), ("c.yaml", "kind: Partner")]);
    assert_eq!(loaded.objects.len(), 1);
    let files: Vec<_> = loaded.notes_with(&[]).iter().map(|note| note.place.file.clone()).collect();
    assert!(files.iter().any(|file| file.ends_with("a.yaml")), "{files:?}");
    assert!(files.iter().any(|file| file.ends_with("c.yaml")), "{files:?}");
}

#[test]
fn a_refused_partner_is_known_to_be_there() {
    let loaded = load(&[("partner.yaml", &PARTNER.replace("m1", "'a b'"))]);
    assert!(loaded.objects.is_empty());
    assert_eq!(world(&loaded, []).refused_partners.len(), 1);
}

#[test]
fn a_value_larger_than_a_credential_is_a_note() {
    let large = "x".repeat(chaperone_protocol::limits::CREDENTIAL_BYTES + 1);
    let loaded = load(&[("secret.yaml", &SECRET.replace("${ALPHA_KEY}", &large))]);
    let notes = loaded.notes_with(&[]);
    assert!(notes[0].message.contains("at most 262144 are allowed"), "{notes:?}");
}
