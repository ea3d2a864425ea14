//! The certificate of feed and webhook: made by the leader, kept in a Secret, swapped live by every replica.
//!
//! No cert-manager is needed. An authority for ten years signs a leaf for ninety days; the leader renews the leaf when
//! two thirds of its life are over. Who loses the race to create the Secret reads the winner's. The authority is changed
//! in steps (`rotation`): by age, or when the Secret's annotation `chaperone.dev/rotate-authority` gets another value.
//! Where somebody else makes the certificate, all of this is theirs: the Secret is followed, and never written.

mod expiry;
mod issue;
mod rotation;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chaperone_protocol::limits;
use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use self::issue::Data;
use self::rotation::Awareness;
use crate::args::Issuer;
use crate::clock;
use crate::desk::Desk;
use crate::feed::Unaware;
use crate::leader::Leadership;

/// How often the leader looks at the leaf's age.
const LOOK: Duration = Duration::from_secs(600);
/// How soon it tries again where it could not write, or a step of a change is awaited.
const AGAIN: Duration = Duration::from_secs(2);

/// How soon a certificate that cannot be used is looked at again.
const REFUSED: Duration = Duration::from_secs(60);

/// On the Secret: another value asks for another authority.
const ROTATE: &str = "chaperone.dev/rotate-authority";

/// The leaf in use, shared by all that serve TLS.
#[derive(Debug, Default)]
pub(crate) struct Leaf(ArcSwapOption<CertifiedKey>);

impl Leaf {
    /// Whether there is one yet.
    pub(crate) fn is_present(&self) -> bool {
        self.0.load().is_some()
    }

    fn replace(&self, key: CertifiedKey) {
        self.0.store(Some(Arc::new(key)));
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// Takes TLS connections by this leaf, for one application protocol.
pub(crate) fn acceptor(leaf: Arc<Leaf>, protocol: &[u8]) -> TlsAcceptor {
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_cert_resolver(leaf);
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The Secret that holds authority and leaf.
pub(crate) struct Certificate {
    secrets: Api<Secret>,
    name: String,
    /// What the leaf is for.
    names: Vec<String>,
    leaf: Arc<Leaf>,
    /// Whom callers must trust, in PEM.
    authority: watch::Sender<Option<String>>,
    /// The Secret has changed.
    seen: Notify,
}

impl Certificate {
    /// Of the Secret `name` in `namespace`, for these Services there.
    pub(crate) fn new(client: &Client, namespace: &str, name: &str, services: [&str; 2]) -> Self {
        let names = services.iter().map(|service| format!("{service}.{namespace}.svc")).collect();
        let secrets = Api::namespaced(client.clone(), namespace);
        let (leaf, authority, seen) = (Arc::default(), watch::Sender::default(), Notify::new());
        Self { secrets, name: name.to_owned(), names, leaf, authority, seen }
    }

    /// The leaf in use.
    pub(crate) fn leaf(&self) -> Arc<Leaf> {
        Arc::clone(&self.leaf)
    }

    /// The authorities that callers should trust, in PEM, as soon as there are some.
    pub(crate) fn authority(&self) -> watch::Receiver<Option<String>> {
        self.authority.subscribe()
    }

    /// Follows the Secret; where the operator is the `issuer`, makes or renews its content while this process leads:
    /// `desk` knows what sidecars trust. Ends when it is dropped.
    pub(crate) async fn run(self, issuer: Issuer, leadership: watch::Receiver<Leadership>, desk: Arc<Desk>) {
        match issuer {
            Issuer::Operator => {
                tokio::join!(self.follow(&desk), self.renew(leadership, &desk));
            }
            Issuer::Secret | Issuer::CertManager => self.follow(&desk).await,
        }
    }

    async fn follow(&self, desk: &Desk) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let mut events = watcher(self.secrets.clone(), config).default_backoff().applied_objects().boxed();
        let mut refused = None;
        loop {
            let secret = tokio::select! {
                event = events.next() => match event {
                    None => return,
                    Some(Ok(secret)) => secret,
                    Some(Err(error)) => {
                        tracing::warn!(secret = self.name, %error, "cannot follow the certificate");
                        continue;
                    }
                },
                // It may be good from a later time on than our clock has.
                () = tokio::time::sleep(REFUSED), if refused.is_some() => match refused.take() {
                    Some(secret) => secret,
                    None => continue,
                },
            };
            let taken = self.take(&secret, desk, clock::wall());
            desk.metrics.certificate_refused.set(i64::from(taken.is_err()));
            if let Err(problem) = &taken {
                tracing::warn!(
                    secret = self.name,
                    problem,
                    "the certificate cannot be used; keeping the last"
                );
            }
            refused = taken.is_err().then_some(secret);
            self.seen.notify_one();
        }
    }

    /// Takes leaf and authorities into use, or neither: of a Secret that somebody else writes in parts, one may be new.
    fn take(&self, secret: &Secret, desk: &Desk, now: jiff::Timestamp) -> Result<(), String> {
        let key = certified(secret)?;
        let data = secret.data.as_ref().filter(|data| data.contains_key(issue::CA));
        let data = data.ok_or("it has no ca.crt, by which sidecars and the API server know the operator")?;
        let authority = trusted(data)?.to_owned();
        self.verify(&key, &authority, now)?;
        let end = key.cert.first().and_then(|leaf| expiry::expiry(leaf));
        desk.metrics.certificate_expiry.set(end.map_or(0, jiff::Timestamp::as_second));
        self.leaf.replace(key);
        let authority = Some(authority);
        self.authority.send_if_modified(|known| {
            let is_new = *known != authority;
            *known = authority;
            is_new
        });
        Ok(())
    }

    /// Whether who trusts these authorities takes it for both Services, now: as sidecars ask, and the API server.
    fn verify(&self, key: &CertifiedKey, authority: &str, now: jiff::Timestamp) -> Result<(), String> {
        let (leaf, others) = key.cert.split_first().ok_or("tls.crt is no certificate")?;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            let root = root.map_err(|_| "ca.crt is not PEM")?;
            roots.add(root).map_err(|_| "ca.crt holds what cannot be an authority")?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let verifier = verifier.map_err(|error| error.to_string())?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(
            u64::try_from(now.as_second()).unwrap_or_default(),
        ));
        for name in &self.names {
            let server = ServerName::try_from(name.as_str()).map_err(|error| error.to_string())?;
            let verified = verifier.verify_server_cert(leaf, others, &server, &[], now);
            verified.map_err(|error| match error {
                rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                ) => format!("tls.crt is not for {name}"),
                other => format!("tls.crt is not good for who trusts ca.crt: {other}"),
            })?;
        }
        Ok(())
    }

    async fn renew(&self, mut leadership: watch::Receiver<Leadership>, desk: &Desk) {
        let mut elected: Option<(u64, Instant)> = None;
        loop {
            let now = clock::now();
            let epoch = leadership.borrow_and_update().epoch(now);
            elected =
                epoch.map(|epoch| elected.filter(|(before, _)| *before == epoch).unwrap_or((epoch, now)));
            let wait = match elected {
                Some((_, since)) => self.keep_fresh(desk, since).await,
                None => LOOK,
            };
            tokio::select! {
                changed = leadership.changed(), if elected.is_none() => if changed.is_err() { return },
                () = self.seen.notified(), if elected.is_some() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Returns how long it is good.
    async fn keep_fresh(&self, desk: &Desk, elected: Instant) -> Duration {
        match self.write_if_due(desk, elected).await {
            Ok(wait) => wait,
            Err(problem) => {
                tracing::warn!(secret = self.name, problem, "cannot write the certificate; trying again");
                AGAIN
            }
        }
    }

    async fn write_if_due(&self, desk: &Desk, elected: Instant) -> Result<Duration, String> {
        let now = clock::wall();
        let found = self.secrets.get_opt(&self.name).await.map_err(|error| error.to_string())?;
        let Some(mut secret) = found else {
            self.create(issue::first(&self.names, now)?).await?;
            return Ok(LOOK);
        };
        let data = secret.data.take().unwrap_or_default();
        let wait = if rotation::is_under_way(&data) { AGAIN } else { LOOK };
        let unaware = unaware(&data, desk, elected);
        let awareness = match unaware {
            Some(Unaware { connected: 0, missing: _ }) => Awareness::All,
            Some(_) | None => Awareness::Some,
        };
        let next = match issue::renewed(&data, &self.names, now)? {
            Some(renewed) => Some(renewed),
            None => {
                let asked = secret.annotations().get(ROTATE).map(String::as_str);
                rotation::advance(&data, &self.names, asked, awareness, now)?
            }
        };
        let Some(next) = next else { return Ok(wait) };
        let signs = rotation::is_under_way(&data) && !rotation::is_under_way(&next);
        secret.data = Some(next);
        // With the version that was read: of two writers one is told so, and looks again.
        let replaced = self.secrets.replace(&self.name, &PostParams::default(), &secret).await;
        replaced.map_err(|error| error.to_string())?;
        if signs && unaware != Some(Unaware::default()) {
            tracing::warn!(
                secret = self.name,
                connected = unaware.map(|it| it.connected),
                missing = unaware.map(|it| it.missing),
                "the new authority signs before every sidecar says that it knows it; the column PROGRAMMED has who lags"
            );
        }
        tracing::info!(
            secret = self.name,
            "the certificate was renewed, or its authority's change went a step further"
        );
        Ok(AGAIN)
    }

    async fn create(&self, data: Data) -> Result<(), String> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let type_ = Some("kubernetes.io/tls".to_owned());
        let secret = Secret { metadata, type_, data: Some(data), ..Secret::default() };
        match self.secrets.create(&PostParams::default(), &secret).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => created.map(drop).map_err(|error| error.to_string()),
        }
    }
}

/// Who does not know the authorities in `data`. `None`: nobody can say, as a new leader before sidecars have had time to
/// return.
fn unaware(data: &Data, desk: &Desk, elected: Instant) -> Option<Unaware> {
    let now = clock::now();
    let authorities = issue::text(data, issue::CA).filter(|_| now >= elected + rotation::RETURNING)?;
    desk.lead(now, |hub| hub.unaware(authorities))
}

/// The authorities in `data`, if sidecars can use them.
fn trusted(data: &Data) -> Result<&str, String> {
    let text = issue::text(data, issue::CA).unwrap_or_default();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() && text.len() <= limits::FEED_CA_BYTES => Ok(text),
        _ => Err(format!("its {} is not PEM of at most {} bytes", issue::CA, limits::FEED_CA_BYTES)),
    }
}

/// A leaf for `name`, and in PEM the authority that signed it.
#[cfg(test)]
pub(crate) fn for_test(name: &str) -> (Arc<Leaf>, String) {
    let data = issue::first(&[name.to_owned()], clock::wall()).unwrap();
    let authority = trusted(&data).unwrap().to_owned();
    let leaf = Leaf::default();
    leaf.replace(certified(&Secret { data: Some(data), ..Secret::default() }).unwrap());
    (Arc::new(leaf), authority)
}

/// What trusts this authority, in PEM, and speaks `protocol`.
#[cfg(test)]
pub(crate) fn connector_for_test(authority: &str, protocol: &[u8]) -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    tokio_rustls::TlsConnector::from(Arc::new(config))
}

fn certified(secret: &Secret) -> Result<CertifiedKey, String> {
    let part = |key: &str| -> Result<&ByteString, String> {
        secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| format!("it has no {key}"))
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&part("tls.crt")?.0).collect();
    let chain = chain.map_err(|_| "tls.crt is not PEM")?;
    let key = PrivateKeyDer::from_pem_slice(&part("tls.key")?.0).map_err(|_| "tls.key is not PEM")?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(|error| format!("certificate and key do not go together: {error}"))
}

#[cfg(test)]
mod tests;
