//! The feed: connects to the operator's leader, puts in force what it sends, says whether it did.
//!
//! The data path never waits for any of it: what is in force stays so, for ever if need be. `client` is one connection,
//! `session` what is said on it, `applied` what is in force, `last_good` its copy on disk, `reports` when we speak
//! unasked, `reconnect` the patience.

mod applied;
mod client;
mod freshness;
mod last_good;
mod reconnect;
mod reports;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::freshness::Freshness;

use self::applied::Applied;
use self::client::{Connector, Why};
use self::last_good::{LastGood, Loaded};
use self::reconnect::{Epochs, Reconnect};
use crate::clock;
use crate::sidecar::Shared;

/// Where the operator is, and what this sidecar shows it.
#[derive(Debug, Clone)]
pub struct Feed {
    /// `host:port` to dial.
    pub address: String,
    /// The name that the operator's certificate must be for.
    pub server_name: String,
    /// The authority that must have signed it, in PEM, until a snapshot names others.
    pub ca: String,
    /// File with the ServiceAccount token, which somebody renews.
    pub token: PathBuf,
    /// Folder for the last good configuration; memory-backed, since keys are in it.
    pub state: PathBuf,
}

/// Puts the last good configuration in force, if there is one. What is wrong with a copy is named, and it is not used.
pub(crate) fn restore(shared: &Shared, feed: &Feed) {
    match LastGood::new(&feed.state).load() {
        Ok(Some(Loaded { snapshot, keys, age })) => {
            shared.freshness.restored(clock::now(), age);
            shared.apply(snapshot, keys);
        }
        Ok(None) => {}
        Err(refused) => {
            tracing::error!(%refused, "the last good configuration is not used; waiting for the operator")
        }
    }
}

/// Whom to trust: what the snapshot in force says, else what the sidecar was started with.
fn authorities(shared: &Shared, feed: &Feed) -> String {
    let world = shared.live.world();
    world.and_then(|world| world.snapshot.feed_ca().map(str::to_owned)).unwrap_or_else(|| feed.ca.clone())
}

/// Follows the operator until it is dropped.
pub(crate) async fn run(shared: &Arc<Shared>, feed: &Feed) {
    let mut connector = match Connector::new(feed, authorities(shared, feed)) {
        Ok(connector) => connector,
        Err(problem) => {
            tracing::error!(problem, "the operator cannot be trusted, so it is not called");
            return std::future::pending().await;
        }
    };
    let mut applied = Applied::new(Arc::clone(shared), LastGood::new(&feed.state));
    let (mut reconnect, mut epochs) = (Reconnect::new(clock::now()), Epochs::default());
    loop {
        let authorities = authorities(shared, feed);
        if authorities != connector.authorities() {
            match Connector::new(feed, authorities) {
                Ok(trusting) => connector = trusting,
                Err(problem) => tracing::error!(problem, "the authorities before stay in use"),
            }
        }
        let ended = connector.follow(&mut applied, &mut epochs).await;
        let now = clock::now();
        shared.freshness.lost(now);
        if ended.was_heard {
            reconnect = Reconnect::new(now);
        }
        let delay = match ended.why {
            Why::Away { retry_after, .. } | Why::Busy { retry_after } | Why::Unread { retry_after, .. } => {
                reconnect.after_asked(retry_after, now, clock::random_below)
            }
            Why::Broken(_) => reconnect.next(now, clock::random_below),
        };
        // Each short wait of an outage would drown the others; that it goes on is said every few seconds at most.
        if ended.was_heard || delay >= Duration::from_secs(1) {
            tracing::warn!(%ended, "no stream from the operator; what is in force stays");
        }
        tokio::time::sleep(delay).await;
    }
}

#[cfg(test)]
mod tests;
