//! What is known of the containers of one Pod, and the status that follows from it. Pure.
use k8s_openapi::api::core::v1::{
    ContainerState as State, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Pod, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

/// One container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) kind: Kind,
    pub(super) phase: Phase,
    pub(super) restarts: i32,
}

/// Where a container stands in its Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Runs to completion before the next one starts.
    Init,
    /// A native sidecar: an init container that restarts always.
    Sidecar,
    /// What the Pod is for.
    App,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Not yet, and why.
    Waiting { reason: String, message: String },
    /// It runs; without a process where its image stands for nothing.
    Running { since: Time, process: Option<u32>, started: bool, ready: bool },
    /// It has ended and will not run again.
    Ended { exit_code: i32, since: Time },
}

impl Phase {
    pub(super) fn waiting(reason: &str, message: &str) -> Self {
        Self::Waiting { reason: reason.to_owned(), message: message.to_owned() }
    }
}

impl Container {
    pub(super) fn has_started(&self) -> bool {
        matches!(self.phase, Phase::Running { started: true, .. })
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Running { ready: true, .. })
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    pub(super) fn has_succeeded(&self) -> bool {
        matches!(self.phase, Phase::Ended { exit_code: 0, .. })
    }

    fn status(&self) -> ContainerStatus {
        let state = match &self.phase {
            Phase::Waiting { reason, message } => State {
                waiting: Some(ContainerStateWaiting {
                    reason: Some(reason.clone()),
                    message: Some(message.clone()).filter(|message| !message.is_empty()),
                }),
                ..State::default()
            },
            Phase::Running { since, .. } => State {
                running: Some(ContainerStateRunning { started_at: Some(since.clone()) }),
                ..State::default()
            },
            Phase::Ended { exit_code, since } => State {
                terminated: Some(ContainerStateTerminated {
                    exit_code: *exit_code,
                    reason: Some(if *exit_code == 0 { "Completed" } else { "Error" }.to_owned()),
                    finished_at: Some(since.clone()),
                    ..ContainerStateTerminated::default()
                }),
                ..State::default()
            },
        };
        ContainerStatus {
            name: self.name.clone(),
            image: self.image.clone(),
            image_id: self.image.clone(),
            restart_count: self.restarts,
            started: Some(self.has_started()),
            ready: self.is_ready() || (self.kind == Kind::Init && self.has_succeeded()),
            state: Some(state),
            ..ContainerStatus::default()
        }
    }
}

/// The Pod's phase, from its containers alone.
fn phase(containers: &[Container]) -> &'static str {
    let apps = || containers.iter().filter(|container| container.kind == Kind::App);
    let init_failed =
        containers.iter().any(|it| it.kind == Kind::Init && it.has_ended() && !it.has_succeeded());
    if init_failed {
        return "Failed";
    }
    // Sidecars stop after the apps; the Pod has ended when they have.
    if apps().all(Container::has_ended) && containers.iter().all(Container::has_ended) {
        return if apps().all(Container::has_succeeded) { "Succeeded" } else { "Failed" };
    }
    let has_begun =
        apps().any(|container| !matches!(container.phase, Phase::Waiting { .. }) || container.restarts > 0);
    if has_begun { "Running" } else { "Pending" }
}

/// The patch that makes the Pod's status say what is known.
pub(super) fn patch(pod: &Pod, containers: &[Container], addresses: (&str, &str), now: &Time) -> Value {
    let (pod_ip, host_ip) = addresses;
    let initialized = containers.iter().all(|it| match it.kind {
        Kind::Init => it.has_succeeded(),
        Kind::Sidecar => it.has_started() || it.has_ended(),
        Kind::App => true,
    });
    let ready = containers.iter().filter(|it| it.kind != Kind::Init).all(Container::is_ready);
    let old = pod.status.clone().unwrap_or_default();
    let said = |is_true| if is_true { "True" } else { "False" };
    let conditions = [
        ("PodScheduled", "True"),
        ("Initialized", said(initialized)),
        ("ContainersReady", said(ready)),
        ("Ready", said(ready)),
    ]
    .map(|(kind, status)| condition(&old, (kind, status), now));
    let statuses = |wanted: fn(Kind) -> bool| -> Vec<ContainerStatus> {
        containers.iter().filter(|it| wanted(it.kind)).map(Container::status).collect()
    };
    json!({"status": {
        "phase": phase(containers),
        "conditions": conditions,
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": old.start_time.as_ref().unwrap_or(now),
        "initContainerStatuses": statuses(|kind| kind != Kind::App),
        "containerStatuses": statuses(|kind| kind == Kind::App),
    }})
}

/// A condition changes its time only with its status.
fn condition(old: &PodStatus, (kind, status): (&str, &str), now: &Time) -> Value {
    let known = old.conditions.iter().flatten().find(|it| it.type_ == kind && it.status == status);
    let since = known.and_then(|it| it.last_transition_time.as_ref()).unwrap_or(now);
    json!({"type": kind, "status": status, "lastTransitionTime": since})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(kind: Kind, phase: Phase) -> Container {
        Container { name: format!("{kind:?}"), image: String::new(), kind, phase, restarts: 0 }
    }

    fn now() -> Time {
        serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap()
    }

    fn running() -> Phase {
        Phase::Running { since: now(), process: None, started: true, ready: true }
    }

    fn ended(exit_code: i32) -> Phase {
        Phase::Ended { exit_code, since: now() }
    }

    #[test]
    fn a_pod_has_ended_when_its_sidecars_have_too() {
        let cases = [
            (Phase::waiting("PodInitializing", ""), running(), "Pending"),
            (running(), running(), "Running"),
            (ended(0), running(), "Running"),
            (ended(0), ended(137), "Succeeded"),
            (ended(1), ended(0), "Failed"),
        ];
        for (app, sidecar, wanted) in cases {
            let containers = [container(Kind::Sidecar, sidecar), container(Kind::App, app)];
            assert_eq!(phase(&containers), wanted, "{containers:?}");
        }
    }

    #[test]
    fn an_init_container_that_failed_fails_the_pod() {
        let containers =
            [container(Kind::Init, ended(1)), container(Kind::App, Phase::waiting("PodInitializing", ""))];
        assert_eq!(phase(&containers), "Failed");
    }

    #[test]
    fn a_pod_is_ready_when_its_sidecars_are_too() {
        let started = Phase::Running { since: now(), process: None, started: true, ready: false };
        for (sidecar, wanted) in [(running(), "True"), (started, "False")] {
            let containers = [container(Kind::Sidecar, sidecar), container(Kind::App, running())];
            let patch = patch(&Pod::default(), &containers, ("10.244.0.1", "192.0.2.2"), &now());
            let conditions = patch["status"]["conditions"].as_array().unwrap();
            assert_eq!(conditions.iter().find(|it| it["type"] == "Ready").unwrap()["status"], wanted);
        }
    }
}
