//! The data plane: serves model calls under one snapshot. Knows no Kubernetes.

mod exchange;
mod neutral;
mod refusal;
