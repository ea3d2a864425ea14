//! The feed: what sidecars get, and what they say of it.
//!
//! Pure: `publish` (what there is to have), `stream` (what one connection is sent next), `canary` (who gets a new
//! edition first), `roster` (who holds or refused what), `learned` (what sidecars have met), `pace` (how often they say so), `hold` (what
//! is kept back), and `hub`, which holds them together.
//! I/O: `server` admits streams, `session` is one, `body` writes.

mod body;
mod canary;
mod hold;
mod hub;
mod learned;
mod pace;
mod publish;
mod roster;
pub(crate) mod server;
mod session;
mod stream;

pub(crate) use self::hub::{Hub, Pass, Unaware};
pub(crate) use self::learned::Standing;
pub(crate) use self::publish::Generation;
#[cfg(test)]
pub(crate) use self::roster::Refusal;
pub(crate) use self::roster::{Pod, Tally, TallyCounts};
