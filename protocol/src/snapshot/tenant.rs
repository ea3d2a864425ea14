//! Who may be charged for a request of this scope.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::{QuotaName, TenantId};
use crate::units::Tokens;

/// The tenants for whom this scope may act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenants {
    /// Those that a TenantQuota names.
    pub named: BTreeMap<TenantId, TenantPolicy>,
    /// What `*` gives to everybody else.
    pub default: Option<TenantPolicy>,
}

/// What a TenantQuota says about a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantPolicy {
    /// Which TenantQuota it is.
    pub quota: QuotaName,
    /// Longest answer to one request, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_request: Option<Tokens>,
}

impl Tenants {
    /// Whether nobody may be charged, so that nobody is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.default.is_none()
    }
}
