//! What a Partner or a route names in Secrets and ConfigMaps of its own namespace.
//!
//! A missing Secret leaves the partner in the snapshot: its requests are refused with `credential_missing`, fallbacks
//! go on, and the key is used as soon as it arrives. A missing certificate authority does not: whom would we trust?

use chaperone_crds::field::{ConfigMapKeyRef, SecretKeyRef, SecretRef};
use chaperone_crds::partner as written;
use chaperone_protocol::limits;
use chaperone_protocol::name::{CredentialName, ObjectName};
use chaperone_protocol::snapshot::Tls;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::compile::finding::{Notes, Problem, Reason};
use crate::world::{CREDENTIAL_LABEL, KeyForm, ObjectKey, SCHEMA_LABEL, Unlabelled, World};

/// The keys of a Secret of type `kubernetes.io/tls`.
const TLS_KEYS: [&str; 2] = ["tls.crt", "tls.key"];

pub(super) fn secret_key(
    reference: &SecretKeyRef,
    path: &str,
    partner: &ObjectKey,
    world: &World,
    notes: &mut Notes<'_>,
) -> Option<CredentialName> {
    let SecretKeyRef { name, key } = reference;
    let secret = object(name, path, partner, notes)?;
    match world.secrets.get(&secret) {
        None => notes.add_usable(format!("{path}.name"), secret_missing(&secret, world)),
        Some(keys) => {
            let problem = match keys.get(key) {
                None => Some(key_missing(&secret, key)),
                Some(form) => key_invalid(&secret, key, *form),
            };
            if let Some(problem) = problem {
                notes.add_usable(format!("{path}.key"), problem);
            }
        }
    }
    credential(&secret, key, path, notes)
}

/// What stands at `path` of the object `owner`.
pub(in crate::compile) fn tls(
    written: Option<&written::Tls>,
    path: &str,
    (owner, world): (&ObjectKey, &World),
    notes: &mut Notes<'_>,
) -> Tls {
    let Some(written::Tls { ca_config_map_key_ref, client_cert_secret_ref, server_name }) = written else {
        return Tls::default();
    };
    let ca = ca_config_map_key_ref
        .as_ref()
        .and_then(|reference| ca(reference, &format!("{path}.caConfigMapKeyRef"), (owner, world), notes));
    let client = client_cert_secret_ref.as_ref().and_then(|reference| {
        client(reference, &format!("{path}.clientCertSecretRef"), (owner, world), notes)
    });
    let (client_certificate, client_key) = client.unzip();
    Tls { ca, client_certificate, client_key, server_name: server_name.clone() }
}

fn client(
    reference: &SecretRef,
    path: &str,
    (owner, world): (&ObjectKey, &World),
    notes: &mut Notes<'_>,
) -> Option<(CredentialName, CredentialName)> {
    let SecretRef { name } = reference;
    let secret = object(name, path, owner, notes)?;
    match world.secrets.get(&secret) {
        None => notes.add_usable(format!("{path}.name"), secret_missing(&secret, world)),
        Some(keys) => {
            for key in TLS_KEYS.into_iter().filter(|key| !keys.contains_key(*key)) {
                notes.add_usable(format!("{path}.name"), key_missing(&secret, key));
            }
        }
    }
    let [certificate, key] = TLS_KEYS;
    Some((credential(&secret, certificate, path, notes)?, credential(&secret, key, path, notes)?))
}

fn ca(
    reference: &ConfigMapKeyRef,
    path: &str,
    (owner, world): (&ObjectKey, &World),
    notes: &mut Notes<'_>,
) -> Option<String> {
    let ConfigMapKeyRef { name, key } = reference;
    let config_map = object(name, path, owner, notes)?;
    let Some(content) = world.config_maps.get(&config_map) else {
        notes.add(format!("{path}.name"), config_map_missing(&config_map, world));
        return None;
    };
    let Some(pem) = content.get(key) else {
        let message = format!("ConfigMap {config_map} has no key {key:?}");
        let problem = Problem::new(Reason::ConfigMapKeyMissing, message, "add the key, or name another");
        notes.add(format!("{path}.key"), problem);
        return None;
    };
    if let Some(message) = pem_problem(pem) {
        let message = format!("ConfigMap {config_map}, key {key:?} {message}");
        let remedy = "put one or more certificates in PEM there";
        notes.add(format!("{path}.key"), Problem::new(Reason::InvalidCertificate, message, remedy));
    }
    Some(pem.clone())
}

fn pem_problem(pem: &str) -> Option<String> {
    if pem.len() > limits::CREDENTIAL_BYTES {
        return Some(format!("has {} bytes; at most {} are allowed", pem.len(), limits::CREDENTIAL_BYTES));
    }
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => Some("has no certificate".to_owned()),
        Ok(_) => None,
        Err(_) => Some("is not PEM".to_owned()),
    }
}

fn object(name: &str, path: &str, owner: &ObjectKey, notes: &mut Notes<'_>) -> Option<ObjectKey> {
    let name = name.parse::<ObjectName>().map_err(|error| {
        Problem::new(Reason::InvalidValue, format!("{name:?} {error}"), "write the name of an object")
    });
    let name = notes.keep(format!("{path}.name"), name)?;
    Some(ObjectKey { namespace: owner.namespace.clone(), name })
}

fn credential(secret: &ObjectKey, key: &str, path: &str, notes: &mut Notes<'_>) -> Option<CredentialName> {
    let name = format!("{secret}/{key}").parse::<CredentialName>().map_err(|error| {
        Problem::new(Reason::InvalidValue, format!("{key:?} {error}"), "write the name of a key")
    });
    notes.keep(path, name)
}

fn config_map_missing(config_map: &ObjectKey, world: &World) -> Problem {
    if world.unlabelled.contains(&Unlabelled::ConfigMap(config_map.clone())) {
        let message = format!("names ConfigMap {config_map}, which lacks the label that lets it be read");
        return Problem::new(Reason::ConfigMapNotLabelled, message, label(SCHEMA_LABEL));
    }
    let message = format!("names ConfigMap {config_map}, which does not exist");
    Problem::new(Reason::ConfigMapMissing, message, "create it, or correct the name")
}

fn label(label: &str) -> String {
    format!("label it `{label}: \"true\"`")
}

fn secret_missing(secret: &ObjectKey, world: &World) -> Problem {
    if world.unlabelled.contains(&Unlabelled::Secret(secret.clone())) {
        let message = format!("names Secret {secret}, which lacks the label that lets it be read");
        return Problem::new(Reason::SecretNotLabelled, message, label(CREDENTIAL_LABEL));
    }
    Problem::new(
        Reason::SecretMissing,
        format!("names Secret {secret}, which does not exist"),
        "create it in the same namespace, or correct the name",
    )
}

fn key_missing(secret: &ObjectKey, key: &str) -> Problem {
    Problem::new(
        Reason::SecretKeyMissing,
        format!("Secret {secret} has no key {key:?}"),
        "give it a value in the Secret, of 256 KiB at most, or name another",
    )
}

fn key_invalid(secret: &ObjectKey, key: &str, form: KeyForm) -> Option<Problem> {
    let (what, remedy) = match form {
        KeyForm::Text => return None,
        KeyForm::EndsInLineBreak => (
            "ends in a line break, which no header can carry",
            "write it without: `printf %s` where `echo` added one, `|-` instead of `|` in YAML",
        ),
        KeyForm::Other => ("has characters that no header can carry", "write the key as the partner gave it"),
    };
    Some(Problem::new(Reason::SecretKeyInvalid, format!("Secret {secret}: key {key:?} {what}"), remedy))
}
