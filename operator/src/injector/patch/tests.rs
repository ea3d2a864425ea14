use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

fn settings() -> Settings {
    Settings {
        image: "sidecar@sha256:00".to_owned(),
        cpu: "50m".to_owned(),
        memory: "64Mi".to_owned(),
        any_user: false,
        feed_address: "chaperone-feed.home.svc:443".to_owned(),
        feed_server_name: "chaperone-feed.home.svc".to_owned(),
    }
}

fn pod(value: &Value) -> Pod {
    serde_json::from_value(value.clone()).unwrap()
}

fn patched(value: &Value) -> Value {
    let mut value = value.clone();
    let injection = inject(&pod(&value), &settings(), "CA").unwrap();
    json_patch::patch(&mut value, &injection.patch).unwrap();
    value
}

fn refused(spec: &Value, annotations: &Value) -> String {
    let pod = pod(&json!({"metadata": {"annotations": annotations}, "spec": spec}));
    inject(&pod, &settings(), "CA").unwrap_err().to_string()
}

#[test]
fn the_sidecar_is_first_and_an_application_finds_it() {
    let found = patched(&json!({"metadata": {}, "spec": {
        "serviceAccountName": "checkout",
        "initContainers": [{"name": "setup"}],
        "containers": [{"name": "app", "env": [{"name": "OPENAI_API_KEY", "value": "own"}]}],
    }}));
    let init = &found["spec"]["initContainers"];
    assert_eq!((&init[0]["name"], &init[0]["restartPolicy"]), (&json!("chaperone"), &json!("Always")));
    assert_eq!(init[1]["env"][0], json!({"name": "OPENAI_BASE_URL", "value": "http://127.0.0.1:4141/v1"}));
    let env = found["spec"]["containers"][0]["env"].as_array().unwrap();
    let keys: Vec<_> = env.iter().filter(|it| it["name"] == "OPENAI_API_KEY").collect();
    assert_eq!(keys, [&json!({"name": "OPENAI_API_KEY", "value": "own"})]);
    assert_eq!(env.len(), 4);
    assert_eq!(found["metadata"]["labels"]["chaperone.dev/injected"], "true");
    assert_eq!(found["metadata"]["annotations"]["chaperone.dev/service-account"], "checkout");
}

#[test]
fn the_port_of_the_annotation_is_used_everywhere() {
    let found = patched(&json!({
        "metadata": {"annotations": {"chaperone.dev/port": "5000", "chaperone.dev/start": "BestEffort"}},
        "spec": {"containers": [{"name": "app", "ports": [{"containerPort": 4141}]}]},
    }));
    let text = found["spec"].to_string();
    for part in ["127.0.0.1:5000", "0.0.0.0:5001", "http://127.0.0.1:5000/v1", "BestEffort"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(found["spec"]["initContainers"][0]["startupProbe"]["httpGet"]["port"], 5001);
}

#[test]
fn limits_are_those_of_the_annotations() {
    let limited = |annotations: Value| {
        let found = patched(
            &json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "app"}]}}),
        );
        found["spec"]["initContainers"][0]["resources"]["limits"].clone()
    };
    assert_eq!(limited(json!({})), Value::Null);
    assert_eq!(limited(json!({"chaperone.dev/memory-limit": "1.5Gi"})), json!({"memory": "1.5Gi"}));
    let both = json!({"chaperone.dev/memory-limit": "128Mi", "chaperone.dev/cpu-limit": "500m"});
    assert_eq!(limited(both), json!({"memory": "128Mi", "cpu": "500m"}));
}

#[test]
fn a_pod_that_cannot_have_a_sidecar_is_refused_with_a_remedy() {
    let none = json!({});
    let app = |more: Value| json!({"containers": [more]});
    let cases = [
        (json!({"hostNetwork": true, "containers": []}), &none, "remove hostNetwork"),
        (app(json!({"name": "app", "ports": [{"containerPort": 4142}]})), &none, "chaperone.dev/port"),
        (
            app(json!({"name": "app", "volumeMounts": [{"name": "chaperone-state", "mountPath": "/x"}]})),
            &none,
            "mount",
        ),
        (app(json!({"name": "chaperone"})), &none, "rename it"),
        (json!({"initContainers": [{"name": "chaperone"}], "containers": []}), &none, "rename it"),
        (app(json!({"name": "app"})), &json!({"chaperone.dev/port": "80"}), "1024 to 65534"),
        (app(json!({"name": "app"})), &json!({"chaperone.dev/start": "later"}), "BestEffort"),
        (app(json!({"name": "app"})), &json!({"chaperone.dev/memory-limit": "128 MB"}), "as 200m or 128Mi"),
    ];
    for (spec, annotations, remedy) in cases {
        let message = refused(&spec, annotations);
        assert!(message.contains(remedy), "{message}");
    }
}

#[test]
fn env_from_that_would_be_overridden_is_a_warning() {
    let pod = pod(&json!({"metadata": {}, "spec": {"containers": [
        {"name": "app", "envFrom": [{"configMapRef": {"name": "settings"}}]},
        {"name": "other"},
    ]}}));
    let warnings = inject(&pod, &settings(), "CA").unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("\"app\""), "{warnings:?}");
}

#[test]
fn processes_that_are_shared_are_a_warning() {
    let pod = pod(
        &json!({"metadata": {}, "spec": {"shareProcessNamespace": true, "containers": [{"name": "app"}]}}),
    );
    let warnings = inject(&pod, &settings(), "CA").unwrap().warnings;
    assert!(matches!(&*warnings, [one] if one.contains("keys")), "{warnings:?}");
}

#[test]
fn a_sidecar_of_another_template_is_replaced_where_it_is() {
    let spec = json!({"containers": [{"name": "app"}], "initContainers": [{"name": "mesh"}]});
    let mut old = patched(&json!({"metadata": {}, "spec": spec}));
    old["spec"]["initContainers"][0]["image"] = json!("old");
    old["metadata"]["annotations"]["chaperone.dev/template"] = json!("0000");
    let new = patched(&old);
    assert_eq!(new["spec"]["initContainers"][0]["image"], "sidecar@sha256:00");
    assert_eq!(new["spec"]["initContainers"].as_array().unwrap().len(), 2);
    assert_eq!(new["spec"]["volumes"].as_array().unwrap().len(), 2);
}

fn containers(prefix: &'static str) -> impl Strategy<Value = Vec<Value>> {
    let names = vec!["OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OTHER"];
    let env = proptest::option::of(subsequence(names, 0..=5));
    proptest::collection::vec(env, 1..4).prop_map(move |all| {
        let container = |(index, env): (usize, Option<Vec<&str>>)| match env {
            None => json!({"name": format!("{prefix}{index}")}),
            Some(env) => {
                let env: Vec<_> = env.iter().map(|name| json!({"name": name, "value": "own"})).collect();
                json!({"name": format!("{prefix}{index}"), "env": env})
            }
        };
        all.into_iter().enumerate().map(container).collect()
    })
}

proptest! {
    #[test]
    fn a_patched_pod_needs_no_patch(
        apps in containers("app"),
        init in proptest::option::of(containers("init")),
        has_volumes: bool,
        labels in proptest::option::of(Just(json!({"app": "web"}))),
    ) {
        let mut pod_value = json!({"metadata": {"name": "pod"}, "spec": {"containers": apps}});
        if let Some(init) = init { pod_value["spec"]["initContainers"] = json!(init); }
        if has_volumes { pod_value["spec"]["volumes"] = json!([{"name": "own", "emptyDir": {}}]); }
        if let Some(labels) = labels { pod_value["metadata"]["labels"] = labels; }
        let once = patched(&pod_value);
        prop_assert_eq!(&once["spec"]["initContainers"][0]["name"], "chaperone");
        let again = inject(&pod(&once), &settings(), "CA").unwrap();
        prop_assert!(again.patch.0.is_empty(), "{:?}", again.patch);
        prop_assert!(again.warnings.is_empty());
    }
}
