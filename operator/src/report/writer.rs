//! Writes statuses that differ from what the API server has, and says findings as events: only while leading, within a
//! budget for the whole cluster, the newest per object.

mod events;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{ApiResource, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use self::events::Events;
use self::schedule::{Schedule, Turn};
use super::Status;
use crate::clock;
use crate::compile::{Finding, Kind, ObjectRef};
use crate::controller::Found;
use crate::desk::Desk;

/// How long one write may take.
const CALL: Duration = Duration::from_secs(5);

/// What should be written.
#[derive(Debug, Default)]
pub(crate) struct Assignment {
    pub(crate) wanted: BTreeMap<ObjectRef, Status>,
    /// What the API server has.
    pub(crate) found: BTreeMap<ObjectRef, Found>,
    /// What there is to say in events.
    pub(crate) findings: Vec<Finding>,
}

impl Assignment {
    /// What is known of an object's status: what was last wanted, else what was found.
    pub(crate) fn before(&self, object: &ObjectRef, found: &Found) -> Status {
        self.wanted.get(object).unwrap_or(&found.status).clone()
    }
}

/// Writes until it is dropped.
pub(crate) async fn run(client: Client, desk: Arc<Desk>, mut assignment: watch::Receiver<Arc<Assignment>>) {
    let mut schedule = Schedule::default();
    let mut events = Events::new(&client);
    loop {
        let current = Arc::clone(&assignment.borrow_and_update());
        let turn = schedule.turn(&current, clock::now());
        match turn {
            Turn::Write(object) if desk.is_leading(clock::now()) => {
                let Some(status) = current.wanted.get(&object) else { continue };
                let outcome = write(&client, &object, status).await;
                desk.metrics.status_writes.with_label_values(&[outcome.code()]).inc();
                schedule.written(&object, status, outcome, clock::now());
            }
            Turn::Write(_) | Turn::Idle => {
                events.say(&current, &desk).await;
                if assignment.changed().await.is_err() {
                    return;
                }
            }
            Turn::Wait(until) => {
                events.say(&current, &desk).await;
                tokio::select! {
                    changed = assignment.changed() => if changed.is_err() { return },
                    () = sleep_until(until) => {}
                }
            }
        }
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    /// The object is gone, and with it its status.
    Gone,
    Failed,
}

impl Outcome {
    fn code(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

async fn write(client: &Client, object: &ObjectRef, status: &Status) -> Outcome {
    let resource = resource(object.kind);
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), object.key.namespace.as_str(), &resource);
    let patch = Patch::Apply(patch(object.kind, status));
    let params = PatchParams::apply("chaperone-operator").force();
    match timeout(CALL, api.patch_status(object.key.name.as_str(), &params, &patch)).await {
        Ok(Ok(_)) => Outcome::Written,
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Outcome::Gone,
        Ok(Err(error)) => {
            tracing::warn!(%object, %error, "cannot write the status");
            Outcome::Failed
        }
        Err(_) => Outcome::Failed,
    }
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Partner => ApiResource::erase::<chaperone_crds::Partner>(&()),
        Kind::ModelRoute => ApiResource::erase::<chaperone_crds::ModelRoute>(&()),
        Kind::TenantQuota => ApiResource::erase::<chaperone_crds::TenantQuota>(&()),
    }
}

/// All that the operator owns of the object, and nothing else.
fn patch(kind: Kind, status: &Status) -> Value {
    let Status { observed_generation, conditions, sidecars, breakers, secret_resource_version } = status;
    let mut written = json!({
        "observedGeneration": observed_generation,
        "conditions": conditions,
        "sidecars": sidecars,
    });
    if let Some(breakers) = breakers {
        written["breakers"] = json!(breakers);
    }
    if let Some(version) = secret_resource_version {
        written["secretResourceVersion"] = json!(version);
    }
    json!({
        "apiVersion": format!("{}/{}", chaperone_crds::GROUP, chaperone_crds::VERSION),
        "kind": kind.as_str(),
        "status": written,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is what the kinds' own types read.
    #[test]
    fn a_patch_is_a_status_of_each_kind() {
        let status = Status {
            observed_generation: Some(3),
            secret_resource_version: Some("17".to_owned()),
            breakers: Some(chaperone_crds::partner::Breakers {
                total: 4,
                refusing: 1,
                probing: 1,
                resting: 0,
            }),
            sidecars: Some(chaperone_crds::condition::Sidecars::new(1, 0, 1)),
            ..Status::default()
        };
        let read = |kind| patch(kind, &status)["status"].clone();
        let partner: chaperone_crds::PartnerStatus = serde_json::from_value(read(Kind::Partner)).unwrap();
        assert_eq!(partner.breakers, status.breakers);
        assert_eq!(partner.secret_resource_version.as_deref(), Some("17"));
        let route: chaperone_crds::ModelRouteStatus = serde_json::from_value(read(Kind::ModelRoute)).unwrap();
        assert_eq!(route.sidecars.unwrap().summary, "1/2");
        let quota: chaperone_crds::TenantQuotaStatus =
            serde_json::from_value(read(Kind::TenantQuota)).unwrap();
        assert_eq!(quota.observed_generation, Some(3));
    }
}
