//! The data plane: serves model calls under one snapshot. Knows no Kubernetes.

mod adapter;
mod dialect;
mod exchange;
mod json;
mod models;
mod neutral;
mod passthrough;
mod prompt;
mod refusal;
mod retry_after;
mod sse;
