#![cfg(test)]
//! Pods get their sidecar from the chart's webhook configuration and the shipped operator, on a real API server.
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::platform::{
    FailurePolicy, PATIENCE, Platform, ask, injection, mock, quota, route, text, until_text,
};
use chaperone_e2e::relay::Fault;
use chaperone_e2e::wait;
use chaperone_e2e::{client, clock};
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use rustix::process::Signal;
use serde_json::{Value, json};

/// A webhook, or the label of a namespace, may take so long to be known to the API server.
const KNOWN: Duration = Duration::from_secs(30);
const LABEL: &str = "chaperone.dev/inject";
/// Seconds of a day.
const DAY: i64 = 86_400;
/// What an application finds that sets nothing itself.
const VARIABLES: [&str; 4] = ["OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

/// A container that the restricted profile of Pod Security accepts.
fn app(more: &Value) -> Value {
    let mut container = json!({
        "name": "app", "image": "chaperone.test/nothing",
        "securityContext": {
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1000,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    container.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    container
}

fn pod(name: &str, more: &Value, containers: &[Value]) -> Value {
    let mut metadata = json!({"name": name});
    metadata.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"terminationGracePeriodSeconds": 1, "containers": containers},
    })
}

fn plain(name: &str) -> Value {
    pod(name, &json!({}), &[app(&json!({}))])
}

/// Names and values of a container's variables, as the Pod has them.
fn environment(container: &Value) -> Vec<(&str, &str)> {
    let entries = container["env"].as_array().into_iter().flatten();
    entries.map(|it| (it["name"].as_str().unwrap_or(""), it["value"].as_str().unwrap_or(""))).collect()
}

async fn label(platform: &Platform, namespace: &str, labels: &[&str]) -> Result<()> {
    let arguments = [&["label", "namespace", namespace], labels].concat();
    platform.cluster.kubectl(&arguments).await?.ok().map(drop)
}

/// Labels a namespace, and waits until that works.
async fn opt_in(platform: &Platform, namespace: &str) -> Result<()> {
    label(platform, namespace, &[&format!("{LABEL}=enabled")]).await?;
    wait::until("Pods to be injected", KNOWN, || async {
        let (stored, _) = platform.admitted(namespace, &plain("probe")).await?;
        Ok(stored.ok().as_ref().and_then(injection).map(drop))
    })
    .await
}

async fn metric(platform: &Platform, series: &str) -> Result<u64> {
    let address = format!("{}:8080", platform.operator(0)?.address());
    let page = client::get(&address, "/metrics", &[]).await?.text();
    let mut values = page.lines().filter_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    Ok(values.next().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_in_a_labelled_namespace_is_injected_and_its_sidecar_serves() -> Result<()> {
    let test = "a_pod_in_a_labelled_namespace_is_injected_and_its_sidecar_serves";
    let Some(platform) = Platform::injecting(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    label(&platform, &tenant, &["pod-security.kubernetes.io/enforce=restricted"]).await?;
    opt_in(&platform, &tenant).await?;
    platform.apply(&tenant, &[mock("mock", "hello"), route("chat", "mock", 100), quota()]).await?;

    platform.apply(&tenant, &[plain("shop")]).await?;
    let view = platform.until_ready(&tenant, "shop").await?;
    assert_eq!(text(&view, "chat").await?, "hello");
    platform.condition(&tenant, "modelroutes/chat", ("Programmed", "True"), PATIENCE).await?;
    platform.sidecars(&tenant, "modelroutes/chat", "1/1", PATIENCE).await?;
    assert!(metric(&platform, "chaperone_injection_duration_seconds_count").await? > 0);
    let expiry = metric(&platform, "chaperone_certificate_expiry_timestamp_seconds").await?;
    let left = i64::try_from(expiry)? - clock::timestamp().as_second();
    assert!((80 * DAY..=90 * DAY).contains(&left), "the certificate is good for {left} s");

    // What was stored, with all its defaults, is a Pod that needs nothing more.
    let stored =
        platform.cluster.kubectl(&["get", "pod", "-n", &tenant, "shop", "-o", "json"]).await?.ok()?;
    let stored: Value = serde_json::from_str(&stored)?;
    let sidecar = injection(&stored).context("a sidecar")?;
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert_eq!(
        environment(&stored["spec"]["containers"][0]).iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        VARIABLES
    );
    let mut copy = json!({"apiVersion": "v1", "kind": "Pod", "spec": stored["spec"]});
    copy["metadata"] = json!({
        "name": "copy", "labels": stored["metadata"]["labels"], "annotations": stored["metadata"]["annotations"],
    });
    let spec = copy["spec"].as_object_mut().context("a spec")?;
    spec.remove("nodeName");
    let (again, _) = platform.admitted(&tenant, &copy).await?;
    let again = again.map_err(anyhow::Error::msg)?;
    for list in ["initContainers", "containers", "volumes"] {
        assert_eq!(again["spec"][list], stored["spec"][list], "{list}");
    }
    Ok(())
}

/// As when another webhook changes a Pod after ours, and ours is called again.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_the_injector_is_asked_about_twice_has_one_sidecar() -> Result<()> {
    let test = "a_pod_that_the_injector_is_asked_about_twice_has_one_sidecar";
    let Some(platform) = Platform::injecting(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    opt_in(&platform, &tenant).await?;
    let mut second = platform.webhook_configuration().await?;
    second["metadata"] = json!({"name": "chaperone-injector-second"});
    platform.cluster.kubectl_with(&["create", "-f", "-"], &second.to_string()).await?.ok()?;
    let pod = wait::until("a Pod that was asked about twice", KNOWN, || async {
        let (stored, _) = platform.admitted(&tenant, &plain("shop")).await?;
        let stored = stored.map_err(anyhow::Error::msg)?;
        let unchanged = metric(&platform, r#"chaperone_injections_total{outcome="unchanged"}"#).await?;
        Ok((unchanged > 0).then_some(stored))
    })
    .await?;
    assert_eq!(pod["spec"]["initContainers"].as_array().map(Vec::len), Some(1));
    assert_eq!(environment(&pod["spec"]["containers"][0]).len(), VARIABLES.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_decide_who_is_injected() -> Result<()> {
    let Some(platform) = Platform::injecting("labels_decide_who_is_injected", 1, 2).await? else {
        return Ok(());
    };
    let (shop, other) = (platform.tenant(0).to_owned(), platform.tenant(1).to_owned());
    let home = platform.home().to_owned();
    label(&platform, &home, &[&format!("{LABEL}=enabled")]).await?;
    opt_in(&platform, &shop).await?;
    let labelled = |value: &str| pod("app", &json!({"labels": {LABEL: value}}), &[app(&json!({}))]);
    let mut host = plain("app");
    host["spec"]["hostNetwork"] = json!(true);
    let cases = [
        (&shop, plain("app"), true),
        (&shop, labelled("disabled"), false),
        (&shop, labelled("enabled"), true),
        (&shop, host, false),
        (&other, plain("app"), false),
        (&other, labelled("enabled"), true),
        (&other, labelled("disabled"), false),
        (&home, plain("app"), false),
        (&home, labelled("enabled"), false),
    ];
    for (namespace, pod, is_injected) in cases {
        let (stored, _) = platform.admitted(namespace, &pod).await?;
        let stored = stored.map_err(anyhow::Error::msg)?;
        assert_eq!(injection(&stored).is_some(), is_injected, "{namespace}: {pod}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_reads_what_was_left_alone_and_why_a_pod_is_refused() -> Result<()> {
    let test = "an_author_reads_what_was_left_alone_and_why_a_pod_is_refused";
    let Some(platform) = Platform::injecting(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    opt_in(&platform, &tenant).await?;

    let own =
        app(&json!({"env": [{"name": "OPENAI_API_KEY", "value": "own"}, {"name": "OTHER", "value": "x"}]}));
    let from = app(&json!({"name": "from", "envFrom": [{"configMapRef": {"name": "settings"}}]}));
    let (stored, warnings) = platform.admitted(&tenant, &pod("app", &json!({}), &[own, from])).await?;
    let stored = stored.map_err(anyhow::Error::msg)?;
    let found = environment(&stored["spec"]["containers"][0]);
    assert_eq!(
        found.iter().filter(|(name, _)| *name == "OPENAI_API_KEY").collect::<Vec<_>>(),
        [&("OPENAI_API_KEY", "own")]
    );
    assert!(found.contains(&("OPENAI_BASE_URL", "http://127.0.0.1:4141/v1")), "{found:?}");
    assert!(warnings.contains(r#"Warning: container "from" has envFrom"#), "{warnings}");

    let annotated = |name: &str, value: &str| json!({"annotations": {name: value}});
    let port = app(&json!({"ports": [{"containerPort": 4141}]}));
    let mount = app(&json!({"volumeMounts": [{"name": "chaperone-state", "mountPath": "/keys"}]}));
    let refused = [
        (
            pod("app", &json!({}), std::slice::from_ref(&port)),
            "set the annotation chaperone.dev/port to a port that is free",
        ),
        (pod("app", &json!({}), &[mount]), "holds the sidecar's token or keys; remove the mount"),
        (pod("app", &annotated("chaperone.dev/port", "80"), &[app(&json!({}))]), "a port from 1024 to 65534"),
        (
            pod("app", &annotated("chaperone.dev/start", "Never"), &[app(&json!({}))]),
            "RequireConfig or BestEffort",
        ),
    ];
    for (pod, remedy) in refused {
        let (stored, _) = platform.admitted(&tenant, &pod).await?;
        let message = stored.expect_err("a refusal");
        assert!(message.contains("denied the request") && message.contains(remedy), "{message}");
    }
    let elsewhere = pod("app", &annotated("chaperone.dev/port", "5000"), &[port]);
    let stored = platform.admitted(&tenant, &elsewhere).await?.0.map_err(anyhow::Error::msg)?;
    assert!(
        environment(&stored["spec"]["containers"][0])
            .contains(&("OPENAI_BASE_URL", "http://127.0.0.1:5000/v1"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_chooses_whether_it_waits_for_a_configuration() -> Result<()> {
    let test = "a_pod_chooses_whether_it_waits_for_a_configuration";
    let Some(platform) = Platform::injecting(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    opt_in(&platform, &tenant).await?;
    platform.apply(&tenant, &[mock("mock", "hello"), route("chat", "mock", 100), quota()]).await?;
    platform.feed_network(Fault::Drop);
    let hasty = json!({"annotations": {"chaperone.dev/start": "BestEffort"}});
    platform.apply(&tenant, &[plain("waits"), pod("starts", &hasty, &[app(&json!({}))])]).await?;
    let starts = platform.until_ready(&tenant, "starts").await?;
    let answer = ask(&starts, "chat").await?;
    assert_eq!((answer.status, answer.reason()), (StatusCode::SERVICE_UNAVAILABLE, "no_config"));
    let waiting = serde_json::to_value(platform.pods(&tenant).get("waits").await?)?;
    assert_eq!(waiting["status"]["initContainerStatuses"][0]["started"], false, "{}", waiting["status"]);

    platform.feed_network(Fault::None);
    platform.until_ready(&tenant, "waits").await?;
    until_text(&starts, "chat", "hello", PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_ready_once_the_api_server_trusts_it_and_keeps_that_so() -> Result<()> {
    let test = "an_operator_is_ready_once_the_api_server_trusts_it_and_keeps_that_so";
    let Some(platform) = Platform::injecting(test, 1, 1).await? else { return Ok(()) };
    let configuration = "mutatingwebhookconfiguration/chaperone-injector";
    platform.cluster.kubectl(&["delete", configuration]).await?.ok()?;
    let operator = platform.operator(0)?;
    platform.signal(&operator, Signal::KILL)?;
    let admin = format!("{}:8080", operator.address());
    wait::until("an operator that is not ready", PATIENCE, || async {
        let Ok(answer) = client::get(&admin, "/readyz", &[]).await else { return Ok(None) };
        let is_it = answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.text().contains("caBundle");
        Ok(is_it.then_some(()))
    })
    .await?;

    platform.install_webhook(FailurePolicy::Fail).await?;
    platform.until_ready(platform.home(), "chaperone-operator-0").await?;
    wait::until("the operator to be ready", PATIENCE, || async {
        Ok((client::get(&admin, "/readyz", &[]).await?.status == StatusCode::OK).then_some(()))
    })
    .await?;
    let bundles = |configuration: &Value| {
        let webhooks = configuration["webhooks"].as_array().cloned().unwrap_or_default();
        let all = webhooks.into_iter().map(|webhook| webhook["clientConfig"]["caBundle"].clone());
        all.filter(Value::is_string).collect::<Vec<_>>()
    };
    let first = bundles(&platform.webhook_configuration().await?);
    ensure!(first.len() == 2, "both webhooks have a caBundle: {first:?}");
    // An upgrade does not touch it.
    platform.install_webhook(FailurePolicy::Ignore).await?;
    assert_eq!(bundles(&platform.webhook_configuration().await?), first);
    let removal = r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#;
    platform.cluster.kubectl(&["patch", configuration, "--type=json", "-p", removal]).await?.ok()?;
    wait::until("the caBundle to be back", PATIENCE, || async {
        Ok((bundles(&platform.webhook_configuration().await?) == first).then_some(()))
    })
    .await
}

/// A Deployment of one Pod.
fn deployment(name: &str) -> Value {
    let labels = json!({"app": name});
    let template = json!({"metadata": {"labels": labels}, "spec": plain(name)["spec"]});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    })
}

/// Pods of a Deployment that are not leaving, and whether each has a sidecar.
async fn pods_of(platform: &Platform, namespace: &str, name: &str) -> Result<Vec<bool>> {
    let pods: Api<Pod> = platform.pods(namespace);
    let found = pods.list(&ListParams::default().labels(&format!("app={name}"))).await?.items;
    let staying = found.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    staying.map(|pod| Ok(injection(&serde_json::to_value(pod)?).is_some())).collect()
}

async fn until_pods(platform: &Platform, namespace: &str, name: &str, wanted: &[bool]) -> Result<()> {
    let what = format!("Pods of {name}, injected: {wanted:?}");
    wait::until(&what, PATIENCE, || async {
        Ok((pods_of(platform, namespace, name).await? == wanted).then_some(()))
    })
    .await
}

async fn until_uninjected(platform: &Platform, wanted: u64) -> Result<()> {
    wait::until(&format!("{wanted} Pods without a sidecar"), PATIENCE, || async {
        let count = metric(platform, r#"chaperone_uninjected_pods{reason="not_asked"}"#).await?;
        Ok((count == wanted).then_some(()))
    })
    .await
}

async fn until_event(platform: &Platform, namespace: &str, reason: &str, parts: &[&str]) -> Result<()> {
    let selector = format!("--field-selector=reason={reason}");
    wait::until(&format!("an event {reason} with {parts:?}"), PATIENCE, || async {
        let get = ["get", "events", "-n", namespace, &selector, "-o", "json"];
        let events: Value = serde_json::from_str(&platform.cluster.kubectl(&get).await?.ok()?)?;
        let mut all = events["items"].as_array().into_iter().flatten().map(Value::to_string);
        Ok(all.any(|event| parts.iter().all(|part| event.contains(part))).then_some(()))
    })
    .await
}

/// Waits until the API server counts, under this name, a call of ours with this label.
async fn until_api_server_counts(platform: &Platform, metric: &str, label: &str) -> Result<()> {
    wait::until(&format!("{metric} with {label}"), PATIENCE, || async {
        let page = platform.cluster.kubectl(&["get", "--raw", "/metrics"]).await?.ok()?;
        let parts = [label, r#"name="namespace.injector.chaperone.dev""#];
        let mut series = page.lines().filter(|line| line.starts_with(metric));
        Ok(series.any(|line| parts.iter().all(|part| line.contains(part))).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f71_without_an_injector_pods_wait_or_are_told_of_and_are_injected_when_it_returns() -> Result<()> {
    let test = "f71_without_an_injector_pods_wait_or_are_told_of_and_are_injected_when_it_returns";
    let Some(platform) = Platform::injecting(test, 1, 1).await? else { return Ok(()) };
    let (home, tenant) = (platform.home().to_owned(), platform.tenant(0).to_owned());
    opt_in(&platform, &tenant).await?;

    // Fail: Pods wait, and everybody who asks is told what for. Others' Pods are none of its business.
    platform.delete_pod(&home, "chaperone-operator-0").await?;
    let unanswered = wait::until("a Pod that is not admitted", KNOWN, || async {
        Ok(platform.admitted(&tenant, &plain("app")).await?.0.err())
    })
    .await?;
    assert!(
        unanswered.contains(r#"failed calling webhook "namespace.injector.chaperone.dev""#),
        "{unanswered}"
    );
    platform.admitted(&home, &plain("app")).await?.0.map_err(anyhow::Error::msg)?;
    platform.apply(&tenant, &[deployment("waits")]).await?;
    until_event(&platform, &tenant, "FailedCreate", &["ReplicaSet", "namespace.injector.chaperone.dev"])
        .await?;
    assert!(pods_of(&platform, &tenant, "waits").await?.is_empty());
    let refused = ("apiserver_admission_webhook_rejection_count", r#"error_type="calling_webhook_error""#);
    until_api_server_counts(&platform, refused.0, refused.1).await?;
    platform.operators(1).await?;
    until_pods(&platform, &tenant, "waits", &[true]).await?;

    // Ignore: Pods start, and the watchdog tells whose they are.
    platform.install_webhook(FailurePolicy::Ignore).await?;
    platform.delete_pod(&home, "chaperone-operator-0").await?;
    wait::until("a Pod that is admitted as it is", KNOWN, || async {
        let (stored, _) = platform.admitted(&tenant, &plain("app")).await?;
        Ok(stored.ok().filter(|pod| injection(pod).is_none()).map(drop))
    })
    .await?;
    platform.apply(&tenant, &[deployment("starts")]).await?;
    until_pods(&platform, &tenant, "starts", &[false]).await?;
    until_api_server_counts(&platform, "apiserver_admission_webhook_fail_open_count", "").await?;
    platform.operators(1).await?;
    until_uninjected(&platform, 1).await?;
    let told = ["ReplicaSet", "starts-", "the injector was not asked about it", "kubectl rollout restart"];
    until_event(&platform, &tenant, "NotInjected", &told).await?;

    // What the event says helps.
    platform.cluster.kubectl(&["rollout", "restart", "-n", &tenant, "deployment/starts"]).await?.ok()?;
    until_pods(&platform, &tenant, "starts", &[true]).await?;
    until_uninjected(&platform, 0).await?;

    // Whoever leads while Pods come past the injector tells of them within a minute of their start.
    platform.webhook_network(Fault::Drop)?;
    let started = clock::now();
    platform.apply(&tenant, &[deployment("unreached")]).await?;
    until_pods(&platform, &tenant, "unreached", &[false]).await?;
    until_uninjected(&platform, 1).await?;
    until_event(&platform, &tenant, "NotInjected", &["ReplicaSet", "unreached-"]).await?;
    let told = clock::since(started);
    assert!(told <= Duration::from_secs(60), "told of after {told:?}");
    Ok(())
}

/// Operators run, and their authority is known; but what the API server meets is past its time.
#[tokio::test(flavor = "multi_thread")]
async fn f71_an_expired_certificate_lets_pods_wait_and_says_so_or_start_and_be_told_of() -> Result<()> {
    let test = "f71_an_expired_certificate_lets_pods_wait_and_says_so_or_start_and_be_told_of";
    let Some(platform) = Platform::injecting(test, 1, 1).await? else { return Ok(()) };
    let (home, tenant) = (platform.home().to_owned(), platform.tenant(0).to_owned());
    opt_in(&platform, &tenant).await?;

    let expired = platform.expire_webhook(FailurePolicy::Fail).await?;
    let refused = wait::until("a Pod that is not admitted", KNOWN, || async {
        Ok(platform.admitted(&tenant, &plain("app")).await?.0.err())
    });
    let refused = refused.await?;
    assert!(refused.contains("certificate has expired"), "{refused}");
    platform.admitted(&home, &plain("app")).await?.0.map_err(anyhow::Error::msg)?;
    platform.apply(&tenant, &[deployment("waits")]).await?;
    until_event(&platform, &tenant, "FailedCreate", &["ReplicaSet", "certificate has expired"]).await?;
    assert!(pods_of(&platform, &tenant, "waits").await?.is_empty());
    platform.install_webhook(FailurePolicy::Fail).await?;
    drop(expired);
    until_pods(&platform, &tenant, "waits", &[true]).await?;

    let expired = platform.expire_webhook(FailurePolicy::Ignore).await?;
    wait::until("a Pod that is admitted as it is", KNOWN, || async {
        let (stored, _) = platform.admitted(&tenant, &plain("app")).await?;
        Ok(stored.ok().filter(|pod| injection(pod).is_none()).map(drop))
    })
    .await?;
    platform.apply(&tenant, &[deployment("starts")]).await?;
    until_pods(&platform, &tenant, "starts", &[false]).await?;
    // Within a minute, as long as a test waits for anything.
    until_uninjected(&platform, 1).await?;
    until_event(&platform, &tenant, "NotInjected", &["ReplicaSet", "starts-"]).await?;
    platform.install_webhook(FailurePolicy::Ignore).await?;
    drop(expired);
    platform.cluster.kubectl(&["rollout", "restart", "-n", &tenant, "deployment/starts"]).await?.ok()?;
    until_pods(&platform, &tenant, "starts", &[true]).await?;
    until_uninjected(&platform, 0).await
}
