//! Polls with a deadline. Tests never sleep for a fixed time.
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::Deadline;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `look` yields a value, at most for `patience`.
///
/// # Errors
/// If `look` fails, or `patience` ends first; the error then names `what`.
pub async fn until<T, F, Fut>(what: &str, patience: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = Deadline::after(patience);
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if deadline.is_over() {
            bail!("waited {patience:?} in vain for {what}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
