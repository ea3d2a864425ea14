//! Conditions of all kinds: their types and reasons are enums, so that no string is spelled twice.
//!
//! In an object they are strings: an operator that was rolled back must still read what a newer one wrote.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::explain::explain_values;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object itself is usable: nothing in it contradicts itself or another object.
    Accepted,
    /// Everything that the object names exists and may be used.
    ResolvedRefs,
    /// Every sidecar that needs the object has acknowledged it.
    Programmed,
    /// The partner answers its health probe.
    Healthy,
    /// No sidecar keeps requests from the partner.
    Admitting,
    /// The route's last drill passed, and is not too old.
    Drilled,
    /// The summary that waiting tools look at.
    Ready,
}

impl ConditionType {
    /// As it stands in a status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Healthy => "Healthy",
            Self::Admitting => "Admitting",
            Self::Drilled => "Drilled",
            Self::Ready => "Ready",
        }
    }
}

/// Why a condition has its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionReason {
    /// Accepted: nothing to object to.
    Accepted,
    /// Accepted, False: the object cannot be compiled; the message names path and remedy.
    Invalid,
    /// Accepted, False: an older route in sight has the same alias.
    AliasConflict,
    /// Accepted, False: an older quota in sight has the same tenant.
    TenantConflict,
    /// Accepted, False: the fallbacks lead back to where they began.
    FallbackCycle,
    /// Accepted, False: a target cannot carry what the route needs.
    Unfit,
    /// ResolvedRefs: everything named was found.
    ResolvedRefs,
    /// ResolvedRefs, False: it exists, but its owner does not admit this namespace.
    RefNotPermitted,
    /// ResolvedRefs, False: it exists, but is itself not accepted.
    RefNotAccepted,
    /// ResolvedRefs, False: it is of the wrong kind or type.
    InvalidKind,
    /// ResolvedRefs, False: it does not exist.
    NotFound,
    /// ResolvedRefs, False: it exists without the label that lets it be read.
    NotLabelled,
    /// Programmed: every sidecar has acknowledged.
    Programmed,
    /// Programmed: no sidecar needs it yet.
    NoSidecars,
    /// Programmed, False: sidecars have still to acknowledge.
    Propagating,
    /// Programmed, False: a sidecar refused it; the message names Pod, path and reason.
    Refused,
    /// Programmed, False: a sidecar refused another object of the same snapshot.
    HeldBack,
    /// Programmed, False: the object is not accepted, so it is not sent.
    NotAccepted,
    /// Healthy: the last probe was answered.
    ProbeSucceeded,
    /// Healthy, False: the last probes failed.
    ProbeFailed,
    /// Healthy, Unknown: nothing is probed.
    NotProbed,
    /// Admitting: every breaker lets requests through.
    Admitting,
    /// Admitting, False: breakers of sidecars refuse, or probe.
    Refusing,
    /// Admitting, False: the partner does not accept the credential; the message names what to repair.
    CredentialRefused,
    /// Admitting, False: the partner says that the credential's credit is spent.
    CreditSpent,
    /// Drilled: every play of the last drill passed.
    DrillPassed,
    /// Drilled, False: a play did not; the message names it.
    DrillFailed,
    /// Drilled, False: the last drill is older than drills may be.
    DrillTooOld,
    /// Ready: accepted, resolved and programmed. Where it is False, its reason is that of the first of those that is.
    Ready,
}

impl ConditionReason {
    /// As it stands in a status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Invalid => "Invalid",
            Self::AliasConflict => "AliasConflict",
            Self::TenantConflict => "TenantConflict",
            Self::FallbackCycle => "FallbackCycle",
            Self::Unfit => "Unfit",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::RefNotAccepted => "RefNotAccepted",
            Self::InvalidKind => "InvalidKind",
            Self::NotFound => "NotFound",
            Self::NotLabelled => "NotLabelled",
            Self::Programmed => "Programmed",
            Self::NoSidecars => "NoSidecars",
            Self::Propagating => "Propagating",
            Self::Refused => "Refused",
            Self::HeldBack => "HeldBack",
            Self::NotAccepted => "NotAccepted",
            Self::ProbeSucceeded => "ProbeSucceeded",
            Self::ProbeFailed => "ProbeFailed",
            Self::NotProbed => "NotProbed",
            Self::Admitting => "Admitting",
            Self::Refusing => "Refusing",
            Self::CredentialRefused => "CredentialRefused",
            Self::CreditSpent => "CreditSpent",
            Self::DrillPassed => "DrillPassed",
            Self::DrillFailed => "DrillFailed",
            Self::DrillTooOld => "DrillTooOld",
            Self::Ready => "Ready",
        }
    }
}

/// Whether a condition holds.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[schemars(transform = explain_values)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows yet.
    Unknown,
}

/// One statement about an object, as Gateway API has them.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about: `Accepted`, `ResolvedRefs`, `Programmed`, `Healthy`, `Admitting`, `Drilled` or `Ready`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The generation of the object that was looked at. Lower than `metadata.generation`: the last change has not been judged yet.
    pub observed_generation: i64,
    /// When `status` last changed. RFC 3339, as `2026-11-24T08:00:00Z`.
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Time,
    /// Why, in one word. Example: `NotFound`.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// Why, in words, with path and remedy where something is wrong.
    #[schemars(length(max = 32768))]
    pub message: String,
}

pub(crate) fn date_time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}

/// How many sidecars have an object.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Sidecars {
    /// Sidecars that should have the object in its present generation.
    pub total: i32,
    /// Sidecars that have acknowledged it.
    pub programmed: i32,
    /// Sidecars that refused it and kept what they had.
    pub refused: i32,
    /// Sidecars that have neither acknowledged nor refused it.
    pub stale: i32,
    /// `programmed` and `total` as the column shows them. Example: `12/12`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub summary: String,
    /// Those that refused it or are stale, and why; the first 8 by name, those that refused it before the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub behind: Vec<Behind>,
}

/// A sidecar that does not have an object in its present generation.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Behind {
    /// Its Pod, as `namespace/name`. Example: `shop/checkout-7d4b9c`.
    #[schemars(length(max = 320))]
    pub pod: String,
    /// Whether it refused the object or is stale.
    pub state: BehindState,
    /// Why, in words; where it refused, with the path in its snapshot. Example: `its stream is lost`.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// Why a sidecar does not have an object.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(transform = explain_values)]
pub enum BehindState {
    /// It refused the object and keeps what it had.
    Refused,
    /// It has neither acknowledged nor refused it.
    Stale,
}

impl Sidecars {
    /// Entries of [`Sidecars::behind`].
    pub const BEHIND: usize = 8;

    /// The counters, with the summary that belongs to them.
    #[must_use]
    pub fn new(programmed: i32, refused: i32, stale: i32) -> Self {
        let total = programmed.saturating_add(refused).saturating_add(stale);
        Self {
            total,
            programmed,
            refused,
            stale,
            summary: format!("{programmed}/{total}"),
            behind: Vec::new(),
        }
    }
}
