//! Puts a sidecar into new Pods that ask for one: every replica answers the API server, leading or not.
//!
//! `patch` decides and has no I/O; `wish` is what annotations ask for; `sidecar` is what is put in; `server` speaks
//! TLS, to as many at a time as `places` has, of as much as `room` holds; `bundle` tells the API server whom to trust; `watchdog` finds the Pods that came past all this.

pub(crate) mod bundle;
mod patch;
mod places;
mod room;
pub(crate) mod server;
mod sidecar;
pub(crate) mod watchdog;
mod wish;

use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation};
use prometheus::IntCounterVec;

use crate::args::Args;

/// What every sidecar is given.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) image: String,
    pub(crate) cpu: String,
    pub(crate) memory: String,
    /// Leave the user to the cluster.
    pub(crate) any_user: bool,
    /// `host:port` of the feed.
    pub(crate) feed_address: String,
    /// The name that the feed's certificate is for.
    pub(crate) feed_server_name: String,
}

impl Settings {
    /// `None` where no image is named: then nothing is injected.
    pub(crate) fn of(args: &Args) -> Option<Self> {
        let feed_server_name = format!("{}.{}.svc", args.feed_service, args.namespace);
        Some(Self {
            image: args.sidecar_image.clone()?,
            cpu: args.sidecar_cpu.clone(),
            memory: args.sidecar_memory.clone(),
            any_user: args.sidecar_any_user,
            feed_address: format!("{feed_server_name}:{}", args.feed_port),
            feed_server_name,
        })
    }
}

/// Answers one request: a patch, nothing to do, or a refusal that the Pod's author reads.
fn answer(
    request: &AdmissionRequest<Pod>,
    settings: &Settings,
    authority: &str,
    outcomes: &IntCounterVec,
) -> AdmissionReview<DynamicObject> {
    let count = |outcome| outcomes.with_label_values(&[outcome]).inc();
    let allowed = AdmissionResponse::from(request);
    let Some(pod) = request.object.as_ref().filter(|_| request.operation == Operation::Create) else {
        return allowed.into_review();
    };
    let injection = match patch::inject(pod, settings, authority) {
        Ok(injection) => injection,
        Err(refusal) => {
            count("refused");
            return allowed.deny(refusal).into_review();
        }
    };
    count(if injection.patch.0.is_empty() { "unchanged" } else { "injected" });
    let mut response = allowed.with_patch(injection.patch).unwrap_or_else(AdmissionResponse::invalid);
    response.warnings = Some(injection.warnings).filter(|warnings| !warnings.is_empty());
    response.into_review()
}
