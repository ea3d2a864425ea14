//! Requests that nothing a test does may disturb.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::client::Answer;

/// The pause from one request to the next, where answers come faster.
const PACE: Duration = Duration::from_millis(5);

/// An application's traffic; ends with this value.
pub struct Traffic {
    ends: Arc<AtomicBool>,
    task: JoinSet<(usize, Vec<String>)>,
}

impl Traffic {
    /// Asks one time after the other, until it is told to end.
    pub fn begin<F>(ask: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        let (ends, mut task) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        let until = Arc::clone(&ends);
        task.spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            let (mut asked, mut failed) = (0, Vec::new());
            // Nothing but this flag passes between the two.
            while !until.load(Ordering::Relaxed) {
                pace.tick().await;
                asked += 1;
                match ask().await {
                    Ok(answer) if answer.status.is_success() => {}
                    Ok(answer) => failed.push(format!("{}: {}", answer.status, answer.text())),
                    Err(error) => failed.push(format!("{error:#}")),
                }
            }
            (asked, failed)
        });
        Self { ends, task }
    }

    /// Ends it; returns how many requests there were, all of which had an answer.
    ///
    /// # Errors
    /// If one was refused or had none.
    pub async fn end(mut self) -> Result<usize> {
        self.ends.store(true, Ordering::Relaxed);
        let (asked, failed) = self.task.join_next().await.context("traffic")??;
        ensure!(failed.is_empty(), "{} of {asked} requests failed, as {:?}", failed.len(), failed.first());
        Ok(asked)
    }
}
