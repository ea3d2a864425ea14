//! One container as a process: start, probes, restarts, the way it ends.
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::LifecycleHandler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::os::unix::process::ExitStatusExt as _;
use tokio::sync::watch;

use super::plan::{Plan, seconds};
use super::probe;
use super::state::{Container, Phase};
use crate::clock::{self, Deadline};
use crate::process::{Process, Tethered};

/// The pause before a container is started again; doubled each time, up to the longest.
const BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// How long a container that failed its liveness probe has to end.
const LIVENESS_GRACE: Duration = Duration::from_secs(5);

/// Exit code of a command that could not be started, as container runtimes report it.
const CANNOT_START: i32 = 128;

/// What is known of all containers of a Pod; everyone who wants to know subscribes.
pub(super) type Board = watch::Sender<Vec<Container>>;

/// One container's place on the board.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) board: Arc<Board>,
    pub(super) index: usize,
}

impl Slot {
    pub(super) fn set(&self, phase: Phase) {
        self.change(|container| container.phase = phase);
    }

    fn change(&self, change: impl FnOnce(&mut Container)) {
        self.board.send_if_modified(|containers| {
            let Some(container) = containers.get_mut(self.index) else { return false };
            let before = container.clone();
            change(container);
            *container != before
        });
    }

    fn running(&self, since: &Time, process: Option<u32>, (started, ready): (bool, bool)) {
        self.set(Phase::Running { since: since.clone(), process, started, ready });
    }

    fn restart(&self) {
        self.change(|container| {
            container.restarts += 1;
            container.phase = Phase::waiting("CrashLoopBackOff", "it ended and is started again");
        });
    }
}

/// What the Pod wants of a container.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// To run.
    Run,
    /// To prepare for its end by its preStop hook, and go on.
    Prepare,
    /// To end, by force at this moment.
    End(Deadline),
}

/// How one run of a process ended.
enum End {
    ByItself(i32),
    AsWished(i32),
}

/// Runs a container until it has ended for good.
pub(super) async fn run(plan: Plan, slot: Slot, mut wish: watch::Receiver<Wish>) {
    let mut backoff = BACKOFF;
    let exit_code = loop {
        match once(&plan, &slot, &mut wish).await {
            End::AsWished(exit_code) => break exit_code,
            End::ByItself(exit_code) if !plan.restarts.after(exit_code) => break exit_code,
            End::ByItself(exit_code) => {
                slot.restart();
                let stopped = tokio::time::timeout(backoff, wished_end(&mut wish)).await;
                if stopped.is_ok() {
                    break exit_code;
                }
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
    };
    slot.set(Phase::Ended { exit_code, since: time() });
}

async fn once(plan: &Plan, slot: &Slot, wish: &mut watch::Receiver<Wish>) -> End {
    let since = time();
    let Some(program) = &plan.program else {
        slot.running(&since, None, (true, true));
        wished_end(wish).await;
        return End::AsWished(0);
    };
    let launch = Tethered {
        name: &plan.name,
        program,
        arguments: plan.arguments.clone(),
        environment: plan.environment.clone(),
        folder: &plan.folder,
    };
    let Ok(mut process) = Process::tether(launch) else { return End::ByItself(CANNOT_START) };
    let id = process.id();
    slot.running(&since, id, (false, false));
    let probes = probe::watch(plan, |is_ready| slot.running(&since, id, (true, is_ready)));
    let preparation = prepare_when_wished(plan, wish.clone());
    tokio::select! {
        status = process.wait() => End::ByItself(exit_code(status)),
        () = probes => End::ByItself(end(&mut process, Deadline::after(LIVENESS_GRACE)).await),
        deadline = preparation => End::AsWished(end(&mut process, deadline).await),
    }
}

/// Waits for the wish to prepare or to end; the hook runs once, before the signal, inside the grace period.
async fn prepare_when_wished(plan: &Plan, mut wish: watch::Receiver<Wish>) -> Deadline {
    let prepare = wish.wait_for(|wish| !matches!(wish, Wish::Run)).await.is_ok();
    if !prepare {
        return std::future::pending().await;
    }
    let hook = async {
        if let Some(hook) = &plan.pre_stop {
            // As a kubelet: a hook that fails delays nothing.
            let _ = pre_stop(plan, hook).await;
        }
    };
    let mut ending = wish.clone();
    let deadline = async {
        let deadline = wished_end(&mut ending).await;
        tokio::time::sleep(deadline.left()).await;
    };
    tokio::select! {
        () = hook => {}
        () = deadline => {}
    }
    wished_end(&mut wish).await
}

async fn pre_stop(plan: &Plan, hook: &LifecycleHandler) -> Result<()> {
    if let Some(get) = &hook.http_get {
        probe::http(plan, get).await?;
    }
    if let Some(command) = hook.exec.as_ref().and_then(|exec| exec.command.as_deref()) {
        probe::exec(plan, command).await?;
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(seconds(i32::try_from(sleep.seconds).ok(), 0)).await;
    }
    Ok(())
}

/// Waits for the wish to end. A Pod that is gone wishes nothing any more: then its tasks are dropped.
async fn wished_end(wish: &mut watch::Receiver<Wish>) -> Deadline {
    match wish.wait_for(|wish| matches!(wish, Wish::End(_))).await.map(|wish| *wish) {
        Ok(Wish::End(deadline)) => deadline,
        Ok(Wish::Run | Wish::Prepare) | Err(_) => std::future::pending().await,
    }
}

/// SIGTERM, and SIGKILL at the deadline.
async fn end(process: &mut Process, deadline: Deadline) -> i32 {
    // It may have ended by itself in this moment.
    let _ = process.terminate();
    match process.ended(deadline.left()).await {
        Ok(status) => exit_code(Ok(status)),
        Err(_) => {
            let _ = process.kill().await;
            exit_code(process.wait().await)
        }
    }
}

fn exit_code(status: Result<ExitStatus>) -> i32 {
    status.map_or(CANNOT_START, |status| {
        status.code().or(status.signal().map(|it| 128 + it)).unwrap_or_default()
    })
}

/// Now, in whole seconds as the API has it.
pub(super) fn time() -> Time {
    Time(clock::timestamp())
}
