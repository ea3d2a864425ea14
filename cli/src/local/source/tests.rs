use std::fs;

use super::*;
use crate::args::Format;

const QUOTA: &str = "
apiVersion: chaperone.dev/v1alpha1
kind: TenantQuota
metadata: {name: shop, namespace: shop}
spec: {tenants: [shop], limits: {maxTokensPerRequest: 4096}}
";

const PARTNER: &str = "
apiVersion: chaperone.dev/v1alpha1
kind: Partner
metadata: {name: alpha, namespace: shop}
spec: {adapter: Mock, models: [{name: m1}]}
";

fn route(name: &str, spec: &str) -> String {
    format!(
        "
apiVersion: chaperone.dev/v1alpha1
kind: ModelRoute
metadata: {{name: {name}, namespace: shop}}
spec: {{alias: {name}, {spec}}}
"
    )
}

fn good(name: &str) -> String {
    route(name, "targets: [{partner: alpha}]")
}

fn secret(name: &str, data: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: shop}}
stringData: {{{data}}}
"
    )
}

/// A folder that is served: partner, quota, and what the test puts beside them.
struct Served {
    folder: tempfile::TempDir,
    source: Source,
}

impl Served {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifests = Manifests { filename: vec![folder.path().to_path_buf()], namespace: None };
        let source = Source::new(manifests, "default".parse().unwrap(), Environment::from([]));
        let served = Self { folder, source };
        served.write("base.yaml", &[PARTNER, QUOTA]);
        for (name, text) in files {
            served.write(name, &[text]);
        }
        served
    }

    fn write(&self, name: &str, documents: &[&str]) {
        fs::write(self.folder.path().join(name), documents.join("---\n")).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    /// What is in force after the next look.
    fn load(&mut self) -> World {
        self.source.load(&Output::new(Format::Text)).unwrap()
    }

    fn aliases(&mut self) -> Vec<String> {
        self.load().snapshot.routes().map(|route| route.alias.to_string()).collect()
    }
}

#[test]
fn an_object_that_is_gone_from_a_file_with_a_finding_is_gone() {
    let mut served = Served::new(&[]);
    let unset = secret("later", "key: '${NOT_SET}'");
    served.write("routes.yaml", &[&unset, &good("first"), &good("second")]);
    assert_eq!(served.aliases(), ["first", "second"]);
    served.write("routes.yaml", &[&unset, &good("first")]);
    assert_eq!(served.aliases(), ["first"]);
    served.write("routes.yaml", &[&unset, &route("first", "targets: 7")]);
    assert_eq!(served.aliases(), ["first"], "a refused edit keeps the last good");
    served.write("routes.yaml", &["kind: [this is not YAML"]);
    assert_eq!(served.aliases(), ["first"], "and so does a file that cannot be read");
}

#[test]
fn an_object_that_moves_to_another_file_and_is_refused_there_is_kept() {
    let mut served = Served::new(&[("a.yaml", &good("first")), ("b.yaml", &good("second"))]);
    assert_eq!(served.aliases(), ["first", "second"]);
    served.remove("a.yaml");
    served.write("b.yaml", &[&good("second"), &route("first", "targets: 7")]);
    assert_eq!(served.aliases(), ["first", "second"]);
}

#[test]
fn a_second_definition_does_not_take_the_place_of_the_first_in_force() {
    let mut served = Served::new(&[("m.yaml", &good("first"))]);
    let before = served.load().snapshot.version().clone();
    served.write("a.yaml", &[&route("first", "targets: [{partner: alpha}], deadline: 7s")]);
    assert_eq!(*served.load().snapshot.version(), before);
    served.remove("m.yaml");
    assert_ne!(*served.load().snapshot.version(), before, "the one that is left is in force");
}

#[test]
fn a_key_whose_variable_is_not_set_keeps_its_last_value() {
    let name = "shop/alpha/key".parse().unwrap();
    let mut served = Served::new(&[("r.yaml", &good("first")), ("s.yaml", &secret("alpha", "key: sk-one"))]);
    assert_eq!(served.load().keys.get(&name).unwrap().expose(), b"sk-one");
    served.write("s.yaml", &[&secret("alpha", "key: '${NOT_SET}'")]);
    assert_eq!(served.load().keys.get(&name).unwrap().expose(), b"sk-one");
    served.write("s.yaml", &[&secret("alpha", "key: sk-two")]);
    assert_eq!(served.load().keys.get(&name).unwrap().expose(), b"sk-two");
}

#[test]
fn an_object_of_another_namespace_does_not_change_who_is_served() {
    let mut served = Served::new(&[("r.yaml", &good("first"))]);
    assert_eq!(served.aliases(), ["first"]);
    served.write("other.yaml", &[&PARTNER.replace("shop", "elsewhere")]);
    assert_eq!(served.aliases(), ["first"]);
}

#[test]
fn files_are_taken_up_once_they_rest() {
    let mut served = Served::new(&[("r.yaml", &good("first"))]);
    served.load();
    assert!(!served.source.has_changed());
    served.remove("r.yaml");
    assert!(!served.source.has_changed(), "an editor may be about to put the file back");
    served.write("r.yaml", &[&good("second")]);
    assert!(!served.source.has_changed(), "and may be still writing");
    assert!(served.source.has_changed());
    assert_eq!(served.aliases(), ["second"]);
    assert!(!served.source.has_changed());
}
