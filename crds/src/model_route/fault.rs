//! Declared faults: failures that the sidecar plays on purpose, so that a fallback is seen to work before it is needed.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::explain::explain_values;
use crate::field::{DurationString, NAMESPACE, OBJECT_NAME, duration_within};

/// A failure that the sidecar plays instead of, or on top of, what a partner does.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.kind in ['StallFirstToken', 'Delay']) == has(self.delay)")
        .message("`delay` goes with kinds StallFirstToken and Delay: set it there, and nowhere else"),
    validation = Rule::new("self.kind == 'CutAfterTokens' ? has(self.tokens) : self.kind == 'MalformedSse' || !has(self.tokens)")
        .message("`tokens` is needed by kind CutAfterTokens, may stand with MalformedSse, and goes with no other"),
    validation = Rule::new("(self.kind == 'Status') == has(self.status)")
        .message("`status` goes with kind Status: set both, or neither"),
    validation = Rule::new("!has(self.retryAfter) || self.kind == 'Status'")
        .message("`retryAfter` goes only with kind Status: remove it, or change the kind"),
    validation = Rule::new("(self.kind == 'WrongUsage') == has(self.usage)")
        .message("`usage` goes with kind WrongUsage: set both, or neither"),
    validation = Rule::new("!has(self.__namespace__) || has(self.partner)")
        .message("`namespace` goes only with `partner`: set `partner`, or remove it"),
)]
pub struct Fault {
    /// How many of 100 requests get it, drawn by a hash of the request's id. Example: `1`. All faults of a route together must not exceed 100.
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How long StallFirstToken and Delay last, from 1ms to 1h. Example: `6s`. Nothing is sent to the partner before it has passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub delay: Option<DurationString>,
    /// After how many tokens of the answer CutAfterTokens and MalformedSse strike; with MalformedSse 0 by default. Example: `10`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub tokens: Option<i32>,
    /// The HTTP status of Status, 400 to 599. Example: `503`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 400, max = 599))]
    pub status: Option<i32>,
    /// The `Retry-After` that goes with the status, in whole seconds, rounded up; default none. Example: `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub retry_after: Option<DurationString>,
    /// What WrongUsage makes of the partner's count of tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<FaultUsage>,
    /// Whom it strikes; default: the target that the request begins with, so that its fallbacks are seen to work. Example: `partner-beta`, one of the route's targets or fallbacks. A partner that the route never asks makes `Accepted` False.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub partner: Option<String>,
    /// Namespace of that Partner; default: the namespace of this object. Example: `ai-platform`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE))]
    pub namespace: Option<String>,
    /// When it may strike; default: always. Outside of it nothing is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<FaultWindow>,
}

/// What goes wrong.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[schemars(transform = explain_values)]
pub enum FaultKind {
    /// The partner answers 200 and then pings once a second, without a token for `delay`.
    StallFirstToken,
    /// The answer ends after `tokens` tokens, without the event that ends it.
    CutAfterTokens,
    /// After `tokens` tokens comes a frame that is not JSON.
    MalformedSse,
    /// The partner answers with `status`. It is not asked.
    Status,
    /// The partner's answer, with another count of tokens.
    WrongUsage,
    /// The partner sends nothing, not even a status, for `delay`.
    Delay,
    /// The connection is reset before the partner answers. It is not asked.
    Abort,
}

/// What becomes of a partner's count of tokens.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[schemars(transform = explain_values)]
pub enum FaultUsage {
    /// There is none.
    Missing,
    /// Every number in it is 0.
    Zero,
    /// Every number in it is 2⁶³.
    Huge,
}

/// A span of time.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.start < self.end").message("`start` must be before `end`"))]
pub struct FaultWindow {
    /// Its first moment. RFC 3339, as `2026-11-24T08:00:00Z`.
    #[schemars(schema_with = "moment")]
    pub start: Time,
    /// The first moment after it. RFC 3339, as `2026-11-24T09:00:00Z`.
    #[schemars(schema_with = "moment")]
    pub end: Time,
}

fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
}
