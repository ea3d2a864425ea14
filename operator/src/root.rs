//! The root secret: 32 random bytes that keys of namespaces are derived from, so that a pseudonym is the same in every
//! Pod of a namespace and after every restart.
//!
//! It stands in a Secret of the operator's own namespace. The first leader creates it; who loses the race reads the
//! winner's. It is not changed here. Where the Secret is deleted, the leader creates it again as it was: who deletes it by
//! mistake must not change every pseudonym. Whoever wants others deletes it while no operator runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::sensitive::Sensitive;
use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::clock;
use crate::leader::Leadership;

/// The entry of the Secret that holds it.
const ENTRY: &str = "root";
/// How often the leader looks whether it is still there.
const LOOK: Duration = Duration::from_secs(600);
/// How soon it tries again where it could not create it.
const AGAIN: Duration = Duration::from_secs(2);

/// The secret itself.
pub(crate) type Root = Arc<Sensitive<[u8; 32]>>;

/// The Secret that holds it.
pub(crate) struct RootSecret {
    secrets: Api<Secret>,
    name: String,
    root: watch::Sender<Option<Root>>,
}

impl RootSecret {
    /// The Secret `name` in `namespace`.
    pub(crate) fn new(client: &Client, namespace: &str, name: &str) -> Self {
        let secrets = Api::namespaced(client.clone(), namespace);
        Self { secrets, name: name.to_owned(), root: watch::Sender::default() }
    }

    /// What it holds, as soon as it is there.
    pub(crate) fn root(&self) -> watch::Receiver<Option<Root>> {
        self.root.subscribe()
    }

    /// Follows the Secret, and creates it while this process leads. Ends when it is dropped.
    pub(crate) async fn run(self, leadership: watch::Receiver<Leadership>) {
        tokio::join!(self.follow(), self.keep(leadership));
    }

    async fn follow(&self) {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let mut events = watcher(self.secrets.clone(), config).default_backoff().applied_objects().boxed();
        while let Some(event) = events.next().await {
            match event.map(|secret| root_in(&secret)) {
                Ok(Ok(root)) => drop(self.root.send_if_modified(|known| {
                    let is_new = known.as_ref() != Some(&root);
                    *known = Some(root);
                    is_new
                })),
                Ok(Err(problem)) => {
                    tracing::warn!(
                        secret = self.name,
                        problem,
                        "the root secret cannot be used; keeping the last"
                    );
                }
                Err(error) => tracing::warn!(secret = self.name, %error, "cannot follow the root secret"),
            }
        }
    }

    async fn keep(&self, mut leadership: watch::Receiver<Leadership>) {
        loop {
            let is_leading = leadership.borrow_and_update().epoch(clock::now()).is_some();
            let wait = if is_leading { self.create_if_absent().await } else { LOOK };
            tokio::select! {
                changed = leadership.changed(), if !is_leading => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Returns how long to wait before looking again.
    async fn create_if_absent(&self) -> Duration {
        let outcome = match self.secrets.get_metadata_opt(&self.name).await {
            Ok(Some(_)) => return LOOK,
            Ok(None) => self.create().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => LOOK,
            Err(error) => {
                tracing::warn!(secret = self.name, %error, "cannot create the root secret; trying again");
                AGAIN
            }
        }
    }

    async fn create(&self) -> kube::Result<()> {
        // One that was deleted comes back as it was: pseudonyms stay what they are.
        let root = self.root.borrow().clone().unwrap_or_else(made_up);
        let secret = Secret {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([(ENTRY.to_owned(), ByteString(root.expose().to_vec()))])),
            immutable: Some(true),
            ..Secret::default()
        };
        match self.secrets.create(&PostParams::default(), &secret).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => created.map(drop),
        }
    }
}

fn made_up() -> Root {
    Arc::new(Sensitive::new(clock::random()))
}

fn root_in(secret: &Secret) -> Result<Root, &'static str> {
    let entry = secret.data.as_ref().and_then(|data| data.get(ENTRY));
    let bytes = entry.and_then(|entry| <[u8; 32]>::try_from(entry.0.as_slice()).ok());
    let root = bytes.map(|bytes| Arc::new(Sensitive::new(bytes)));
    root.ok_or("its entry `root` does not have 32 bytes; delete it, and a new one is made")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(entry: &str, bytes: &[u8]) -> Secret {
        let data = BTreeMap::from([(entry.to_owned(), ByteString(bytes.to_vec()))]);
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn thirty_two_bytes_are_a_root_and_nothing_else_is() {
        assert_eq!(root_in(&secret("root", &[7; 32])).unwrap().expose(), &[7; 32]);
        for other in
            [Secret::default(), secret("root", &[7; 31]), secret("root", &[7; 33]), secret("key", &[7; 32])]
        {
            assert!(root_in(&other).unwrap_err().contains("delete it"));
        }
    }

    #[test]
    fn two_that_are_made_up_differ() {
        assert_ne!(made_up(), made_up());
    }
}
