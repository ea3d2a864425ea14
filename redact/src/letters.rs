//! Sets of beginnings and endings of words: one bit per three letters, whatever their case.

/// Such a set, of 4 kB.
pub(crate) type Letters = [u64; 512];

/// The bit for three letters; zero stands for none.
pub(crate) const fn slot(first: u8, second: u8, third: u8) -> usize {
    spread(first as u32 | (second as u32) << 8 | (third as u32) << 16)
}

/// The bit for three letters in the lowest bytes. The product puts their low five bits side by side, and no two triples
/// of letters on the same bit.
#[inline]
pub(crate) const fn spread(letters: u32) -> usize {
    const ANY_CASE: u32 = 0x001F_1F1F;
    ((letters & ANY_CASE).wrapping_mul(0x0002_1004) >> 17) as usize
}

/// The set with a bit in it.
pub(crate) const fn set(mut table: Letters, slot: usize) -> Letters {
    table[slot / 64] |= 1 << (slot % 64);
    table
}

/// Whether the bit is in the set.
#[inline]
pub(crate) fn has(table: &Letters, slot: usize) -> bool {
    table[slot / 64] >> (slot % 64) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_triples_of_letters_share_a_bit() {
        let letters = || 0..27_u8;
        let all = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| slot(a, b, c))));
        assert_eq!(all.collect::<std::collections::BTreeSet<_>>().len(), 27 * 27 * 27);
    }
}
