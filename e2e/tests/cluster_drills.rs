#![cfg(test)]
//! The chart's drills: a Job of their CronJob plays faults against a route, and the route's status says what came of it.
use anyhow::{Context, Result};
use chaperone_e2e::kubelet::Images;
use chaperone_e2e::platform::{mock, quota, route};
use chaperone_e2e::release::{NAME, PATIENCE, Release, chart};
use chaperone_e2e::{process, wait};
use serde_json::{Value, json};

const COMMAND_LINE: &str = "registry.test/chaperone";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_the_charts_schedule_drills_a_route_and_its_status_says_so() -> Result<()> {
    let test = "a_job_of_the_charts_schedule_drills_a_route_and_its_status_says_so";
    let images = Images::default().with(COMMAND_LINE, &process::chaperone_binary()?);
    let Some(release) = Release::for_test(test, &[], images).await? else { return Ok(()) };
    let home = release.home();
    let image = format!("drills.image.repository={COMMAND_LINE}");
    let namespace = format!("drills.routes[0].namespace={home}");
    let values = [
        "drills.schedule=0 4 1 1 *",
        &image,
        &namespace,
        "drills.routes[0].alias=chat",
        "drills.maxAgeHours=24",
    ];
    release.apply(&chart(), &values).await?;
    // Most plays let the first partner fail: a route without another would not pass.
    let mut first = mock("mock", "hello");
    first["spec"]["fallbacks"] = json!([{"partner": "other"}]);
    let objects = [first, mock("other", "instead"), route("chat", "mock", 100), quota()];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    release.cluster.kubectl_with(&["apply", "-n", home, "-f", "-"], &list).await?.ok()?;

    let create = ["create", "job", "drilled-now", "--from=cronjob/chaperone-drills", "-n", home];
    release.cluster.kubectl(&create).await?.ok()?;
    let pod = release.pod_of(home, "batch.kubernetes.io/job-name=drilled-now").await?;
    let complete = ["wait", "job/drilled-now", "-n", home, "--for=condition=Complete", "--timeout=120s"];
    let complete = release.cluster.kubectl(&complete).await?.ok();
    complete.with_context(|| pod.output("drill-0"))?;
    let status = wait::until("the drill in the route's status", PATIENCE, || async {
        let get = ["get", "-n", home, "modelroutes/chat", "-o", "json"];
        let status: Value = serde_json::from_str(&release.cluster.kubectl(&get).await?.ok()?)?;
        let status = status["status"].clone();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let drilled = conditions.iter().any(|it| it["type"] == "Drilled" && it["status"] == "True");
        Ok(drilled.then_some(status))
    })
    .await?;
    assert_eq!(status["lastDrill"]["passed"], true, "{status:#}");
    release.helm(&["uninstall", NAME, "--wait"]).await?.ok().map(drop)
}
