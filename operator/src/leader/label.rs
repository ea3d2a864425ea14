//! The label by which the feed's Service finds the leader's Pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::clock;

/// On the leader's Pod, with value `leader`.
const ROLE: &str = "chaperone.dev/role";
const LEADER: &str = "leader";
/// A label that cannot be set in time must not cost the leadership.
const CALL: Duration = Duration::from_secs(2);

/// Sets and removes it.
pub(super) struct Label {
    pods: Api<Pod>,
    own: Option<String>,
}

impl Label {
    /// Of the Pods in `namespace`, of which `own` is this process's.
    pub(super) fn new(client: &Client, namespace: &str, own: Option<String>) -> Self {
        Self { pods: Api::namespaced(client.clone(), namespace), own }
    }

    /// Takes the label off every other Pod, then sets it on the own one: never on two. Whoever was paused beyond the
    /// leadership, which ends at `until`, changes nothing: the label may be another's by then.
    pub(super) async fn take(&self, until: Instant) {
        let Some(own) = &self.own else { return };
        let selector = ListParams::default().labels(&format!("{ROLE}={LEADER}"));
        let found = timeout(CALL, self.pods.list_metadata(&selector)).await;
        let leaders = found.into_iter().flatten().flat_map(|found| found.items).map(|pod| pod.name_any());
        let changes = leaders.filter(|name| name != own).map(|other| (other, None));
        for (pod, role) in changes.chain([(own.clone(), Some(LEADER))]) {
            if clock::now() >= until {
                return;
            }
            self.set(&pod, role).await;
        }
    }

    /// Sets it again if it is not there, while the leadership lasts: without it the feed's Service finds nobody, and no
    /// election would mend that. Returns whether it was there.
    pub(super) async fn keep(&self, until: Instant) -> bool {
        let Some(own) = &self.own else { return true };
        // What is not done in time is done after the next renewal.
        let Ok(Ok(pod)) = timeout(CALL, self.pods.get_metadata(own)).await else { return false };
        let is_there = pod.labels().get(ROLE).is_some_and(|role| role == LEADER);
        if !is_there && clock::now() < until {
            tracing::warn!(pod = own, "the leader's label is missing; setting it");
            self.take(until).await;
        }
        is_there
    }

    /// Takes it off the own Pod.
    pub(super) async fn remove_own(&self) {
        if let Some(own) = &self.own {
            self.set(own, None).await;
        }
    }

    async fn set(&self, pod: &str, role: Option<&str>) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {ROLE: role}}}));
        match timeout(CALL, self.pods.patch_metadata(pod, &PatchParams::default(), &patch)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(pod, %error, "cannot set the leader's label"),
            Err(_) => tracing::warn!(pod, "the leader's label was not set in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http::{Method, Request, Response};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use kube::Config;
    use serde_json::Value;
    use tokio::net::TcpListener;
    use tokio_util::task::TaskTracker;

    use super::*;

    /// Paths of what was patched.
    type Patched = Arc<Mutex<Vec<String>>>;

    /// Pod `theirs` has the label, Pod `ours` does not.
    fn answer(request: &Request<Incoming>, patched: &Patched) -> Value {
        let (kind, group) = ("PartialObjectMetadata", "meta.k8s.io/v1");
        let theirs = json!({"metadata": {"name": "theirs", "labels": {ROLE: LEADER}}});
        let path = request.uri().path();
        if request.method() == Method::PATCH {
            patched.lock().unwrap().push(path.rsplit('/').next().unwrap().to_owned());
        }
        match path.ends_with("/pods") {
            true => {
                json!({"kind": "PartialObjectMetadataList", "apiVersion": group, "metadata": {}, "items": [theirs]})
            }
            false => json!({"kind": kind, "apiVersion": group, "metadata": {"name": "ours"}}),
        }
    }

    async fn label() -> (Label, Patched) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patched = Patched::default();
        let played = Arc::clone(&patched);
        // They end with the runtime.
        let (tasks, connections) = (TaskTracker::new(), TaskTracker::new());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let patched = Arc::clone(&played);
                let service = service_fn(move |request| {
                    let answer = answer(&request, &patched).to_string();
                    async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer)))) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let client = Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        (Label::new(&client, "platform", Some("ours".to_owned())), patched)
    }

    #[tokio::test]
    async fn a_label_that_is_missing_is_set_after_it_was_taken_off_others() {
        let (label, patched) = label().await;
        assert!(!label.keep(clock::now() + Duration::from_secs(60)).await);
        assert_eq!(*patched.lock().unwrap(), ["theirs", "ours"]);
    }

    #[tokio::test]
    async fn who_was_paused_beyond_the_leadership_leaves_the_label_to_others() {
        let (label, patched) = label().await;
        let until = clock::now();
        assert!(!label.keep(until).await);
        label.take(until).await;
        assert!(patched.lock().unwrap().is_empty(), "{patched:?}");
    }
}
