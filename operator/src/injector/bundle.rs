//! Keeps the authority in the webhook configuration, under a field manager of its own: what installs the
//! configuration leaves the field out, and so never takes it back. Where cert-manager does so, only looks.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use prometheus::IntGauge;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::args::Issuer;

/// Owner of the field.
const MANAGER: &str = "chaperone-cabundle";
/// How soon a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Whether the API server trusts this operator by its webhook configuration, as far as that says. Whether it reaches the
/// operator as well, nobody knows before it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It never has, since this process started.
    Missing,
    /// It does now.
    InPlace,
    /// It has, and does no more: the configuration is gone, or has another authority.
    Lost,
}

impl Trust {
    /// The configuration has not, or no more, the operator's authority.
    fn without(self) -> Self {
        match self {
            Self::Missing => Self::Missing,
            Self::InPlace | Self::Lost => Self::Lost,
        }
    }
}

/// The configuration, and who keeps the authority in it.
pub(crate) struct Bundle {
    pub(crate) configuration: String,
    pub(crate) issuer: Issuer,
    /// 1 while another authority is in it.
    pub(crate) differs: IntGauge,
}

/// Follows configuration and authority until it is dropped; says whether both agree.
pub(crate) async fn run(
    client: Client,
    Bundle { configuration: name, issuer, differs }: Bundle,
    mut authority: watch::Receiver<Option<String>>,
    trust: watch::Sender<Trust>,
) {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(configurations.clone(), config).default_backoff());
    let (mut found, mut listed, mut has_failed) = (None, None, false);
    let distrust = || trust.send_modify(|trust| *trust = trust.without());
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Apply(configuration))) => found = Some(configuration),
                Some(Ok(Event::Delete(_))) => found = None,
                Some(Ok(Event::Init)) => listed = None,
                Some(Ok(Event::InitApply(configuration))) => listed = Some(configuration),
                // Nothing in the list: it was deleted while nobody looked.
                Some(Ok(Event::InitDone)) => found = listed.take(),
                Some(Err(error)) => tracing::warn!(name, %error, "cannot follow the webhook configuration"),
                None => return,
            },
            changed = authority.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if has_failed => {}
        }
        has_failed = false;
        let ca = authority.borrow_and_update().clone();
        let has_webhooks =
            |it: &&MutatingWebhookConfiguration| it.webhooks.as_ref().is_some_and(|all| !all.is_empty());
        let (Some(configuration), Some(ca)) = (found.as_ref().filter(has_webhooks), ca) else {
            distrust();
            continue;
        };
        let Some(patch) = due(&name, configuration, &ca) else {
            trust.send_replace(Trust::InPlace);
            differs.set(0);
            continue;
        };
        distrust();
        let is_news = differs.get() == 0;
        differs.set(1);
        if issuer == Issuer::CertManager {
            if is_news {
                tracing::warn!(
                    name,
                    "its caBundle is not the ca.crt of the certificate's Secret; cert-manager's cainjector should put it there"
                );
            }
            continue;
        }
        let owner = PatchParams::apply(MANAGER).force();
        let written = configurations.patch(&name, &owner, &Patch::Apply(&patch)).await;
        has_failed = written.is_err();
        match written {
            Ok(configuration) => {
                trust.send_replace(Trust::InPlace);
                differs.set(0);
                found = Some(configuration);
            }
            Err(error) => tracing::warn!(name, %error, "cannot write the webhook's caBundle; trying again"),
        }
    }
}

/// What to apply, if the bundle of any webhook is not this authority.
fn due(name: &str, configuration: &MutatingWebhookConfiguration, ca: &str) -> Option<Value> {
    let wanted = ByteString(ca.as_bytes().to_vec());
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let is_due = webhooks.iter().any(|webhook| webhook.client_config.ca_bundle.as_ref() != Some(&wanted));
    let bundles: Vec<Value> = webhooks
        .iter()
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": wanted}}))
        .collect();
    is_due.then(|| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name}, "webhooks": bundles,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_that_was_there_is_lost_and_that_which_never_was_is_missing() {
        let without = [Trust::Missing, Trust::InPlace, Trust::Lost].map(Trust::without);
        assert_eq!(without, [Trust::Missing, Trust::Lost, Trust::Lost]);
    }
}
