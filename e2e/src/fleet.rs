//! Thousands of Pods that never start a container: kwok keeps fake Nodes alive, the scheduler fills them.
//!
//! The Pods are real objects, injected, with real tokens; who plays their containers is the test's affair.
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::control_plane::{ControlPlane, component};
use crate::process::Process;
use crate::tier::{self, Tier};
use crate::tools::{self, Tool};

/// Marks the Nodes that kwok keeps alive.
const MARK: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

/// Pods that one fake Node takes.
const PODS: &str = "1000";

/// Scheduler and kwok; both end with this value.
pub struct Fleet {
    _kwok: Process,
    _scheduler: Process,
    plane: ControlPlane,
}

impl Fleet {
    /// A control plane with so many fake Nodes, for `test` alone; `None`, with a line that says why, where the test is
    /// not to run.
    ///
    /// # Errors
    /// If it should run and cannot.
    pub async fn for_test(test: &str, nodes: usize) -> Result<Option<Self>> {
        if !tier::is_selected(test, Tier::Scale)? {
            return Ok(None);
        }
        if let Some(remedy) = tools::what_is_missing() {
            return tier::cannot_run(test, &remedy).map(|()| None);
        }
        let plane = ControlPlane::start().await?;
        let scheduler = plane.scheduler()?;
        let cluster = plane.cluster()?;
        let arguments = [
            format!("--kubeconfig={}", cluster.kubeconfig().display()),
            "--manage-all-nodes=false".to_owned(),
            format!("--manage-nodes-with-annotation-selector={}={}", MARK.0, MARK.1),
            "--node-lease-duration-seconds=40".to_owned(),
        ];
        let kwok = component::start(Tool::Kwok, arguments.to_vec(), plane.folder())?;
        let fleet = Self { _kwok: kwok, _scheduler: scheduler, plane };
        for number in 0..nodes {
            fleet.add_node(&format!("fake-{number}")).await.context("a fake Node")?;
        }
        Ok(Some(fleet))
    }

    async fn add_node(&self, name: &str) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.plane.cluster()?.client());
        let owner = PatchParams::apply("chaperone-e2e").force();
        let resources = json!({"cpu": "1k", "memory": "1Ti", "pods": PODS});
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "annotations": {MARK.0: MARK.1}, "labels": {"kubernetes.io/hostname": name}},
        });
        nodes.patch(name, &owner, &Patch::Apply(&node)).await?;
        let status = json!({"status": {"allocatable": resources, "capacity": resources}});
        nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }

    /// Its control plane.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }
}
