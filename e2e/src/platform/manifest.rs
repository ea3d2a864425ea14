//! What is applied for operators and sidecars.
use serde_json::{Value, json};

/// Images that the harness runs programs for.
pub(super) const OPERATOR: &str = "chaperone.test/operator";
pub(super) const SIDECAR: &str = "chaperone.test/sidecar";

/// Whether operators put sidecars into Pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Injection {
    On,
    Off,
}

/// ServiceAccount, rights, Service, and one Pod for each replica.
pub(super) fn operators(namespace: &str, replicas: usize, injection: Injection) -> Value {
    let account = json!({"kind": "ServiceAccount", "name": "chaperone-operator", "namespace": namespace});
    let bind = |kind: &str, role: &str, metadata: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": "chaperone-operator"},
            "subjects": [account],
        })
    };
    let named = json!({"name": "chaperone-operator", "namespace": namespace});
    let mut items = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "chaperone-operator"}, "rules": cluster_rules(),
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": named, "rules": own_rules(),
        }),
        bind("ClusterRoleBinding", "ClusterRole", json!({"name": "chaperone-operator"})),
        bind("RoleBinding", "Role", named),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "chaperone-feed", "namespace": namespace},
            "spec": {
                "selector": {"app": "chaperone-operator", "chaperone.dev/role": "leader"},
                "ports": [{"name": "feed", "port": 443, "targetPort": "feed"}],
            },
        }),
    ];
    items.extend((0..replicas).map(|index| operator(namespace, index, injection)));
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// What an operator may do in a namespace that it watches. The chart grants the same.
#[must_use]
pub fn watch_rules() -> Value {
    let read = ["get", "list", "watch"];
    json!([
        {"apiGroups": ["chaperone.dev"], "resources": ["partners", "modelroutes", "tenantquotas"], "verbs": read},
        {
            "apiGroups": ["chaperone.dev"], "verbs": ["patch"],
            "resources": ["partners/status", "modelroutes/status", "tenantquotas/status"],
        },
        {"apiGroups": [""], "resources": ["pods", "secrets", "configmaps"], "verbs": read},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ])
}

/// What it may do in the cluster as a whole, whatever it watches. The chart grants the same.
#[must_use]
pub fn unbound_rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {
            "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": ["chaperone-injector"], "verbs": ["get", "list", "watch", "patch"],
        },
    ])
}

/// What an operator may do in every namespace, if it watches all of them. The chart grants the same.
#[must_use]
pub fn cluster_rules() -> Value {
    let rules = [watch_rules(), unbound_rules()];
    rules.iter().flat_map(|rules| rules.as_array().into_iter().flatten()).cloned().collect()
}

/// What it may do in its own namespace. The chart grants the same.
#[must_use]
pub fn own_rules() -> Value {
    json!([
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["chaperone-operator"],
            "verbs": ["get", "update"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["chaperone-tls"],
            "verbs": ["get", "list", "watch", "update"],
        },
        {
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["chaperone-root"],
            "verbs": ["get", "list", "watch"],
        },
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]},
    ])
}

fn operator(namespace: &str, index: usize, injection: Injection) -> Value {
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut args = vec!["--feed-listen=0.0.0.0:8443", "--admin-listen=0.0.0.0:8080"];
    let image = format!("--sidecar-image={SIDECAR}");
    if injection == Injection::On {
        args.extend([image.as_str(), "--webhook-listen=0.0.0.0:9443"]);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("chaperone-operator-{index}"), "namespace": namespace,
            "labels": {"app": "chaperone-operator"},
        },
        "spec": {
            "serviceAccountName": "chaperone-operator",
            "containers": [{
                "name": "chaperone", "image": OPERATOR, "command": ["/chaperone-operator"],
                "args": args,
                "env": [field("POD_NAMESPACE", "metadata.namespace"), field("POD_NAME", "metadata.name")],
                "ports": [
                    {"name": "feed", "containerPort": 8443}, {"name": "webhook", "containerPort": 9443},
                ],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
            }],
        },
    })
}

/// A Pod whose only container is a sidecar, as it is injected into others.
pub(super) fn sidecar(name: &str, server_name: &str, ca: &str) -> Value {
    let env = [
        // The harness puts the relay's address in its place.
        ("CHAPERONE_FEED_ADDRESS", server_name),
        ("CHAPERONE_FEED_SERVER_NAME", server_name),
        ("CHAPERONE_FEED_CA", ca),
        ("CHAPERONE_LISTEN", "127.0.0.1:4141"),
        ("CHAPERONE_ADMIN", "0.0.0.0:4142"),
        ("CHAPERONE_TOKEN_FILE", "/var/run/secrets/chaperone.dev/token"),
        ("CHAPERONE_STATE_DIR", "/var/run/chaperone"),
    ];
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let token = json!({"audience": "chaperone-operator", "expirationSeconds": 3600, "path": "token"});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": injected(name),
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "chaperone", "image": SIDECAR, "command": ["/chaperone-sidecar"], "env": env,
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": 4142}, "periodSeconds": 1},
                "volumeMounts": [
                    {"name": "token", "mountPath": "/var/run/secrets/chaperone.dev"},
                    {"name": "state", "mountPath": "/var/run/chaperone"},
                ],
            }],
            "volumes": [
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
                {"name": "state", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
            ],
        },
    })
}

/// A Pod that a test speaks for.
pub(super) fn silent(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": injected(name),
        "spec": {"containers": [{"name": "chaperone", "image": "chaperone.test/nothing"}]},
    })
}

fn injected(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"chaperone.dev/injected": "true"},
        "annotations": {"chaperone.dev/service-account": "default"},
    })
}

/// An object of ours.
#[must_use]
pub fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "chaperone.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A partner that says `text`.
#[must_use]
pub fn mock(name: &str, text: &str) -> Value {
    let spec = json!({"adapter": "Mock", "models": [{"name": "m"}], "mock": {"reply": "Text", "text": text}});
    object("Partner", name, &spec)
}

/// A route of this alias to a partner.
#[must_use]
pub fn route(name: &str, partner: &str, cap: u32) -> Value {
    let spec = json!({"alias": name, "targets": [{"partner": partner}], "maxTokens": {"cap": cap}});
    object("ModelRoute", name, &spec)
}

/// Everybody may act for tenant `shop`, the only one.
#[must_use]
pub fn quota() -> Value {
    object("TenantQuota", "tier", &json!({"tenants": ["shop"], "limits": {"maxTokensPerRequest": 4096}}))
}
