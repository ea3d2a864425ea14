//! What is counted against a limit.
//!
//! A rate is held as slots, see [`slots`].

pub mod slots;
