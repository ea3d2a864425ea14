//! The settings of containerd, CNI, kubelet and kube-proxy.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::{ADDRESS, NAME, SOCKET, images};

/// The Pods' addresses.
const PODS: &str = "10.244.0.0/16";

/// What names of Services end in.
const DOMAIN: &str = "cluster.local";

/// Writes containerd's configuration and its CNI network; returns where it is.
pub(super) fn containerd(folder: &Path) -> Result<PathBuf> {
    let cni = folder.join("cni");
    std::fs::create_dir_all(&cni)?;
    // Nothing leaves the machine, so that no address is masqueraded, which would need iptables.
    let network = json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
            "ipam": {
                "type": "host-local", "dataDir": folder.join("addresses"),
                "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    std::fs::write(cni.join("pods.conflist"), network.to_string())?;
    let text = format!(
        r#"version = 2
root = "{root}/root"
state = "/run/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE, as in many sandboxes, runc otherwise cannot start its child.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
"#,
        root = folder.display(),
        pause = images::PROGRAM.name,
        cni = cni.display(),
    );
    let path = folder.join("config.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Writes the kubelet's configuration; returns its arguments.
pub(super) fn kubelet(folder: &Path, kubeconfig: &Path, ca: &Path) -> Result<Vec<String>> {
    let nothing = "0%";
    let settings = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": [],
        "failSwapOn": false, "localStorageCapacityIsolation": false,
        // A full disk is the machine's own affair.
        "evictionHard": {"memory.available": nothing, "nodefs.available": nothing, "nodefs.inodesFree": nothing,
            "imagefs.available": nothing},
        "imageGCHighThresholdPercent": 100, "syncFrequency": "5s",
        "address": ADDRESS, "resolvConf": "", "clusterDNS": [ADDRESS], "clusterDomain": DOMAIN,
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": ca}},
        "authorization": {"mode": "Webhook"},
    });
    let path = folder.join("kubelet.json");
    std::fs::write(&path, settings.to_string())?;
    Ok(vec![
        format!("--config={}", path.display()),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--hostname-override={NAME}"),
        format!("--node-ip={ADDRESS}"),
        format!("--root-dir={}", folder.join("kubelet").display()),
        format!("--cert-dir={}", folder.join("kubelet-certificates").display()),
    ])
}

pub(super) fn proxy(kubeconfig: &Path) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--hostname-override={NAME}"),
        format!("--cluster-cidr={PODS}"),
        "--proxy-mode=nftables".to_owned(),
        // The table of connections is the machine's own.
        "--conntrack-max-per-core=0".to_owned(),
    ]
}

/// Writes the name server's configuration; returns its arguments.
pub(super) fn name_server(folder: &Path, kubeconfig: &Path) -> Result<Vec<String>> {
    let path = folder.join("Corefile");
    let kubeconfig = kubeconfig.display();
    std::fs::write(
        &path,
        format!(
            ".:53 {{\n bind {ADDRESS}\n errors\n kubernetes {DOMAIN} {{\n kubeconfig {kubeconfig}\n }}\n}}\n"
        ),
    )?;
    Ok(vec!["-conf".to_owned(), path.display().to_string()])
}
