//! Flags and environment -> what the operator is started with. The environment is read here alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Who makes the certificate of feed and webhook, and renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Issuer {
    /// The leading operator, by an authority of its own.
    Operator,
    /// Somebody else: the Secret is read and never written. Its `ca.crt` goes into the webhook configuration.
    Secret,
    /// cert-manager, which puts its authority into the webhook configuration too.
    CertManager,
}

/// Brings Partners, ModelRoutes and TenantQuotas to sidecars.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaperone-operator", version)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each typed by name")]
pub struct Args {
    /// Namespace that the operator runs in: its Lease, its certificate and its Pods are there.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Name of the operator's own Pod, which carries the leader's label. Without it no label is set.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// Where sidecars connect; port 0 takes any free one.
    #[arg(long, env = "CHAPERONE_FEED_LISTEN", default_value = "0.0.0.0:8443", value_name = "ADDRESS")]
    pub feed_listen: SocketAddr,
    /// Where the API server asks about new Pods; port 0 takes any free one.
    #[arg(long, env = "CHAPERONE_WEBHOOK_LISTEN", default_value = "0.0.0.0:9443", value_name = "ADDRESS")]
    pub webhook_listen: SocketAddr,
    /// Where metrics and probes are; port 0 takes any free one.
    #[arg(long, env = "CHAPERONE_ADMIN_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// Service through which sidecars reach the feed: the certificate is made for it.
    #[arg(long, env = "CHAPERONE_FEED_SERVICE", default_value = "chaperone-feed", value_name = "NAME")]
    pub feed_service: String,
    /// Port of that Service, which injected sidecars dial.
    // No variable: a Service `chaperone-feed` puts a CHAPERONE_FEED_PORT of its own, a URL, into Pods beside it.
    #[arg(long, default_value_t = 443, value_name = "PORT")]
    pub feed_port: u16,
    /// Service through which the API server reaches the webhook: the certificate is made for it too.
    #[arg(long, env = "CHAPERONE_WEBHOOK_SERVICE", default_value = "chaperone-webhook", value_name = "NAME")]
    pub webhook_service: String,
    /// MutatingWebhookConfiguration whose caBundle is kept current.
    #[arg(
        long,
        env = "CHAPERONE_WEBHOOK_CONFIGURATION",
        default_value = "chaperone-injector",
        value_name = "NAME"
    )]
    pub webhook_configuration: String,
    /// Image of the sidecar, best by digest. Without it no Pod is injected, and no webhook is served.
    #[arg(long, env = "CHAPERONE_SIDECAR_IMAGE", value_name = "IMAGE")]
    pub sidecar_image: Option<String>,
    /// CPU that each sidecar requests, as a Kubernetes quantity.
    #[arg(long, env = "CHAPERONE_SIDECAR_CPU", default_value = "50m", value_name = "QUANTITY")]
    pub sidecar_cpu: String,
    /// Memory that each sidecar requests, as a Kubernetes quantity.
    #[arg(long, env = "CHAPERONE_SIDECAR_MEMORY", default_value = "64Mi", value_name = "QUANTITY")]
    pub sidecar_memory: String,
    /// Leave the sidecar's user to the cluster, as OpenShift wants it, instead of 65532.
    #[arg(long, env = "CHAPERONE_SIDECAR_ANY_USER")]
    pub sidecar_any_user: bool,
    /// Who makes the certificate of both, and renews it.
    #[arg(long, env = "CHAPERONE_CERTIFICATE_FROM", value_enum, default_value_t = Issuer::Operator, value_name = "ISSUER")]
    pub certificate_from: Issuer,
    /// Evict Pods that should have a sidecar, have none, and could have one: one at a time, as their PodDisruptionBudgets
    /// allow, and none while the last one's successor does not serve with its sidecar.
    #[arg(long, env = "CHAPERONE_EVICT_UNINJECTED")]
    pub evict_uninjected: bool,
    /// Secret that holds the certificate of both, and the authority that signs it.
    #[arg(long, env = "CHAPERONE_TLS_SECRET", default_value = "chaperone-tls", value_name = "NAME")]
    pub tls_secret: String,
    /// Secret that keys of namespaces are derived from; made once.
    #[arg(long, env = "CHAPERONE_ROOT_SECRET", default_value = "chaperone-root", value_name = "NAME")]
    pub root_secret: String,
    /// Lease by which replicas agree on who leads.
    #[arg(long, env = "CHAPERONE_LEASE", default_value = "chaperone-operator", value_name = "NAME")]
    pub lease: String,
    /// Namespaces whose objects, Pods, Secrets and ConfigMaps are watched, besides the own; 32 at most [default: all].
    #[arg(long, env = "CHAPERONE_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACES")]
    pub watch_namespaces: Vec<String>,
    /// Hours after which a route's last drill is too old, which its condition `Drilled` then says [default: never].
    #[arg(long, env = "CHAPERONE_DRILL_MAX_AGE_HOURS", value_name = "HOURS")]
    pub drill_max_age_hours: Option<u32>,
    /// Kubeconfig file [default: that of KUBECONFIG, else the Pod's own ServiceAccount].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Kubernetes puts `<SERVICE>_PORT`, `<SERVICE>_SERVICE_HOST` and more into every Pod for each Service beside it,
    /// whatever its name.
    #[test]
    fn no_variable_is_one_that_a_service_can_set() {
        let command = Args::command();
        let names: Vec<&str> = command.get_arguments().filter_map(|it| it.get_env()?.to_str()).collect();
        assert!(names.contains(&"CHAPERONE_FEED_SERVICE"), "{names:?}");
        for name in names {
            let is_of_service = ["_PORT", "_SERVICE_HOST"].iter().any(|end| name.ends_with(end));
            assert!(!is_of_service && !name.contains("_PORT_"), "{name}");
        }
    }
}
