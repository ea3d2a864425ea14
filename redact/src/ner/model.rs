//! The weight file: a header that must match this build exactly, name lists, and the table.
//!
//! Layout, little-endian: magic (8), format, feature version, row bits, labels, manifest bytes, list entries (u32 each),
//! nats per count (f32), checksum (u64) of all that follows: manifest, entries (8 bytes each), rows (a byte for each label), padding
//! so that the last row too can be read as one vector.

use super::feature;
use super::gazetteer::Gazetteer;
use super::hash;
use super::label::{LABELS, LABELS_BYTE, LANES, NAMES};

const MAGIC: [u8; 8] = *b"CHAPNER\n";
const FORMAT: u32 = 2;
const HEADER_BYTES: usize = 44;

/// No weight file is larger: it lives in every process.
pub(crate) const MAX_BYTES: usize = 5_000_000;

const TABLE_BYTES: usize = (LABELS << feature::ROW_BITS) + LANES - LABELS;

/// Why a weight file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWeights {
    /// Not a weight file at all.
    #[error("weight file has no valid magic; it is not a weight file")]
    Magic,
    /// Written for another program: the field that differs.
    #[error("weight file has another {0} than this build; train it again")]
    Mismatch(&'static str),
    /// Shorter or longer than its header says.
    #[error("weight file has another size than its header says; it is damaged")]
    Size,
    /// A bit differs from what was written.
    #[error("weight file does not match its checksum; it is damaged")]
    Checksum,
    /// The lists or the manifest cannot be read.
    #[error("weight file has a malformed {0}; train it again")]
    Malformed(&'static str),
}

/// Checked weights.
#[derive(Debug)]
pub(crate) struct Model {
    /// Rows without gaps: a vector of lanes reaches into the next row, whose values nobody looks at.
    rows: &'static [u8],
    pub(crate) gazetteer: Gazetteer,
    /// What one count of a score is worth, in nats.
    pub(crate) nats: f32,
    pub(crate) manifest: &'static str,
}

impl Model {
    /// Checks everything that can be checked; nothing is repaired.
    pub(crate) fn parse(file: &'static [u8]) -> Result<Self, InvalidWeights> {
        let (header, body) = file.split_first_chunk::<HEADER_BYTES>().ok_or(InvalidWeights::Magic)?;
        let header = Header::parse(header)?;
        let lists_bytes = header.entries.checked_mul(8).ok_or(InvalidWeights::Size)?;
        let table_bytes = TABLE_BYTES;
        let expected = [header.manifest, lists_bytes, table_bytes]
            .iter()
            .try_fold(0, |sum: usize, &part| sum.checked_add(part));
        if expected != Some(body.len()) || file.len() > MAX_BYTES {
            return Err(InvalidWeights::Size);
        }
        if hash::checksum(body) != header.checksum {
            return Err(InvalidWeights::Checksum);
        }
        let (manifest, rest) = body.split_at(header.manifest);
        let (lists, table) = rest.split_at(lists_bytes);
        let manifest = std::str::from_utf8(manifest).map_err(|_| InvalidWeights::Malformed("manifest"))?;
        if manifest_line(manifest, "labels") != Some(NAMES) {
            return Err(InvalidWeights::Mismatch("list of labels"));
        }
        manifest_line(manifest, "licence").ok_or(InvalidWeights::Malformed("manifest: no licence"))?;
        let gazetteer = Gazetteer::new(lists.as_chunks().0).ok_or(InvalidWeights::Malformed("name list"))?;
        Ok(Self { rows: table, gazetteer, nats: header.nats, manifest })
    }

    /// Sum of the rows, lane by lane. At most 258 rows fit the lanes; a token has fewer.
    #[inline]
    pub(crate) fn add<const N: usize>(&self, indices: &[u32; N], sum: &mut [i16; LANES]) {
        const { assert!(feature::FEATURES <= 258) };
        for &index in indices {
            let start = index as usize * LABELS;
            let row = &self.rows[start..start + LANES];
            for (lane, &weight) in sum.iter_mut().zip(row) {
                *lane += i16::from(weight.cast_signed());
            }
        }
    }
}

/// The value behind the first line that starts with `key`.
pub(crate) fn manifest_line<'m>(manifest: &'m str, key: &str) -> Option<&'m str> {
    manifest.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}

/// The fixed part of a weight file.
struct Header {
    manifest: usize,
    entries: usize,
    nats: f32,
    checksum: u64,
}

impl Header {
    fn parse(header: &[u8; HEADER_BYTES]) -> Result<Self, InvalidWeights> {
        if header[..8] != MAGIC {
            return Err(InvalidWeights::Magic);
        }
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let required = [
            (word(8), FORMAT, "format"),
            (word(12), feature::VERSION, "feature version"),
            (word(16), feature::ROW_BITS, "table size"),
            (word(20), u32::from(LABELS_BYTE), "number of labels"),
        ];
        if let Some((_, _, what)) = required.iter().find(|(found, wanted, _)| found != wanted) {
            return Err(InvalidWeights::Mismatch(what));
        }
        let nats = f32::from_bits(word(32));
        if !nats.is_finite() || nats <= 0.0 {
            return Err(InvalidWeights::Malformed("scale"));
        }
        Ok(Self {
            manifest: word(24) as usize,
            entries: word(28) as usize,
            nats,
            checksum: u64::from(word(36)) | u64::from(word(40)) << 32,
        })
    }
}

/// The parts of a weight file that is to be written.
#[cfg(any(test, feature = "train"))]
pub(crate) struct Parts<'p> {
    pub(crate) manifest: &'p str,
    /// Sorted entries, see [`super::gazetteer::entry`].
    pub(crate) entries: &'p [u64],
    pub(crate) nats: f32,
    /// All rows, lane by lane; the lanes behind the labels are left out.
    pub(crate) table: &'p [i8],
}

#[cfg(any(test, feature = "train"))]
impl Parts<'_> {
    /// The bytes of the file.
    #[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_BYTES, which parsing checks")]
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut body = self.manifest.as_bytes().to_vec();
        body.extend(self.entries.iter().flat_map(|entry| entry.to_le_bytes()));
        let rows = self.table.chunks_exact(LANES).flat_map(|row| &row[..LABELS]);
        body.extend(rows.map(|weight| weight.cast_unsigned()));
        body.extend([0; LANES - LABELS]);
        let mut file = MAGIC.to_vec();
        let counts = [self.manifest.len() as u32, self.entries.len() as u32];
        for word in
            [FORMAT, feature::VERSION, feature::ROW_BITS, u32::from(LABELS_BYTE)].into_iter().chain(counts)
        {
            file.extend(word.to_le_bytes());
        }
        file.extend(self.nats.to_bits().to_le_bytes());
        file.extend(hash::checksum(&body).to_le_bytes());
        file.extend(body);
        file
    }
}

#[cfg(test)]
mod tests;
