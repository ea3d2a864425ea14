//! The only place that reads a clock or a source of randomness.

use jiff::Timestamp;
use tokio::time::Instant;

/// The monotonic time, by which everything is limited.
#[expect(clippy::disallowed_methods, reason = "the one reader of the monotonic clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day: for conditions, certificates and the expiry of tokens.
pub(crate) fn wall() -> Timestamp {
    Timestamp::now()
}

/// A random number below `bound`, for jitter. 0 if `bound` is.
pub(crate) fn random_below(bound: u64) -> u64 {
    u64::from_le_bytes(random()).checked_rem(bound).unwrap_or_default()
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the system's random source does not fail once it is seeded");
    bytes
}
