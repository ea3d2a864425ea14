//! The feed: what sidecars get, and what they say of it.
//!
//! Pure: `publish` (what there is to have), `stream` (what one connection is sent next), `canary` (who gets a new
//! edition first), `roster` (who holds or refused what), and `hub`, which holds them together.

mod canary;
mod hold;
mod hub;
mod publish;
mod roster;
mod stream;

#[cfg(test)]
pub(crate) use self::roster::{Pod, Refusal};
pub(crate) use self::roster::{Tally, TallyCounts};
