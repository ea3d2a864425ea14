//! The kinds as users write them, their generated YAML, and `admit`: an API server's checks without one.
//!
//! - [`Partner`], [`ModelRoute`], [`TenantQuota`]: one file each, with the bounds and CEL rules beside each field.
//! - [`field`]: shapes that kinds share. [`condition`]: what a status may say.
//! - [`crds`]: the definitions that are applied to a cluster; [`mod@definition`] makes them from the types.
//! - [`read_documents`] and [`admit()`]: from a file to checked objects, outside a cluster. [`core`]: Secrets,
//!   ConfigMaps and Namespaces there.
//!
//! No I/O and no Kubernetes client. What needs other objects is not judged here, but when the operator compiles.

pub mod admit;
pub mod condition;
pub mod core;
pub mod definition;
pub mod document;
mod explain;
pub mod field;
pub mod model_route;
pub mod partner;
mod path;
pub mod tenant_quota;

pub use admit::{Object, Problem, admit};
pub use definition::{crds, yaml};
pub use document::{Document, read_documents};
pub use model_route::{ModelRoute, ModelRouteSpec, ModelRouteStatus};
pub use partner::{Partner, PartnerSpec, PartnerStatus};
pub use tenant_quota::{TenantQuota, TenantQuotaSpec, TenantQuotaStatus};

/// The API group of all kinds.
pub const GROUP: &str = "chaperone.dev";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";
