//! Whether a Partner's endpoint may be called, as far as its text can tell. Names are judged again when they are dialled.

use chaperone_protocol::address::{Host, Reach, reach};
use chaperone_protocol::snapshot::{AddressPolicy, Endpoint};

use super::finding::{Problem, Reason};

/// Names under which clouds serve credentials.
const METADATA_NAMES: [&str; 3] = ["metadata", "metadata.google.internal", "metadata.goog"];

/// What is wrong with the host of `endpoint` under `policy`.
pub(super) fn check_host(endpoint: &Endpoint, policy: AddressPolicy) -> Option<Problem> {
    let host = endpoint.host();
    match Host::of(host) {
        Host::Address(address) if policy.admits(address) => None,
        Host::Address(address) => Some(match reach(address) {
            Reach::Never => never(host),
            Reach::Private | Reach::Public => private(Reason::ForbiddenAddress, host, "is private"),
        }),
        Host::Disguised => Some(Problem::new(
            Reason::ForbiddenAddress,
            format!("host {host} is an address in a form that hides what it is"),
            "write the address as four decimal numbers",
        )),
        Host::Name => check_name(host.trim_end_matches('.'), policy),
    }
}

fn check_name(host: &str, policy: AddressPolicy) -> Option<Problem> {
    if METADATA_NAMES.contains(&host) {
        return Some(never(host));
    }
    if policy == AddressPolicy::AllowPrivate {
        return None;
    }
    let ends_in = |suffix: &str| host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    if host == "localhost" || ends_in("localhost") {
        return Some(private(Reason::ForbiddenAddress, host, "is loopback"));
    }
    if ends_in("svc") || ends_in("cluster.local") {
        return Some(private(Reason::PrivateName, host, "is a name inside the cluster"));
    }
    None
}

fn never(host: &str) -> Problem {
    Problem::new(
        Reason::ForbiddenAddress,
        format!("host {host} is link-local, a metadata service or no host at all, and is never dialled"),
        "use the provider's own address",
    )
}

fn private(reason: Reason, host: &str, what: &str) -> Problem {
    Problem::new(
        reason,
        format!("host {host} {what}"),
        "set `allowPrivate: true` if the partner really runs there",
    )
}

/// What is wrong with an endpoint in the clear, where nobody has allowed it.
pub(super) fn check_plaintext(endpoint: &Endpoint) -> Option<Problem> {
    if endpoint.is_tls() {
        return None;
    }
    Some(Problem::new(
        Reason::Plaintext,
        "endpoint is http://, which sends prompts and keys in the clear",
        "use https://, or set `allowPlaintext: true` for a server inside the cluster",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(endpoint: &str, policy: AddressPolicy) -> Option<Reason> {
        check_host(&endpoint.parse().unwrap(), policy).map(|problem| problem.reason)
    }

    #[test]
    fn f48_metadata_is_refused_whatever_the_policy() {
        let hosts = [
            "169.254.169.254",
            "[::ffff:169.254.169.254]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "metadata.google.internal",
            "METADATA.google.internal.",
            "0.0.0.0",
        ];
        for host in hosts {
            for policy in [AddressPolicy::PublicOnly, AddressPolicy::AllowPrivate] {
                let endpoint = format!("https://{host}/v1");
                assert_eq!(reason(&endpoint, policy), Some(Reason::ForbiddenAddress), "{endpoint}");
            }
        }
    }

    #[test]
    fn private_hosts_need_leave() {
        let hosts = [
            ("127.0.0.1", Reason::ForbiddenAddress),
            ("10.1.2.3", Reason::ForbiddenAddress),
            ("[::1]", Reason::ForbiddenAddress),
            ("localhost", Reason::ForbiddenAddress),
            ("a.localhost", Reason::ForbiddenAddress),
            ("vllm.models.svc", Reason::PrivateName),
            ("vllm.models.svc.cluster.local", Reason::PrivateName),
        ];
        for (host, expected) in hosts {
            let endpoint = format!("http://{host}:8000/v1");
            assert_eq!(reason(&endpoint, AddressPolicy::PublicOnly), Some(expected), "{endpoint}");
            assert_eq!(reason(&endpoint, AddressPolicy::AllowPrivate), None, "{endpoint}");
        }
        assert_eq!(reason("https://api.alpha.test", AddressPolicy::PublicOnly), None);
        assert_eq!(reason("https://8.8.8.8", AddressPolicy::PublicOnly), None);
        assert_eq!(reason("https://notlocalhost", AddressPolicy::PublicOnly), None);
    }
}
