//! Every class of error raises the class that the official SDK has for it, and is sent once.
#![cfg(test)]

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use chaperone_e2e::checker;
use chaperone_e2e::local::Local;
use chaperone_e2e::manifest::{self, Manifests};
use chaperone_e2e::partner::log::Arrival;
use chaperone_e2e::partner::script::{Body, ErrorBody, Reply, Step};
use chaperone_e2e::partner::{Partner, says};
use chaperone_e2e::sdk::{APP_KEY, Clients, Language, Sdk, Seen};
use serde_json::{Value, json};

/// What a partner does, and what the application must read.
struct Case {
    /// Alias, partner and mark in one.
    name: &'static str,
    step: Step,
    status: u16,
    reason: &'static str,
    openai_type: &'static str,
    anthropic_type: &'static str,
}

/// An error as `OpenAI` words it.
fn openai_error(status: u16, kind: &str, code: &str) -> Step {
    let code = (!code.is_empty()).then(|| code.to_owned());
    error(status, ErrorBody { kind: kind.to_owned(), code, message: "scripted".to_owned(), as_event: false })
}

/// An error as `Anthropic` words it.
fn anthropic_error(status: u16, kind: &str, message: &str) -> Step {
    error(
        status,
        ErrorBody { kind: kind.to_owned(), code: None, message: message.to_owned(), as_event: false },
    )
}

fn error(status: u16, body: ErrorBody) -> Step {
    Step { status: Some(status), body: Body::Error(body), ..Step::default() }
}

fn case(name: &'static str, step: Step, status: u16, reason: &'static str) -> Case {
    let (openai_type, anthropic_type) = match status {
        400 => ("invalid_request_error", "invalid_request_error"),
        403 => ("permission_error", "permission_error"),
        413 => ("invalid_request_error", "request_too_large"),
        404 => ("invalid_request_error", "not_found_error"),
        429 => ("rate_limit_error", "rate_limit_error"),
        502 => ("server_error", "api_error"),
        // Spent credit is the platform's business, whatever its status.
        503 if reason == "partner_credit" => ("server_error", "api_error"),
        503 => ("server_error", "overloaded_error"),
        _ => ("server_error", "timeout_error"),
    };
    Case { name, step, status, reason, openai_type, anthropic_type }
}

/// Cases that do not depend on the partner's dialect.
fn common_cases() -> Vec<Case> {
    let html = Step {
        headers: vec![("content-type".to_owned(), "text/html".to_owned())],
        body: Body::Text("<html>Bad gateway</html>".to_owned()),
        ..Step::default()
    };
    vec![
        case("unknown-alias", Step::default(), 404, "unknown_alias"),
        case("api-base", Step::default(), 400, "invalid_request"),
        case("forbidden", Step::default(), 403, "tenant_forbidden"),
        case("too-large", Step::default(), 413, "too_large"),
        case("html", html, 502, "partner_protocol"),
        case("reset", Step { body: Body::Abort, ..Step::default() }, 502, "partner_unavailable"),
        case("late", Step { delay_ms: 30_000, ..says("too late") }, 504, "deadline"),
    ]
}

fn openai_cases() -> Vec<Case> {
    let invalid = "invalid_request_error";
    vec![
        case("malformed", openai_error(400, invalid, ""), 400, "partner_rejected"),
        case("context", openai_error(400, invalid, "context_length_exceeded"), 400, "context_length"),
        case("policy", openai_error(400, invalid, "content_policy_violation"), 400, "content_policy"),
        case("credential", openai_error(401, invalid, "invalid_api_key"), 502, "partner_credential"),
        case("credit", openai_error(429, "insufficient_quota", "insufficient_quota"), 503, "partner_credit"),
        case("rate", openai_error(429, "requests", "rate_limit_exceeded"), 429, "partner_rate_limited"),
        case("broken", openai_error(500, "server_error", ""), 502, "partner_error"),
    ]
}

fn anthropic_cases() -> Vec<Case> {
    let overloaded = anthropic_error(529, "overloaded_error", "Overloaded");
    let first_event =
        ErrorBody { kind: "overloaded_error".to_owned(), as_event: true, ..ErrorBody::default() };
    let first_event = Step { body: Body::Error(first_event), ..Step::default() };
    let too_long = "prompt is too long: 210000 tokens > 200000 maximum";
    vec![
        case("malformed", anthropic_error(400, "invalid_request_error", "no"), 400, "partner_rejected"),
        case("context", anthropic_error(400, "invalid_request_error", too_long), 400, "context_length"),
        case(
            "credential",
            anthropic_error(401, "authentication_error", "invalid x-api-key"),
            502,
            "partner_credential",
        ),
        case("credit", anthropic_error(402, "billing_error", "no credit"), 503, "partner_credit"),
        case("rate", anthropic_error(429, "rate_limit_error", "slow down"), 429, "partner_rate_limited"),
        case("broken", anthropic_error(500, "api_error", "Internal server error"), 502, "partner_error"),
        case("overloaded", overloaded, 503, "partner_overloaded"),
        case("stream@first-event", first_event, 503, "partner_overloaded"),
    ]
}

impl Case {
    /// The name without its mode.
    fn alias(&self) -> &'static str {
        self.name.rsplit('@').next().unwrap_or(self.name)
    }

    /// Overload is 529 to clients that know it.
    fn status_for(&self, sdk: Sdk) -> u16 {
        if sdk == Sdk::Anthropic && self.reason == "partner_overloaded" { 529 } else { self.status }
    }
}

/// The class that the SDKs have for a status.
fn class(sdk: Sdk, language: Language, status: u16) -> &'static str {
    match (status, sdk) {
        (403, _) => "PermissionDeniedError",
        (413, Sdk::Anthropic) => "ContentTooLargeError",
        // No class of its own: the one of all statuses.
        (413, Sdk::OpenAi) if language == Language::Python => "APIStatusError",
        (413, Sdk::OpenAi) => "APIError",
        (400, _) => "BadRequestError",
        (404, _) => "NotFoundError",
        (429, _) => "RateLimitError",
        (503, Sdk::Anthropic) => "ServiceUnavailableError",
        (504, Sdk::Anthropic) => "GatewayTimeoutError",
        (529, Sdk::Anthropic) => "OverloadedError",
        _ => "InternalServerError",
    }
}

/// One Partner with a key of its own and one route per case, so that no breaker and no resting key of one refuses
/// another.
async fn local_for(adapter: &str, partner: &Partner, cases: &[Case]) -> Result<Local> {
    let manifests = Manifests::new()?;
    manifests.apply(&manifest::quota())?;
    let aliases =
        cases.iter().map(Case::alias).filter(|alias| *alias != "unknown-alias" && *alias != "too-large");
    for alias in aliases.chain(["chat", "cut"]) {
        let name = format!("partner-{alias}");
        let mut secret = manifest::secret();
        secret["metadata"]["name"] = json!(name);
        secret["stringData"]["key"] = json!(format!("{}-{alias}", manifest::KEY));
        manifests.apply(&secret)?;
        let mut partner = manifest::partner(&name, adapter, &partner.endpoint(adapter));
        partner["spec"]["apiKeySecretRef"]["name"] = json!(name);
        manifests.apply(&partner)?;
        let mut route = manifest::route(alias, &[&name]);
        if alias == "late" {
            route["spec"]["deadline"] = json!("1s");
        }
        manifests.apply(&route)?;
    }
    Local::start(manifests).await
}

async fn table(sdk: Sdk, adapter: &str, mut cases: Vec<Case>) -> Result<()> {
    let Some(clients) = Clients::find("sdk_errors")? else { return Ok(()) };
    cases.extend(common_cases());
    for language in [Language::Python, Language::Node] {
        let partner = Partner::start().await?;
        let mut steps: Vec<Step> = cases
            .iter()
            .map(|case| Step { when: Some(format!("[error:{}]", case.name)), ..case.step.clone() })
            .collect();
        let broken = Reply { error_after: Some(3), ..Reply::default() };
        steps.push(Step { body: Body::Reply(broken), ..Step::default() });
        partner.script(steps).await?;
        let local = local_for(adapter, &partner, &cases).await?;
        let names: Vec<String> = cases.iter().map(|case| format!("error:{}", case.name)).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.push("error:stream@cut");
        let seen = clients.run(sdk, language, local.data(), &names).await?;
        let mut wrong: Vec<String> = cases
            .iter()
            .filter_map(|case| check((sdk, language), case, &seen).err())
            .map(|error| format!("{error:#}"))
            .collect();
        wrong.extend(check_cut(sdk, &seen).err().map(|error| format!("{error:#}")));
        ensure!(wrong.is_empty(), "{language:?}:\n{}", wrong.join("\n"));
        // One record per request that the application made: the SDK did not repeat any.
        checker::nothing_lost(&local, names.len() as u64).await?;
        checker::no_canary(&local, &[APP_KEY]).await?;
        sent_once(&partner.arrivals().await?, &names)?;
    }
    Ok(())
}

/// What arrived of a case came from one request of the SDK, which the sidecar told apart by its id.
fn sent_once(arrivals: &[Arrival], names: &[&str]) -> Result<()> {
    let mut seen = 0;
    for name in names {
        let marker = format!("[{name}]");
        let of_case = arrivals.iter().filter(|arrival| arrival.body.contains(&marker));
        let ids: BTreeSet<&str> = of_case.filter_map(|arrival| arrival.header("x-request-id")).collect();
        ensure!(ids.len() <= 1, "{name}: the SDK asked again: {ids:?}");
        seen += ids.len();
    }
    ensure!(seen * 2 > names.len(), "only {seen} of {} cases came to the partner", names.len());
    Ok(())
}

/// The type in an error body: the OpenAI SDKs show the inner object, the others the whole document.
fn error_type(sdk: Sdk, error: &Value) -> &Value {
    if sdk == Sdk::OpenAi { &error["body"]["type"] } else { &error["body"]["error"]["type"] }
}

fn check((sdk, language): (Sdk, Language), case: &Case, seen: &Seen) -> Result<()> {
    let lines = seen.get(&format!("error:{}", case.name)).context("not run")?;
    ensure!(lines.len() == 1, "{}: saw {lines:?}", case.name);
    let error = &lines[0]["error"];
    let status = case.status_for(sdk);
    let wanted_type = if sdk == Sdk::OpenAi { case.openai_type } else { case.anthropic_type };
    let wanted = json!([class(sdk, language, status), status, case.reason, "false", wanted_type]);
    let got = json!([
        error["class"],
        error["status"],
        error["reason"],
        error["shouldRetry"],
        error_type(sdk, error)
    ]);
    ensure!(wanted == got, "{}: wanted {wanted}, saw {got} in {error}", case.name);
    Ok(())
}

/// After the commit point: what came before the error, then the SDK's API error with our body.
fn check_cut(sdk: Sdk, seen: &Seen) -> Result<()> {
    let lines = seen.get("error:stream@cut").context("not run")?;
    let (last, before) = lines.split_last().context("nothing seen")?;
    let text: String = before
        .iter()
        .filter_map(|line| line["event"]["content"].as_str().or(line["event"]["text"].as_str()))
        .collect();
    ensure!(text == "Hello from the", "cut: saw {lines:?}");
    let class = last["error"]["class"].as_str().unwrap_or_default();
    ensure!(class.starts_with("API") || class == "InternalServerError", "cut: {last}");
    let kind = error_type(sdk, &last["error"]).as_str().unwrap_or_default();
    // An Anthropic partner breaks off with an overload, and only Anthropic clients have a word for it.
    let wanted: &[&str] =
        if sdk == Sdk::OpenAi { &["server_error"] } else { &["api_error", "overloaded_error"] };
    ensure!(wanted.contains(&kind), "cut: {last}");
    Ok(())
}

#[tokio::test]
async fn errors_of_an_openai_partner_raise_the_classes_of_the_openai_sdks() -> Result<()> {
    table(Sdk::OpenAi, "OpenAI", openai_cases()).await
}

#[tokio::test]
async fn errors_of_an_anthropic_partner_raise_the_classes_of_the_openai_sdks() -> Result<()> {
    table(Sdk::OpenAi, "Anthropic", anthropic_cases()).await
}

#[tokio::test]
async fn errors_of_an_anthropic_partner_raise_the_classes_of_the_anthropic_sdks() -> Result<()> {
    table(Sdk::Anthropic, "Anthropic", anthropic_cases()).await
}

#[tokio::test]
async fn errors_of_an_openai_partner_raise_the_classes_of_the_anthropic_sdks() -> Result<()> {
    table(Sdk::Anthropic, "OpenAI", openai_cases()).await
}
