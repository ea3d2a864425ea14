//! `chaperone local` as an HTTP service: headers both ways, error codes, lists of models, `/v1/infer`.
#![cfg(test)]

use std::time::Duration;

use anyhow::{Result, ensure};
use chaperone_e2e::certs::TestCa;
use chaperone_e2e::checker;
use chaperone_e2e::client::{self, Answer, Connection};
use chaperone_e2e::fixture::Fixture;
use chaperone_e2e::local::{Local, Mode, chat_request, messages_request};
use chaperone_e2e::manifest::{self, KEY, Manifests};
use chaperone_e2e::partner::script::{Step, Usage};
use chaperone_e2e::partner::{Partner, fails, says};
use chaperone_e2e::raw::Socket;
use http::Method;
use serde_json::json;

const CHAT: &str = "/v1/chat/completions";

/// Headers that an app, or a mesh around it, may send and that no partner may see.
const PRIVATE: [(&str, &str); 13] = [
    ("authorization", "Bearer app-canary-1"),
    ("x-api-key", "app-canary-2"),
    ("cookie", "session=app-canary-3"),
    ("x-user-id", "app-canary-4"),
    ("x-tenant-id", manifest::TENANT),
    ("baggage", "user=app-canary-5"),
    ("tracestate", "vendor=app-canary-6"),
    ("x-chaperone-conversation", "app-canary-7"),
    ("x-forwarded-for", "app-canary-8"),
    ("proxy-authorization", "app-canary-9"),
    ("openai-organization", "app-canary-10"),
    ("x-goog-api-key", "app-canary-11"),
    ("api-key", "app-canary-12"),
];

#[tokio::test]
async fn headers_of_the_app_never_reach_a_partner() -> Result<()> {
    for adapter in ["OpenAI", "Anthropic"] {
        let fixture = Fixture::start(adapter, vec![says("hello")]).await?;
        for (path, body) in [
            (CHAT, chat_request("chat", Mode::Whole)),
            ("/v1/messages", messages_request("chat", Mode::Stream)),
        ] {
            let answer = client::post(fixture.local.data(), path, &PRIVATE, &body).await?;
            ensure!(answer.status == 200, "{adapter} {path}: {} {}", answer.status, answer.text());
        }
        for arrival in fixture.partner.log().await?.arrivals {
            let all = format!("{:?}", arrival.headers);
            ensure!(!all.contains("app-canary") && !all.contains(manifest::TENANT), "{adapter}: {all}");
            for name in ["x-user-id", "x-tenant-id", "baggage", "tracestate", "cookie"] {
                ensure!(arrival.header(name).is_none(), "{adapter}: {name} arrived");
            }
            ensure!(all.contains(KEY), "{adapter}: our key is missing");
        }
        checker::no_canary(&fixture.local, &["app-canary"]).await?;
    }
    Ok(())
}

fn has(answer: &Answer, name: &str) -> Result<String> {
    answer
        .header(name)
        .map(str::to_owned)
        .ok_or_else(|| anyhow::anyhow!("{} without {name}: {:?}", answer.status, answer.headers))
}

#[tokio::test]
async fn the_app_is_told_who_served_and_under_which_id() -> Result<()> {
    let step = Step {
        headers: vec![
            ("x-request-id".to_owned(), "partners-own".to_owned()),
            ("openai-organization".to_owned(), "org-secret".to_owned()),
            ("x-ratelimit-remaining-requests".to_owned(), "7".to_owned()),
        ],
        ..says("hello")
    };
    let fixture = Fixture::start("OpenAI", vec![step]).await?;
    for mode in [Mode::Whole, Mode::Stream] {
        let sent = [("x-request-id", "app-chosen-7"), ("x-correlation-id", "journey-9")];
        let answer = client::post(fixture.local.data(), CHAT, &sent, &chat_request("chat", mode)).await?;
        for (name, value) in [
            ("x-request-id", "app-chosen-7"),
            ("request-id", "app-chosen-7"),
            ("x-correlation-id", "journey-9"),
            ("x-chaperone-partner", "alpha"),
            ("x-chaperone-attempts", "1"),
            ("x-chaperone-queue-ms", "0"),
            ("x-chaperone-partner-request-id", "partners-own"),
        ] {
            let got = has(&answer, name)?;
            ensure!(got == value, "{mode:?}: {name} is {got:?}, not {value:?}");
        }
        ensure!(has(&answer, "x-chaperone-model")?.contains("gpt-test"), "{:?}", answer.headers);
        for name in ["openai-organization", "x-ratelimit-remaining-requests", "x-chaperone-reason"] {
            ensure!(answer.header(name).is_none(), "{mode:?}: {name} is shown");
        }
    }
    let arrivals = fixture.partner.arrivals().await?;
    ensure!(
        arrivals.iter().all(|arrival| arrival.header("x-correlation-id") == Some("journey-9")),
        "the correlation id is lost"
    );
    Ok(())
}

#[tokio::test]
async fn an_id_that_is_not_sane_is_replaced() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let long = "x".repeat(129);
    for id in [long.as_str(), "with space"] {
        let answer = client::post(
            fixture.local.data(),
            CHAT,
            &[("x-request-id", id)],
            &chat_request("chat", Mode::Whole),
        )
        .await?;
        let minted = has(&answer, "x-request-id")?;
        ensure!(minted != id && !minted.is_empty() && minted == has(&answer, "request-id")?, "{minted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_refusal_has_a_reason_in_the_dialect_of_its_path() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let json = ("content-type", "application/json");
    let unknown = chat_request("nobody", Mode::Whole).to_string();
    let native = chat_request("gpt-test", Mode::Whole).to_string();
    let cases = [
        (Method::POST, CHAT, json, unknown.clone(), 404, "unknown_alias"),
        (Method::POST, CHAT, json, native, 404, "unknown_alias"),
        (Method::POST, "/v1/messages", json, unknown, 404, "unknown_alias"),
        (Method::POST, CHAT, json, "{}".to_owned(), 400, "invalid_request"),
        (Method::POST, "/v1/messages", json, "{}".to_owned(), 400, "invalid_request"),
        (Method::POST, "/v1/infer", json, "{}".to_owned(), 400, "invalid_request"),
        (Method::POST, CHAT, ("content-type", "text/plain"), "{}".to_owned(), 415, "unsupported_media_type"),
        (Method::POST, CHAT, ("content-encoding", "gzip"), "{}".to_owned(), 415, "unsupported_media_type"),
        (Method::POST, "/v1/nothing", json, "{}".to_owned(), 404, "not_found"),
        (Method::GET, "/", json, String::new(), 404, "not_found"),
        (Method::GET, CHAT, json, String::new(), 405, "method_not_allowed"),
        (Method::DELETE, "/v1/messages", json, String::new(), 405, "method_not_allowed"),
        (Method::GET, "/v1/models/nobody", json, String::new(), 404, "unknown_alias"),
    ];
    let mut wrong = Vec::new();
    for (method, path, header, body, status, reason) in cases {
        let mut connection = Connection::open(fixture.local.data()).await?;
        let answer =
            client::whole(connection.send(method.clone(), path, &[header], body.into_bytes()).await?).await?;
        let is_anthropic = path.contains("/messages");
        let document = answer.json().unwrap_or_default();
        let is_in_dialect =
            document["error"]["message"].is_string() && (document["type"] == "error") == is_anthropic;
        let is_identified =
            answer.header("x-request-id").is_some() && answer.header("x-should-retry") == Some("false");
        if (answer.status.as_u16(), answer.reason()) != (status, reason) || !is_in_dialect || !is_identified {
            wrong.push(format!(
                "{method} {path}: wanted {status} {reason}, got {} {} {:?} {document}",
                answer.status,
                answer.reason(),
                answer.headers
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(fixture.partner.arrivals().await?.is_empty(), "a refused request reached the partner");
    Ok(())
}

#[tokio::test]
async fn the_list_of_models_shows_aliases_in_the_callers_dialect() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let openai = client::get(fixture.local.data(), "/v1/models", &[]).await?;
    let document = openai.json()?;
    ensure!(document["object"] == "list" && document["data"][0]["id"] == "chat", "{document}");
    ensure!(
        document["data"][0]["object"] == "model"
            && document["data"].as_array().is_some_and(|all| all.len() == 1),
        "{document}"
    );
    let anthropic =
        client::get(fixture.local.data(), "/v1/models", &[("anthropic-version", "2023-06-01")]).await?;
    let document = anthropic.json()?;
    ensure!(document["data"][0]["type"] == "model" && document["has_more"] == false, "{document}");
    ensure!(document["first_id"] == "chat" && document["last_id"] == "chat", "{document}");
    for answer in [openai, anthropic] {
        ensure!(
            !answer.text().contains("alpha") && !answer.text().contains("gpt-test"),
            "partners show: {}",
            answer.text()
        );
    }
    let one = client::get(fixture.local.data(), "/v1/models/chat", &[]).await?.json()?;
    ensure!(one["id"] == "chat" && one["object"] == "model", "{one}");
    Ok(())
}

#[tokio::test]
async fn infer_answers_in_the_neutral_form_whoever_serves() -> Result<()> {
    for adapter in ["OpenAI", "Anthropic"] {
        let fixture = Fixture::start(adapter, vec![says("neutral answer")]).await?;
        let request = json!({"modelId": "chat", "prompt": "hello", "parameters": {"maxTokens": 50, "stop": ["END"]}, "metadata": {"correlationId": "journey-3"}});
        let answer = fixture.local.post("/v1/infer", &request).await?;
        let document = answer.json()?;
        ensure!(answer.status == 200, "{adapter}: {document}");
        let used = Usage::default();
        ensure!(document["content"] == "neutral answer", "{adapter}: {document}");
        ensure!(document["tokensUsed"] == used.input + used.output, "{adapter}: {document}");
        ensure!(
            document["modelVersion"].is_string() && document["latencyMs"].is_number(),
            "{adapter}: {document}"
        );
        ensure!(
            document["metadata"]["correlationId"] == "journey-3"
                && document["metadata"]["partner"] == "alpha",
            "{adapter}: {document}"
        );
        ensure!(has(&answer, "x-correlation-id")? == "journey-3", "{adapter}: {:?}", answer.headers);
        let schema = client::get(fixture.local.data(), "/v1/infer/chat/schema", &[]).await?.json()?;
        ensure!(schema["request"].is_object() && schema["response"].is_object(), "{adapter}: {schema}");
        let unknown = json!({"modelId": "chat", "prompt": "hello", "parameters": {"maxTokenz": 50}});
        let refused = fixture.local.post("/v1/infer", &unknown).await?;
        ensure!(
            refused.status == 400 && refused.text().contains("maxTokens"),
            "{adapter}: {}",
            refused.text()
        );
        // The schema is a request too.
        fixture.settle(3).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_partner_is_replaced_by_the_fallback_of_another_dialect() -> Result<()> {
    let (broken, healthy) = (Partner::start().await?, Partner::start().await?);
    broken.script(vec![fails(500, "server_error")]).await?;
    healthy.script(vec![says("from the fallback")]).await?;
    let manifests = Manifests::new()?;
    for object in [
        manifest::secret(),
        manifest::quota(),
        manifest::partner("alpha", "OpenAI", &broken.endpoint("OpenAI")),
        manifest::partner("beta", "Anthropic", &healthy.endpoint("Anthropic")),
        manifest::route("chat", &["alpha", "beta"]),
    ] {
        manifests.apply(&object)?;
    }
    let local = Local::start(manifests).await?;
    for mode in [Mode::Whole, Mode::Stream] {
        let answer = local.post(CHAT, &chat_request("chat", mode)).await?;
        ensure!(
            answer.status == 200 && answer.text().contains("fallback"),
            "{mode:?}: {} {}",
            answer.status,
            answer.text()
        );
        ensure!(has(&answer, "x-chaperone-partner")? == "beta", "{:?}", answer.headers);
        ensure!(has(&answer, "x-chaperone-fallback")? == "partner_error", "{:?}", answer.headers);
    }
    checker::nothing_lost(&local, 2).await?;
    checker::no_canary(&local, &[]).await
}

#[tokio::test]
async fn a_partner_on_tls_is_trusted_by_its_own_authority_and_no_other() -> Result<()> {
    let (ca, stranger) = (TestCa::new()?, TestCa::new()?);
    for (authority, name, is_served) in
        [(&ca, "partner.test", true), (&stranger, "partner.test", false), (&ca, "other.test", false)]
    {
        let partner = Partner::start_tls(authority, "partner.test").await?;
        let manifests = Manifests::new()?;
        let mut object = manifest::partner("alpha", "OpenAI", &partner.endpoint("OpenAI"));
        object["spec"]["tls"] =
            json!({"caConfigMapKeyRef": {"name": "ca", "key": "ca.crt"}, "serverName": name});
        for object in [
            manifest::secret(),
            manifest::quota(),
            manifest::config_map("ca", "ca.crt", &ca.pem()),
            object,
            manifest::route("chat", &["alpha"]),
        ] {
            manifests.apply(&object)?;
        }
        let local = Local::start(manifests).await?;
        let answer = local.chat().await?;
        ensure!((answer.status == 200) == is_served, "{name}: {} {}", answer.status, answer.text());
        ensure!(
            partner.arrivals().await?.len() == usize::from(is_served),
            "{name}: the key was sent to a stranger"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_apps_api_version_reaches_an_anthropic_partner_and_nobody_else() -> Result<()> {
    let fixture = Fixture::start("Anthropic", vec![says("hello")]).await?;
    let mut request = messages_request("chat", Mode::Whole);
    request["temperature"] = json!(0.5);
    for (version, status) in [("2023-06-01", 200), ("2026-10-21", 400)] {
        let headers = [("anthropic-version", version), ("anthropic-beta", "beta-one,beta-two")];
        let answer = client::post(fixture.local.data(), "/v1/messages", &headers, &request).await?;
        ensure!(answer.status == status, "{version}: {} {}", answer.status, answer.text());
    }
    let arrivals = fixture.partner.arrivals().await?;
    let versions: Vec<_> = arrivals.iter().map(|arrival| arrival.header("anthropic-version")).collect();
    ensure!(versions == [Some("2023-06-01"), Some("2026-10-21")], "{versions:?}");
    ensure!(
        arrivals
            .iter()
            .all(|arrival| arrival.header("anthropic-beta").is_some_and(|beta| beta.contains("beta-two"))),
        "betas are lost"
    );
    // Translated, sampling is a hint that the new version does not take.
    let mut chat = chat_request("chat", Mode::Whole);
    chat["temperature"] = json!(0.5);
    let answer = fixture.local.post(CHAT, &chat).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    ensure!(has(&answer, "x-chaperone-adjusted")?.contains("temperature"), "{:?}", answer.headers);
    Ok(())
}

#[tokio::test]
async fn token_limits_are_capped_and_named() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let mut route = manifest::route("capped", &["alpha"]);
    route["spec"]["maxTokens"] = json!({"default": 100, "cap": 200});
    fixture.local.manifests().apply(&route)?;
    chaperone_e2e::wait::until("the new route", chaperone_e2e::local::PATIENCE, || async {
        let answer = fixture.local.post(CHAT, &chat_request("capped", Mode::Whole)).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    for member in ["max_tokens", "max_completion_tokens"] {
        let mut request = chat_request("capped", Mode::Whole);
        request[member] = json!(5000);
        let answer = fixture.local.post(CHAT, &request).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        ensure!(has(&answer, "x-chaperone-adjusted")?.contains("max_tokens=200"), "{:?}", answer.headers);
    }
    // Both are capped, though the smaller one binds.
    let mut request = chat_request("capped", Mode::Whole);
    request["max_completion_tokens"] = json!(5000);
    request["max_tokens"] = json!(150);
    ensure!(fixture.local.post(CHAT, &request).await?.status == 200, "both limits");
    let arrivals = fixture.partner.arrivals().await?;
    let limits: Vec<u64> = arrivals
        .iter()
        .flat_map(|arrival| {
            ["max_tokens", "max_completion_tokens"].map(|member| arrival.json()[member].as_u64())
        })
        .flatten()
        .collect();
    ensure!(limits.contains(&100) && limits.iter().all(|limit| *limit <= 200), "{limits:?}");
    Ok(())
}

#[tokio::test]
async fn f48_a_page_cannot_ask_by_a_name_that_it_points_to_this_machine() -> Result<()> {
    let fixture = Fixture::start("OpenAI", vec![says("hello")]).await?;
    let ports = [(fixture.local.data(), "/v1/models", 400), (fixture.local.admin(), "/debug/snapshot", 403)];
    for (address, path, status) in ports {
        for fields in ["host: evil.test", "host: localhost\r\norigin: https://evil.test"] {
            let mut socket = Socket::open(address).await?;
            let head = format!("GET {path} HTTP/1.1\r\n{fields}\r\nconnection: close\r\n\r\n");
            socket.write(head.as_bytes()).await?;
            let received = socket.read_to_close(Duration::from_secs(5)).await;
            ensure!(received.statuses() == [status], "{path}, {fields}: {}", received.text());
            ensure!(!received.text().contains("chat"), "{}", received.text());
        }
    }
    fixture.serves().await
}
