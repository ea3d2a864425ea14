//! Compiles custom resources into snapshots, and brings them to sidecars.
//!
//! - [`world`]: all that the compiler may look at, as plain data.
//! - [`compile`]: the World in, one snapshot per scope and all findings out. Pure: no I/O, no clock, no client.
//! - With feature `controller`, all that surrounds it in a cluster: `controller` runs
//!   watch, debounce, gather, compile, publish, report; `feed` speaks to sidecars; `leader` decides who does.

pub mod compile;
pub mod world;

#[cfg(feature = "controller")]
mod clock;
#[cfg(feature = "controller")]
mod feed;
#[cfg(feature = "controller")]
mod report;
