#![cfg(test)]
//! The real API server, our kinds on it, and the commands that users run against it.
use anyhow::Result;
use chaperone_crds::crds;
use chaperone_e2e::cluster::{Cluster, guard, is_established};
use chaperone_e2e::control_plane::ControlPlane;
use chaperone_e2e::tools::{HELM, KUBERNETES};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

#[tokio::test]
async fn our_kinds_are_established_and_discovered() -> Result<()> {
    let Some(cluster) = Cluster::for_test("our_kinds_are_established_and_discovered").await? else {
        return Ok(());
    };
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client());
    for crd in crds() {
        let served = definitions.get(&crd.metadata.name.unwrap()).await?;
        assert!(is_established(&served), "{:?}", served.status);
        let conditions = served.status.unwrap().conditions.unwrap();
        let complaint = conditions.iter().find(|condition| condition.type_ == "NonStructuralSchema");
        assert_eq!(complaint, None);
    }
    let resources =
        cluster.kubectl(&["api-resources", "--api-group=chaperone.dev", "--no-headers"]).await?.ok()?;
    let first_words: Vec<&str> =
        resources.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first_words, ["modelroutes", "partners", "tenantquotas"]);
    Ok(())
}

#[tokio::test]
async fn the_api_server_and_the_commands_say_the_pinned_versions() -> Result<()> {
    let Some(plane) = ControlPlane::for_test("the_api_server_and_the_commands_say_the_pinned_versions")?
    else {
        return Ok(());
    };
    let cluster = plane.cluster()?;
    let versions: serde_json::Value =
        serde_json::from_str(&cluster.kubectl(&["version", "--output=json"]).await?.ok()?)?;
    assert_eq!(versions["serverVersion"]["gitVersion"], KUBERNETES);
    assert_eq!(versions["clientVersion"]["gitVersion"], KUBERNETES);
    let helm = cluster.helm(&["version", "--short"]).await?.ok()?;
    assert!(helm.starts_with(HELM), "{helm}");
    Ok(())
}

#[tokio::test]
async fn a_client_certificate_says_who_calls() -> Result<()> {
    let Some(plane) = ControlPlane::for_test("a_client_certificate_says_who_calls")? else { return Ok(()) };
    let nobody = Cluster::connect(&plane.kubeconfig_of_user("somebody", "nobodies")?).await?;
    let pods: Api<Pod> = Api::default_namespaced(nobody.client());
    let refused = pods.list(&ListParams::default()).await.unwrap_err();
    assert!(refused.to_string().contains("User \"somebody\" cannot list resource \"pods\""), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_with_a_chaperone_of_its_own_is_left_alone() -> Result<()> {
    let Some(plane) =
        ControlPlane::alone_for_test("a_cluster_with_a_chaperone_of_its_own_is_left_alone").await?
    else {
        return Ok(());
    };
    let cluster = plane.cluster()?;
    guard::refuse_if_installed(&cluster).await?;
    let release: Secret = serde_json::from_value(json!({
        "metadata": {"name": "sh.helm.release.v1.chaperone.v1", "labels": {"owner": "helm", "name": "chaperone"}},
        "type": "helm.sh/release.v1",
    }))?;
    Api::namespaced(cluster.client(), "default").create(&PostParams::default(), &release).await?;
    let refused = guard::refuse_if_installed(&cluster).await.unwrap_err();
    assert!(refused.to_string().contains("has a Chaperone in namespace default"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_test_gets_a_namespace_that_goes_with_it() -> Result<()> {
    let Some(cluster) = Cluster::for_test("a_test_gets_a_namespace_that_goes_with_it").await? else {
        return Ok(());
    };
    let namespace = cluster.namespace("namespace", &[("chaperone.dev/inject", "enabled")]).await?;
    let name = namespace.name().to_owned();
    assert!(name.starts_with("chaperone-e2e-namespace-"), "{name}");
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), &name);
    accounts.get("default").await?;
    drop(namespace);
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(cluster.client());
    let left = namespaces.get_opt(&name).await?;
    assert!(left.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()));
    Ok(())
}
