//! Which namespaces are watched: all of a cluster, or those that the operator may read and no others.
//!
//! `merged` makes the events of several namespaces those of one watch, so that nobody else need know of how many there
//! are; `unread` knows those of them whose Role is missing.

mod merged;
mod unread;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ApiResource;
use kube::core::DynamicObject;
use kube::runtime::watcher::{Error, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use prometheus::IntGauge;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use self::merged::{Merged, News};
use self::unread::Unread;
use crate::clock;

/// Namespaces that may be named. Each costs the API server a handful of watches.
const MOST: usize = 32;
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);

/// What one watch says.
type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// The namespaces.
#[derive(Debug)]
pub(crate) struct Watched {
    /// `None`: all that there are.
    namespaces: Option<BTreeSet<String>>,
    unread: Arc<Unread>,
}

impl Watched {
    /// Those that are named, and the operator's own; all if none is named. `unread` counts those that may not be read.
    ///
    /// # Errors
    /// If there are too many.
    pub(crate) fn of(names: &[String], home: &str, unread: IntGauge) -> Result<Self> {
        let mut namespaces: BTreeSet<String> =
            names.iter().filter(|name| !name.is_empty()).cloned().collect();
        let unread = Arc::new(Unread::counted_by(unread));
        if namespaces.is_empty() {
            return Ok(Self { namespaces: None, unread });
        }
        ensure!(
            namespaces.len() <= MOST,
            "--watch-namespaces names more than {MOST}: name none, to watch the cluster"
        );
        namespaces.insert(home.to_owned());
        Ok(Self { namespaces: Some(namespaces), unread })
    }

    /// Whether this namespace is among them.
    pub(crate) fn has(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace))
    }

    /// Their names. `None`: all that there are.
    pub(crate) fn names(&self) -> Option<&BTreeSet<String>> {
        self.namespaces.as_ref()
    }

    /// Whether it is among them, and the operator knows nothing of it, since it may not be read.
    pub(crate) fn is_unread(&self, namespace: &str) -> bool {
        self.unread.has(namespace)
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
        self.merged(client, config, &K::kind(&()), api)
    }

    /// Events of a kind of ours.
    pub(crate) fn custom(
        &self,
        client: &Client,
        config: &watcher::Config,
        kind: &ApiResource,
    ) -> Events<DynamicObject> {
        let api = |namespace: Option<&str>| match namespace {
            None => Api::all_with(client.clone(), kind),
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        };
        self.merged(client, config, &kind.kind, api)
    }

    fn merged<K, A>(&self, client: &Client, config: &watcher::Config, kind: &str, api: A) -> Events<K>
    where
        A: Fn(Option<&str>) -> Api<K>,
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let one = |api| watcher(api, config.clone()).default_backoff();
        let Some(namespaces) = &self.namespaces else { return one(api(None)).boxed() };
        let all = namespaces.iter().map(|namespace| {
            let (client, name) = (client.clone(), namespace.clone());
            let news = move |event| {
                let (client, name) = (client.clone(), name.clone());
                async move {
                    let news = match event {
                        Err(error) if is_forbidden(&error) && is_gone(&client, &name).await => News::Gone,
                        Err(error) if is_forbidden(&error) => News::Forbidden(error, clock::now()),
                        event => News::Event(event),
                    };
                    (name, news)
                }
            };
            one(api(Some(namespace))).then(news).boxed()
        });
        let (mut merged, unread, kind) = (Merged::of(namespaces), Arc::clone(&self.unread), kind.to_owned());
        let heard = move |(namespace, news): (String, News<K>)| {
            let before = merged.reading(&namespace);
            let heard = merged.take(&namespace, news);
            let reading = merged.reading(&namespace);
            if reading != before {
                unread.note(&namespace, &kind, reading);
            }
            stream::iter(heard)
        };
        stream::select_all(all).flat_map(heard).boxed()
    }
}

/// A right that was given in a namespace goes with it.
fn is_forbidden(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status)) => status.is_forbidden(),
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
    use http::StatusCode;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::played;

    fn gauge() -> IntGauge {
        IntGauge::new("unread", "unread").unwrap()
    }

    #[test]
    fn none_means_all_and_some_mean_these_and_the_own() {
        assert!(Watched::of(&[String::new()], "home", gauge()).unwrap().has("other"));
        let some = Watched::of(&["shop".to_owned()], "home", gauge()).unwrap();
        assert_eq!(["shop", "home", "other"].map(|name| some.has(name)), [true, true, false]);
        let many: Vec<String> = (0..=MOST).map(|index| format!("shop-{index}")).collect();
        assert!(Watched::of(&many, "home", gauge()).unwrap_err().to_string().contains("name none"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_whose_role_is_missing_keeps_the_others_waiting_for_a_while_only() {
        let client = played::client(|request| {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            let namespace = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "shop"}});
            match path {
                "/api/v1/namespaces/shop" => Some((StatusCode::OK, namespace)),
                "/api/v1/namespaces/shop/configmaps" => Some(played::forbidden()),
                "/api/v1/namespaces/home/configmaps" if !query.contains("watch=") => Some((
                    StatusCode::OK,
                    json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}),
                )),
                _ => None,
            }
        });
        let unread = gauge();
        let watched = Watched::of(&["shop".to_owned()], "home", unread.clone()).unwrap();
        let begun = clock::now();
        let mut events = watched.events::<ConfigMap>(&client, &watcher::Config::default());
        let listed = async { while !matches!(events.next().await, Some(Ok(Event::InitDone))) {} };
        timeout(Duration::from_secs(120), listed).await.expect("the list of those that may be read");
        assert!(clock::now() - begun >= Duration::from_secs(20), "Roles may come a little later");
        assert!(watched.is_unread("shop") && !watched.is_unread("home"));
        assert_eq!(unread.get(), 1);
    }
}
