//! Tasks that the process cannot live without: it ends when the first of them does, so that a standby takes over.
//!
//! Without this a panic would end one task and leave the others: a leader that renews its Lease and compiles nothing.

use std::borrow::Cow;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Starts such tasks. None has an end of its own before the process is told to end.
#[derive(Debug, Clone)]
pub(crate) struct Vital {
    tasks: TaskTracker,
    ended: Arc<watch::Sender<Option<Ended>>>,
}

impl Vital {
    /// Nothing runs yet.
    pub(crate) fn new() -> Self {
        Self { tasks: TaskTracker::new(), ended: Arc::new(watch::channel(None).0) }
    }

    /// Starts a task, by the name that an error has for it.
    pub(crate) fn spawn(
        &self,
        name: impl Into<Cow<'static, str>>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let (name, ended) = (name.into(), Arc::clone(&self.ended));
        self.tasks.spawn(async move {
            let task = pin!(task);
            // Dropped before the task is: those that end because of it must not be named in its place.
            let _teller = Teller { name, ended };
            task.await;
        })
    }

    /// Whether all that were started still run.
    pub(crate) fn is_whole(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Waits for `told`, the word to end.
    ///
    /// # Errors
    /// If a task ends before: which.
    pub(crate) async fn run_until(&self, told: impl Future<Output = Result<()>>) -> Result<()> {
        let mut ended = self.ended.subscribe();
        tokio::select! {
            told = told => told,
            Ok(ended) = ended.wait_for(Option::is_some) => match &*ended {
                Some(ended) => Err(anyhow!("{ended}")),
                None => Ok(()),
            },
        }
    }
}

/// The first end of a task.
#[derive(Debug)]
struct Ended {
    name: Cow<'static, str>,
    panicked: bool,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.panicked { "panicked" } else { "ended by itself" };
        write!(formatter, "task {} {how}; the process cannot work without it", self.name)
    }
}

struct Teller {
    name: Cow<'static, str>,
    ended: Arc<watch::Sender<Option<Ended>>>,
}

impl Drop for Teller {
    fn drop(&mut self) {
        let ended = Ended { name: std::mem::take(&mut self.name), panicked: std::thread::panicking() };
        self.ended.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(ended);
            is_first
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_one_task_ends_the_process_with_an_error() {
        let vital = Vital::new();
        vital.spawn("feed", pending());
        vital.spawn("controller", async { panic!("a part of a prompt") });
        let error = vital.run_until(pending()).await.unwrap_err().to_string();
        assert_eq!(error, "task controller panicked; the process cannot work without it");
        assert!(!vital.is_whole());
    }

    #[tokio::test]
    async fn what_ends_because_of_another_is_not_named_in_its_place() {
        let vital = Vital::new();
        let (held, mut follows) = watch::channel(());
        vital.spawn("writer", async move { drop(follows.changed().await) });
        vital.spawn("controller", async move {
            let _held = held;
            tokio::task::yield_now().await;
        });
        let error = vital.run_until(pending()).await.unwrap_err().to_string();
        assert_eq!(error, "task controller ended by itself; the process cannot work without it");
    }

    #[tokio::test]
    async fn the_process_ends_well_when_it_is_told_to() {
        let vital = Vital::new();
        vital.spawn("controller", pending());
        vital.run_until(async { Ok(()) }).await.unwrap();
        assert!(vital.is_whole());
    }
}
