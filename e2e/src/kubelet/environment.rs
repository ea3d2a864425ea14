//! The variables of a container, resolved in order as a kubelet does.
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource};

use super::expand::expand;
use super::ground::Ground;

/// Resolves `envFrom`, then `env`: a later variable wins, and sees the earlier ones as `$(NAME)`.
pub(super) async fn resolve(ground: &Ground, container: &Container) -> Result<BTreeMap<String, String>> {
    let mut known = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        known.extend(whole(ground, source).await?);
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &known)),
            Some(source) => {
                one(ground, source).await.with_context(|| format!("variable {:?}", variable.name))?
            }
        };
        known.extend(value.map(|value| (variable.name.clone(), value)));
    }
    Ok(known)
}

async fn whole(ground: &Ground, source: &EnvFromSource) -> Result<BTreeMap<String, String>> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let data = if let Some(secret) = &source.secret_ref {
        ground.secret(&secret.name, secret.optional).await?
    } else if let Some(config_map) = &source.config_map_ref {
        ground.config_map(&config_map.name, config_map.optional).await?
    } else {
        None
    };
    let data = data.unwrap_or_default();
    Ok(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), text(&value))).collect())
}

/// The value that a variable takes from elsewhere; `None` where it is absent and may be.
async fn one(ground: &Ground, source: &EnvVarSource) -> Result<Option<String>> {
    if let Some(field) = &source.field_ref {
        return ground.field(field).map(Some);
    }
    if let Some(wanted) = &source.secret_key_ref {
        return key(ground.secret(&wanted.name, wanted.optional).await?, &wanted.key, wanted.optional);
    }
    if let Some(wanted) = &source.config_map_key_ref {
        return key(ground.config_map(&wanted.name, wanted.optional).await?, &wanted.key, wanted.optional);
    }
    anyhow::bail!("a source of a kind that is not known here")
}

fn key(data: Option<BTreeMap<String, Vec<u8>>>, key: &str, optional: Option<bool>) -> Result<Option<String>> {
    match data.unwrap_or_default().get(key) {
        Some(value) => Ok(Some(text(value))),
        None if optional == Some(true) => Ok(None),
        None => anyhow::bail!("there is no key {key:?}"),
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
