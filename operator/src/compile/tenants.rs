//! Whom a scope may charge: one TenantQuota per tenant of a namespace, then what its ServiceAccount may use of that.

use std::collections::BTreeMap;

use chaperone_protocol::limits;
use chaperone_protocol::name::{ObjectName, TenantId};
use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::WireTenants;

use super::Parts;
use super::finding::{Findings, Kind, Notes, Problem, Reason};
use super::scope::rank;
use super::tenant_quota::CompiledQuota;
use crate::world::ObjectKey;

type Holder<'p> = (&'p ObjectKey, &'p CompiledQuota<'p>);

/// The tenants of `scope`.
///
/// Who holds a tenant is decided per namespace: ServiceAccounts say who may act, they never split a budget.
pub(super) fn of(scope: &Scope, parts: &Parts<'_>, findings: &mut Findings) -> WireTenants {
    let holders = Holders::of(&scope.namespace, parts, findings);
    let mut tenants = WireTenants::default();
    for (tenant, (key, quota)) in &holders.named {
        if quota.may_act(&scope.service_account) {
            tenants.named.insert((*tenant).clone(), quota.policy(key));
        } else {
            tenants.withheld.insert((*tenant).clone());
        }
    }
    tenants.default = holders
        .default
        .filter(|(_, quota)| quota.may_act(&scope.service_account))
        .map(|(key, quota)| quota.policy(key));
    if tenants.default.is_none() {
        tenants.withheld.clear(); // Without a default there is nothing to withhold them from.
    }
    tenants
}

#[derive(Default)]
struct Holders<'p> {
    named: BTreeMap<&'p TenantId, Holder<'p>>,
    default: Option<Holder<'p>>,
}

impl<'p> Holders<'p> {
    fn of(namespace: &ObjectName, parts: &'p Parts<'_>, findings: &mut Findings) -> Self {
        let mut visible: Vec<Holder<'p>> = parts
            .quotas
            .iter()
            .filter(|(key, quota)| quota.admission.admits(&key.namespace, namespace, &parts.world.namespaces))
            .map(|(key, quota)| (*key, quota))
            .collect();
        visible.sort_by(|one, other| rank(namespace, (one.0, one.1.created), (other.0, other.1.created)));
        let mut holders = Self::default();
        for holder in visible {
            holders.admit(holder, namespace, findings);
        }
        holders
    }

    fn admit(&mut self, holder: Holder<'p>, namespace: &ObjectName, findings: &mut Findings) {
        let (key, quota) = holder;
        let mut notes = Notes::of(Kind::TenantQuota, key, findings);
        for (index, tenant) in &quota.named {
            let path = format!("spec.tenants[{index}]");
            match self.named.get(tenant) {
                Some((other, _)) if *other == key => {}
                Some((other, _)) => notes.add(path, clash(tenant.as_str(), key, other, namespace)),
                None if self.named.len() == limits::TENANTS => notes.add(path, too_many(namespace)),
                None => {
                    self.named.insert(tenant, holder);
                }
            }
        }
        let Some(index) = quota.default else { return };
        match self.default {
            // A namespace's own default hides the platform's: that is what it is for.
            Some((other, _)) if other.namespace == key.namespace => {
                notes.add(format!("spec.tenants[{index}]"), clash("*", key, other, namespace));
            }
            Some(_) => {}
            None => self.default = Some(holder),
        }
    }
}

fn clash(tenant: &str, own: &ObjectKey, other: &ObjectKey, namespace: &ObjectName) -> Problem {
    let reason = if own.namespace == other.namespace { Reason::TenantClash } else { Reason::TenantShadowed };
    Problem::new(
        reason,
        format!("tenant {tenant:?} of namespace {namespace} already has TenantQuota {other}"),
        "remove the tenant from one of the two",
    )
}

fn too_many(namespace: &ObjectName) -> Problem {
    Problem::new(
        Reason::LimitExceeded,
        format!("namespace {namespace} has more than {} named tenants", limits::TENANTS),
        "spread the tenants over several namespaces, or let `*` admit them",
    )
}
