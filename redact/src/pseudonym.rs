//! Placeholders that a response can be restored from.
//!
//! A tag is derived from the value by a keyed hash, so a resent history gets the same tags on every
//! replica without a shared store. The map back lives in one [`Vault`], for one request; it cannot
//! be printed and is wiped when it is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::policy::normalised;

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a tag.
pub(crate) const TAG: usize = 5;
/// Characters of a tag whose first choice was taken.
const LONG_TAG: usize = 8;
/// Tries with long tags; each fails with a chance of one in 10^12.
const TRIES: u8 = 8;

/// The key of a namespace.
pub struct PseudonymKey(Zeroizing<[u8; 32]>);

impl PseudonymKey {
    /// Takes 32 bytes that nobody else knows.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

/// The tags of one request and the values behind them.
pub struct Vault {
    /// The key and the bytes that every hash begins with: partner and scope.
    key: PseudonymKey,
    domain: Vec<u8>,
    /// Tags that stand in the user's own text, and must not be minted.
    taken: BTreeSet<Vec<u8>>,
    /// Keyed hash of label and value -> placeholder.
    minted: BTreeMap<[u8; 32], String>,
    /// Placeholder -> value as it was written.
    values: BTreeMap<String, Zeroizing<String>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} tags)", self.values.len())
    }
}

impl Vault {
    /// An empty vault for a request to `partner`; `scope` separates conversations or requests.
    #[must_use]
    pub fn new(key: PseudonymKey, partner: &str, scope: &str) -> Self {
        let mut domain = Vec::new();
        frame(&mut domain, partner.as_bytes());
        frame(&mut domain, scope.as_bytes());
        Self { key, domain, taken: BTreeSet::new(), minted: BTreeMap::new(), values: BTreeMap::new() }
    }

    /// Notes what already looks like one of our placeholders in about `budget` bytes of `body`, so that it is never
    /// minted; returns where to go on.
    pub(crate) fn reserve(&mut self, body: &[u8], from: usize, budget: usize) -> usize {
        let until = from.saturating_add(budget).min(body.len());
        for at in memchr::memchr_iter(b'_', &body[from..until]) {
            let tag: Vec<u8> = body[from + at + 1..]
                .iter()
                .take(TAG)
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .map(u8::to_ascii_uppercase)
                .collect();
            if tag.len() == TAG {
                self.taken.insert(tag);
            }
        }
        until
    }

    /// The placeholder for a value.
    pub(crate) fn mint(&mut self, label: &str, value: &str) -> String {
        let normal = Zeroizing::new(comparable(value));
        let name = self.hash(label, &normal, 0);
        if let Some(known) = self.minted.get(&name) {
            return known.clone();
        }
        let first = self.tag(label, &normal, 0, TAG);
        let mut placeholder = format!("{label}_{first}");
        let mut free = !self.taken.contains(first.as_bytes()) && !self.clashes(&placeholder);
        for block in 1..=TRIES {
            if free {
                break;
            }
            placeholder = format!("{label}_{}", self.tag(label, &normal, block, LONG_TAG));
            free = !self.clashes(&placeholder);
        }
        self.values.insert(placeholder.clone(), Zeroizing::new(value.to_owned()));
        self.minted.insert(name, placeholder.clone());
        placeholder
    }

    /// Whether a live placeholder is a prefix of this one, or the reverse.
    fn clashes(&self, placeholder: &str) -> bool {
        let longer = self.values.range(placeholder.to_owned()..).next();
        let shorter = self.values.range(..=placeholder.to_owned()).next_back();
        longer.is_some_and(|(live, _)| live.starts_with(placeholder))
            || shorter.is_some_and(|(live, _)| placeholder.starts_with(live.as_str()))
    }

    fn tag(&self, label: &str, normal: &[u8], block: u8, len: usize) -> String {
        let bits = self
            .hash(label, normal, block)
            .iter()
            .take(8)
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        (0..len).map(|at| char::from(ALPHABET[(bits >> (59 - 5 * at) & 31) as usize])).collect()
    }

    /// Sixteen hex digits that stand for a value and do not lead back to it.
    pub(crate) fn digest(&self, label: &str, value: &str) -> String {
        let hash = self.hash(label, &comparable(value), u8::MAX);
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    fn hash(&self, label: &str, normal: &[u8], block: u8) -> [u8; 32] {
        let mut message = Zeroizing::new(self.domain.clone());
        frame(&mut message, label.as_bytes());
        frame(&mut message, normal);
        message.push(block);
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.0.as_slice()).expect("HMAC takes keys of any length");
        mac.update(&message);
        mac.finalize().into_bytes().into()
    }

    /// Live placeholders with their values.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(tag, value)| (tag.as_str(), value.as_str()))
    }
}

/// Appends a length-prefixed part, so that no two lists of parts make the same bytes.
fn frame(message: &mut Vec<u8>, part: &[u8]) {
    message.extend_from_slice(&(part.len() as u64).to_be_bytes());
    message.extend_from_slice(part);
}

/// Case-folded; numbers are compared by their digits.
fn comparable(value: &str) -> Vec<u8> {
    let normal = normalised(value.as_bytes());
    let number = normal.iter().all(|byte| byte.is_ascii_digit() || b" -./()+".contains(byte));
    if number { normal.into_iter().filter(u8::is_ascii_digit).collect() } else { normal }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(partner: &str) -> Vault {
        Vault::new(PseudonymKey::new([7; 32]), partner, "")
    }

    #[test]
    fn one_value_has_one_tag_per_partner() {
        let (mut alpha, mut beta) = (vault("alpha"), vault("beta"));
        let tag = alpha.mint("PHONE", "(212) 555-0187");
        assert_eq!(alpha.mint("PHONE", "212 555 0187"), tag);
        assert_ne!(beta.mint("PHONE", "(212) 555-0187"), tag);
        assert_eq!(vault("alpha").mint("PHONE", "2125550187"), tag);
        assert_eq!(tag.len(), "PHONE_".len() + TAG);
    }

    #[test]
    fn a_tag_in_the_users_text_is_never_minted() {
        let tag = vault("alpha").mint("EMAIL", "a@b.example");
        let mut other = vault("alpha");
        let text = format!("see {tag}");
        other.reserve(text.as_bytes(), 0, text.len());
        assert_eq!(other.mint("EMAIL", "a@b.example").len(), "EMAIL_".len() + LONG_TAG);
    }

    #[test]
    fn nothing_can_be_printed() {
        let mut vault = vault("alpha");
        vault.mint("EMAIL", "a@b.example");
        assert_eq!(format!("{vault:?}"), "Vault(1 tags)");
    }
}
