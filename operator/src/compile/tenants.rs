//! Whom a scope may charge: one TenantQuota per tenant of a namespace, then what its ServiceAccount may use of that.

use std::collections::BTreeMap;

use chaperone_protocol::name::{ObjectName, TenantId};
use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::WireTenants;

use super::Parts;
use super::finding::{Findings, Kind, Notes, Problem, Reason};
use super::scope::{longest_prefix, rank};
use super::tenant_quota::CompiledQuota;
use crate::world::ObjectKey;

type Holder<'p> = (&'p ObjectKey, &'p CompiledQuota<'p>);

/// The tenants of `scope`, as many as `fits` admits.
///
/// Who holds a tenant is decided per namespace: ServiceAccounts say who may act, they never split a budget.
pub(super) fn of(
    scope: &Scope,
    parts: &Parts<'_>,
    fits: impl Fn(&WireTenants) -> bool,
    findings: &mut Findings,
) -> WireTenants {
    let holders = Holders::of(&scope.namespace, parts, findings);
    let kept = longest_prefix(holders.named.len(), |length| fits(&holders.wire(scope, length)));
    for (_, (key, _)) in holders.named.iter().skip(kept) {
        Notes::of(Kind::TenantQuota, key, findings).add("spec.tenants", too_many(&scope.namespace));
    }
    holders.wire(scope, kept)
}

/// Which TenantQuota holds which tenant of a namespace.
#[derive(Default)]
struct Holders<'p> {
    /// In order of rank, so that what is too much is the last that came.
    named: Vec<(&'p TenantId, Holder<'p>)>,
    by_name: BTreeMap<&'p TenantId, &'p ObjectKey>,
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
            match self.by_name.get(tenant) {
                Some(other) if *other == key => {}
                Some(other) => {
                    let path = format!("spec.tenants[{index}]");
                    notes.add(path, clash(tenant.as_str(), key, other, namespace));
                }
                None => {
                    self.by_name.insert(tenant, key);
                    self.named.push((tenant, holder));
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

    /// What `scope` may use of the first `length` tenants, and of the default.
    fn wire(&self, scope: &Scope, length: usize) -> WireTenants {
        let mut tenants = WireTenants::default();
        // A tenant that was left out must not fall under the default: that is another budget.
        let is_whole = length == self.named.len();
        tenants.default = self
            .default
            .filter(|(_, quota)| is_whole && quota.may_act(&scope.service_account))
            .map(|(key, quota)| quota.policy(key));
        for (tenant, (key, quota)) in self.named.iter().take(length) {
            if quota.may_act(&scope.service_account) {
                tenants.named.insert((*tenant).clone(), quota.policy(key));
            } else if tenants.default.is_some() {
                tenants.withheld.insert((*tenant).clone());
            }
        }
        tenants
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
        format!(
            "namespace {namespace} has more named tenants than one snapshot may hold, and so no default either"
        ),
        "spread the tenants over several namespaces, or let `*` admit them",
    )
}
