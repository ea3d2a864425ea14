//! The data plane: serves model calls under one snapshot. Knows no Kubernetes.
//!
//! Start at [`Sidecar`]; the life of a request is `pipeline.rs`, on one screen.

mod adapter;
mod admin;
mod analyzer;
mod api;
mod breaker;
mod callers;
mod clock;
mod cooldown;
mod defect;
mod dialect;
mod exchange;
mod fault;
mod feed;
mod gate;
mod health;
mod jitter;
mod json;
mod live;
mod memory;
mod metrics;
mod models;
mod neutral;
mod outbound;
mod passthrough;
mod pii;
mod pipeline;
mod prompt;
mod queue;
mod rate;
mod readiness;
mod record;
mod refusal;
#[cfg(test)]
mod rehearsal;
mod retry;
mod retry_after;
mod run;
mod server;
mod sidecar;
mod sse;
mod telemetry;
mod thoughts;
mod trace;

pub use self::callers::Callers;
pub use self::feed::Feed;
pub use self::readiness::Start;
pub use self::run::{Settings, Sidecar};
pub use self::telemetry::log_warnings_to_stderr;
