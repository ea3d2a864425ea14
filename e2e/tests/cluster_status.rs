#![cfg(test)]
//! What a status says is what sidecars said, on a real API server.
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result};
use chaperone_e2e::client;
use chaperone_e2e::clock::Deadline;
use chaperone_e2e::feed::{Stream, token_of};
use chaperone_e2e::platform::{PATIENCE, Platform, ask, mock, object, quota, route, until_text, version};
use chaperone_e2e::wait;
use chaperone_protocol::snapshot::Version;
use chaperone_protocol::wire::feed::{Nack, SidecarFrame};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A refusal, and a frozen sidecar, must show within this time.
const TRUTH: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn programmed_is_what_five_sidecars_say() -> Result<()> {
    let Some(platform) = Platform::for_test("programmed_is_what_five_sidecars_say", 1, 1).await? else {
        return Ok(());
    };
    let tenant = platform.tenant(0).to_owned();
    platform.apply(&tenant, &[mock("mock", "hello"), route("chat", "mock", 100), quota()]).await?;
    let nobody = platform.condition(&tenant, "modelroutes/chat", ("Programmed", "True"), PATIENCE).await?;
    assert_eq!(nobody["reason"], "NoSidecars");

    let mut pods = Vec::new();
    for index in 0..4 {
        pods.push(platform.sidecar(&tenant, &format!("app-{index}")).await?);
    }
    let refusing = platform.silent_pod(&tenant, "refusing").await?;
    let token = token_of(&platform.cluster.client(), &refusing).await?;
    let mut stream = platform.stream(&token).await?.ok().context("the token is admitted")?;
    stream.greet().await?;
    let document = stream.snapshot().await?;
    stream.acknowledge(&document).await?;
    until_text(&pods[0], "chat", "hello", PATIENCE).await?;
    platform.sidecars(&tenant, "modelroutes/chat", "5/5", PATIENCE).await?;

    platform.signal(&pods[1], Signal::STOP)?;
    platform.apply(&tenant, &[route("chat", "mock", 200)]).await?;
    let truth = Deadline::after(TRUTH);
    refuse_next(&mut stream, "routes.chat.maxTokens", "is not understood").await?;
    // It is False for another reason before: the sidecar that is stopped has not acknowledged.
    let refused = wait::until("the refusal in the status", truth.left(), || async {
        let not = platform.condition(&tenant, "modelroutes/chat", ("Programmed", "False"), PATIENCE).await?;
        Ok((not["reason"] == "Refused").then_some(not))
    });
    let refused = refused.await?;
    let wanted = format!("Pod {tenant}/refusing refuses routes.chat.maxTokens: is not understood");
    assert_eq!(refused["message"].as_str(), Some(&*wanted));
    let sidecars = platform.object(&tenant, "modelroutes/chat").await?.data["status"]["sidecars"].clone();
    let count = |name: &str| sidecars[name].as_i64().unwrap_or_default();
    assert_eq!((count("total"), count("refused")), (5, 1), "{sidecars}");
    assert_eq!(count("programmed") + count("stale"), 4, "{sidecars}");
    named_once(&tenant, &sidecars)?;
    // As the alert has it.
    let admin = format!("{}:8080", platform.operator(0)?.address());
    let metrics = client::get(&admin, "/metrics", &[]).await?.text();
    assert!(metrics.contains(r#"chaperone_objects_behind{state="refused"} 1"#), "{metrics}");
    // An object that nobody refused stays programmed, and traffic goes on.
    platform.sidecars(&tenant, "partners/mock", "5/5", PATIENCE).await?;
    until_text(&pods[0], "chat", "hello", PATIENCE).await?;

    platform.signal(&pods[1], Signal::CONT)?;
    platform.apply(&tenant, &[route("chat", "mock", 300)]).await?;
    let document = stream.snapshot().await?;
    stream.acknowledge(&document).await?;
    platform.sidecars(&tenant, "modelroutes/chat", "5/5", PATIENCE).await?;
    platform.condition(&tenant, "modelroutes/chat", ("Ready", "True"), PATIENCE).await?;
    Ok(())
}

/// Of five sidecars each is counted once, and each that does not have the object is named once.
fn named_once(tenant: &str, sidecars: &Value) -> Result<()> {
    let behind = sidecars["behind"].as_array().context("who is behind")?;
    let states: BTreeMap<_, _> = behind.iter().map(|it| (it["pod"].as_str(), it["state"].as_str())).collect();
    assert_eq!(states.len(), behind.len(), "one is named twice: {sidecars}");
    let state = |name: &str| states.get(&Some(&*format!("{tenant}/{name}"))).copied().flatten();
    assert_eq!((state("refusing"), state("app-1")), (Some("Refused"), Some("Stale")), "{sidecars}");
    let stale = states.values().filter(|state| **state == Some("Stale")).count();
    assert_eq!(Some(i64::try_from(stale)?), sidecars["stale"].as_i64(), "{sidecars}");
    Ok(())
}

/// Refuses the next snapshot that differs, whatever else comes.
async fn refuse_next(stream: &mut Stream, path: &str, problem: &str) -> Result<()> {
    let document = stream.snapshot().await?;
    let nack = Nack { version: Version::of(&document), path: path.to_owned(), problem: problem.to_owned() };
    stream.say(&SidecarFrame::Nack(nack)).await
}

/// What is wrong with each: its condition, its reason, and what the message must say of the remedy.
const BAD: [(&str, &str, &str, &str); 8] = [
    ("modelroutes/unknown-partner", "ResolvedRefs", "NotFound", "create it"),
    ("partners/cycle-a", "Accepted", "FallbackCycle", "remove"),
    ("partners/no-secret", "ResolvedRefs", "NotFound", "create it"),
    ("partners/no-label", "ResolvedRefs", "NotLabelled", "chaperone.dev/credential"),
    ("modelroutes/elsewhere", "ResolvedRefs", "RefNotPermitted", "allowedNamespaces"),
    ("modelroutes/capable", "Accepted", "Unfit", "Tools"),
    ("modelroutes/restricted", "Accepted", "Unfit", "Restricted"),
    ("modelroutes/clash", "Accepted", "AliasConflict", "choose another alias"),
];

/// The objects of [`BAD`]; `elsewhere` is a namespace whose partners are its own.
fn bad_objects(elsewhere: &str) -> Vec<Value> {
    let openai = |name: &str, more: Value| {
        let mut spec = json!({
            "adapter": "OpenAI", "endpoint": "https://api.example.com/v1", "models": [{"name": "m"}],
        });
        spec.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        object("Partner", name, &spec)
    };
    let fallback = |partner: &str| json!({"fallbacks": [{"partner": partner}]});
    let demanding = |name: &str, more: Value| {
        let mut spec = json!({"alias": name, "targets": [{"partner": "mock"}]});
        spec.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        object("ModelRoute", name, &spec)
    };
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "unlabelled"}, "stringData": {"key": "sk-canary"},
    });
    vec![
        secret,
        route("unknown-partner", "nobody", 100),
        openai("cycle-a", fallback("cycle-b")),
        openai("cycle-b", fallback("cycle-a")),
        openai("no-secret", json!({"apiKeySecretRef": {"name": "absent", "key": "key"}})),
        openai("no-label", json!({"apiKeySecretRef": {"name": "unlabelled", "key": "key"}})),
        demanding("elsewhere", json!({"targets": [{"partner": "mock", "namespace": elsewhere}]})),
        demanding("capable", json!({"requires": ["Tools"]})),
        demanding("restricted", json!({"dataClass": "Restricted"})),
        object("ModelRoute", "clash", &json!({"alias": "chat", "targets": [{"partner": "mock"}]})),
    ]
}

/// One bad object of each kind: its condition says what to do, and nobody else's snapshot changes by a byte.
#[tokio::test(flavor = "multi_thread")]
async fn f57_a_bad_object_has_a_condition_with_a_remedy_and_changes_nothing_else() -> Result<()> {
    let test = "f57_a_bad_object_has_a_condition_with_a_remedy_and_changes_nothing_else";
    let Some(platform) = Platform::for_test(test, 1, 2).await? else { return Ok(()) };
    let (good, bad) = (platform.tenant(0).to_owned(), platform.tenant(1).to_owned());
    platform.apply(&good, &[mock("mock", "hello"), route("chat", "mock", 100), quota()]).await?;
    platform.apply(&bad, &[mock("mock", "hello"), route("chat", "mock", 100), quota()]).await?;
    let (other, same) = (platform.sidecar(&good, "app").await?, platform.sidecar(&bad, "app").await?);
    until_text(&other, "chat", "hello", PATIENCE).await?;
    until_text(&same, "chat", "hello", PATIENCE).await?;
    let before = version(&other).await?;
    // One more of the other namespace, that hears everything that is sent there.
    let listening = platform.silent_pod(&good, "listening").await?;
    let token = token_of(&platform.cluster.client(), &listening).await?;
    let mut stream = platform.stream(&token).await?.ok().context("the token is admitted")?;
    stream.greet().await?;
    let first = stream.snapshot().await?;
    stream.acknowledge(&first).await?;

    platform.apply(&bad, &bad_objects(&good)).await?;
    let negative = json!({"apiVersion": "v1", "kind": "List", "items": [route("negative", "mock", 100)]})
        .to_string()
        .replace("100", "-100");
    let refused = platform.cluster.kubectl_with(&["apply", "-n", &bad, "-f", "-"], &negative).await?;
    assert!(!refused.is_success && refused.stderr.contains("spec.maxTokens.cap"), "{}", refused.stderr);
    for (object, condition, reason, remedy) in BAD {
        let found = platform.condition(&bad, object, (condition, "False"), PATIENCE).await?;
        assert_eq!(found["reason"], reason, "{object}: {found}");
        let message = found["message"].as_str().unwrap_or_default();
        assert!(message.contains("spec.") && message.contains(remedy), "{object}: {message}");
    }
    assert_eq!(version(&other).await?, before, "the snapshot of another namespace has changed");
    // Nothing was sent there meanwhile either: the next that comes is the next edit, and taken back it is the first.
    for (cap, is_first) in [(200, false), (100, true)] {
        platform.apply(&good, &[route("chat", "mock", cap)]).await?;
        let next = stream.snapshot().await?;
        stream.acknowledge(&next).await?;
        assert_eq!(next == first, is_first, "{}", String::from_utf8_lossy(&next));
        let next: Value = serde_json::from_slice(&next)?;
        assert_eq!(next["routes"]["chat"]["maxTokens"]["cap"], cap, "{next}");
    }
    until_text(&same, "chat", "hello", PATIENCE).await?;
    let events = platform.cluster.kubectl(&["get", "events", "-n", &bad, "-o", "json"]).await?.ok()?;
    for reason in ["UnknownPartner", "SecretMissing", "SecretNotLabelled", "AliasClash"] {
        assert!(events.contains(reason), "no event says {reason}");
    }
    Ok(())
}

/// The address stands in a Partner of a cluster: who wrote it reads so in condition and Event, and nobody goes there.
#[tokio::test(flavor = "multi_thread")]
async fn f48_a_forbidden_address_is_a_condition_and_an_event_with_a_remedy_and_is_not_dialled() -> Result<()>
{
    let test = "f48_a_forbidden_address_is_a_condition_and_an_event_with_a_remedy_and_is_not_dialled";
    let Some(platform) = Platform::for_test(test, 1, 1).await? else { return Ok(()) };
    let tenant = platform.tenant(0).to_owned();
    // Nobody accepts: the kernel would complete a handshake all the same.
    let trap = TcpListener::bind("127.0.0.1:0")?;
    trap.set_nonblocking(true)?;
    let partner = |name: &str, endpoint: &str, allow_private: bool| {
        let spec = json!({
            "adapter": "OpenAI", "endpoint": endpoint, "allowPlaintext": true, "allowPrivate": allow_private,
            "healthCheck": {"interval": "1s"}, "models": [{"name": "m"}],
        });
        object("Partner", name, &spec)
    };
    let own = format!("http://{}/v1", trap.local_addr()?);
    let objects = [
        partner("own", &own, false),
        partner("metadata", "http://169.254.169.254/v1", true),
        route("own", "own", 100),
        route("metadata", "metadata", 100),
        quota(),
    ];
    platform.apply(&tenant, &objects).await?;
    let pod = platform.sidecar(&tenant, "app").await?;
    for (name, remedy) in
        [("own", "set `allowPrivate: true`"), ("metadata", "use the provider's own address")]
    {
        let found =
            platform.condition(&tenant, &format!("partners/{name}"), ("Accepted", "False"), PATIENCE).await?;
        let message = found["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("spec.endpoint: host ") && message.contains(remedy), "{found}");
        until_event(
            &platform,
            &tenant,
            name,
            &["ForbiddenAddress", "Warning", "spec.endpoint: host ", remedy],
        )
        .await?;
        let answer = ask(&pod, name).await?;
        assert_eq!((answer.status.as_u16(), answer.reason()), (503, "route_invalid"));
    }
    let dialled = trap.accept();
    assert!(dialled.is_err(), "{dialled:?}");
    Ok(())
}

/// Waits for an Event about this Partner that has all of these.
async fn until_event(platform: &Platform, namespace: &str, partner: &str, parts: &[&str]) -> Result<()> {
    let about = format!("--field-selector=involvedObject.kind=Partner,involvedObject.name={partner}");
    wait::until(&format!("an event about {partner} with {parts:?}"), PATIENCE, || async {
        let said =
            platform.cluster.kubectl(&["get", "events", "-n", namespace, &about, "-o", "json"]).await?;
        let events: Value = serde_json::from_str(&said.ok()?)?;
        let mut all = events["items"].as_array().into_iter().flatten().map(Value::to_string);
        Ok(all.any(|event| parts.iter().all(|part| event.contains(part))).then_some(()))
    })
    .await
}
