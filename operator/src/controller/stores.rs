//! What the API server has, held in memory: one reflector for each kind. Any change is a knock, never a work item.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::{Store, store::Writer};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::Notify;

use chaperone_crds::{ModelRoute, Partner, TenantQuota};
use kube::api::ApiResource;

use crate::vital::Vital;
use crate::watched::Watched;
use crate::world::{CREDENTIAL_LABEL, SCHEMA_LABEL};

/// Copies of all that is watched.
///
/// Our own kinds are held as they came: an object that this build cannot read must not keep the others from being seen.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) partners: Store<DynamicObject>,
    pub(super) routes: Store<DynamicObject>,
    pub(super) quotas: Store<DynamicObject>,
    pub(super) secrets: Store<Secret>,
    pub(super) config_maps: Store<ConfigMap>,
    pub(super) namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Namespaces that all others are of. `None`: of any.
    pub(super) watched: Option<BTreeSet<String>>,
}

/// What watching needs.
struct Watch<'w> {
    client: &'w Client,
    watched: &'w Watched,
    vital: &'w Vital,
    changed: &'w Arc<Notify>,
}

impl Stores {
    /// Begins to watch. The tasks end with the process: nothing of theirs must be finished.
    pub(super) fn watch(client: &Client, watched: &Watched, vital: &Vital, changed: &Arc<Notify>) -> Self {
        let watch = Watch { client, watched, vital, changed };
        let labelled =
            |label: &str| watcher::Config::default().labels(&format!("{label}=true")).streaming_lists();
        // Of the whole cluster in any case: selectors may mean any, and there is nothing in one but labels.
        let namespaces = watcher(Api::all(client.clone()), watcher::Config::default().streaming_lists());
        Self {
            partners: watch.custom(ApiResource::erase::<Partner>(&())),
            routes: watch.custom(ApiResource::erase::<ModelRoute>(&())),
            quotas: watch.custom(ApiResource::erase::<TenantQuota>(&())),
            secrets: watch.follow(watched.events(client, &labelled(CREDENTIAL_LABEL)), ()),
            config_maps: watch.follow(watched.events(client, &labelled(SCHEMA_LABEL)), ()),
            namespaces: watch.follow(namespaces.default_backoff().boxed(), ()),
            watched: watched.names().cloned(),
        }
    }

    /// Waits until each has been listed once.
    pub(super) async fn ready(&self) {
        // An error means that the writer is gone, and with it the process.
        let _ = tokio::join!(
            self.partners.wait_until_ready(),
            self.routes.wait_until_ready(),
            self.quotas.wait_until_ready(),
            self.secrets.wait_until_ready(),
            self.config_maps.wait_until_ready(),
            self.namespaces.wait_until_ready(),
        );
    }
}

impl Watch<'_> {
    fn custom(&self, resource: ApiResource) -> Store<DynamicObject> {
        let events =
            self.watched.custom(self.client, &watcher::Config::default().streaming_lists(), &resource);
        self.follow(events, resource)
    }

    fn follow<K>(
        &self,
        events: BoxStream<'static, watcher::Result<Event<K>>>,
        kind: K::DynamicType,
    ) -> Store<K>
    where
        K: Resource + Clone + Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Eq + Hash + Send + Sync + 'static,
    {
        let mut writer = Writer::new(kind.clone());
        let store = writer.as_reader();
        let changed = Arc::clone(self.changed);
        let mut news = News::default();
        let kind = K::kind(&kind).into_owned();
        let mut events = events.modify(|object| object.managed_fields_mut().clear()).boxed();
        // It has no end of its own: where it ends all the same, as by a panic, the process does.
        self.vital.spawn(format!("watch of {kind}"), async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => {
                        writer.apply_watcher_event(&event);
                        if news.is(&event) {
                            changed.notify_one();
                        }
                    }
                    // Never the object: it may be a Secret.
                    Err(error) => tracing::warn!(kind, %error, "cannot watch; trying again"),
                }
            }
        });
        store
    }
}

/// Tells changes of a spec, or of what has none, from changes of a status: those are our own.
#[derive(Default)]
struct News {
    generations: BTreeMap<String, i64>,
}

impl News {
    fn is<K: Resource>(&mut self, event: &Event<K>) -> bool {
        match event {
            Event::Apply(object) => self.note(object),
            Event::InitApply(object) => {
                self.note(object);
                false
            }
            Event::Delete(object) => {
                self.generations.remove(object.meta().uid.as_deref().unwrap_or_default());
                true
            }
            Event::Init => false,
            Event::InitDone => true,
        }
    }

    fn note<K: Resource>(&mut self, object: &K) -> bool {
        let (Some(uid), Some(generation)) = (object.meta().uid.clone(), object.meta().generation) else {
            return true;
        };
        self.generations.insert(uid, generation) != Some(generation)
    }
}
