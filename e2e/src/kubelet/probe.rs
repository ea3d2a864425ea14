//! Startup, readiness and liveness, with the thresholds that stand in the Pod.
use std::ops::ControlFlow;
use std::process::Stdio;

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::plan::{Plan, seconds};
use crate::client;

/// Probes a running container for ever; ends when it must be restarted.
///
/// `tell(is_ready)` is called once it has started, and after each turn of readiness.
pub(super) async fn watch(plan: &Plan, tell: impl Fn(bool)) {
    if let Some(startup) = &plan.startup {
        let mut has_started = false;
        follow(plan, startup, |turn| {
            has_started = turn;
            ControlFlow::Break(())
        })
        .await;
        if !has_started {
            return;
        }
    }
    tell(plan.readiness.is_none());
    let readiness = async {
        match &plan.readiness {
            None => std::future::pending().await,
            Some(probe) => {
                follow(plan, probe, |turn| {
                    tell(turn);
                    ControlFlow::Continue(())
                })
                .await;
            }
        }
    };
    let liveness = async {
        match &plan.liveness {
            None => std::future::pending().await,
            Some(probe) => {
                let is_alive = |turn| if turn { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
                follow(plan, probe, is_alive).await;
            }
        }
    };
    tokio::select! {
        () = readiness => {}
        () = liveness => {}
    }
}

/// Probes at the probe's pace, and tells every time that a threshold is reached: `true` that of successes.
async fn follow(plan: &Plan, probe: &Probe, mut act: impl FnMut(bool) -> ControlFlow<()>) {
    let period = seconds(probe.period_seconds.filter(|&period| period > 0), 10);
    let mut streak = Streak::default();
    tokio::time::sleep(seconds(probe.initial_delay_seconds, 0)).await;
    loop {
        let turn = streak.add(&once(plan, probe).await, probe);
        if turn.is_some_and(|turn| act(turn).is_break()) {
            return;
        }
        tokio::time::sleep(period).await;
    }
}

/// Outcomes that followed each other.
#[derive(Default)]
struct Streak {
    successes: i32,
    failures: i32,
}

impl Streak {
    /// Counts an outcome; says which threshold it reaches, if any.
    fn add(&mut self, outcome: &Result<()>, probe: &Probe) -> Option<bool> {
        if outcome.is_ok() {
            (self.successes, self.failures) = (self.successes.saturating_add(1), 0);
            (self.successes >= probe.success_threshold.unwrap_or(1)).then_some(true)
        } else {
            (self.successes, self.failures) = (0, self.failures.saturating_add(1));
            (self.failures >= probe.failure_threshold.unwrap_or(3)).then_some(false)
        }
    }
}

async fn once(plan: &Plan, probe: &Probe) -> Result<()> {
    tokio::time::timeout(seconds(probe.timeout_seconds, 1), attempt(plan, probe)).await?
}

async fn attempt(plan: &Plan, probe: &Probe) -> Result<()> {
    if let Some(get) = &probe.http_get {
        return http(plan, get).await;
    }
    if let Some(socket) = &probe.tcp_socket {
        TcpStream::connect((plan.address, plan.port(&socket.port)?)).await?;
        return Ok(());
    }
    match probe.exec.as_ref().and_then(|exec| exec.command.as_deref()) {
        Some(command) => exec(plan, command).await,
        None => bail!("a probe of a kind that is not known here"),
    }
}

/// Any answer from 200 to 399 is a success.
pub(super) async fn http(plan: &Plan, get: &HTTPGetAction) -> Result<()> {
    ensure!(get.scheme.as_deref().is_none_or(|scheme| scheme == "HTTP"), "only HTTP is known here");
    let address = format!("{}:{}", plan.address, plan.port(&get.port)?);
    let answer = client::get(&address, get.path.as_deref().unwrap_or("/"), &[]).await?;
    ensure!((200..400).contains(&answer.status.as_u16()), "{}", answer.status);
    Ok(())
}

/// Runs a command as if inside the container.
pub(super) async fn exec(plan: &Plan, command: &[String]) -> Result<()> {
    let (program, arguments) = plan.inside(command)?;
    let status = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", crate::settings::search_path())
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&plan.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_reached_by_outcomes_that_follow_each_other() {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(3), ..Probe::default() };
        let mut streak = Streak::default();
        let outcomes = [true, false, true, true, true, false, false, true, false, false, false];
        let outcome = |is_success: bool| if is_success { Ok(()) } else { Err(anyhow::anyhow!("no")) };
        let turns = outcomes.map(|is_success| streak.add(&outcome(is_success), &probe));
        let quiet = None;
        let wanted =
            [quiet, quiet, quiet, Some(true), Some(true), quiet, quiet, quiet, quiet, quiet, Some(false)];
        assert_eq!(turns, wanted);
    }
}
