#![cfg(test)]
//! Who gets what from the feed, and where keys are never seen.
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use chaperone_e2e::client;
use chaperone_e2e::feed::{token, token_of};
use chaperone_e2e::kubelet::view::PodView;
use chaperone_e2e::partner::script::{Shape, Step};
use chaperone_e2e::partner::{Partner, says};
use chaperone_e2e::platform::{PATIENCE, Platform, ask, mock, object, quota, route, text};
use chaperone_e2e::wait;
use chaperone_protocol::wire::feed::{AUDIENCE, GoAwayReason, LeaderFrame};
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_its_own_pods_snapshot_and_others_give_nothing() -> Result<()> {
    let test = "a_token_gives_its_own_pods_snapshot_and_others_give_nothing";
    let Some(platform) = Platform::for_test(test, 1, 2).await? else { return Ok(()) };
    let (ours, theirs) = (platform.tenant(0).to_owned(), platform.tenant(1).to_owned());
    platform.apply(&ours, &[mock("mock", "ours"), route("chat", "mock", 100), quota()]).await?;
    platform.apply(&theirs, &[mock("mock", "theirs"), route("chat", "mock", 100), quota()]).await?;
    let client = platform.cluster.client();
    let pod = platform.silent_pod(&ours, "app").await?;
    // Signed again by the API server's key, as the expired one below: there the time alone is to blame.
    let good = platform.signed_again(&token_of(&client, &pod).await?, |_| ())?;

    let mut stream = platform.stream(&good).await?.ok().context("the token is admitted")?;
    stream.greet().await?;
    let document = String::from_utf8(stream.snapshot().await?)?;
    assert!(document.contains("ours") && !document.contains("theirs"), "{document}");
    let parsed: Value = serde_json::from_str(&document)?;
    assert_eq!(parsed["scope"]["namespace"], ours);

    let other_audience = token(&client, Some(&pod), &ours, "https://kubernetes.default.svc").await?;
    let unbound = token(&client, None, &ours, AUDIENCE).await?;
    let (head, signature) = good.rsplit_once('.').context("three parts")?;
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let expired = platform.signed_again(&good, |claims| {
        for time in ["iat", "nbf", "exp"] {
            claims[time] = json!(claims[time].as_i64().unwrap_or_default() - 3_600);
        }
    })?;
    let cases =
        [("other audience", other_audience), ("no Pod", unbound), ("forged", forged), ("expired", expired)];
    for (case, token) in cases {
        let refused = platform.stream(&token).await?.err();
        assert_eq!(refused, Some(StatusCode::UNAUTHORIZED), "{case}");
    }

    // The API server goes on to accept a deleted Pod's token for up to 10 s; the operator does not.
    platform.delete_pod(&ours, "app").await?;
    let ended = loop {
        match stream.hear().await? {
            Some(LeaderFrame::GoAway(away)) => break away.reason,
            Some(_) => {}
            None => anyhow::bail!("it ended without a word"),
        }
    };
    assert_eq!(ended, GoAwayReason::PodDeleted);
    assert_eq!(platform.stream(&good).await?.err(), Some(StatusCode::UNAUTHORIZED));
    Ok(())
}

/// What stands for an address of e-mail in what a partner hears from the sidecar of `pod`.
async fn pseudonym(platform: &Platform, pod: &PodView, partner: &Partner) -> Result<String> {
    let before = partner.arrivals().await?.len();
    let ask = json!({"model": "chat", "messages": [{"role": "user", "content": "Write to ann.lee@example.org soon."}]});
    let answer = client::post(&format!("{}:4141", pod.address()), "/v1/chat/completions", &[], &ask).await?;
    anyhow::ensure!(answer.status.is_success(), "{}: {}", answer.text(), platform.output(pod));
    let arrivals = partner.arrivals().await?;
    let arrived = arrivals.get(before).context("it arrived")?.json();
    let text = arrived["messages"][0]["content"].as_str().context("a text")?;
    let name = text.strip_prefix("Write to ").and_then(|text| text.strip_suffix(" soon."));
    let name = name.with_context(|| format!("one value was replaced: {text}"))?;
    anyhow::ensure!(!name.contains("ann.lee"), "it is replaced: {name}");
    Ok(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_namespace_use_one_pseudonym_also_after_a_restart_and_others_another() -> Result<()> {
    let test = "pods_of_a_namespace_use_one_pseudonym_also_after_a_restart_and_others_another";
    let Some(platform) = Platform::for_test(test, 1, 2).await? else { return Ok(()) };
    let (ours, theirs) = (platform.tenant(0).to_owned(), platform.tenant(1).to_owned());
    let partner = Partner::start().await?;
    let spec = json!({
        "adapter": "OpenAI", "endpoint": partner.endpoint("OpenAI"), "allowPlaintext": true, "allowPrivate": true,
        "models": [{"name": "m"}],
    });
    let pii = json!({"entities": ["Email"], "action": "Pseudonym"});
    let route = json!({"alias": "chat", "targets": [{"partner": "alpha"}], "pii": pii});
    let objects = [object("Partner", "alpha", &spec), object("ModelRoute", "chat", &route), quota()];
    for tenant in [&ours, &theirs] {
        platform.apply(tenant, &objects).await?;
    }
    let one = platform.sidecar(&ours, "one").await?;
    let two = platform.sidecar(&ours, "two").await?;
    let other = platform.sidecar(&theirs, "one").await?;
    let name = pseudonym(&platform, &one, &partner).await?;
    assert_eq!(pseudonym(&platform, &two, &partner).await?, name);
    assert_ne!(pseudonym(&platform, &other, &partner).await?, name);

    // Another operator, and Pods that have never met the first.
    platform.delete_pod(platform.home(), "chaperone-operator-0").await?;
    platform.operators(1).await?;
    let three = platform.sidecar(&ours, "three").await?;
    assert_eq!(pseudonym(&platform, &three, &partner).await?, name);

    let secrets: Api<Secret> = Api::namespaced(platform.cluster.client(), platform.home());
    let root = secrets.get("chaperone-root").await?.data.context("data")?;
    let root = &root.get("root").context("32 bytes")?.0;
    assert_eq!(root.len(), 32);
    let encoded = base64::engine::general_purpose::STANDARD.encode(root);
    let seen = [
        ("the operator's log", platform.output(&platform.operator(0)?)),
        ("a sidecar's log", platform.output(&three)),
    ];
    for (place, text) in seen {
        assert!(!text.contains(&encoded), "the root secret is in {place}");
    }
    Ok(())
}

fn secret(value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "alpha", "labels": {"chaperone.dev/credential": "true"}},
        "stringData": {"key": value},
    })
}

/// A changed Secret is used by the next request; a deleted one is a condition and a clear refusal.
#[tokio::test(flavor = "multi_thread")]
async fn f63_a_rotated_secret_is_used_at_once_a_deleted_one_refused_and_neither_is_seen() -> Result<()> {
    let test = "f63_a_rotated_secret_is_used_at_once_a_deleted_one_refused_and_neither_is_seen";
    let Some(platform) = Platform::for_test(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    let partner = Partner::start().await?;
    let spec = json!({
        "adapter": "OpenAI", "endpoint": partner.endpoint("OpenAI"), "allowPlaintext": true, "allowPrivate": true,
        "apiKeySecretRef": {"name": "alpha", "key": "key"}, "models": [{"name": "m"}],
    });
    let objects =
        [secret("sk-canary-one"), object("Partner", "alpha", &spec), route("chat", "alpha", 100), quota()];
    platform.apply(&tenant, &objects).await?;
    let held = Shape { hold_after: Some(2), ..Shape::default() };
    let long = Step { when: Some("long".to_owned()), shape: held, ..says("one two") };
    partner.script(vec![long, says("short")]).await?;
    let pod = platform.sidecar(&tenant, "app").await?;
    let process = platform.process(&pod);
    text(&pod, "chat").await?;
    let key_in_use = |wanted: &'static str| {
        let (pod, partner) = (&pod, &partner);
        async move {
            text(pod, "chat").await?;
            let arrivals = partner.arrivals().await?;
            let last = arrivals.last().and_then(|arrival| arrival.header("authorization"));
            Ok((last == Some(wanted)).then_some(()))
        }
    };
    wait::until("the first key", PATIENCE, || key_in_use("Bearer sk-canary-one")).await?;
    let mut connection = client::Connection::open(&format!("{}:4141", pod.address())).await?;
    let body = json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "long"}]});
    let fields = [("content-type", "application/json")];
    let running =
        connection.send(Method::POST, "/v1/chat/completions", &fields, body.to_string().into()).await?;
    platform.apply(&tenant, &[secret("sk-canary-two")]).await?;
    wait::until("the second key", Duration::from_secs(5), || key_in_use("Bearer sk-canary-two")).await?;

    platform.cluster.kubectl(&["delete", "secret", "-n", &tenant, "alpha"]).await?.ok()?;
    let missing = platform.condition(&tenant, "partners/alpha", ("ResolvedRefs", "False"), PATIENCE).await?;
    assert_eq!(missing["reason"], "NotFound");
    let refused = wait::until("a refusal", PATIENCE, || async {
        let answer = ask(&pod, "chat").await?;
        Ok((answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(answer))
    });
    assert_eq!(refused.await?.reason(), "credential_missing");
    // What began with the first key ends with it, whatever has become of the Secret.
    partner.release().await?;
    let whole = client::whole(running).await?.text();
    assert_eq!(client::chat_text(&whole)?, "one two");
    let arrivals = partner.arrivals().await?;
    let first = arrivals.iter().find(|arrival| arrival.body.contains("long")).context("it arrived")?;
    assert_eq!(first.header("authorization"), Some("Bearer sk-canary-one"));

    malformed_keys_are_named(&platform, &tenant, &pod).await?;
    platform.apply(&tenant, &[secret("sk-canary-three")]).await?;
    wait::until("the third key", PATIENCE, || async {
        if !ask(&pod, "chat").await?.status.is_success() {
            return Ok(None);
        }
        key_in_use("Bearer sk-canary-three").await
    })
    .await?;

    assert_eq!(platform.process(&pod), process, "the sidecar has crashed");

    keys_are_nowhere(&platform, &pod).await
}

async fn malformed_keys_are_named(platform: &Platform, tenant: &str, pod: &PodView) -> Result<()> {
    for (malformed, told) in
        [("sk-canary\nsk-canary", "characters that no header can carry"), ("", "is missing")]
    {
        platform.apply(tenant, &[secret(malformed)]).await?;
        let last = std::cell::RefCell::new(String::new());
        let refused = wait::until("a refusal that says what is wrong with the key", PATIENCE, || async {
            let answer = ask(pod, "chat").await?;
            let is_it = answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.text().contains(told);
            last.replace(answer.text());
            Ok((is_it && answer.reason() == "credential_missing").then_some(()))
        });
        refused.await.with_context(|| last.borrow().clone())?;
    }
    let empty = platform.condition(tenant, "partners/alpha", ("ResolvedRefs", "False"), PATIENCE).await?;
    assert!(empty["message"].as_str().unwrap_or_default().contains("give it a value"), "{empty}");
    Ok(())
}

async fn keys_are_nowhere(platform: &Platform, pod: &PodView) -> Result<()> {
    let everything =
        ["get", "partners,modelroutes,tenantquotas,events,configmaps,leases,pods", "-A", "-o", "yaml"];
    let seen = [
        ("status, events and ConfigMaps", platform.cluster.kubectl(&everything).await?.ok()?, "Programmed"),
        ("the operator's log", platform.output(&platform.operator(0)?), "leading"),
        ("the sidecar's log", platform.output(pod), "request_"),
        ("the audit of our writes", platform.audit()?, "/partners/alpha/status"),
    ];
    for (place, text, usual) in seen {
        assert!(text.contains(usual), "nothing was seen of {place}: {text}");
        // `kubectl apply` keeps what it applied in an annotation of the Secret itself, which is not among these.
        assert!(!text.contains("sk-canary") && !text.contains("c2stY2FuYXJ5"), "a key is in {place}");
    }
    Ok(())
}
