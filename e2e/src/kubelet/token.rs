//! Projected ServiceAccount tokens: asked for by TokenRequest, bound to the Pod, renewed before they expire.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ServiceAccount, ServiceAccountTokenProjection};
use kube::Api;
use kube::api::PostParams;

use super::ground::Ground;
use super::volume;

/// What an API server grants at least.
const SHORTEST: Duration = Duration::from_secs(600);

/// What Kubernetes takes where a projection says nothing.
const DEFAULT_SECONDS: i64 = 3600;

/// How long after a failed renewal the next one comes.
const RETRY: Duration = Duration::from_secs(10);

/// Asks for a token and writes it where the projection says.
pub(super) async fn write(
    ground: &Ground,
    wanted: &ServiceAccountTokenProjection,
    folder: &Path,
) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(ground.cluster.client(), ground.namespace());
    let account = ground.pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: wanted.audience.clone().map(|audience| vec![audience]),
            expiration_seconds: Some(wanted.expiration_seconds.unwrap_or(DEFAULT_SECONDS)),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(ground.name().to_owned()),
                uid: Some(ground.uid().to_owned()),
            }),
        }),
        ..TokenRequest::default()
    };
    let answer =
        accounts.create_token_request(account.unwrap_or("default"), &PostParams::default(), &request).await?;
    let token = answer.status.and_then(|status| status.token).context("no token was granted")?;
    volume::write(&folder.join(&wanted.path), token.as_bytes())
}

/// Renews every token of the Pod now.
pub(super) async fn renew(ground: &Ground) -> Result<()> {
    for volume in ground.volumes() {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for wanted in sources.filter_map(|source| source.service_account_token.as_ref()) {
            write(ground, wanted, &ground.volume_folder(&volume.name)).await?;
        }
    }
    Ok(())
}

/// Renews every token of the Pod at 80 % of the shortest life among them, for as long as the Pod lives.
pub(super) async fn keep_renewed(ground: Ground) {
    let Some(pause) = pause(&ground) else { return };
    loop {
        tokio::time::sleep(pause).await;
        while renew(&ground).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// How long tokens are used before they are renewed; `None` where the Pod has none.
fn pause(ground: &Ground) -> Option<Duration> {
    let projected = ground.volumes().iter().filter_map(|volume| volume.projected.as_ref());
    let sources = projected.flat_map(|projected| projected.sources.iter().flatten());
    let lives = sources.filter_map(|source| source.service_account_token.as_ref()).map(life);
    lives.min().map(|life| life * 4 / 5)
}

fn life(wanted: &ServiceAccountTokenProjection) -> Duration {
    let seconds = wanted.expiration_seconds.unwrap_or(DEFAULT_SECONDS);
    Duration::from_secs(seconds.try_into().unwrap_or_default()).max(SHORTEST)
}
