//! What operator and sidecar say to each other, and the rules that both obey.
//!
//! - [`snapshot`]: the compiled world of one scope, as validated types.
//! - [`wire`]: its serialised form, and the only way from bytes to a [`snapshot::Snapshot`].
//! - [`keys`]: credentials, which travel beside a snapshot and never inside it.
//! - [`adapter`] and [`pair`]: which client endpoint an adapter can serve, and how.
//! - [`address`]: which addresses a partner may have.
//! - [`quota`]: how a rate is counted.
//! - [`reason`]: the closed list of reasons for which a request is refused.
//! - [`limits`], [`name`], [`units`], [`sensitive`], [`invalid`]: the vocabulary of all of the above.
//!
//! There is no I/O, no clock and no random source in this crate, so everything here can be tested by value.

pub mod adapter;
pub mod address;
pub mod invalid;
pub mod keys;
pub mod limits;
pub mod name;
pub mod pair;
pub mod quota;
pub mod reason;
pub mod sensitive;
pub mod snapshot;
pub mod units;
pub mod wire;
