//! What is put into a Pod: one container and its two volumes.

use chaperone_protocol::wire::feed::AUDIENCE;
use serde_json::{Value, json};

use super::Settings;
use super::wish::Wish;

/// The container's name.
pub(super) const NAME: &str = "chaperone";
/// Our volumes: the token that the operator knows the Pod by, and the last good configuration with its keys.
pub(super) const VOLUMES: [&str; 2] = ["chaperone-token", "chaperone-state"];

const TOKEN_DIR: &str = "/var/run/secrets/chaperone.dev";
const STATE_DIR: &str = "/var/run/chaperone";
/// Seconds that a token is good; kubelet renews it at four fifths.
const TOKEN_SECONDS: u32 = 3_600;
/// Bound of the memory that the last good configuration takes.
const STATE_BYTES: &str = "16Mi";
/// The numeric user of the image.
const USER: u32 = 65_532;
/// Probes, a second apart, before kubelet starts the sidecar anew: ten minutes without an operator.
const STARTUP_PROBES: u32 = 600;

/// The native sidecar. Every path, address and port that it uses stands here.
pub(super) fn container(settings: &Settings, wish: &Wish, authority: &str) -> Value {
    let env = [
        ("CHAPERONE_LISTEN", format!("127.0.0.1:{}", wish.port)),
        ("CHAPERONE_ADMIN", format!("0.0.0.0:{}", wish.admin_port())),
        ("CHAPERONE_FEED_ADDRESS", settings.feed_address.clone()),
        ("CHAPERONE_FEED_SERVER_NAME", settings.feed_server_name.clone()),
        ("CHAPERONE_FEED_CA", authority.to_owned()),
        ("CHAPERONE_TOKEN_FILE", format!("{TOKEN_DIR}/token")),
        ("CHAPERONE_STATE_DIR", STATE_DIR.to_owned()),
        ("CHAPERONE_START", wish.start.clone()),
    ];
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut resources = json!({"requests": {"cpu": settings.cpu, "memory": settings.memory}});
    for (resource, quantity) in &wish.limits {
        resources["limits"][resource] = json!(quantity);
    }
    let mut security = json!({
        "runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    if !settings.any_user {
        security["runAsUser"] = json!(USER);
    }
    json!({
        "name": NAME, "image": settings.image, "command": ["/chaperone-sidecar"], "env": env,
        "restartPolicy": "Always",
        "ports": [{"name": "chaperone-admin", "containerPort": wish.admin_port(), "protocol": "TCP"}],
        "startupProbe": {
            "httpGet": {"path": "/readyz", "port": wish.admin_port()},
            "periodSeconds": 1, "failureThreshold": STARTUP_PROBES,
        },
        "resources": resources,
        "securityContext": security,
        "volumeMounts": [
            {"name": VOLUMES[0], "mountPath": TOKEN_DIR, "readOnly": true},
            {"name": VOLUMES[1], "mountPath": STATE_DIR},
        ],
    })
}

/// In the order of [`VOLUMES`].
pub(super) fn volumes() -> [Value; 2] {
    let token = json!({"audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"});
    [
        json!({"name": VOLUMES[0], "projected": {"sources": [{"serviceAccountToken": token}]}}),
        json!({"name": VOLUMES[1], "emptyDir": {"medium": "Memory", "sizeLimit": STATE_BYTES}}),
    ]
}

/// What applications find: where the sidecar is, and keys without which official SDKs refuse to start. The sidecar drops
/// whatever key an application sends.
pub(super) fn application_env(port: u16) -> [(&'static str, String); 4] {
    let placeholder = || "chaperone-injects-the-key".to_owned();
    [
        ("OPENAI_BASE_URL", format!("http://127.0.0.1:{port}/v1")),
        ("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}")),
        ("OPENAI_API_KEY", placeholder()),
        ("ANTHROPIC_API_KEY", placeholder()),
    ]
}
