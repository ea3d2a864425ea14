#![cfg(test)]
//! Who gets what from the feed, and where keys are never seen.
use std::time::Duration;

use anyhow::{Context, Result};
use chaperone_e2e::feed::{token, token_of};
use chaperone_e2e::partner::Partner;
use chaperone_e2e::platform::{PATIENCE, Platform, ask, mock, object, quota, route, text};
use chaperone_e2e::wait;
use chaperone_protocol::wire::feed::{AUDIENCE, GoAwayReason, LeaderFrame};
use http::StatusCode;
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
    let good = token_of(&client, &pod).await?;

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
    for (case, token) in [("other audience", other_audience), ("no Pod", unbound), ("forged", forged)] {
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
    let pod = platform.sidecar(&tenant, "app").await?;
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
    platform.apply(&tenant, &[secret("")]).await?;
    platform.apply(&tenant, &[secret("sk-canary-three")]).await?;
    wait::until("the third key", PATIENCE, || async {
        if !ask(&pod, "chat").await?.status.is_success() {
            return Ok(None);
        }
        key_in_use("Bearer sk-canary-three").await
    })
    .await?;

    let everything =
        ["get", "partners,modelroutes,tenantquotas,events,configmaps,leases,pods", "-A", "-o", "yaml"];
    let seen = [
        ("status, events and ConfigMaps", platform.cluster.kubectl(&everything).await?.ok()?),
        ("the operator's log", platform.output(&platform.operator(0)?)),
        ("the sidecar's log", platform.output(&pod)),
        ("the audit of our writes", platform.audit()?),
    ];
    for (place, text) in seen {
        // `kubectl apply` keeps what it applied in an annotation of the Secret itself, which is not among these.
        assert!(!text.contains("sk-canary") && !text.contains("c2stY2FuYXJ5"), "a key is in {place}");
    }
    Ok(())
}
