//! A Presidio analyzer before the partner: scripted, over TLS, and a real one where `CHAPERONE_PRESIDIO` names it.
#![cfg(test)]

use anyhow::{Result, ensure};
use chaperone_e2e::certs::TestCa;
use chaperone_e2e::fixture::{Fixture, one_route};
use chaperone_e2e::local::{Local, PATIENCE};
use chaperone_e2e::partner::script::{Body, Step};
use chaperone_e2e::partner::{Partner, fails, says};
use chaperone_e2e::{checker, manifest, settings, wait};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
/// Nothing here looks like a name to the model of 4 MB.
const TEXT: &str = "please tell 𠮷田 and zoe\u{308} mu\u{308}ller about it";

fn request(text: &str) -> Value {
    json!({"model": "chat", "messages": [{"role": "user", "content": text}]})
}

/// A Partner's policy that has this analyzer read its requests.
fn analyzed(presidio: &Value) -> Value {
    json!({"pii": {"filter": "Balanced", "action": "Label", "ner": {"backend": "Presidio", "presidio": presidio}}})
}

/// An analyzer that finds both names of [`TEXT`].
fn finds() -> Step {
    let found = ["𠮷田", "zoe\u{308} mu\u{308}ller"].map(|name| {
        let start = TEXT.find(name).and_then(|at| TEXT.get(..at)).unwrap_or_default().chars().count();
        json!({"analysis_explanation": null, "entity_type": "PERSON", "score": 0.85,
            "start": start, "end": start + name.chars().count()})
    });
    Step { body: Body::Json(json!(found)), path: Some("/analyze".to_owned()), ..Step::default() }
}

async fn analyzer(steps: Vec<Step>) -> Result<Partner> {
    let analyzer = Partner::start().await?;
    analyzer.script(steps).await?;
    Ok(analyzer)
}

/// What the partner was sent last.
async fn last(partner: &Partner) -> Result<String> {
    let arrivals = partner.arrivals().await?;
    let body = arrivals.last().map(|arrival| arrival.json()).unwrap_or_default();
    Ok(body["messages"][0]["content"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_an_analyzer_finds_is_not_sent_and_what_it_does_not_answer_is_not_either() -> Result<()> {
    let analyzer = analyzer(vec![finds()]).await?;
    let spec = analyzed(&json!({"endpoint": format!("http://{}", analyzer.address()), "timeout": "5s"}));
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    let answer = fixture.local.post(CHAT, &request(TEXT)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let sent = last(&fixture.partner).await?;
    ensure!(sent == "please tell [PERSON] and [PERSON] about it", "{sent}");
    let asked = analyzer.arrivals().await?;
    ensure!(asked.len() == 1 && asked[0].path == "/analyze", "{asked:?}");
    ensure!(asked[0].header("authorization").is_none() && asked[0].json()["language"] == "en", "{asked:?}");

    analyzer.script(vec![fails(500, "server_error")]).await?;
    let refused = fixture.local.post(CHAT, &request(TEXT)).await?;
    ensure!(
        refused.status == 503 && refused.reason() == "pii_backend",
        "{} {}",
        refused.status,
        refused.text()
    );
    ensure!(fixture.partner.arrivals().await?.len() == 1, "a request was sent that nobody had read");
    checker::no_canary(&fixture.local, &["𠮷田", "mu\u{308}ller"]).await?;

    // Without it requests pass as they did before: the manifest is taken up while it serves.
    let plain = json!({"pii": {"filter": "Balanced", "action": "Label"}});
    let mut object = manifest::partner("alpha", "OpenAI", &fixture.partner.endpoint("OpenAI"));
    object["spec"]["pii"] = plain["pii"].clone();
    fixture.local.manifests().apply(&object)?;
    wait::until("the policy without an analyzer", PATIENCE, || async {
        Ok((fixture.local.post(CHAT, &request(TEXT)).await?.status == 200).then_some(()))
    })
    .await?;
    ensure!(last(&fixture.partner).await? == TEXT);
    Ok(())
}

#[tokio::test]
async fn an_analyzer_on_tls_is_trusted_by_its_own_authority_and_no_other() -> Result<()> {
    let (ca, stranger) = (TestCa::new()?, TestCa::new()?);
    for (authority, is_served) in [(&ca, true), (&stranger, false)] {
        let analyzer = Partner::start_tls(authority, "presidio.test").await?;
        analyzer.script(vec![finds()]).await?;
        let partner = Partner::start().await?;
        partner.script(vec![says("Hello.")]).await?;
        let presidio = json!({
            "endpoint": format!("https://{}", analyzer.address()),
            "tls": {"caConfigMapKeyRef": {"name": "ca", "key": "ca.crt"}, "serverName": "presidio.test"},
        });
        let manifests = one_route("OpenAI", &partner, &analyzed(&presidio))?;
        manifests.apply(&manifest::config_map("ca", "ca.crt", &ca.pem()))?;
        let local = Local::start(manifests).await?;
        let answer = local.post(CHAT, &request(TEXT)).await?;
        ensure!((answer.status == 200) == is_served, "{} {}", answer.status, answer.text());
        ensure!(is_served || answer.reason() == "pii_backend", "{}", answer.reason());
        let (asked, sent) = (analyzer.arrivals().await?.len(), partner.arrivals().await?.len());
        ensure!((asked, sent) == (usize::from(is_served), usize::from(is_served)), "{asked} {sent}");
    }
    Ok(())
}

/// With `en`, a model that knows these names, and as many characters before them as count in several ways.
#[tokio::test]
async fn a_real_analyzer_reads_what_partners_then_do_not() -> Result<()> {
    let Some(endpoint) = settings::presidio() else {
        eprintln!("not asked: CHAPERONE_PRESIDIO does not name a Presidio analyzer");
        return Ok(());
    };
    let spec = analyzed(&json!({"endpoint": endpoint, "timeout": "10s"}));
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    let begin = "𠮷野家 👩‍👩‍👧 Zoe\u{308}: ".repeat(3);
    let text = format!("{begin}\n\nBob Stone met Anna Schmidt.\nThe weather was nice.");
    let answer = fixture.local.post(CHAT, &request(&text)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let sent = last(&fixture.partner).await?;
    ensure!(sent.ends_with("[PERSON] met [PERSON].\nThe weather was nice."), "{sent}");
    let long = format!("{}Then Bob Stone left.", "The weather was nice. ".repeat(2_000));
    let answer = fixture.local.post(CHAT, &request(&long)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let sent = last(&fixture.partner).await?;
    ensure!(sent.ends_with("Then [PERSON] left."), "{sent}");
    // It does not know that language, and says so by a 500.
    let spec = analyzed(&json!({"endpoint": settings::presidio(), "language": "tlh"}));
    let fixture = Fixture::with_spec("OpenAI", vec![says("Hello.")], &spec).await?;
    let refused = fixture.local.post(CHAT, &request(&text)).await?;
    ensure!(refused.reason() == "pii_backend", "{} {}", refused.status, refused.text());
    ensure!(fixture.partner.arrivals().await?.is_empty());
    Ok(())
}
