use serde_json::{Value, json};

use super::*;

/// A Pod of ReplicaSet `web`.
fn pod(name: &str, more: &Value) -> Pod {
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "owner-uid", "controller": true,
    });
    let mut value = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("{name}-uid"), "ownerReferences": [owner],
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"containers": [{"name": "app"}]},
    });
    json_patch::merge(&mut value, more);
    serde_json::from_value(value).unwrap()
}

fn seen_and_explained(pods: &[Pod]) -> Unattended {
    let mut unattended = Unattended::default();
    for pod in pods {
        unattended.seen(&pod.metadata);
        unattended.explained(pod);
    }
    unattended
}

#[test]
fn every_reason_is_counted_apart_and_names_a_remedy() {
    let cases = [
        (json!({"spec": {"hostNetwork": true}}), Reason::HostNetwork, "remove hostNetwork"),
        (
            json!({"metadata": {"annotations": {STATIC: "x"}}}),
            Reason::Static,
            "chaperone.dev/inject: disabled",
        ),
        (
            json!({"metadata": {"annotations": {"chaperone.dev/port": "80"}}}),
            Reason::Refused,
            "1024 to 65534",
        ),
        (json!({}), Reason::NotAsked, "kubectl rollout restart"),
    ];
    for (more, reason, remedy) in cases {
        let mut unattended = seen_and_explained(&[pod("a", &more)]);
        let counts = Reason::ALL.map(|reason| unattended.count(reason));
        assert_eq!(counts.iter().sum::<usize>(), 1);
        assert_eq!(unattended.count(reason), 1, "{reason:?}");
        let note = unattended.news(9).pop().unwrap().note;
        assert!(note.starts_with("Pod shop/a has no sidecar: ") && note.contains(remedy), "{note}");
    }
}

#[test]
fn an_owner_is_told_once_of_all_its_pods_and_again_when_it_returns() {
    let pods = [pod("a", &json!({})), pod("b", &json!({}))];
    let mut unattended = seen_and_explained(&pods);
    let mut news = unattended.news(9);
    assert_eq!(news.len(), 1);
    let regarding = &news[0].regarding;
    assert_eq!((regarding.kind.as_deref(), regarding.name.as_deref()), (Some("ReplicaSet"), Some("web")));
    unattended.said(news.remove(0));
    assert_eq!(unattended.news(9), []);
    assert_eq!(unattended.count(Reason::NotAsked), 2);

    pods.iter().for_each(|pod| unattended.gone(&pod.metadata));
    assert_eq!((unattended.news(9), unattended.count(Reason::NotAsked)), (Vec::new(), 0));
    unattended.seen(&pods[0].metadata);
    unattended.explained(&pods[0]);
    assert_eq!(unattended.news(9).len(), 1);
}

#[test]
fn a_pod_that_a_new_list_has_not_is_forgotten_and_a_namesake_explains_nothing() {
    let (old, mut new) = (pod("a", &json!({})), pod("a", &json!({})));
    new.metadata.uid = Some("another".to_owned());
    let mut unattended = Unattended::default();
    unattended.seen(&old.metadata);
    unattended.explained(&new);
    assert_eq!(unattended.unexplained(9).len(), 1);
    unattended.relist();
    unattended.relisted();
    assert_eq!(unattended.unexplained(9), []);
}

#[test]
fn a_pod_without_an_owner_is_told_itself_and_one_that_leaves_is_let_go() {
    let alone = pod("a", &json!({"metadata": {"ownerReferences": null}}));
    let mut unattended = seen_and_explained(std::slice::from_ref(&alone));
    assert_eq!(unattended.news(9)[0].regarding.kind.as_deref(), Some("Pod"));
    let leaving = pod("a", &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    unattended.seen(&leaving.metadata);
    assert_eq!(unattended.count(Reason::NotAsked), 0);
}

#[test]
fn evictable_is_who_could_have_one_and_is_surely_made_anew() {
    let owned = |version: &str, kind: &str| {
        let owner =
            json!({"apiVersion": version, "kind": kind, "name": "it", "uid": "it", "controller": true});
        json!({"metadata": {"ownerReferences": [owner]}})
    };
    let pods = [
        pod("web-1", &json!({})),
        pod("node", &owned("apps/v1", "DaemonSet")),
        pod("host", &json!({"spec": {"hostNetwork": true}})),
        pod("static", &json!({"metadata": {"annotations": {STATIC: "x"}}})),
        pod("refused", &json!({"metadata": {"annotations": {"chaperone.dev/port": "80"}}})),
        pod("alone", &json!({"metadata": {"ownerReferences": null}})),
        pod("job", &owned("batch/v1", "Job")),
        pod("task", &owned("tekton.dev/v1", "TaskRun")),
        pod("workflow", &owned("argoproj.io/v1alpha1", "Workflow")),
    ];
    let mut unattended = seen_and_explained(&pods);
    unattended.seen(&pod("unexplained", &json!({})).metadata);
    let names: Vec<String> = unattended.evictable().into_iter().map(|candidate| candidate.name).collect();
    assert_eq!(names, ["node", "web-1"]);
}
