//! Who may be charged for a request of this scope.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Those that a TenantQuota names for other ServiceAccounts. `*` does not cover them: their budget is not ours.
    pub withheld: BTreeSet<TenantId>,
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

    /// What applies to a request that runs on the budget of `tenant`; `None` if this scope may not act for it.
    #[must_use]
    pub fn policy(&self, tenant: &TenantId) -> Option<&TenantPolicy> {
        if self.withheld.contains(tenant) {
            return None;
        }
        self.named.get(tenant).or(self.default.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_does_not_cover_a_tenant_that_others_may_act_for() {
        let policy =
            |quota: &str| TenantPolicy { quota: quota.parse().unwrap(), max_tokens_per_request: None };
        let tenant = |name: &str| name.parse::<TenantId>().unwrap();
        let tenants = Tenants {
            named: BTreeMap::from([(tenant("acme"), policy("team-a/tier"))]),
            default: Some(policy("platform/default")),
            withheld: BTreeSet::from([tenant("globex")]),
        };
        assert_eq!(tenants.policy(&tenant("acme")), Some(&policy("team-a/tier")));
        assert_eq!(tenants.policy(&tenant("initech")), Some(&policy("platform/default")));
        assert_eq!(tenants.policy(&tenant("globex")), None);
    }
}
