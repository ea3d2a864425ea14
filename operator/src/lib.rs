//! Compiles custom resources into snapshots, and brings them to sidecars.
//!
//! - [`world`]: all that the compiler may look at, as plain data.
//! - [`compile`]: the World in, one snapshot per scope and all findings out. Pure: no I/O, no clock, no client.
//! - With feature `controller`, what surrounds it in a cluster: `controller` watches, debounces, gathers, compiles,
//!   publishes and reports; `feed` speaks to sidecars; `leader` decides which replica does; `operator` starts it all.

pub mod compile;
pub mod world;

#[cfg(feature = "controller")]
mod admin;
#[cfg(feature = "controller")]
mod args;
#[cfg(feature = "controller")]
mod beside;
#[cfg(feature = "controller")]
mod certificate;
#[cfg(feature = "controller")]
mod clock;
#[cfg(feature = "controller")]
mod controller;
#[cfg(feature = "controller")]
mod desk;
#[cfg(feature = "controller")]
mod event;
#[cfg(feature = "controller")]
mod feed;
#[cfg(feature = "controller")]
mod health;
#[cfg(feature = "controller")]
mod identity;
#[cfg(feature = "controller")]
mod injector;
#[cfg(feature = "controller")]
mod leader;
#[cfg(feature = "controller")]
mod metrics;
#[cfg(feature = "controller")]
mod operator;
#[cfg(all(test, feature = "controller"))]
mod played;
#[cfg(feature = "controller")]
mod pods;
#[cfg(feature = "controller")]
mod report;
#[cfg(feature = "controller")]
mod root;
#[cfg(feature = "controller")]
mod telemetry;
#[cfg(feature = "controller")]
mod vital;
#[cfg(feature = "controller")]
mod watched;
#[cfg(feature = "controller")]
pub use self::{args::Args, operator::run, telemetry::log_to_stderr};
