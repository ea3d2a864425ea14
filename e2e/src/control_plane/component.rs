//! The command line of each component.
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Reach;
use crate::certs::Issued;
use crate::process::{Process, Tethered};
use crate::tools::{self, Tool};

/// The audit log's name in the control plane's folder.
pub(super) const AUDIT_LOG: &str = "audit.jsonl";

/// What users' workloads write, in full. Reviews carry tokens, which no log may hold.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
    {"level": "Metadata", "resources": [{"group": "authentication.k8s.io"}, {"group": "", "resources": ["serviceaccounts/token"]}]},
    {"level": "RequestResponse", "userGroups": ["system:serviceaccounts"], "verbs": ["create", "update", "patch", "delete"]},
    {"level": "None"}
  ]
}"#;

/// The ports of one control plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) etcd: u16,
    pub(super) api: u16,
    pub(super) controller_manager: u16,
}

impl Ports {
    /// Ports that were free a moment ago: none of the components can say which one it was given.
    pub(super) fn free() -> Result<Self> {
        let listeners = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        let [etcd, api, controller_manager] = listeners;
        let port = |listener: std::io::Result<TcpListener>| anyhow::Ok(listener?.local_addr()?.port());
        Ok(Self { etcd: port(etcd)?, api: port(api)?, controller_manager: port(controller_manager)? })
    }

    fn store(self) -> String {
        format!("http://127.0.0.1:{}", self.etcd)
    }
}

pub(super) fn etcd(folder: &Path, ports: Ports) -> Result<Process> {
    let client = ports.store();
    let arguments = [
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        // What a power cut would lose does not matter to a test.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    start(Tool::Etcd, arguments.to_vec(), folder)
}

/// What an API server is started with.
pub(super) struct ApiServer<'a> {
    pub(super) folder: &'a Path,
    pub(super) reach: Reach,
    pub(super) ports: Ports,
    pub(super) serving: &'a Issued,
    pub(super) kubelet_client: &'a Issued,
    pub(super) ca: &'a Path,
    /// Private and public key of ServiceAccounts' tokens.
    pub(super) signing: &'a (PathBuf, PathBuf),
}

pub(super) fn api_server(settings: &ApiServer<'_>) -> Result<Process> {
    let policy = settings.folder.join("audit-policy.json");
    std::fs::write(&policy, AUDIT_POLICY)?;
    let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let mut arguments = vec![
        format!("--etcd-servers={}", settings.ports.store()),
        format!("--bind-address={}", settings.reach.bind()),
        format!("--advertise-address={}", settings.reach.advertise()),
        format!("--secure-port={}", settings.ports.api),
        path("tls-cert-file", &settings.serving.certificate),
        path("tls-private-key-file", &settings.serving.key),
        path("client-ca-file", settings.ca),
        path("service-account-signing-key-file", &settings.signing.0),
        path("service-account-key-file", &settings.signing.1),
        path("audit-policy-file", &policy),
        path("audit-log-path", &settings.folder.join(AUDIT_LOG)),
    ];
    arguments.extend(
        [
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--api-audiences=https://kubernetes.default.svc",
        ]
        .map(str::to_owned),
    );
    if let Reach::Node(_) = settings.reach {
        arguments.push(path("kubelet-client-certificate", &settings.kubelet_client.certificate));
        arguments.push(path("kubelet-client-key", &settings.kubelet_client.key));
        arguments.push("--kubelet-preferred-address-types=InternalIP".to_owned());
    }
    start(Tool::ApiServer, arguments, settings.folder)
}

pub(super) fn controller_manager(
    folder: &Path,
    ports: Ports,
    kubeconfig: &Path,
    (ca, signing_key): (&Path, &Path),
) -> Result<Process> {
    let kubeconfig = kubeconfig.display();
    let arguments = [
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--secure-port={}", ports.controller_manager),
        format!("--service-account-private-key-file={}", signing_key.display()),
        format!("--root-ca-file={}", ca.display()),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
        "--use-service-account-credentials".to_owned(),
        "--cluster-cidr=10.244.0.0/16".to_owned(),
    ];
    start(Tool::ControllerManager, arguments.to_vec(), folder)
}

pub(super) fn scheduler(folder: &Path, kubeconfig: &Path) -> Result<Process> {
    let kubeconfig = kubeconfig.display();
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let arguments = [
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
    ];
    start(Tool::Scheduler, arguments.to_vec(), folder)
}

pub(crate) fn start(tool: Tool, arguments: Vec<String>, folder: &Path) -> Result<Process> {
    let program = tools::ensure_built(tool)?;
    Process::tether(Tethered {
        name: tool.name(),
        program: &program,
        arguments,
        environment: Vec::new(),
        folder,
    })
}
