//! The one hash of the tagger: weight files depend on it, so a change needs a new feature version.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0xd6e8_feb8_6659_fd93;

/// Hash of a short string of bytes, eight at a time.
pub(crate) fn bytes(text: &[u8]) -> u64 {
    let mut state = MULTIPLIER ^ text.len() as u64;
    let (chunks, rest) = text.as_chunks::<8>();
    for chunk in chunks {
        state = mix(state ^ u64::from_le_bytes(*chunk));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(state ^ u64::from_le_bytes(last))
}

/// Hash of two values in order.
pub(crate) fn pair(first: u64, second: u64) -> u64 {
    mix(first.rotate_left(29) ^ second)
}

/// Spreads every bit over the word.
pub(crate) fn mix(value: u64) -> u64 {
    let product = value.wrapping_mul(MULTIPLIER);
    (product ^ product >> 32).wrapping_mul(SECOND)
}

/// Checksum of a weight file's body.
pub(crate) fn checksum(body: &[u8]) -> u64 {
    let (chunks, rest) = body.as_chunks::<8>();
    let mut state = body.len() as u64;
    for chunk in chunks {
        state = (state.rotate_left(5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(MULTIPLIER);
    }
    mix(state ^ bytes(rest))
}
