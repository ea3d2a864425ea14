//! One probe of one partner: dials only addresses that its policy admits, as sidecars do.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::name::CredentialName;
use chaperone_protocol::snapshot::{AddressPolicy, Endpoint, Tls};
use chaperone_protocol::wire::WirePartner;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::report::Health;

/// Whether the partner answers its health path with a 2xx in the time of connecting and of a first token.
pub(super) async fn probe(partner: &WirePartner, keys: &Keys) -> Health {
    let limit = partner.timeouts.connect + partner.timeouts.first_token;
    match timeout(limit, ask(partner, keys)).await {
        Ok(Ok(status)) if status.is_success() => Health::Healthy,
        Ok(Ok(status)) => Health::Unhealthy(format!("it answers {}", status.as_u16())),
        Ok(Err(problem)) => Health::Unhealthy(problem),
        Err(_) => Health::Unhealthy(format!("it does not answer within {limit:?}")),
    }
}

async fn ask(partner: &WirePartner, keys: &Keys) -> Result<StatusCode, String> {
    let endpoint = partner.endpoint.as_ref().ok_or("it has no endpoint")?;
    let request = request(partner, endpoint, keys)?;
    let stream = dial(endpoint, partner.addresses).await?;
    if !endpoint.is_tls() {
        return exchange(stream, request).await;
    }
    let name = partner.tls.server_name.as_deref().unwrap_or(endpoint.host()).to_owned();
    let name = ServerName::try_from(name).map_err(|_| "tls.serverName is not a host name")?;
    let connector = TlsConnector::from(Arc::new(client_config(&partner.tls, keys)?));
    let stream = connector.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
    exchange(stream, request).await
}

fn request(partner: &WirePartner, endpoint: &Endpoint, keys: &Keys) -> Result<Request<Empty<Bytes>>, String> {
    let check = partner.health_check.as_ref().ok_or("it has no healthCheck")?;
    let path = format!("{}{}", endpoint.path(), check.path);
    let builder = Request::get(path).header(header::HOST, endpoint.authority());
    let mut request = builder.body(Empty::new()).map_err(|_| "healthCheck.path is not a path")?;
    if partner.adapter == Adapter::Anthropic {
        // Its API answers 400 without one, even for the list of models.
        let version = HeaderValue::from_static(partner.api_version.as_str());
        request.headers_mut().insert("anthropic-version", version);
    }
    if let Some(name) = &partner.credential {
        let (header, value) = authorization(partner.adapter, credential(name, keys)?)?;
        request.headers_mut().insert(header, value);
    }
    Ok(request)
}

fn authorization(adapter: Adapter, key: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = match adapter {
        Adapter::Anthropic => (HeaderName::from_static("x-api-key"), HeaderValue::from_bytes(key)),
        Adapter::OpenAI | Adapter::Mock => {
            (header::AUTHORIZATION, HeaderValue::from_bytes(&[b"Bearer ", key].concat()))
        }
    };
    let mut value = value.map_err(|_| "its key has a character that no header carries")?;
    value.set_sensitive(true);
    Ok((name, value))
}

async fn dial(endpoint: &Endpoint, policy: AddressPolicy) -> Result<TcpStream, String> {
    let found = lookup_host((endpoint.host(), endpoint.port())).await;
    let found = found.map_err(|error| format!("its name does not resolve: {error}"))?;
    let addresses: Vec<SocketAddr> = found.filter(|address| policy.admits(address.ip())).take(4).collect();
    if addresses.is_empty() {
        return Err("all of its addresses are forbidden".to_owned());
    }
    TcpStream::connect(addresses.as_slice()).await.map_err(|error| format!("it cannot be reached: {error}"))
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<StatusCode, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = http1::Builder::new().max_buf_size(64 << 10).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    let answered = async { sender.send_request(request).await.map(|response| response.status()) };
    tokio::pin!(answered);
    let answered = tokio::select! {
        answered = &mut answered => answered,
        // A partner may close right behind its answer, which has arrived then.
        _ = connection => answered.await,
    };
    answered.map_err(|error| format!("no answer: {error}"))
}

fn client_config(tls: &Tls, keys: &Keys) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(tls)?);
    let (Some(certificate), Some(key)) = (&tls.client_certificate, &tls.client_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(credential(certificate, keys)?).collect();
    let chain = chain.map_err(|_| format!("{certificate} is not a PEM certificate chain"))?;
    let private = PrivateKeyDer::from_pem_slice(credential(key, keys)?);
    let private = private.map_err(|_| format!("{key} is not a PEM private key"))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|_| format!("{certificate} and {key} do not belong together"))
}

fn roots(tls: &Tls) -> Result<RootCertStore, String> {
    let Some(pem) = &tls.ca else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        added.ok_or("its authority is not a certificate in PEM")?;
    }
    Ok(roots)
}

fn credential<'k>(name: &CredentialName, keys: &'k Keys) -> Result<&'k [u8], String> {
    keys.get(name).map(|credential| credential.expose()).ok_or_else(|| format!("{name} is missing"))
}

#[cfg(test)]
mod tests {
    use chaperone_protocol::keys::Credential;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A partner that answers one request with `status`; returns what it was asked.
    async fn asked(status: &'static str, change: fn(&mut WirePartner), keys: &Keys) -> (Health, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let partner = json!({
            "adapter": "Anthropic",
            "endpoint": format!("http://{}/v1", listener.local_addr().unwrap()),
            "addresses": "AllowPrivate",
            "credential": "shop/alpha/key",
            "models": {"m": {}},
            "healthCheck": {"path": "/models", "interval": 60_000},
        });
        let mut partner: WirePartner = serde_json::from_value(partner).unwrap();
        change(&mut partner);
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4_096];
            let length = stream.read(&mut head).await.unwrap();
            head.truncate(length);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        };
        tokio::select! {
            // Who is not asked has nothing to say.
            health = probe(&partner, keys) => (health, String::new()),
            (head, health) = async { tokio::join!(serve, probe(&partner, keys)) } => (health, head),
        }
    }

    fn keys() -> Keys {
        let mut keys = Keys::default();
        keys.insert("shop/alpha/key".parse().unwrap(), Credential::new(b"sk-canary".to_vec()));
        keys
    }

    #[tokio::test]
    async fn a_probe_says_how_the_partner_answers() {
        let (health, _) = asked("204 No Content", |_| {}, &keys()).await;
        assert_eq!(health, Health::Healthy);
        let (health, _) = asked("503 Service Unavailable", |_| {}, &keys()).await;
        assert_eq!(health, Health::Unhealthy("it answers 503".to_owned()));
    }

    #[tokio::test]
    async fn what_must_not_be_dialled_and_what_has_no_key_is_not_asked() {
        let closed = |partner: &mut WirePartner| partner.addresses = AddressPolicy::PublicOnly;
        let (health, head) = asked("200 OK", closed, &keys()).await;
        assert_eq!(health, Health::Unhealthy("all of its addresses are forbidden".to_owned()));
        assert_eq!(head, "");
        let (health, head) = asked("200 OK", |_| {}, &Keys::default()).await;
        assert_eq!(health, Health::Unhealthy("shop/alpha/key is missing".to_owned()));
        assert_eq!(head, "");
    }

    #[test]
    fn a_probe_asks_as_the_adapter_does() {
        let partner = json!({
            "adapter": "Anthropic", "endpoint": "https://api.example/v1", "credential": "shop/alpha/key",
            "models": {"m": {}}, "healthCheck": {"path": "/models", "interval": 60_000},
        });
        let partner: WirePartner = serde_json::from_value(partner).unwrap();
        let request = request(&partner, partner.endpoint.as_ref().unwrap(), &keys()).unwrap();
        assert_eq!(request.uri(), "/v1/models");
        assert_eq!(request.headers()["x-api-key"], "sk-canary");
        assert_eq!(request.headers()["anthropic-version"], partner.api_version.as_str());
        assert!(!format!("{request:?}").contains("canary"));
    }
}
