//! TenantQuota: who may spend, and how much. Which quota a request falls under is `quota.md`'s table, in the compile.

#![expect(clippy::duplicated_attributes, reason = "each printcolumn has a type of its own")]
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Sidecars};
use crate::field::{AllowedNamespaces, OBJECT_NAME};

/// A tenant: what a request may say in `x-tenant-id`, or `*`.
const TENANT: &str = "^(\\*|[-A-Za-z0-9_.:@]+)$";

/// Which tenants there are, who may act for them, and what each of them may use.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "chaperone.dev",
    version = "v1alpha1",
    kind = "TenantQuota",
    namespaced,
    status = "TenantQuotaStatus",
    derive = "PartialEq",
    shortname = "tq",
    category = "chaperone",
    printcolumn(name = "Tenants", type_ = "string", json_path = ".spec.tenants"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.sidecars.summary"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    doc = "Who may use models, and how much. Without a TenantQuota that applies to it, a request is refused."
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantQuotaSpec {
    /// The tenants, 1 to 1000, each with a budget of its own. Example: `[acme, globex]`, or `["*"]` alone for every tenant that no other TenantQuota names.
    #[schemars(
        length(min = 1, max = 1000),
        inner(length(min = 1, max = 128), regex(pattern = TENANT))
    )]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        // `*` means the tenants that are named nowhere: beside a name it would mean that name too, or hide it.
        validation = Rule::new("!('*' in self) || self.size() == 1")
            .message("`*` stands alone: move the named tenants into a TenantQuota of their own"),
    )]
    pub tenants: Vec<String>,
    /// ServiceAccounts that may act for the tenants, at most 100; default: any. Example: `[checkout]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 253), regex(pattern = OBJECT_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub service_accounts: Vec<String>,
    /// From which namespaces applications may act for the tenants; default `{from: Same}`. One TenantQuota stays one budget per tenant, however many namespaces it admits.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// What each tenant may use. A limit that is absent does not limit.
    pub limits: Limits,
}

/// What a tenant may use. At least one limit must be set.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.maxTokensPerRequest)")
    .message("an empty `limits` limits nothing: set `maxTokensPerRequest`"))]
pub struct Limits {
    /// Tokens that an answer may have at most; the lower of it and the route's `maxTokens.cap` applies. Example: `4096`. A higher limit that an app asks for is lowered, and named in `x-chaperone-adjusted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_tokens_per_request: Option<i64>,
}

/// What the operator knows about a TenantQuota. Written by the operator alone.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct TenantQuotaStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not: `Accepted`, `ResolvedRefs`, `Programmed` and the summary `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many sidecars have the quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<Sidecars>,
}
