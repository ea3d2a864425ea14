//! Listed names as hashes: 48 bits of hash and 16 bits that say which lists hold the name.
//!
//! No name can be read back from the weight file. An unlisted word is taken for a listed one once in 10⁹ look-ups.

/// Flag: a listed phrase of several words begins with this one. What the others mean is known to training alone.
pub(crate) const PHRASE_START: u64 = 1 << 8;

/// Bits of an entry that hold flags.
const FLAG_BITS: u32 = 16;

/// Entries are found by their first bits.
const BUCKET_BITS: u32 = 14;

/// A sorted table of entries that lies in the weight file.
#[derive(Debug)]
pub(crate) struct Gazetteer {
    entries: &'static [[u8; 8]],
    buckets: Vec<u32>,
}

impl Gazetteer {
    /// Lists nothing.
    #[cfg(feature = "train")]
    pub(crate) const EMPTY: Self = Self { entries: &[], buckets: Vec::new() };

    /// Takes sorted entries; nothing if they are not in strict order.
    pub(crate) fn new(entries: &'static [[u8; 8]]) -> Option<Self> {
        let count = u32::try_from(entries.len()).ok()?;
        let mut buckets = Vec::with_capacity((1 << BUCKET_BITS) + 1);
        let mut previous = None;
        for (index, entry) in (0..count).zip(entries) {
            let value = u64::from_le_bytes(*entry) >> FLAG_BITS;
            if previous.is_some_and(|previous| previous >= value) {
                return None;
            }
            previous = Some(value);
            while buckets.len() as u64 <= bucket(value << FLAG_BITS) {
                buckets.push(index);
            }
        }
        buckets.resize((1 << BUCKET_BITS) + 1, count);
        Some(Self { entries, buckets })
    }

    /// The flags of a name's hash; 0 if it is not listed.
    pub(crate) fn lookup(&self, hash: u64) -> u64 {
        let Ok(bucket) = usize::try_from(bucket(hash)) else { return 0 };
        let (Some(&from), Some(&to)) = (self.buckets.get(bucket), self.buckets.get(bucket + 1)) else {
            return 0;
        };
        let range = from as usize..to as usize;
        let found = self.entries[range].iter().map(|entry| u64::from_le_bytes(*entry));
        found
            .take_while(|entry| entry >> FLAG_BITS <= hash >> FLAG_BITS)
            .find(|entry| entry >> FLAG_BITS == hash >> FLAG_BITS)
            .map_or(0, |entry| entry & ((1 << FLAG_BITS) - 1))
    }
}

/// One entry, as the weight file holds it.
#[cfg(any(test, feature = "train"))]
pub(crate) fn entry(hash: u64, flags: u64) -> u64 {
    ((hash >> FLAG_BITS) << FLAG_BITS) | flags
}

fn bucket(hash: u64) -> u64 {
    hash >> (64 - BUCKET_BITS)
}
