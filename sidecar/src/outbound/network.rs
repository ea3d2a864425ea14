//! The way to partners: how their names are resolved, and what is dialled. One per process.

use prometheus::IntCounterVec;
use tokio_util::task::TaskTracker;

use super::names::Names;

/// Shared by all partners.
#[derive(Clone)]
pub(crate) struct Network {
    pub(super) names: Names,
    /// Counts connections over HTTP/2 that are used no more.
    pub(super) retired: IntCounterVec,
    #[cfg(test)]
    pub(super) stage: Option<stage::Stage>,
}

impl Network {
    /// Sockets, and the system's resolver.
    pub(crate) fn of_the_system(tasks: &TaskTracker, retired: &IntCounterVec) -> Self {
        Self {
            names: Names::of_the_system(tasks),
            retired: retired.clone(),
            #[cfg(test)]
            stage: None,
        }
    }
}

/// Partners that a test plays, by the host that is dialled.
#[cfg(test)]
pub(crate) mod stage {
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;

    use tokio::io::DuplexStream;

    use super::{Network, TaskTracker};
    use crate::metrics::Metrics;

    pub(crate) type Dialled = Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>;
    pub(crate) type Stage = Arc<dyn Fn(&str) -> Dialled + Send + Sync>;

    impl Network {
        /// No sockets at all.
        pub(crate) fn played(stage: Stage) -> Self {
            let retired = &Metrics::new().unwrap().http2_retired;
            Self { stage: Some(stage), ..Self::of_the_system(&TaskTracker::new(), retired) }
        }
    }
}
