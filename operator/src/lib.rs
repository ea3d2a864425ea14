//! Compiles custom resources into snapshots.
//!
//! - [`world`]: all that the compiler may look at, as plain data.
//! - [`compile`]: the World in, one snapshot per scope and all findings out. Pure: no I/O, no clock, no client.

pub mod compile;
pub mod world;
