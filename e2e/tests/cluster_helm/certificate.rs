//! The certificate is somebody else's: first that of a Secret of the user's, then cert-manager's, which the test plays.
use anyhow::{Context, Result, ensure};
use chaperone_e2e::certs::TestCa;
use chaperone_e2e::client;
use chaperone_e2e::platform::{mock, quota, route};
use chaperone_e2e::release::{NAME, PATIENCE, Release, chart};
use chaperone_e2e::wait;
use serde_json::{Value, json};

use super::application;

const TENANT: &str = "certified";
/// The user's Secret.
const OWN: &str = "own-certificate";
/// Which certificate is in use is told by the year in which it ends.
const YEARS: [i32; 3] = [2040, 2041, 2042];

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_used_followed_and_never_written() -> Result<()> {
    let test = "a_certificate_of_somebody_else_is_used_followed_and_never_written";
    let Some(release) = Release::for_test(test, &[TENANT], application::servers()?).await? else {
        return Ok(());
    };
    let (cluster, ca) = (&release.cluster, TestCa::new()?);
    cluster.kubectl(&["create", "namespace", TENANT]).await?.ok()?;
    cluster.kubectl(&["label", "namespace", TENANT, "chaperone.dev/inject=enabled"]).await?.ok()?;
    let names = ["feed", "webhook"].map(|service| format!("chaperone-{service}.{}.svc", release.home()));
    put(&release, OWN, &certificate(&ca, &names, YEARS[0])?, &ca.pem()).await?;
    release.apply(&chart(), &["crds.keep=false", &format!("certificate.existingSecret={OWN}")]).await?;
    let objects = [mock("edited", "first"), route("edited", "edited", 100), quota()];
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    cluster.kubectl_with(&["apply", "-n", TENANT, "-f", "-"], &objects).await?.ok()?;
    let app = application::start(&release, TENANT, "shop").await?;
    application::edit(&release, &app, (TENANT, "edited", "by a Secret")).await?;
    may_not(&release, "update", &format!("secrets/{OWN}")).await?;
    let made = cluster.kubectl(&["get", "secret", "chaperone-tls", "-n", release.home()]).await?;
    ensure!(made.stderr.contains("NotFound"), "{}{}", made.stdout, made.stderr);

    put(&release, OWN, &certificate(&ca, &names, YEARS[1])?, &ca.pem()).await?;
    until_in_use(&release, YEARS[1]).await?;
    application::edit(&release, &app, (TENANT, "edited", "renewed")).await?;

    cluster.kubectl_with(&["create", "-f", "-"], &kind_of_cert_manager().to_string()).await?.ok()?;
    let kind = "customresourcedefinition/certificates.cert-manager.io";
    cluster.kubectl(&["wait", kind, "--for=condition=Established", "--timeout=60s"]).await?.ok()?;
    let values = [
        "certificate.existingSecret=",
        "certificate.certManager.enabled=true",
        "certificate.certManager.issuerRef.name=private",
    ];
    let chart = chart();
    tokio::try_join!(release.apply(&chart, &values), cert_manager(&release, &ca))?;
    until_in_use(&release, YEARS[2]).await?;
    application::edit(&release, &app, (TENANT, "edited", "by cert-manager")).await?;
    application::start(&release, TENANT, "later").await?;
    may_not(&release, "patch", "mutatingwebhookconfigurations/chaperone-injector").await?;

    release.helm(&["uninstall", NAME, "--wait"]).await?.ok()?;
    cluster.kubectl(&["delete", kind]).await?.ok()?;
    release.remove_namespaces(&[TENANT]).await
}

/// Certificate and key, in PEM.
fn certificate(ca: &TestCa, names: &[String], year: i32) -> Result<[String; 2]> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let issued = ca.issue_until(&format!("until-{year}"), &names, year)?;
    Ok([std::fs::read_to_string(issued.certificate)?, std::fs::read_to_string(issued.key)?])
}

async fn put(release: &Release, name: &str, [certificate, key]: &[String; 2], authority: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key, "ca.crt": authority},
    });
    let apply = ["apply", "-n", release.home(), "-f", "-"];
    release.cluster.kubectl_with(&apply, &secret.to_string()).await?.ok().map(drop)
}

async fn may_not(release: &Release, verb: &str, what: &str) -> Result<()> {
    let account = format!("--as=system:serviceaccount:{}:chaperone-operator", release.home());
    let said =
        release.cluster.kubectl(&["auth", "can-i", verb, what, "-n", release.home(), &account]).await?;
    ensure!(said.stdout.trim() == "no", "{verb} {what}: {}{}", said.stdout, said.stderr);
    Ok(())
}

/// Waits until every operator says that its certificate ends in this year.
async fn until_in_use(release: &Release, year: i32) -> Result<()> {
    let end = jiff::Timestamp::strptime("%Y-%m-%d %H:%M:%S %z", format!("{year}-01-01 00:00:00 +0000"))?;
    let wanted = format!("chaperone_certificate_expiry_timestamp_seconds {}\n", end.as_second());
    wait::until(&format!("the certificate of {year}"), PATIENCE, || async {
        let operators = release.operators().await?;
        for pod in operators.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            let Ok(view) = release.view(pod) else { return Ok(None) };
            let page = client::get(&format!("{}:8080", view.address()), "/metrics", &[]).await;
            if !page.is_ok_and(|page| page.text().contains(&wanted)) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

fn kind_of_cert_manager() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "certificates.cert-manager.io"},
        "spec": {
            "group": "cert-manager.io", "scope": "Namespaced",
            "names": {"kind": "Certificate", "plural": "certificates", "singular": "certificate"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    })
}

/// Issues what the chart asks for, and puts the authority where its annotation says.
async fn cert_manager(release: &Release, ca: &TestCa) -> Result<()> {
    let get = ["get", "certificate", "chaperone-operator", "-n", release.home(), "-o", "json"];
    let asked = wait::until("a Certificate", PATIENCE, || async {
        let said = release.cluster.kubectl(&get).await?;
        Ok(said.is_success.then_some(said.stdout))
    });
    let asked: Value = serde_json::from_str(&asked.await?)?;
    let spec = &asked["spec"];
    ensure!(
        spec["issuerRef"] == json!({"name": "private", "kind": "Issuer", "group": "cert-manager.io"}),
        "{spec}"
    );
    let names: Vec<String> = serde_json::from_value(spec["dnsNames"].clone())?;
    let secret = spec["secretName"].as_str().context("a name")?;
    // Another authority beside the one that signs: what the operator had put there is not what is wanted now.
    let authorities = ca.pem() + &TestCa::new()?.pem();
    put(release, secret, &certificate(ca, &names, YEARS[2])?, &authorities).await?;

    let webhook = "mutatingwebhookconfiguration/chaperone-injector";
    let found = release.cluster.kubectl(&["get", webhook, "-o", "json"]).await?.ok()?;
    let found: Value = serde_json::from_str(&found)?;
    let from = &found["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
    ensure!(*from == format!("{}/chaperone-operator", release.home()), "{from}");
    let bundle = data_of(release, secret).await?;
    let patch = |index| json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": bundle});
    let patch = json!([patch(0), patch(1)]).to_string();
    release.cluster.kubectl(&["patch", webhook, "--type=json", "-p", &patch]).await?.ok().map(drop)
}

/// The authorities in a Secret, in base64 as the API has them.
async fn data_of(release: &Release, secret: &str) -> Result<Value> {
    let get = ["get", "secret", secret, "-n", release.home(), "-o", "json"];
    let found: Value = serde_json::from_str(&release.cluster.kubectl(&get).await?.ok()?)?;
    Ok(found["data"]["ca.crt"].clone())
}
