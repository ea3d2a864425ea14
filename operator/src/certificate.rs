//! The certificate of feed and webhook: made by the leader, kept in a Secret, swapped live by every replica.
//!
//! No cert-manager is needed. An authority for ten years signs a leaf for ninety days; the leader renews the leaf when
//! two thirds of its life are over. Who loses the race to create the Secret reads the winner's.

mod issue;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use self::issue::Bundle;
use crate::clock;
use crate::leader::Leadership;

/// How often the leader looks at the leaf's age.
const LOOK: Duration = Duration::from_secs(600);
/// How soon it tries again where it could not write.
const AGAIN: Duration = Duration::from_secs(2);

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
}

impl Certificate {
    /// Of the Secret `name` in `namespace`, for these Services there.
    pub(crate) fn new(client: &Client, namespace: &str, name: &str, services: [&str; 2]) -> Self {
        let names = services.iter().map(|service| format!("{service}.{namespace}.svc")).collect();
        let secrets = Api::namespaced(client.clone(), namespace);
        Self { secrets, name: name.to_owned(), names, leaf: Arc::default(), authority: watch::Sender::default() }
    }

    /// The leaf in use.
    pub(crate) fn leaf(&self) -> Arc<Leaf> {
        Arc::clone(&self.leaf)
    }

    /// The authority that signs it, in PEM, as soon as there is one.
    pub(crate) fn authority(&self) -> watch::Receiver<Option<String>> {
        self.authority.subscribe()
    }

    /// Follows the Secret, and makes or renews its content while this process leads. Ends when it is dropped.
    pub(crate) async fn run(self, leadership: watch::Receiver<Leadership>) {
        tokio::join!(self.follow(), self.renew(leadership));
    }

    async fn follow(&self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let mut events = watcher(self.secrets.clone(), config).default_backoff().applied_objects().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(secret) => match certified(&secret) {
                    Ok(key) => {
                        self.leaf.replace(key);
                        self.trust(&secret);
                    }
                    Err(problem) => {
                        tracing::warn!(secret = self.name, problem, "the certificate cannot be used; keeping the last");
                    }
                },
                Err(error) => tracing::warn!(secret = self.name, %error, "cannot follow the certificate"),
            }
        }
    }

    fn trust(&self, secret: &Secret) {
        let authority = secret.data.as_ref().and_then(|data| String::from_utf8(data.get("ca.crt")?.0.clone()).ok());
        self.authority.send_if_modified(|known| {
            let is_new = *known != authority;
            *known = authority;
            is_new
        });
    }

    async fn renew(&self, mut leadership: watch::Receiver<Leadership>) {
        loop {
            let is_leading = leadership.borrow_and_update().epoch(clock::now()).is_some();
            let wait = if is_leading { self.keep_fresh().await } else { LOOK };
            tokio::select! {
                changed = leadership.changed(), if !is_leading => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Returns how long it is good.
    async fn keep_fresh(&self) -> Duration {
        match self.write_if_due().await {
            Ok(()) => LOOK,
            Err(problem) => {
                tracing::warn!(secret = self.name, problem, "cannot write the certificate; trying again");
                AGAIN
            }
        }
    }

    async fn write_if_due(&self) -> Result<(), String> {
        let now = clock::wall();
        let found = self.secrets.get_opt(&self.name).await.map_err(|error| error.to_string())?;
        let Some(mut secret) = found else {
            let bundle = Bundle::new(&self.names, now)?;
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let secret = Secret {
                metadata,
                type_: Some("kubernetes.io/tls".to_owned()),
                data: Some(bundle.into_data()),
                ..Secret::default()
            };
            return match self.secrets.create(&PostParams::default(), &secret).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
                Err(error) => Err(error.to_string()),
            };
        };
        let data = secret.data.clone().unwrap_or_default();
        let Some(bundle) = Bundle::due(data, &self.names, now)? else { return Ok(()) };
        secret.data = Some(bundle.into_data());
        // With the version that was read: of two writers one is told so, and looks again.
        let replaced = self.secrets.replace(&self.name, &PostParams::default(), &secret).await;
        replaced.map(drop).map_err(|error| error.to_string())
    }
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
