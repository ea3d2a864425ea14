//! The life of one Pod: volumes, sidecars in order, init containers, apps; and back.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Container as Declared, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::container::{self, Board, Slot, Wish};
use super::ground::Ground;
use super::image::Images;
use super::plan::{self, Plan, Redirects, Restarts};
use super::state::{self, Container, Kind, Phase};
use super::{HOST_IP, token, volume};
use crate::clock::Deadline;

/// How soon what was missing, or failed, is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// A Pod that this node runs.
pub(super) struct Life {
    pub(super) ground: Ground,
    pub(super) images: Images,
    pub(super) redirects: Arc<Mutex<Redirects>>,
    pub(super) board: Arc<Board>,
    /// Set when the Pod is being deleted: by when it must be gone.
    pub(super) stop: watch::Receiver<Option<Deadline>>,
}

/// Containers that were started, in the order of the Pod, and what is wished of each.
#[derive(Default)]
struct Crew {
    tasks: JoinSet<()>,
    wishes: Vec<watch::Sender<Wish>>,
}

/// The containers of a Pod in the order in which they start.
pub(super) fn declared(pod: &Pod) -> Vec<(Kind, &Declared)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let inits = spec.init_containers.iter().flatten().map(|container| {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        (if is_sidecar { Kind::Sidecar } else { Kind::Init }, container)
    });
    inits.chain(spec.containers.iter().map(|container| (Kind::App, container))).collect()
}

/// What is known of a Pod that has just arrived.
pub(super) fn arrived(pod: &Pod) -> Vec<Container> {
    let waiting = Phase::waiting("PodInitializing", "");
    declared(pod)
        .into_iter()
        .map(|(kind, container)| Container {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            kind,
            phase: waiting.clone(),
            restarts: 0,
        })
        .collect()
}

impl Life {
    /// Lives it, to the deletion of the Pod.
    pub(super) async fn live(mut self) {
        let mut background = JoinSet::new();
        background.spawn(report(self.ground.clone(), self.board.subscribe()));
        let mut crew = Crew::default();
        let mut stop = self.stop.clone();
        let deadline = tokio::select! {
            deadline = stopped(&mut stop) => deadline,
            () = self.run(&mut crew, &mut background) => stopped(&mut self.stop).await,
        };
        self.end(&mut crew, deadline).await;
        drop(background);
        self.remove().await;
    }

    /// Runs the Pod until its apps have ended for good, and its sidecars after them.
    async fn run(&self, crew: &mut Crew, background: &mut JoinSet<()>) {
        let plans = loop {
            match self.plans().await {
                Ok(plans) => break plans,
                Err(error) => self.complain(&error),
            }
            tokio::time::sleep(RETRY).await;
        };
        background.spawn(token::keep_renewed(self.ground.clone()));
        let has_begun = self.start(plans, crew).await;
        if has_begun {
            self.until(|all| all.iter().filter(|it| it.kind == Kind::App).all(Container::has_ended)).await;
        }
        let spec = self.ground.pod.spec.as_ref();
        let grace = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        let deadline = Deadline::after(Duration::from_secs(u64::try_from(grace).unwrap_or_default()));
        self.end(crew, deadline).await;
    }

    async fn plans(&self) -> Result<Vec<Plan>> {
        volume::prepare(&self.ground).await?;
        let redirects = self.redirects.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut plans = Vec::new();
        for (kind, container) in declared(&self.ground.pod) {
            let restarts = match (kind, Restarts::of(&self.ground)) {
                (Kind::Sidecar, _) => Restarts::Always,
                (Kind::Init, Restarts::Always) => Restarts::OnFailure,
                (Kind::Init | Kind::App, rule) => rule,
            };
            let plan = plan::plan(&self.ground, container, (&self.images, &redirects), restarts).await;
            plans.push(plan.with_context(|| format!("container {:?}", container.name))?);
        }
        Ok(plans)
    }

    /// Starts all containers in order; false if one that had to come first failed for good.
    async fn start(&self, plans: Vec<Plan>, crew: &mut Crew) -> bool {
        for (index, plan) in plans.into_iter().enumerate() {
            let (wish, wished) = watch::channel(Wish::Run);
            crew.wishes.push(wish);
            let slot = Slot { board: Arc::clone(&self.board), index };
            crew.tasks.spawn(container::run(plan, slot, wished));
            let is_enough: fn(&Container) -> bool = |it| match it.kind {
                Kind::Init => it.has_ended(),
                Kind::Sidecar => it.has_started(),
                Kind::App => true,
            };
            self.until(|all| all.get(index).is_none_or(is_enough)).await;
            let failed = |it: &Container| it.kind == Kind::Init && !it.has_succeeded();
            if self.board.borrow().get(index).is_some_and(failed) {
                return false;
            }
        }
        true
    }

    /// Ends what runs: hooks of all at once, then the apps, then the sidecars, the last one first.
    async fn end(&self, crew: &mut Crew, deadline: Deadline) {
        let kinds: Vec<Kind> = self.board.borrow().iter().map(|container| container.kind).collect();
        let started = || crew.wishes.iter().zip(&kinds).enumerate();
        for (_, (wish, kind)) in started() {
            wish.send_replace(if *kind == Kind::Sidecar { Wish::Prepare } else { Wish::End(deadline) });
        }
        let others: Vec<usize> =
            started().filter(|(_, (_, kind))| **kind != Kind::Sidecar).map(|(index, _)| index).collect();
        let has_ended = |all: &[Container], index: &usize| all.get(*index).is_none_or(Container::has_ended);
        self.until(|all| others.iter().all(|index| has_ended(all, index))).await;
        for (index, (wish, kind)) in started().collect::<Vec<_>>().into_iter().rev() {
            if *kind == Kind::Sidecar {
                wish.send_replace(Wish::End(deadline));
                self.until(|all| has_ended(all, &index)).await;
            }
        }
    }

    async fn until(&self, is_so: impl Fn(&[Container]) -> bool) {
        // The board lives as long as we do, so that this cannot fail.
        let _ = self.board.subscribe().wait_for(|all| is_so(all)).await;
    }

    fn complain(&self, error: &anyhow::Error) {
        let waiting = Phase::waiting("CreateContainerConfigError", &format!("{error:#}"));
        // Not in the head of the loop, whose borrow would last to its end.
        let count = self.board.borrow().len();
        for index in 0..count {
            Slot { board: Arc::clone(&self.board), index }.set(waiting.clone());
        }
    }

    /// Reports the end, and takes the Pod out of the API.
    async fn remove(&self) {
        let ground = &self.ground;
        let containers = self.board.borrow().clone();
        let pods: Api<Pod> = Api::namespaced(ground.cluster.client(), ground.namespace());
        // Whoever forced the deletion has taken the Pod away already.
        let _ = write(&pods, ground, &ground.pod, &containers).await;
        let preconditions = Preconditions { uid: Some(ground.uid().to_owned()), ..Preconditions::default() };
        let now =
            DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default().grace_period(0) };
        let _ = pods.delete(ground.name(), &now).await;
    }
}

async fn stopped(stop: &mut watch::Receiver<Option<Deadline>>) -> Deadline {
    match stop.wait_for(Option::is_some).await.map(|deadline| *deadline) {
        Ok(Some(deadline)) => deadline,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// Writes the Pod's status whenever something changes.
async fn report(ground: Ground, mut board: watch::Receiver<Vec<Container>>) {
    let pods: Api<Pod> = Api::namespaced(ground.cluster.client(), ground.namespace());
    let mut pod = ground.pod.clone();
    loop {
        let containers = board.borrow_and_update().clone();
        match write(&pods, &ground, &pod, &containers).await {
            Ok(written) => pod = written,
            Err(kube::Error::Api(status)) if status.is_not_found() => return,
            Err(_) => {
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        if board.changed().await.is_err() {
            return;
        }
    }
}

async fn write(
    pods: &Api<Pod>,
    ground: &Ground,
    last: &Pod,
    containers: &[Container],
) -> Result<Pod, kube::Error> {
    let ip = ground.reported_ip();
    let mut patch = state::patch(last, containers, (&ip, HOST_IP), &container::time());
    // A Pod of the same name that came after this one is another Pod.
    patch["metadata"] = serde_json::json!({"uid": ground.uid()});
    pods.patch_status(ground.name(), &PatchParams::default(), &Patch::Merge(&patch)).await
}
