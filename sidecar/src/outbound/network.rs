//! The way to partners: how their names are resolved, and what is dialled. One per process.

use tokio_util::task::TaskTracker;

use super::names::Names;

/// Shared by all partners.
#[derive(Clone)]
pub(crate) struct Network {
    pub(super) names: Names,
    #[cfg(test)]
    pub(super) stage: Option<stage::Stage>,
}

impl Network {
    /// Sockets, and the system's resolver.
    pub(crate) fn of_the_system(tasks: &TaskTracker) -> Self {
        Self {
            names: Names::of_the_system(tasks),
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

    use super::{Names, Network, TaskTracker};

    pub(crate) type Dialled = Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>;
    pub(crate) type Stage = Arc<dyn Fn(&str) -> Dialled + Send + Sync>;

    impl Network {
        /// No sockets at all.
        pub(crate) fn played(stage: Stage) -> Self {
            Self { names: Names::of_the_system(&TaskTracker::new()), stage: Some(stage) }
        }
    }
}
