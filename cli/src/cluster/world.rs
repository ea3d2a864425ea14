//! A cluster's objects -> what the compiler looks at, and the keys that it must not see.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chaperone_crds::{ModelRoute, Partner, TenantQuota};
use chaperone_operator::world::{CREDENTIAL_LABEL, KeyForm, Labels, Object, ObjectKey, SCHEMA_LABEL, World};
use chaperone_protocol::keys::{Credential, Keys};
use chaperone_protocol::snapshot::Scope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;

use super::{Cluster, Place};

/// Whether keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// They are.
    Read,
    /// They are not: whatever a Partner names is taken to be there. For partners that are not called.
    Assume,
}

/// What there is, in the order in which the compiler wants it.
pub(crate) struct Found {
    pub(crate) world: World,
    pub(crate) keys: Keys,
    /// Objects that this build cannot read.
    pub(crate) unreadable: Vec<String>,
}

/// Reads all that decides about the snapshot of `scope`.
///
/// # Errors
/// If the caller may not read it.
pub(crate) async fn read(cluster: &Cluster, scope: Scope, secrets: Secrets) -> Result<Found> {
    let mut found = Found { world: World::default(), keys: Keys::default(), unreadable: Vec::new() };
    found.world.partners = found.specs("Partner", cluster.kind::<Partner>(&Place::Everywhere).await?);
    found.world.routes = found.specs("ModelRoute", cluster.kind::<ModelRoute>(&Place::Everywhere).await?);
    found.world.quotas = found.specs("TenantQuota", cluster.kind::<TenantQuota>(&Place::Everywhere).await?);
    let labelled = |label: &str| ListParams::default().labels(&format!("{label}=true"));
    match secrets {
        Secrets::Read => {
            let api: Api<Secret> = Api::all(cluster.client.clone());
            cluster
                .list(&api, labelled(CREDENTIAL_LABEL), "secrets")
                .await?
                .into_iter()
                .for_each(|it| found.secret(it));
        }
        Secrets::Assume => found.assume_secrets(),
    }
    let api: Api<ConfigMap> = Api::all(cluster.client.clone());
    for config_map in cluster.list(&api, labelled(SCHEMA_LABEL), "configmaps").await? {
        if let Some(key) = key_of(&config_map) {
            found.world.config_maps.insert(key, config_map.data.unwrap_or_default());
        }
    }
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    for namespace in cluster.list(&api, ListParams::default(), "namespaces").await? {
        if let Ok(name) = namespace.name_any().parse() {
            let labels = namespace.metadata.labels.unwrap_or_default();
            found.world.namespaces.insert(name, Labels::from_iter(labels));
        }
    }
    found.world.scopes = BTreeSet::from([scope]);
    Ok(found)
}

impl Found {
    fn specs<Spec: DeserializeOwned>(
        &mut self,
        kind: &str,
        objects: Vec<DynamicObject>,
    ) -> BTreeMap<ObjectKey, Object<Spec>> {
        let mut specs = BTreeMap::new();
        for object in objects {
            let Some(key) = key_of(&object) else { continue };
            let created = object.creation_timestamp().map(|time| time.0);
            match serde_json::from_value(object.data.get("spec").cloned().unwrap_or_default()) {
                Ok(spec) => drop(specs.insert(key, Object { created, spec })),
                Err(error) => self.unreadable.push(format!("{kind} {key}: {error}")),
            }
        }
        specs
    }

    fn secret(&mut self, secret: Secret) {
        let Some(key) = key_of(&secret) else { return };
        let forms = self.world.secrets.entry(key.clone()).or_default();
        for (entry, value) in secret.data.unwrap_or_default() {
            // As the operator, which takes no others.
            let Some(form) = KeyForm::of(&value.0) else { continue };
            forms.insert(entry.clone(), form);
            if let Ok(name) = format!("{key}/{entry}").parse() {
                self.keys.insert(name, Credential::new(value.0));
            }
        }
    }

    fn assume_secrets(&mut self) {
        for (key, partner) in &self.world.partners {
            let client = partner.spec.tls.as_ref().and_then(|tls| tls.client_cert_secret_ref.as_ref());
            let client = client.into_iter().flat_map(|it| [(&it.name, "tls.crt"), (&it.name, "tls.key")]);
            let api_key = partner.spec.api_key_secret_ref.iter().map(|it| (&it.name, it.key.as_str()));
            for (name, entry) in api_key.chain(client) {
                let Ok(name) = name.parse() else { continue };
                let secret = ObjectKey { namespace: key.namespace.clone(), name };
                self.world.secrets.entry(secret).or_default().insert(entry.to_owned(), KeyForm::Text);
            }
        }
    }
}

fn key_of(object: &impl ResourceExt) -> Option<ObjectKey> {
    Some(ObjectKey { namespace: object.namespace()?.parse().ok()?, name: object.name_any().parse().ok()? })
}
