//! The official SDKs, unmodified, against partners of both dialects: every event is compared.
#![cfg(test)]

use anyhow::{Result, ensure};
use chaperone_e2e::checker;
use chaperone_e2e::local::Local;
use chaperone_e2e::manifest::{self, KEY, Manifests};
use chaperone_e2e::partner::Partner;
use chaperone_e2e::partner::log::{Arrival, Ending};
use chaperone_e2e::sdk::scenario::{self, OPENAI_ONLY};
use chaperone_e2e::sdk::{APP_KEY, Clients, Language, Sdk, Seen, golden};
use serde_json::{Value, json};

const LANGUAGES: [Language; 2] = [Language::Python, Language::Node];

/// A route `chat` to one partner that gives up on silent streams early, so that a drain ends within the test.
async fn local_with(adapter: &str, partner: &Partner) -> Result<Local> {
    let manifests = Manifests::new()?;
    let mut object = manifest::partner("alpha", adapter, &partner.endpoint(adapter));
    object["spec"]["timeouts"] = json!({"idle": "2s"});
    for object in [manifest::secret(), manifest::quota(), object, manifest::route("chat", &["alpha"])] {
        manifests.apply(&object)?;
    }
    Local::start(manifests).await
}

async fn cell(sdk: Sdk, adapter: &str) -> Result<()> {
    let sdk_name = if sdk == Sdk::OpenAi { "openai" } else { "anthropic" };
    let golden_name = format!("{sdk_name}_sdk.{}_partner", adapter.to_lowercase());
    let Some(clients) = Clients::find(&golden_name)? else { return Ok(()) };
    let mut names = scenario::names(sdk);
    if sdk == Sdk::OpenAi && adapter == "OpenAI" {
        names.extend(OPENAI_ONLY);
    }
    for language in LANGUAGES {
        let partner = Partner::start().await?;
        partner.script(scenario::script()).await?;
        let local = local_with(adapter, &partner).await?;
        let seen = clients.run(sdk, language, local.data(), &names).await?;
        let list = clients.run(sdk, language, local.data(), &["models"]).await?;
        models_are_the_aliases(sdk, &list)?;
        golden::compare(&golden_name, &seen).map_err(|error| error.context(format!("{language:?}")))?;
        accumulated_streams_equal_whole_answers(&seen)?;
        finals_equal_those_of_the_native_partner(sdk, &seen)?;
        let arrivals = partner
            .arrivals_until("every answer to end", |all| all.iter().all(|one| one.ending != Ending::Open))
            .await?;
        arrivals_are_as_they_must(&arrivals, adapter)?;
        checker::nothing_lost(&local, 2 + names.iter().map(|name| scenario::requests(name)).sum::<u64>())
            .await?;
        checker::no_canary(&local, &[APP_KEY]).await?;
    }
    Ok(())
}

/// The list holds our one alias, and each entry is what this SDK takes for a model.
fn models_are_the_aliases(sdk: Sdk, seen: &Seen) -> Result<()> {
    let entry = match sdk {
        Sdk::OpenAi => json!({"id": "chat", "object": "model"}),
        Sdk::Anthropic => json!({"id": "chat", "type": "model"}),
    };
    let wanted = json!({"models": [{"event": entry}, {"final": {"id": "chat"}}]});
    ensure!(json!(seen) == wanted, "models: {seen:?}");
    Ok(())
}

/// What the SDK accumulates from a stream is what it would have got whole.
fn accumulated_streams_equal_whole_answers(seen: &Seen) -> Result<()> {
    let finals = |name: &str| -> Vec<Value> {
        seen.get(name)
            .into_iter()
            .flatten()
            .map(|line| line["final"].clone())
            .filter(|last| !last.is_null())
            .collect()
    };
    for name in seen.keys().filter_map(|name| name.strip_suffix(":stream")) {
        let (whole, stream) = (finals(&format!("{name}:whole")), finals(&format!("{name}:stream")));
        ensure!(whole == stream, "{name}:\n  whole  {whole:?}\n  stream {stream:?}");
    }
    Ok(())
}

/// Whoever serves, the message that the application ends up with is the same.
fn finals_equal_those_of_the_native_partner(sdk: Sdk, seen: &Seen) -> Result<()> {
    let native = golden::read(if sdk == Sdk::OpenAi {
        "openai_sdk.openai_partner"
    } else {
        "anthropic_sdk.anthropic_partner"
    })?;
    for (name, lines) in seen {
        let finals = |lines: &Value| -> Vec<Value> {
            lines
                .as_array()
                .into_iter()
                .flatten()
                .map(|line| comparable(&line["final"]))
                .filter(|last| !last.is_null())
                .collect()
        };
        let (wanted, got) = (finals(&native[name]), finals(&json!(lines)));
        ensure!(wanted == got, "{name}:\n  native {wanted:?}\n  seen   {got:?}");
    }
    Ok(())
}

/// Leaves out what only one vendor has: signatures, reasoning that nobody can read, a place apart for refusals.
fn comparable(last: &Value) -> Value {
    let mut last = last.clone();
    if let Some(blocks) = last.get_mut("blocks").and_then(Value::as_array_mut) {
        blocks.retain(|block| block["type"] != "redacted_thinking");
        for block in blocks.iter_mut().filter_map(Value::as_object_mut) {
            block.remove("signature");
        }
    }
    if last["refusal"].is_string() {
        last["content"] = last["refusal"].take();
    }
    last
}

fn arrivals_are_as_they_must(arrivals: &[Arrival], adapter: &str) -> Result<()> {
    for arrival in arrivals {
        ensure!(
            arrival.refused.is_none(),
            "a real provider would refuse: {:?} for {}",
            arrival.refused,
            arrival.body
        );
        let all = format!("{:?}", arrival.headers);
        ensure!(!all.contains(APP_KEY), "the application's key reached the partner");
        let key = if adapter == "Anthropic" {
            arrival.header("x-api-key")
        } else {
            arrival.header("authorization")
        };
        ensure!(key.is_some_and(|key| key.trim_start_matches("Bearer ") == KEY), "our key is missing");
    }
    let left: Vec<bool> = arrivals
        .iter()
        .filter(|arrival| arrival.body.contains("[cancel]"))
        .map(|arrival| arrival.ending == Ending::ClientGone)
        .collect();
    ensure!(left == [true], "the partner did not see the client leave: {left:?}");
    for mark in ["[image:whole]", "[image:stream]"] {
        let pixel = arrivals
            .iter()
            .find(|arrival| arrival.body.contains(mark))
            .is_some_and(|arrival| arrival.body.contains("iVBORw0KGgo"));
        ensure!(pixel, "{mark} arrived without its image");
    }
    for mark in ["[reasoning:whole]", "[reasoning:stream]"] {
        let turns: Vec<&Arrival> = arrivals.iter().filter(|arrival| arrival.body.contains(mark)).collect();
        ensure!(turns.len() == 2, "{mark} took {} requests", turns.len());
        if adapter == "Anthropic" {
            let (sign, redacted) = (scenario::SIGNATURE, scenario::REDACTED);
            ensure!(
                turns[1].body.contains(sign) && turns[1].body.contains(redacted),
                "{mark}: reasoning was lost: {}",
                turns[1].body
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_openai_sdks_are_served_by_an_openai_partner() -> Result<()> {
    cell(Sdk::OpenAi, "OpenAI").await
}

#[tokio::test]
async fn the_openai_sdks_are_served_by_an_anthropic_partner() -> Result<()> {
    cell(Sdk::OpenAi, "Anthropic").await
}

#[tokio::test]
async fn the_anthropic_sdks_are_served_by_an_anthropic_partner() -> Result<()> {
    cell(Sdk::Anthropic, "Anthropic").await
}

#[tokio::test]
async fn the_anthropic_sdks_are_served_by_an_openai_partner() -> Result<()> {
    cell(Sdk::Anthropic, "OpenAI").await
}
