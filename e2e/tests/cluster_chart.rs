#![cfg(test)]
//! The Helm chart: what it renders is accepted by a real API server, and grants what the other cluster tests run with.
use std::path::Path;

use anyhow::{Context, Result};
use chaperone_crds::read_documents;
use chaperone_e2e::cluster::{Cluster, Said};
use chaperone_e2e::platform::{cluster_rules, own_rules, unbound_rules, watch_rules};
use serde_json::{Value, json};

/// What every release must name.
const IMAGE: &str =
    r#"image.repository="chaperone.test/operator",sidecar.image.repository="chaperone.test/sidecar""#;

async fn helm(cluster: &Cluster, command: &[&str], values: &[&str]) -> Result<Said> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/chaperone");
    let chart = chart.to_str().context("a path in UTF-8")?;
    let values = values.iter().flat_map(|value| ["--set-json", value]);
    let arguments: Vec<&str> = command.iter().copied().chain([chart]).chain(values).collect();
    cluster.helm(&arguments).await
}

async fn template(cluster: &Cluster, namespace: &str, values: &[&str]) -> Result<Said> {
    helm(cluster, &["template", "chaperone", "--namespace", namespace, "--set-json", IMAGE], values).await
}

/// What the API server would store, and what it warns of.
async fn dry_run(cluster: &Cluster, namespace: &str, values: &[&str]) -> Result<(Vec<Value>, String)> {
    let manifests = template(cluster, namespace, values).await?.ok()?;
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "json", "-f", "-"];
    let said = cluster.kubectl_with(&apply, &manifests).await?;
    let warnings = said.stderr.clone();
    let list: Value = serde_json::from_str(&said.ok()?)?;
    Ok((list["items"].as_array().context("a list")?.clone(), warnings))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_accepts_the_chart_under_every_value() -> Result<()> {
    let Some(cluster) = Cluster::for_test("an_api_server_accepts_the_chart_under_every_value").await? else {
        return Ok(());
    };
    helm(&cluster, &["lint", "--strict", "--set-json", IMAGE], &[]).await?.ok()?;
    let restricted = [("pod-security.kubernetes.io/warn", "restricted")];
    let home = cluster.namespace("chart", &restricted).await?;
    let digest = format!("image.digest=\"sha256:{}\"", "0a".repeat(32));
    let sidecar = format!("sidecar.{digest}");
    let matrix: [(&[&str], usize); 7] = [
        (&[], 17),
        (&["crds.enabled=false", "crds.refuseDowngrade=false"], 12),
        (&["injector.enabled=false", "sidecar.image.repository=null"], 14),
        (&["replicas=1", r#"injector.failurePolicy="Ignore""#, "networkPolicy.enabled=false"], 15),
        (&["crds.keep=false", "podDisruptionBudget.enabled=false", "runAsUser=null", &digest, &sidecar], 16),
        (
            &[
                r#"imagePullSecrets=[{"name":"registry"}]"#,
                r#"priorityClassName="system-cluster-critical""#,
                r#"nodeSelector={"kubernetes.io/os":"linux"}"#,
                r#"tolerations=[{"key":"infra","operator":"Exists"}]"#,
                r#"podAnnotations={"example.org/team":"ai"}"#,
                r#"serviceAccountAnnotations={"example.org/team":"ai"}"#,
                r#"extraEnv=[{"name":"SSL_CERT_DIR","value":"x"}]"#,
                r#"extraVolumes=[{"name":"tmp","emptyDir":{}}]"#,
                r#"extraVolumeMounts=[{"name":"tmp","mountPath":"/tmp"}]"#,
                r#"networkPolicy.metricsFrom=[{"namespaceSelector":{"matchLabels":{"a":"b"}}}]"#,
                "networkPolicy.egress.enabled=true",
                r#"certificate.existingSecret="own""#,
                "injector.evictUninjected=true",
                r#"monitoring.dashboard.enabled=true"#,
                // Left out, since this API server has no such kinds.
                r#"monitoring.podMonitors.enabled=true"#,
                r#"monitoring.rules.enabled=true"#,
                "injector.servicePort=8443",
                "sidecar.anyUser=true",
                r#"sidecar.cpu="0.1""#,
            ],
            18,
        ),
        (
            &[
                "gateway.enabled=true",
                "gateway.replicas=3",
                r#"gateway.from=[{"podSelector":{}}]"#,
                r#"gateway.podAnnotations={"example.org/team":"ai"}"#,
                r#"drills.schedule="0 4 * * 1""#,
                r#"drills.routes=[{"namespace":"shop","alias":"chat"},{"namespace":"shop","alias":"-x","serviceAccount":"app"}]"#,
                r#"drills.image.repository="chaperone.test/chaperone""#,
                "drills.maxAgeHours=48",
            ],
            26,
        ),
    ];
    for (values, count) in matrix {
        let (objects, warnings) = dry_run(&cluster, home.name(), values).await?;
        assert_eq!(objects.len(), count, "{values:?}");
        assert_eq!(warnings, "", "{values:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_reach_the_pods_that_they_are_for() -> Result<()> {
    let test = "values_reach_the_pods_that_they_are_for";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    let home = cluster.namespace("chart", &[]).await?;
    let (digest, other) = ("0a".repeat(32), "0b".repeat(32));
    let values = [
        &*format!(r#"image.digest="sha256:{digest}""#),
        &*format!(r#"sidecar.image.digest="sha256:{other}""#),
        "gateway.enabled=true",
        r#"imagePullSecrets=[{"name":"registry"}]"#,
        r#"priorityClassName="system-cluster-critical""#,
        r#"extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy.example.com"}]"#,
        r#"extraVolumes=[{"name":"roots","emptyDir":{}}]"#,
        r#"extraVolumeMounts=[{"name":"roots","mountPath":"/roots"}]"#,
        "networkPolicy.egress.enabled=true",
        "networkPolicy.egress.dnsPorts=[53,5353]",
        r#"networkPolicy.egress.partners=[{"ports":[{"port":8443}]}]"#,
    ];
    let (objects, _) = dry_run(&cluster, home.name(), &values).await?;
    let images = [("operator", &digest), ("sidecar", &other)];
    for (name, digest) in images {
        let image = format!("chaperone.test/{name}@sha256:{digest}");
        let deployments = of_kind(&objects, "Deployment").into_iter();
        let mut pods = deployments.map(|deployment| &deployment["spec"]["template"]["spec"]);
        let pod = pods.find(|pod| pod["containers"][0]["image"] == image).context(image.clone())?;
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
        assert_eq!(pod["priorityClassName"], "system-cluster-critical");
        assert_eq!(pod["enableServiceLinks"], false);
        let container = &pod["containers"][0];
        if name == "operator" {
            let proxy = json!({"name": "HTTPS_PROXY", "value": "http://proxy.example.com"});
            assert!(container["env"].as_array().is_some_and(|env| env.contains(&proxy)), "{container}");
            assert_eq!(container["volumeMounts"], json!([{"name": "roots", "mountPath": "/roots"}]));
            assert_eq!(pod["volumes"], json!([{"name": "roots", "emptyDir": {}}]));
        }
    }
    let policies = of_kind(&objects, "NetworkPolicy").into_iter();
    let mut leaving = policies.filter_map(|policy| policy["spec"]["egress"].as_array());
    let ports =
        leaving.next().context("a policy of what goes out")?.iter().flat_map(|it| it["ports"].as_array());
    let ports: Vec<i64> = ports.flatten().filter_map(|port| port["port"].as_i64()).collect();
    assert_eq!(ports, [53, 53, 5353, 5353, 443, 6443, 8443]);
    assert!(leaving.next().is_none(), "what the gateway calls is for its snapshot to say");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_grants_what_the_operator_is_tested_with_and_keeps_its_kinds() -> Result<()> {
    let test = "the_chart_grants_what_the_operator_is_tested_with_and_keeps_its_kinds";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    let home = cluster.namespace("chart", &[]).await?;
    let (objects, _) = dry_run(&cluster, home.name(), &[]).await?;
    assert_eq!(of_kind(&objects, "ClusterRole")[0]["rules"], cluster_rules());
    assert_eq!(of_kind(&objects, "Role")[0]["rules"], own_rules());
    let (evicting, _) = dry_run(&cluster, home.name(), &["injector.evictUninjected=true"]).await?;
    let may_evict = [
        json!({"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}),
        json!({"apiGroups": ["apps"], "resources": ["replicasets", "statefulsets", "daemonsets"], "verbs": ["get"]}),
        json!({"apiGroups": [""], "resources": ["replicationcontrollers"], "verbs": ["get"]}),
    ];
    let rules = of_kind(&evicting, "ClusterRole")[0]["rules"].as_array().context("rules")?.clone();
    let (evicts, others): (Vec<Value>, Vec<Value>) =
        rules.into_iter().partition(|rule| may_evict.contains(rule));
    assert_eq!((evicts, Value::from(others)), (may_evict.to_vec(), cluster_rules()));
    let shop = cluster.namespace("shop", &[]).await?;
    let (watching, _) =
        dry_run(&cluster, home.name(), &[&format!(r#"watchNamespaces=["{}"]"#, shop.name())]).await?;
    assert_eq!(of_kind(&watching, "ClusterRole")[0]["rules"], unbound_rules());
    for namespace in [home.name(), shop.name()] {
        let roles = of_kind(&watching, "Role").into_iter();
        let mut roles = roles.filter(|role| role["metadata"]["namespace"] == namespace);
        assert!(roles.any(|role| role["rules"] == watch_rules()), "{namespace}");
    }

    let kept = |objects: &[Value]| {
        let kinds = of_kind(objects, "CustomResourceDefinition");
        let policy = |kind: &&Value| kind["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
        (kinds.len(), kinds.iter().filter(|kind| policy(kind)).count())
    };
    assert_eq!(kept(&objects), (3, 3));
    let (objects, _) = dry_run(&cluster, home.name(), &["crds.keep=false"]).await?;
    assert_eq!(kept(&objects), (3, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_would_delete_the_definitions_is_refused_with_a_remedy() -> Result<()> {
    let test = "an_upgrade_that_would_delete_the_definitions_is_refused_with_a_remedy";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    let upgrade = ["template", "chaperone", "--is-upgrade", "--set-json", IMAGE];
    let losing = ["crds.enabled=false", "crds.keep=false"];
    let said = helm(&cluster, &upgrade, &losing).await?;
    assert!(said.stderr.contains("--set crds.enabled=true --set crds.keep=true"), "{}", said.stderr);
    assert!(said.ok().is_err());
    helm(&cluster, &upgrade, &losing[..1]).await?.ok()?;
    helm(&cluster, &upgrade, &losing[1..]).await?.ok()?;
    // There is nothing to lose yet.
    template(&cluster, "default", &losing).await?.ok()?;

    // Helm deletes what the release has and what is not kept, whatever the values say that come with the upgrade.
    let annotate = async |annotations: &[&str]| {
        let command = ["annotate", "--overwrite", "customresourcedefinition", "partners.chaperone.dev"];
        cluster.kubectl(&[&command, annotations].concat()).await?.ok()
    };
    let asking = [&upgrade[..], &["--dry-run=server"]].concat();
    annotate(&["meta.helm.sh/release-name=chaperone"]).await?;
    let said = helm(&cluster, &asking, &losing[..1]).await?;
    annotate(&["helm.sh/resource-policy=keep"]).await?;
    let kept = helm(&cluster, &asking, &losing[..1]).await?;
    annotate(&["meta.helm.sh/release-name-", "helm.sh/resource-policy-"]).await?;
    assert!(said.stderr.contains("--set crds.enabled=true --set crds.keep=true"), "{}", said.stderr);
    kept.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_where_the_override_says() -> Result<()> {
    let Some(cluster) = Cluster::for_test("everything_goes_where_the_override_says").await? else {
        return Ok(());
    };
    let rendered = template(&cluster, "default", &[r#"namespaceOverride="elsewhere""#]).await?.ok()?;
    assert!(!rendered.contains("default.svc"), "{rendered}");
    let mut asked = 0;
    for document in read_documents(&rendered)? {
        let object = document.value;
        let subjects = object["subjects"].as_array().into_iter().flatten();
        for place in subjects.chain([&object["metadata"]]).filter_map(|it| it["namespace"].as_str()) {
            assert_eq!(place, "elsewhere", "{object}");
            asked += 1;
        }
    }
    assert!(asked >= 8, "only {asked}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_and_alerts_are_rendered_where_their_kinds_are() -> Result<()> {
    let test = "monitors_and_alerts_are_rendered_where_their_kinds_are";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    let group = "monitoring.coreos.com/v1";
    let kinds = format!("{group}/PodMonitor,{group}/PrometheusRule");
    let values = ["monitoring.podMonitors.enabled=true", "monitoring.rules.enabled=true"];
    let command = ["template", "chaperone", "--api-versions", &kinds, "--set-json", IMAGE];
    let rendered = read_documents(&helm(&cluster, &command, &values).await?.ok()?)?;
    let objects: Vec<Value> = rendered.into_iter().map(|document| document.value).collect();
    assert_eq!(of_kind(&objects, "PodMonitor").len(), 2);
    let alerts = &of_kind(&objects, "PrometheusRule")[0]["spec"]["groups"];
    assert!(alerts[0]["rules"][0]["alert"].is_string(), "{alerts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_installs_alerts_is_told_what_they_lack() -> Result<()> {
    let test = "whoever_installs_alerts_is_told_what_they_lack";
    let Some(cluster) = Cluster::for_test(test).await? else { return Ok(()) };
    let (rules, scraped) = ("monitoring.rules.enabled=true", "monitoring.podMonitors.enabled=true");
    let read_by = r#"networkPolicy.metricsFrom=[{"podSelector":{}}]"#;
    let cases = [
        (vec![rules, scraped], Some("networkPolicy.metricsFrom is empty")),
        (vec![rules, read_by], Some("monitoring.podMonitors.enabled is false")),
        (vec![rules, scraped, read_by], None),
        (vec![rules, scraped, "networkPolicy.enabled=false"], None),
        (vec![], None),
    ];
    for (values, lacking) in cases {
        let install = ["install", "chaperone", "--dry-run=client", "--set-json", IMAGE];
        let said = helm(&cluster, &install, &values).await?.ok()?;
        let (_, notes) = said.split_once("NOTES:").context(said.clone())?;
        assert_eq!(notes.contains("ATTENTION"), lacking.is_some(), "{values:?}: {notes}");
        assert!(notes.contains(lacking.unwrap_or_default()), "{values:?}: {notes}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_nothing_honours_are_refused_by_name() -> Result<()> {
    let Some(cluster) = Cluster::for_test("values_that_nothing_honours_are_refused_by_name").await? else {
        return Ok(());
    };
    let cases = [
        ("replica=3", "replica"),
        ("replicas=0", "replicas"),
        (r#"watchNamespaces=["Shop"]"#, "watchNamespaces"),
        ("certificate.certManager.enabled=true", "certificate.certManager.issuerRef.name is required"),
        (r#"certificate.existingSecret="chaperone-tls""#, "certificate.existingSecret: chaperone-tls is"),
        (r#"certificate.existingSecret="chaperone-root""#, "certificate.existingSecret: chaperone-root is"),
        ("networkPolicy.egress.dnsPorts=[]", "dnsPorts"),
        (r#"image.digest="latest""#, "digest"),
        (r#"image.repository="""#, "image.repository is required"),
        (r#"sidecar.image.repository="""#, "sidecar.image.repository is required"),
        (r#"sidecar.memory="lots""#, "memory"),
        (r#"drills.schedule="0 4 * * 1""#, "drills.image.repository is required"),
        ("gateway.replicas=0", "replicas"),
        (r#"injector.failurePolicy="Maybe""#, "failurePolicy"),
        (
            "replicas=1",
            "set replicas: 2, or injector.failurePolicy: Ignore, or injector.allowSingleReplica: true",
        ),
    ];
    for (value, named) in cases {
        let said = template(&cluster, "default", &[value]).await?;
        assert!(!said.is_success && said.stderr.contains(named), "{value}: {}", said.stderr);
    }
    Ok(())
}
