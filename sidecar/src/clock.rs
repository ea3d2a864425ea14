//! The only place that reads a clock or a source of randomness.

use std::time::SystemTime;

use tokio::time::Instant;

/// The monotonic time, by which everything is limited.
#[expect(clippy::disallowed_methods, reason = "the one reader of the monotonic clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, for records alone.
#[expect(clippy::disallowed_methods, reason = "the one reader of the wall clock")]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970, for `created` in answers.
pub(crate) fn unix_seconds() -> u64 {
    wall().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `N` random bytes as lower-case hex characters.
pub(crate) fn random_hex<const N: usize>() -> String {
    random::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number that nobody can guess.
pub(crate) fn random_number() -> u64 {
    u64::from_be_bytes(random())
}

/// A random number below `bound`, for jitter; 0 if `bound` is.
pub(crate) fn random_below(bound: u64) -> u64 {
    random_number().checked_rem(bound).unwrap_or_default()
}

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the system's random source does not fail once it is seeded");
    bytes
}
