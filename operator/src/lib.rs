//! Compiles custom resources into snapshots, and brings them to sidecars.
//!
//! - [`world`]: all that the compiler may look at, as plain data.
//! - [`compile`]: the World in, one snapshot per scope and all findings out. Pure: no I/O, no clock, no client.
//! - With feature `controller`, what surrounds it in a cluster: `controller` watches, debounces, gathers, compiles,
//!   publishes and reports; `feed` speaks to sidecars; `leader` decides which replica does; `operator` starts it all.

pub mod compile;
pub mod world;

macro_rules! in_a_cluster {
    ($($module:ident)*) => { $(#[cfg(feature = "controller")] mod $module;)* };
}

in_a_cluster! { admin args beside certificate clock controller desk event feed health identity injector leader metrics operator pods report root telemetry vital watched }

#[cfg(all(test, feature = "controller"))]
mod played;
#[cfg(feature = "controller")]
pub use self::{args::Args, operator::run, telemetry::log_to_stderr};
