//! The kinds as users write them, and their generated YAML.
//! - [`Partner`], [`ModelRoute`], [`TenantQuota`]: one file each, with the bounds and CEL rules beside each field.
//! - [`field`]: shapes that kinds share. [`condition`]: what a status may say.
//! - [`crds`]: the definitions that are applied to a cluster; [`mod@definition`] makes them from the types.
//!
//! No I/O and no Kubernetes client. What needs other objects is not judged here, but when the operator compiles.

pub mod condition;
pub mod definition;
mod explain;
pub mod field;
pub mod model_route;
pub mod partner;
pub mod tenant_quota;

pub use definition::{crds, yaml};
pub use model_route::{ModelRoute, ModelRouteSpec, ModelRouteStatus};
pub use partner::{Partner, PartnerSpec, PartnerStatus};
pub use tenant_quota::{TenantQuota, TenantQuotaSpec, TenantQuotaStatus};

/// The API group of all kinds.
pub const GROUP: &str = "chaperone.dev";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";
