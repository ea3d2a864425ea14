//! Which tests run: `CHAPERONE_E2E` names the highest tier, or the user's own cluster.
//!
//! What is left out, or cannot run, says so in one line on standard error, with the remedy.
use std::io::Write as _;

use anyhow::{Result, bail, ensure};

use crate::settings;

/// What a test needs. A higher tier includes the lower ones.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tier {
    /// etcd, API server and controller manager; operator and sidecars as processes.
    ControlPlane = 1,
    /// Scheduler and kwok as well: thousands of fake Pods.
    Scale = 2,
    /// A real node: kubelet, containerd, runc, CNI, kube-proxy.
    Node = 3,
}

/// What `CHAPERONE_E2E` selects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Selection {
    /// The variable is not set: nothing beyond tests that need no cluster.
    Unset,
    /// Everything up to this tier; 0 means nothing that needs a cluster.
    UpTo(u8),
    /// Tests that can run on a cluster run on the user's, and no others.
    UsersCluster,
}

impl Selection {
    /// Reads the variable's value.
    ///
    /// # Errors
    /// If it is none that is known.
    pub fn parse(value: Option<&str>) -> Result<Self> {
        Ok(match value {
            None => Self::Unset,
            Some("0") => Self::UpTo(0),
            Some("1") => Self::UpTo(1),
            Some("2") => Self::UpTo(2),
            Some("3") => Self::UpTo(3),
            Some("cluster") => Self::UsersCluster,
            Some(other) => bail!("CHAPERONE_E2E is {other:?}; known are 0, 1, 2, 3 and cluster"),
        })
    }

    /// What the environment selects.
    ///
    /// # Errors
    /// If the variable's value is none that is known.
    pub fn of_environment() -> Result<Self> {
        Self::parse(settings::tests_to_run().as_deref())
    }

    /// Whether tests of `tier` are selected.
    #[must_use]
    pub fn includes(self, tier: Tier) -> bool {
        matches!(self, Self::UpTo(highest) if highest >= tier as u8)
    }
}

/// Whether `test`, which needs `tier`, is selected; if not, says so.
///
/// # Errors
/// If nothing was selected although everything is required.
pub fn is_selected(test: &str, tier: Tier) -> Result<bool> {
    let selection = Selection::of_environment()?;
    if selection.includes(tier) {
        return Ok(true);
    }
    // Leaving a test out by choice is no failure; forgetting to choose is one where everything is required.
    let message = format!("{test}: set CHAPERONE_E2E={} to run it", tier as u8);
    ensure!(selection != Selection::Unset || !settings::everything_is_required(), "{message}");
    writeln!(std::io::stderr(), "skipped {message}")?;
    Ok(false)
}

/// Says that a selected test cannot run, and how it could.
///
/// # Errors
/// If everything is required.
pub fn cannot_run(test: &str, remedy: &str) -> Result<()> {
    ensure!(!settings::everything_is_required(), "{test}: {remedy}");
    Ok(writeln!(std::io::stderr(), "skipped {test}: {remedy}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_includes_those_below_it() {
        let selection = Selection::parse(Some("2")).unwrap();
        let included = [Tier::ControlPlane, Tier::Scale, Tier::Node].map(|tier| selection.includes(tier));
        assert_eq!(included, [true, true, false]);
    }

    #[test]
    fn neither_silence_nor_a_users_cluster_selects_a_tier() {
        for value in [None, Some("0"), Some("cluster")] {
            assert!(!Selection::parse(value).unwrap().includes(Tier::ControlPlane), "{value:?}");
        }
    }

    #[test]
    fn an_unknown_value_is_refused() {
        assert!(Selection::parse(Some("yes")).is_err());
    }
}
