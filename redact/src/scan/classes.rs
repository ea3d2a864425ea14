//! The classes of 64 bytes at once, one bit for each byte.
//!
//! A text without personal data is read at the speed of this file: the loop below has no branch and no table, so that
//! the compiler compares 16 bytes or more with one instruction.

/// Bytes that are classified at once.
pub(super) const CHUNK: usize = 64;

/// A chunk, and the bytes behind it that show how a word at its end begins.
pub(super) type Window = [u8; CHUNK + HEAD];
/// Bytes of a word's beginning.
pub(super) const HEAD: usize = 4;

/// Which bytes of a chunk are what; the lowest bit is the first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Classes {
    /// ASCII letters and digits.
    pub(super) words: u64,
    pub(super) digits: u64,
    /// `@ : = - % &`
    pub(super) marks: u64,
    /// Whether a byte is beyond ASCII.
    pub(super) wide: bool,
}

/// In a byte of the classified chunk: it belongs to a word.
const WORD: u8 = 1;
/// It is a digit or a mark.
const SPECIAL: u8 = 2;

impl Classes {
    /// The classes of the bytes in front.
    pub(super) fn of(window: &Window) -> Self {
        let bytes: &[u8; CHUNK] = window.first_chunk().expect("a window is longer");
        let classes = bytes.map(|byte| {
            let digit = byte.wrapping_sub(b'0') < 10;
            let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
            let mark = byte.wrapping_sub(b'%') < 2 || matches!(byte, b'@' | b':' | b'=' | b'-');
            (u8::from(letter | digit) * WORD) | (u8::from(digit | mark) * SPECIAL)
        });
        let (words, special) = (bits(&classes, WORD), bits(&classes, SPECIAL));
        let wide = bytes.iter().fold(0, |all, byte| all | byte) >= 0x80;
        Self { words, digits: words & special, marks: special & !words, wide }
    }
}

/// One bit of every byte.
fn bits(classes: &[u8; CHUNK], bit: u8) -> u64 {
    /// Moves the lowest bits of eight bytes side by side, to the top.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (eights, _) = classes.as_chunks::<8>();
    let lowest = u64::from_le_bytes([1; 8]);
    eights.iter().rev().fold(0, |bits, eight| {
        let lanes = u64::from_le_bytes(*eight) >> bit.trailing_zeros() & lowest;
        bits << 8 | lanes.wrapping_mul(GATHER) >> 56
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_class_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..CHUNK {
                let mut window = [b' '; CHUNK + HEAD];
                window[at] = byte;
                let bit = |is: bool| u64::from(is) << at;
                let wanted = Classes {
                    words: bit(byte.is_ascii_alphanumeric()),
                    digits: bit(byte.is_ascii_digit()),
                    marks: bit(b"@:=-%&".contains(&byte)),
                    wide: byte >= 0x80,
                };
                assert_eq!(Classes::of(&window), wanted, "{byte} at {at}");
            }
        }
    }
}
