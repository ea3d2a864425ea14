//! The data plane: serves model calls under one snapshot. Knows no Kubernetes.

mod dialect;
mod exchange;
mod neutral;
mod refusal;
mod sse;
