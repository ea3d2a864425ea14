//! Surrogates of a request in its answer: they look like somebody's data and are ours.

use std::collections::BTreeSet;

use super::{Kind, Live, canonical};

/// In the form in which two spellings are one.
#[derive(Debug, Default)]
pub(super) struct Spared {
    numbers: BTreeSet<Vec<u8>>,
    words: BTreeSet<Vec<u8>>,
}

impl Spared {
    pub(super) fn of<'v>(live: impl Iterator<Item = Live<'v>>) -> Self {
        let mut spared = Self::default();
        for live in live {
            let Some(kind) = live.surrogate else { continue };
            let form = canonical(live.placeholder, kind);
            if !kind.is_digits() {
                spared.words.insert(form);
                continue;
            }
            // Models leave the country code out.
            let national = form.strip_prefix(b"1").filter(|_| kind == Kind::Phone).map(<[u8]>::to_vec);
            spared.numbers.extend(national);
            spared.numbers.insert(form);
        }
        spared
    }

    pub(super) fn has(&self, value: &str) -> bool {
        // Requests spare nothing, and should not pay for it.
        if self.numbers.is_empty() && self.words.is_empty() {
            return false;
        }
        let is_number = value.chars().all(|letter| !letter.is_alphabetic());
        (is_number && self.numbers.contains(&canonical(value, Kind::Phone)))
            || self.words.contains(&canonical(value, Kind::Email))
    }
}
