#![cfg(test)]
//! The chart's shared gateway: it serves callers without a sidecar, under the ServiceAccount that is its own.
use anyhow::Result;
use chaperone_e2e::kubelet::Images;
use chaperone_e2e::platform::{ask, mock, quota, route, until_text};
use chaperone_e2e::release::{NAME, PATIENCE, Release, chart};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_charts_gateway_serves_what_its_own_service_account_may_use() -> Result<()> {
    let test = "the_charts_gateway_serves_what_its_own_service_account_may_use";
    let Some(release) = Release::for_test(test, &[], Images::default()).await? else { return Ok(()) };
    release.apply(&chart(), &["gateway.enabled=true", "gateway.replicas=1"]).await?;
    let gateway = release.pod_of(release.home(), "app.kubernetes.io/component=gateway").await?;
    let apply = async |objects: &[Value]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        release.cluster.kubectl_with(&["apply", "-n", release.home(), "-f", "-"], &list).await?.ok()
    };
    // A budget for somebody else's ServiceAccount is none of the gateway's.
    let mut others = quota();
    others["spec"]["serviceAccounts"] = json!(["somebody-else"]);
    apply(&[mock("mock", "from the gateway"), route("chat", "mock", 100), others]).await?;
    let refused = chaperone_e2e::wait::until("the route, without a quota", PATIENCE, || async {
        let answer = ask(&gateway, "chat").await?;
        Ok(answer.text().contains("no_quota").then_some(answer))
    });
    assert_eq!(refused.await?.status, 403);
    let mut own = quota();
    own["spec"]["serviceAccounts"] = json!(["chaperone-gateway"]);
    apply(&[own]).await?;
    until_text(&gateway, "chat", "from the gateway", PATIENCE).await?;
    release.helm(&["uninstall", NAME, "--wait"]).await?.ok().map(drop)
}
