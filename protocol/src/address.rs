//! Which addresses a partner may have: one judgement for the compiler, which sees what an endpoint says, and for the
//! sidecar, which sees what a name resolves to.
//!
//! It knows addresses, not names: a name is judged by the addresses behind it, when it is dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::snapshot::AddressPolicy;

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Routed on the internet.
    Public,
    /// Loopback, or routed inside a network of one's own.
    Private,
    /// Link-local, metadata, multicast, unspecified: never a partner, whatever a policy says.
    Never,
}

/// Metadata services outside the link-local range: each hands out credentials to whoever can reach it.
const METADATA_V4: [Ipv4Addr; 2] = [
    // Alibaba Cloud's instance metadata.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure's WireServer.
    Ipv4Addr::new(168, 63, 129, 16),
];

/// AWS instance metadata over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Judges an address. An IPv6 address that carries an IPv4 address is judged by both.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [first, second, ..] = address.octets();
    let never = address.is_link_local()
        || address.is_multicast()
        || first == 0 // "this network", RFC 791
        || first >= 240 // reserved, and broadcast
        || METADATA_V4.contains(&address);
    let shared = first == 100 && (64..128).contains(&second); // RFC 6598
    let benchmark = first == 198 && (18..20).contains(&second); // RFC 2544
    if never {
        Reach::Never
    } else if address.is_private() || address.is_loopback() || shared || benchmark {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let own = if address.is_unspecified()
        || address.is_multicast()
        || address.is_unicast_link_local()
        || address == METADATA_V6
    {
        Reach::Never
    } else if address.is_loopback() || address.is_unique_local() || is_site_local(address) {
        Reach::Private
    } else {
        Reach::Public
    };
    embedded(address).map_or(own, |inner| own.max(reach_v4(inner)))
}

/// `fec0::/10`, deprecated but still routed by some.
fn is_site_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfec0
}

/// The IPv4 address inside: mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

impl AddressPolicy {
    /// Whether a partner with this policy may be dialled at `address`.
    #[must_use]
    pub fn admits(self, address: IpAddr) -> bool {
        match (reach(address), self) {
            (Reach::Public, _) | (Reach::Private, Self::AllowPrivate) => true,
            (Reach::Private, Self::PublicOnly) | (Reach::Never, _) => false,
        }
    }
}

/// What the host of an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// An address in a form that resolvers read and people do not: `2852039166`, `0xa9fea9fe`, `0251.254.169.254`.
    Disguised,
    /// A name.
    Name,
}

impl Host {
    /// Tells what `host` is; an IPv6 address stands without brackets.
    #[must_use]
    pub fn of(host: &str) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = host.parse() {
            return Self::Address(address);
        }
        // A host that ends in a number is an IPv4 address to every URL parser: https://url.spec.whatwg.org/#ends-in-a-number-checker
        let last = host.rsplit('.').next().unwrap_or(host);
        let is_number = match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
        };
        if is_number { Self::Disguised } else { Self::Name }
    }
}

/// Whether `host`, as an endpoint has it, is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    match Host::of(host) {
        Host::Address(address) => address.is_loopback(),
        Host::Name => host == "localhost",
        Host::Disguised => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach_of(text: &str) -> Reach {
        reach(text.parse().unwrap())
    }

    #[test]
    fn metadata_and_link_local_are_never_a_partner() {
        let addresses = [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "fd00:ec2::254",
            "::",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ];
        for address in addresses {
            assert_eq!(reach_of(address), Reach::Never, "{address}");
            assert!(!AddressPolicy::AllowPrivate.admits(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn private_addresses_need_the_policy() {
        let addresses = [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "::1",
            "fd12::1",
            "fec0::1",
            "::ffff:10.0.0.1",
        ];
        for address in addresses {
            assert_eq!(reach_of(address), Reach::Private, "{address}");
            let address = address.parse().unwrap();
            assert!(
                !AddressPolicy::PublicOnly.admits(address) && AddressPolicy::AllowPrivate.admits(address)
            );
        }
    }

    #[test]
    fn other_addresses_are_public() {
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert_eq!(reach_of(address), Reach::Public, "{address}");
        }
    }

    #[test]
    fn loopback_is_recognised_and_nothing_that_looks_like_it() {
        for host in ["127.0.0.1", "127.8.9.1", "::1", "localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["127.1", "10.0.0.1", "localhost.test", "0.0.0.0", "::", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_disguised_address_is_recognised() {
        let disguised =
            ["2852039166", "0xa9fea9fe", "0251.254.169.254", "169.254.43518", "127.1", "0x", "1.2.3.0xff."];
        for host in disguised {
            assert_eq!(Host::of(host), Host::Disguised, "{host}");
        }
        assert_eq!(Host::of("169.254.169.254."), Host::Address(Ipv4Addr::new(169, 254, 169, 254).into()));
        assert_eq!(Host::of("::1"), Host::Address(Ipv6Addr::LOCALHOST.into()));
        for host in ["api.alpha.test", "v1", "1.2.3.4.example", "0xyz", "0x7f.test"] {
            assert_eq!(Host::of(host), Host::Name, "{host}");
        }
    }
}
