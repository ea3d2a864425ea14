//! rustls configurations: whom we trust, and what we show.

use std::sync::Arc;

use chaperone_protocol::keys::Keys;
use chaperone_protocol::name::CredentialName;
use chaperone_protocol::snapshot::Tls;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::connect::Offer;

/// HTTP/2, as ALPN calls it: RFC 9113 §3.2.
pub(super) const HTTP2: &[u8] = b"h2";
/// HTTP/1.1, as ALPN calls it: RFC 7301 §6.
const HTTP1: &[u8] = b"http/1.1";

/// The configuration of one partner.
///
/// # Errors
/// In words for the log: which part cannot be used. Never the part itself.
pub(super) fn client_config(tls: &Tls, keys: &Keys, offer: Offer) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(tls)?);
    let mut config = match (&tls.client_certificate, &tls.client_key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_slice_iter(credential(certificate, keys)?)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| format!("{certificate} is not a PEM certificate chain"))?;
            let private = PrivateKeyDer::from_pem_slice(credential(key, keys)?)
                .map_err(|_| format!("{key} is not a PEM private key"))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|_| format!("{certificate} and {key} do not belong together"))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match offer {
        Offer::Http1 => vec![HTTP1.to_vec()],
        Offer::Http2 => vec![HTTP2.to_vec(), HTTP1.to_vec()],
    };
    Ok(Arc::new(config))
}

fn roots(tls: &Tls) -> Result<RootCertStore, String> {
    let Some(pem) = &tls.ca else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| "tls.ca is not PEM")?;
        roots.add(certificate).map_err(|_| "tls.ca has a certificate that cannot be a root")?;
    }
    if roots.is_empty() { Err("tls.ca has no certificate".to_owned()) } else { Ok(roots) }
}

fn credential<'a>(name: &CredentialName, keys: &'a Keys) -> Result<&'a [u8], String> {
    keys.get(name).map(|credential| credential.expose()).ok_or_else(|| format!("{name} is missing"))
}
