//! The data plane: serves model calls under one snapshot. Knows no Kubernetes.

mod dialect;
mod exchange;
mod json;
mod neutral;
mod refusal;
mod sse;
