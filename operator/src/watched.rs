//! Which namespaces are watched: all of a cluster, or those that the operator may read and no others.
//!
//! `merged` makes the events of several namespaces those of one watch, so that nobody else need know of how many there
//! are.

mod merged;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::stream::{self, BoxStream};
use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ApiResource;
use kube::core::DynamicObject;
use kube::runtime::watcher::{Error, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use self::merged::{Merged, News};

/// Namespaces that may be named. Each costs the API server a handful of watches.
const MOST: usize = 32;
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

/// What one watch says.
type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// The namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Watched {
    /// All that there are.
    Cluster,
    /// These.
    Namespaces(BTreeSet<String>),
}

impl Watched {
    /// Those that are named, and the operator's own; all if none is named.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn of(names: &[String], home: &str) -> Result<Self> {
        let mut namespaces: BTreeSet<String> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        if namespaces.is_empty() {
            return Ok(Self::Cluster);
        }
        ensure!(namespaces.len() <= MOST, "--watch-namespaces names more than {MOST}: name none, to watch the cluster");
        namespaces.insert(home.to_owned());
        Ok(Self::Namespaces(namespaces))
    }

    /// Whether this namespace is among them.
    pub(crate) fn has(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }

    /// Events of a kind of Kubernetes. Ends when it is dropped.
    pub(crate) fn events<K>(&self, client: &Client, config: &watcher::Config) -> Events<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let api = |namespace: Option<&str>| match namespace {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        };
        self.merged(client, config, api)
    }

    /// Events of a kind of ours.
    pub(crate) fn custom(&self, client: &Client, config: &watcher::Config, kind: &ApiResource) -> Events<DynamicObject> {
        let api = |namespace: Option<&str>| match namespace {
            None => Api::all_with(client.clone(), kind),
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        };
        self.merged(client, config, api)
    }

    fn merged<K>(&self, client: &Client, config: &watcher::Config, api: impl Fn(Option<&str>) -> Api<K>) -> Events<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let one = |api| watcher(api, config.clone()).default_backoff();
        let namespaces = match self {
            Self::Cluster => return one(api(None)).boxed(),
            Self::Namespaces(namespaces) => namespaces,
        };
        let all = namespaces.iter().map(|namespace| {
            let (client, name) = (client.clone(), namespace.clone());
            let news = move |event| {
                let (client, name) = (client.clone(), name.clone());
                async move {
                    let news = match event {
                        Err(error) if is_forbidden(&error) && is_gone(&client, &name).await => News::Gone,
                        event => News::Event(event),
                    };
                    (name, news)
                }
            };
            one(api(Some(namespace))).then(news).boxed()
        });
        let mut merged = Merged::of(namespaces);
        stream::select_all(all)
            .flat_map(move |(namespace, news)| stream::iter(merged.take(&namespace, news)))
            .boxed()
    }
}

/// A right that was given in a namespace goes with it.
fn is_forbidden(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(kube::Error::Api(status)) | Error::WatchStartFailed(kube::Error::Api(status)) => {
            status.is_forbidden()
        }
        Error::WatchError(status) => status.is_forbidden(),
        _ => false,
    }
}

async fn is_gone(client: &Client, namespace: &str) -> bool {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    matches!(timeout(CALL, namespaces.get_metadata_opt(namespace)).await, Ok(Ok(None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_means_all_and_some_mean_these_and_the_own() {
        assert_eq!(Watched::of(&[String::new()], "home").unwrap(), Watched::Cluster);
        let some = Watched::of(&["shop".to_owned()], "home").unwrap();
        assert_eq!(["shop", "home", "other"].map(|name| some.has(name)), [true, true, false]);
        let many: Vec<String> = (0..=MOST).map(|index| format!("shop-{index}")).collect();
        assert!(Watched::of(&many, "home").unwrap_err().to_string().contains("name none"));
    }
}
