#![cfg(test)]
//! `chaperone status` and drills of routes in a cluster, as a shell sees them, against a real API server.
use std::process::{Command, Output};

use anyhow::Result;
use chaperone_e2e::platform::{PATIENCE, Platform, ask, object, quota, until_text};
use chaperone_e2e::process;
use serde_json::{Value, json};

/// Runs the command line with an administrator's kubeconfig.
fn chaperone(platform: &Platform, arguments: &[&str]) -> Result<Output> {
    let kubeconfig = platform.cluster.kubeconfig().display().to_string();
    let command = Command::new(process::chaperone_binary()?)
        .args(arguments)
        .args(["--kubeconfig", &kubeconfig])
        .env_remove("KUBECONFIG")
        .output()?;
    Ok(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn partner(name: &str, fail_percent: u32) -> Value {
    let spec = json!({
        "adapter": "Mock", "models": [{"name": "m", "capabilities": ["Streaming"]}],
        "mock": {"reply": "Text", "text": name, "failPercent": fail_percent},
    });
    object("Partner", name, &spec)
}

fn route(alias: &str, partner: &str, fallbacks: &[&str]) -> Value {
    let chain: Vec<Value> = fallbacks.iter().map(|name| json!({"partner": name})).collect();
    object(
        "ModelRoute",
        alias,
        &json!({"alias": alias, "targets": [{"partner": partner}], "fallbackChain": chain}),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_a_breaker_that_tripped_and_who_serves_instead() -> Result<()> {
    let test = "status_shows_a_breaker_that_tripped_and_who_serves_instead";
    let Some(platform) = Platform::for_test(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    let objects = [partner("alpha", 100), partner("beta", 0), route("chat", "alpha", &["beta"]), quota()];
    platform.apply(&tenant, &objects).await?;
    let pod = platform.sidecar(&tenant, "app").await?;
    until_text(&pod, "chat", "beta", PATIENCE).await?;
    for _ in 0..5 {
        ask(&pod, "chat").await?;
    }
    let refusing = platform.condition(&tenant, "partners/alpha", ("Admitting", "False"), PATIENCE).await?;
    assert_eq!(refusing["reason"], "Refusing", "{refusing}");

    let said = chaperone(&platform, &["status", "-n", &tenant, "-o", "json"])?;
    assert_eq!(said.status.code(), Some(1), "{}", text(&said.stderr));
    let overview: Value = serde_json::from_slice(&said.stdout)?;
    let breakers = &overview["partners"][0]["breakers"];
    assert_eq!((&breakers["total"], &breakers["refusing"]), (&json!(1), &json!(1)), "{overview:#}");
    assert_eq!(overview["routes"][0]["live"][0]["instead"], "beta/m", "{overview:#}");
    let said = chaperone(&platform, &["status", "-A"])?;
    let shown = text(&said.stdout);
    assert!(shown.contains("1/1 refusing") && shown.contains("beta/m, instead of alpha/m"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "colour reached what is no terminal");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_11_7_a_drill_of_a_cluster_writes_its_result_and_a_condition_follows() -> Result<()> {
    let test = "rule_11_7_a_drill_of_a_cluster_writes_its_result_and_a_condition_follows";
    let Some(platform) = Platform::for_test(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    let objects = [
        partner("alpha", 0),
        partner("beta", 0),
        route("safe", "alpha", &["beta"]),
        route("alone", "alpha", &[]),
        quota(),
    ];
    platform.apply(&tenant, &objects).await?;
    platform.condition(&tenant, "modelroutes/alone", ("Accepted", "True"), PATIENCE).await?;
    let cases = [("safe", 0, "True", "DrillPassed"), ("alone", 1, "False", "DrillFailed")];
    for (alias, code, status, reason) in cases {
        let said =
            chaperone(&platform, &["drill", alias, "--from-cluster", "--report-status", "-n", &tenant])?;
        assert_eq!(said.status.code(), Some(code), "{}{}", text(&said.stdout), text(&said.stderr));
        let object = format!("modelroutes/{alias}");
        let drilled = platform.condition(&tenant, &object, ("Drilled", status), PATIENCE).await?;
        assert_eq!(drilled["reason"], reason, "{drilled}");
        // The operator's own writes leave what the drill has written.
        let route = platform.object(&tenant, &object).await?;
        assert_eq!(route.data["status"]["lastDrill"]["passed"], json!(code == 0));
    }
    Ok(())
}
