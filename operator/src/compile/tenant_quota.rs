//! A TenantQuota's spec -> what it says about its tenants.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_crds::TenantQuotaSpec;
use chaperone_crds::tenant_quota as written;
use chaperone_protocol::name::{ObjectName, TenantId};
use chaperone_protocol::snapshot::TenantPolicy;
use chaperone_protocol::units::Tokens;
use jiff::Timestamp;

use super::admission::Admission;
use super::finding::{Findings, Kind, Notes, Problem, Reason};
use super::partner::tokens;
use crate::world::{Object, ObjectKey, World};

/// All quotas of a World.
pub(super) type Quotas<'w> = BTreeMap<&'w ObjectKey, CompiledQuota<'w>>;

/// A TenantQuota, compiled by itself. A tenant that cannot be read is a finding, and the others stand.
#[derive(Debug)]
pub(super) struct CompiledQuota<'w> {
    pub(super) created: Option<Timestamp>,
    pub(super) admission: Admission<'w>,
    /// Tenants with their place in `spec.tenants`.
    pub(super) named: Vec<(usize, TenantId)>,
    /// Place of `*`, if it is there.
    pub(super) default: Option<usize>,
    service_accounts: BTreeSet<&'w str>,
    max_tokens_per_request: Option<Tokens>,
}

impl CompiledQuota<'_> {
    /// Whether `service_account` may act for the tenants.
    pub(super) fn may_act(&self, service_account: &ObjectName) -> bool {
        self.service_accounts.is_empty() || self.service_accounts.contains(service_account.as_str())
    }

    /// What it says about each of its tenants; `key` is its own.
    pub(super) fn policy(&self, key: &ObjectKey) -> TenantPolicy {
        let quota = key.to_string().parse().expect("made of object names, which a quota's name admits");
        TenantPolicy { quota, max_tokens_per_request: self.max_tokens_per_request }
    }
}

/// Compiles every quota by itself.
pub(super) fn all<'w>(world: &'w World, findings: &mut Findings) -> Quotas<'w> {
    world.quotas.iter().map(|(key, object)| (key, one(key, object, findings))).collect()
}

fn one<'w>(
    key: &ObjectKey,
    object: &'w Object<TenantQuotaSpec>,
    findings: &mut Findings,
) -> CompiledQuota<'w> {
    // Destructured without `..`, so that a new field fails to compile here instead of being dropped.
    let TenantQuotaSpec { tenants, service_accounts, allowed_namespaces, limits } = &object.spec;
    let written::Limits { max_tokens_per_request } = limits;
    let mut notes = Notes::of(Kind::TenantQuota, key, findings);
    let mut named = Vec::new();
    for (index, tenant) in tenants.iter().enumerate().filter(|(_, tenant)| *tenant != "*") {
        let parsed = tenant.parse::<TenantId>().map_err(|error| {
            Problem::new(Reason::InvalidValue, error, "write what requests say in `x-tenant-id`")
        });
        if let Some(tenant) = notes.keep(format!("spec.tenants[{index}]"), parsed) {
            named.push((index, tenant));
        }
    }
    CompiledQuota {
        created: object.created,
        admission: Admission::new(allowed_namespaces),
        named,
        default: tenants.iter().position(|tenant| tenant == "*"),
        service_accounts: service_accounts.iter().map(String::as_str).collect(),
        max_tokens_per_request: tokens(
            *max_tokens_per_request,
            "spec.limits.maxTokensPerRequest",
            &mut notes,
        ),
    }
}
