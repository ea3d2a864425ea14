//! The official SDKs against the scripted partner itself, with nothing of ours between them.
//!
//! This proves the goldens of the passthrough cells: they are what a provider says, and not what we make of it.
#![cfg(test)]

use anyhow::{Result, ensure};
use chaperone_e2e::partner::Partner;
use chaperone_e2e::sdk::scenario::{self, OPENAI_ONLY};
use chaperone_e2e::sdk::{Clients, Language, Sdk, golden};

async fn direct(sdk: Sdk, golden_name: &str) -> Result<()> {
    let Some(clients) = Clients::find(golden_name)? else { return Ok(()) };
    let mut names = scenario::names(sdk);
    if sdk == Sdk::OpenAi {
        names.extend(OPENAI_ONLY);
    }
    for language in [Language::Python, Language::Node] {
        let partner = Partner::start().await?;
        partner.script(scenario::script()).await?;
        let seen = clients.run(sdk, language, partner.address(), &names).await?;
        golden::compare(golden_name, &seen).map_err(|error| error.context(format!("{language:?}")))?;
        for arrival in partner.arrivals().await? {
            ensure!(arrival.refused.is_none(), "{:?} for {}", arrival.refused, arrival.body);
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_openai_sdks_understand_the_partner() -> Result<()> {
    direct(Sdk::OpenAi, "openai_sdk.openai_partner").await
}

#[tokio::test]
async fn the_anthropic_sdks_understand_the_partner() -> Result<()> {
    direct(Sdk::Anthropic, "anthropic_sdk.anthropic_partner").await
}
