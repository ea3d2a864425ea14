//! Surrogates: placeholders that pass for the real thing where a tool validates its input.
//!
//! Each comes from a range that is reserved for documentation, fiction or tests, so it reaches nobody.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::entity::Entity;

/// An entity that has surrogates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Email,
    Phone,
    CreditCard,
    Ip,
    MacAddress,
}

/// Second and third level domain reserved for examples: RFC 2606.
const DOMAIN: &str = "@example.com";
/// Networks for documentation: RFC 5737.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
/// Block for documentation: RFC 9542 §2.1.1.
const MAC: &str = "00:00:5e:00:53:";

impl Kind {
    /// The surrogates of an entity, if a reserved range exists for it.
    pub(crate) const fn of(entity: Entity) -> Option<Self> {
        match entity {
            Entity::Email => Some(Self::Email),
            Entity::Phone => Some(Self::Phone),
            Entity::CreditCard => Some(Self::CreditCard),
            Entity::Ip => Some(Self::Ip),
            Entity::MacAddress => Some(Self::MacAddress),
            Entity::Iban
            | Entity::Ssn
            | Entity::DateOfBirth
            | Entity::Passport
            | Entity::DriverLicense
            | Entity::BankAccount
            | Entity::NationalId
            | Entity::Secret
            | Entity::CryptoWallet
            | Entity::Person
            | Entity::Location
            | Entity::Organization
            | Entity::Address
            | Entity::Custom(_) => None,
        }
    }

    /// Whether it is digits, which models like to group anew.
    pub(crate) const fn is_digits(self) -> bool {
        matches!(self, Self::Phone | Self::CreditCard)
    }

    /// The surrogate that a hash of the value chooses.
    pub(super) fn write(self, hash: &[u8; 32], value: &str) -> String {
        let number =
            u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
        match self {
            Self::Email => format!("{}{DOMAIN}", super::tag::write(hash, super::LONG_TAG).to_lowercase()),
            Self::Phone => phone(number),
            Self::CreditCard => card(number),
            Self::Ip if value.contains(':') => {
                let [a, b, c, d] = [0, 16, 32, 48].map(|shift| (number >> shift & 0xFFFF) as u16);
                Ipv6Addr::new(0x2001, 0xDB8, a, b, c, 0, 0, d.max(1)).to_string()
            }
            Self::Ip => {
                let [a, b, c] = NETWORKS[(number % 3) as usize];
                Ipv4Addr::new(a, b, c, (number / 3 % 254) as u8 + 1).to_string()
            }
            Self::MacAddress => format!("{MAC}{:02x}", hash[0]),
        }
    }
}

/// `+1 NPA 555 0100` to `0199` are kept for fiction; area codes do not end in 11.
fn phone(number: u64) -> String {
    let area = 200 + number % 800;
    let area = if area % 100 == 11 { area + 1 } else { area };
    format!("+1{area}55501{:02}", number / 800 % 100)
}

/// Sixteen digits that begin with the test range 4000 00 and end with a Luhn digit.
fn card(number: u64) -> String {
    let body = format!("400000{:09}", number % 1_000_000_000);
    let sum: u32 = body
        .bytes()
        .rev()
        .zip([2, 1].into_iter().cycle())
        .map(|(digit, weight)| {
            let product = u32::from(digit - b'0') * weight;
            product / 10 + product % 10
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// Digits of a number, or the text in lower case: in which form two spellings of a surrogate are one.
pub(crate) fn canonical(surrogate: &str, kind: Kind) -> Vec<u8> {
    let bytes = surrogate.bytes();
    if kind.is_digits() {
        bytes.filter(u8::is_ascii_digit).collect()
    } else {
        bytes.map(|byte| byte.to_ascii_lowercase()).collect()
    }
}

/// Surrogates of the small ranges that stand in the user's own text: in the others none stands by chance.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeSet<Vec<u8>>);

/// More in one request are no text but an attack on our memory; all of the ranges' addresses fit.
const MAX_TAKEN: usize = 4096;
/// What stands in every number of the range for fiction.
const FICTION: &[u8] = b"555";

impl Taken {
    /// Notes the surrogates whose reserved part begins within `range` of `body`.
    pub(super) fn note(&mut self, body: &[u8], range: std::ops::Range<usize>) {
        let window = &body[range.start..body.len().min(range.end + MAC.len())];
        for [a, b, c] in NETWORKS {
            let network = format!("{a}.{b}.{c}.");
            for at in memchr::memmem::find_iter(window, &network) {
                let host =
                    window[at + network.len()..].iter().take(3).take_while(|byte| byte.is_ascii_digit());
                let host: Vec<u8> = host.copied().collect();
                self.insert([network.as_bytes(), &host].concat());
            }
        }
        for at in memchr::memmem::find_iter(window, FICTION) {
            self.fiction(body, range.start + at);
        }
        for at in memchr::memmem::find_iter(window, b"53").filter(|at| *at >= 12) {
            let address = window[at - 12..].get(..MAC.len() + 2).unwrap_or_default().to_ascii_lowercase();
            let address: Vec<u8> =
                address.iter().map(|byte| if *byte == b'-' { b':' } else { *byte }).collect();
            if address.starts_with(MAC.as_bytes()) {
                self.insert(address);
            }
        }
    }

    /// Ten digits around the exchange 555, whatever separates them.
    fn fiction(&mut self, body: &[u8], at: usize) {
        let digits = |bytes: &mut dyn Iterator<Item = &u8>, count: usize| -> Vec<u8> {
            bytes.take(count + 4).filter(|byte| byte.is_ascii_digit()).take(count).copied().collect()
        };
        let mut area = digits(&mut body[..at].iter().rev(), 3);
        area.reverse();
        let line = digits(&mut body[at + FICTION.len()..].iter(), 4);
        self.insert([b"1", area.as_slice(), FICTION, &line].concat());
    }

    fn insert(&mut self, canonical: Vec<u8>) {
        if self.0.len() < MAX_TAKEN {
            self.0.insert(canonical);
        }
    }

    pub(super) fn has(&self, canonical: &[u8]) -> bool {
        self.0.contains(canonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, PolicySpec, Query, find};

    #[test]
    fn surrogates_are_valid_and_from_reserved_ranges() {
        let policy = Policy::compile(&PolicySpec {
            entities: Some(Entity::BUILT_IN.to_vec()),
            ..PolicySpec::default()
        });
        let policy = policy.unwrap();
        for seed in 0..=255_u8 {
            let hash = [seed.wrapping_mul(37); 32];
            for (entity, value) in [
                (Entity::Email, "a@b.org"),
                (Entity::Phone, "+49 30 901820"),
                (Entity::CreditCard, "4111 1111 1111 1111"),
                (Entity::Ip, "10.0.0.1"),
                (Entity::Ip, "fe80::1"),
                (Entity::MacAddress, "00:1B:44:11:3A:B7"),
            ] {
                let surrogate = Kind::of(entity).unwrap().write(&hash, value);
                let spans = find(&surrogate, &Query::new(&policy)).unwrap().spans;
                assert!(spans.len() == 1 && spans[0].entity == entity, "{surrogate}: {spans:?}");
                assert_eq!(spans[0].range, 0..surrogate.len(), "{surrogate}");
            }
        }
    }

    #[test]
    fn what_stands_in_the_text_is_noted_in_every_spelling() {
        let text = "at 203.0.113.7, (212) 555-0187 or 212.555.0123, 00-00-5E-00-53-aF";
        let mut taken = Taken::default();
        for at in 0..text.len() {
            taken.note(text.as_bytes(), at..at + 1);
        }
        for known in ["203.0.113.7", "12125550187", "12125550123"] {
            assert!(taken.has(known.as_bytes()), "{known}");
        }
        let mut taken = Taken::default();
        taken.note(text.as_bytes(), 0..text.len());
        assert!(taken.has(b"00:00:5e:00:53:af"));
    }
}
