//! Placeholders that a response can be restored from.
//!
//! A placeholder is derived from the value by a keyed hash, so a resent history gets the same ones on
//! every replica without a shared store. The map back lives in one [`Vault`], for one request; it
//! cannot be printed and is wiped when it is dropped.

mod spared;
mod surrogate;
mod tag;

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::policy::normalised;
use spared::Spared;
pub(crate) use surrogate::{Kind, canonical};
pub(crate) use tag::{LONG_TAG, TAG, is_tag};

/// Tries after the first; with long tags each fails with a chance of one in 10^12.
const TRIES: u8 = 8;
/// Stands in the place of a label in hashes of words of names; no label is written so.
const PART: &str = "part of a name";
/// The block of a hash that makes digests.
const DIGEST: u8 = u8::MAX;

/// A line for the end of the system text that asks the model to leave placeholders as they are. It is
/// always the same, so that providers' prompt caches keep hitting.
pub const HINT: &str = "Some words in this conversation stand for private values and look like PERSON_7Q4FX or \
    EMAIL_2M8KD: copy such words exactly as they are written wherever you mean the same value.";

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

/// How a value's placeholder is written, and whether it may share that of a longer name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) surrogate: Option<Kind>,
    pub(crate) link: Link,
}

/// Whether parts of names are linked to whole ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Each surface has a placeholder of its own.
    None,
    /// A word of exactly one known name stands for that name.
    Parts,
}

/// A placeholder that lives in this request.
#[derive(Debug)]
pub(crate) struct Live<'v> {
    pub(crate) placeholder: &'v str,
    pub(crate) value: &'v str,
    pub(crate) surrogate: Option<Kind>,
}

struct Minted {
    value: Zeroizing<String>,
    surrogate: Option<Kind>,
}

/// The placeholders of one request and the values behind them.
pub struct Vault {
    /// The key and the bytes that every hash begins with: partner and scope.
    key: PseudonymKey,
    domain: Vec<u8>,
    taken: tag::Taken,
    taken_surrogates: surrogate::Taken,
    /// Keyed hash of label and value -> placeholder.
    minted: BTreeMap<[u8; 32], String>,
    /// Placeholder -> value as it was first written.
    values: BTreeMap<String, Minted>,
    /// Keyed hash of a word of a name -> the name's placeholder, or `None` if several names have the word.
    parts: BTreeMap<[u8; 32], Option<String>>,
    /// Surrogates of the request that this vault's answer belongs to.
    spared: Spared,
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
        Self {
            key,
            domain,
            taken: tag::Taken::default(),
            taken_surrogates: surrogate::Taken::default(),
            minted: BTreeMap::new(),
            values: BTreeMap::new(),
            parts: BTreeMap::new(),
            spared: Spared::default(),
        }
    }

    /// The same for an answer to the request of `vault`: the surrogates that live there are nobody's data, so a
    /// search of the answer leaves them as they are, to be restored.
    #[must_use]
    pub fn sparing(mut self, vault: &Self) -> Self {
        self.spared = Spared::of(vault.live());
        self
    }

    /// Whether `value` is a surrogate that lives in the request of this answer.
    pub(crate) fn spares(&self, value: &str) -> bool {
        self.spared.has(value)
    }

    /// Whether no placeholder lives here, so that there is nothing to restore.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Notes what already looks like one of our placeholders in about `budget` bytes of `body`, so that it is never
    /// minted; returns where to go on.
    pub(crate) fn reserve(&mut self, body: &[u8], from: usize, budget: usize) -> usize {
        let until = from.saturating_add(budget).min(body.len());
        self.taken.note(body, from..until);
        self.taken_surrogates.note(body, from..until);
        until
    }

    /// The placeholder for a value.
    pub(crate) fn mint(&mut self, label: &str, value: &str, form: Form) -> String {
        let normal = Zeroizing::new(comparable(value));
        let name = self.hash(label, &normal, 0);
        if let Some(known) = self.minted.get(&name) {
            return known.clone();
        }
        let part = (form.link == Link::Parts).then(|| self.parts.get(&self.hash(PART, &normal, 0)));
        if let Some(whole) = part.flatten().cloned().flatten() {
            return whole;
        }
        let surrogate = form.surrogate.and_then(|kind| self.surrogate(kind, label, value, &normal));
        let placeholder = surrogate.unwrap_or_else(|| self.tag(label, &normal, &name));
        let surrogate = form.surrogate.filter(|_| !placeholder.starts_with(label));
        let minted = Minted { value: Zeroizing::new(value.to_owned()), surrogate };
        self.values.insert(placeholder.clone(), minted);
        self.minted.insert(name, placeholder.clone());
        if form.link == Link::Parts {
            self.link(&normal, &placeholder);
        }
        placeholder
    }

    fn tag(&self, label: &str, normal: &[u8], name: &[u8; 32]) -> String {
        let first = tag::write(name, TAG);
        let mut placeholder = format!("{label}_{first}");
        let mut free = !self.taken.has(&first) && !self.clashes(&placeholder);
        for block in 1..=TRIES {
            if free {
                break;
            }
            placeholder = format!("{label}_{}", tag::write(&self.hash(label, normal, block), LONG_TAG));
            free = !self.clashes(&placeholder);
        }
        placeholder
    }

    /// A free surrogate, unless all that were tried are taken: the ranges are small.
    fn surrogate(&self, kind: Kind, label: &str, value: &str, normal: &[u8]) -> Option<String> {
        let candidates = (0..=TRIES).map(|block| kind.write(&self.hash(label, normal, block), value));
        let free = |candidate: &String| {
            !self.clashes(candidate) && !self.taken_surrogates.has(&canonical(candidate, kind))
        };
        candidates.into_iter().find(free)
    }

    /// Whether a live placeholder is a prefix of this one, or the reverse.
    fn clashes(&self, placeholder: &str) -> bool {
        let longer = self.values.range(placeholder.to_owned()..).next();
        let shorter = self.values.range(..=placeholder.to_owned()).next_back();
        longer.is_some_and(|(live, _)| live.starts_with(placeholder))
            || shorter.is_some_and(|(live, _)| placeholder.starts_with(live.as_str()))
    }

    /// Lets each word of a name stand for it, as long as no other name has the word.
    fn link(&mut self, normal: &[u8], placeholder: &str) {
        let words: Vec<&[u8]> = normal.split(|byte| *byte == b' ').filter(|word| word.len() > 1).collect();
        if words.len() < 2 {
            return;
        }
        for word in words {
            let same = |known: &String| known == placeholder;
            let hash = self.hash(PART, word, 0);
            self.parts
                .entry(hash)
                .and_modify(|known| *known = known.take().filter(same))
                .or_insert_with(|| Some(placeholder.to_owned()));
        }
    }

    /// Sixteen hex digits that stand for a value and do not lead back to it.
    pub(crate) fn digest(&self, label: &str, value: &str) -> String {
        let hash = self.hash(label, &comparable(value), DIGEST);
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
    pub(crate) fn live(&self) -> impl Iterator<Item = Live<'_>> {
        self.values.iter().map(|(placeholder, minted)| Live {
            placeholder,
            value: &minted.value,
            surrogate: minted.surrogate,
        })
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
mod tests;
