//! ModelRoute: what an app's `model` means. Whether its targets exist and fit is for the operator's compile to say.

#![expect(clippy::duplicated_attributes, reason = "each printcolumn has a type of its own")]
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

mod fault;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::fault::{Fault, FaultKind, FaultUsage, FaultWindow};
use crate::condition::{Condition, Sidecars, date_time};
use crate::explain::explain_values;
use crate::field::pii::{PiiFilter, RoutePii};
use crate::field::{
    AllowedNamespaces, Capability, DataClass, DurationString, MODEL_NAME, NAMESPACE, OBJECT_NAME, TargetRef,
    duration_within,
};

/// Which partners serve an alias, in which shares, and within which bounds.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "chaperone.dev",
    version = "v1alpha1",
    kind = "ModelRoute",
    namespaced,
    status = "ModelRouteStatus",
    derive = "PartialEq",
    shortname = "mr",
    category = "chaperone",
    selectable = ".spec.alias",
    printcolumn(name = "Alias", type_ = "string", json_path = ".spec.alias"),
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
    doc = "What an application means when it asks for a model by an alias. It names the partners that serve the alias and the rules for it."
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.piiFilter) || self.piiFilter != 'Off' || !(self.dataClass in ['Confidential', 'Restricted'])")
        .message("`piiFilter: Off` is not possible with Confidential or Restricted data: remove it, or lower `dataClass`"),
)]
pub struct ModelRouteSpec {
    /// What applications send as `model`; it cannot change later, since they would lose their model. Example: `fast-text`. A second route with the same alias in sight gets `AliasConflict`.
    #[schemars(length(min = 1, max = 128), regex(pattern = MODEL_NAME))]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("`alias` cannot change: create another ModelRoute, and delete this one when nobody uses it"))]
    pub alias: String,
    /// Where requests go first, 1 to 16 targets, each with its share of the traffic. At least one weight must be above 0.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new("self.exists(t, t.weight > 0)")
            .message("the sum of weights must be above 0: give a target a weight"),
    )]
    pub targets: Vec<WeightedTarget>,
    /// Whom to ask in turn when the target fails, at most 16; absent: the fallbacks of the target's Partner, `[]`: nobody. Example: `[{partner: partner-beta, model: claude-haiku}]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub fallback_chain: Option<Vec<TargetRef>>,
    /// How confidential the data of this route is; default `Internal`. A partner whose `dataClasses` do not have it is not used, and `Accepted` says so.
    #[serde(default)]
    pub data_class: DataClass,
    /// How much personal data is looked for in requests of this route; default: what each Partner says, the least that `dataClass` brings (Internal: Lenient, Confidential: Balanced, Restricted: Strict), and `Lenient` at least. The stricter of Partner and route stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii_filter: Option<PiiFilter>,
    /// Which personal data is redacted, and what stands there instead; default: what each Partner says. The filter is not written here but as `piiFilter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii: Option<RoutePii>,
    /// What every target and fallback must be able to do; default nothing. Example: `[Tools, JsonSchema]`. One that cannot is a finding, and the route is refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 11))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub requires: Vec<Capability>,
    /// Bounds of an answer's length; default: the model's `maxOutputTokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<MaxTokens>,
    /// From the arrival of a request to the first token of its answer, all attempts together, from 1ms to 1h; default `300s`. Beyond it the app gets `deadline`.
    #[serde(default = "deadline")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub deadline: DurationString,
    /// How partners are asked when the app wants a whole answer; default `AsAsked`.
    #[serde(default)]
    pub whole_answers: WholeAnswers,
    /// Failures that the sidecar plays on purpose, at most 16; default none. Example: `[{percent: 1, kind: StallFirstToken, delay: 6s}]`. Answers that had one carry `x-chaperone-fault`; other routes of the same partners never feel them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new("self.map(f, f.percent).sum() <= 100")
            .message("the percentages of all faults must not sum above 100: a request gets one fault at most"),
    )]
    pub faults: Vec<Fault>,
    /// In which namespaces applications may use the alias; default `{from: Same}`. Elsewhere the alias is unknown.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

fn deadline() -> DurationString {
    DurationString::seconds(300)
}

/// A model of a Partner, with its share of the traffic.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeightedTarget {
    /// Name of the Partner. Example: `partner-alpha`. A Partner that does not exist, or does not admit this namespace, makes `ResolvedRefs` False.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub partner: String,
    /// Namespace of the Partner; default: the namespace of this object. Example: `ai-platform`. The Partner must admit this namespace by its `allowedNamespaces`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE))]
    pub namespace: Option<String>,
    /// Which of the Partner's models to ask; default: its only model, or its `defaultModel`. Example: `gpt-4o-mini`. A model that the Partner does not list makes `ResolvedRefs` False.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = MODEL_NAME))]
    pub model: Option<String>,
    /// Share of the traffic: weight divided by the sum of all weights, 0 to 1000000; default 1. Example: `90` beside `10`. A target with 0 gets no traffic.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
}

fn one() -> i32 {
    1
}

/// Bounds of an answer's length, in tokens.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.default) || has(self.cap)")
        .message("an empty `maxTokens` says nothing: set `default` or `cap`, or remove it"),
    validation = Rule::new("!has(self.default) || !has(self.cap) || self.default <= self.cap")
        .message("`default` must not be above `cap`: lower it, or raise `cap`"),
)]
pub struct MaxTokens {
    /// Tokens that are asked for where the app names no limit; without it nothing is added. Example: `1024`. It must not be above `cap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub default: Option<i64>,
    /// Tokens that are asked for at most, whatever the app names; without it the model's `maxOutputTokens`. Example: `4096`. A higher limit is lowered, and named in `x-chaperone-adjusted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub cap: Option<i64>,
}

/// How partners are asked when the app wants a whole answer.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[schemars(transform = explain_values)]
pub enum WholeAnswers {
    /// As the app asks, bounded by `timeouts.whole`.
    #[default]
    AsAsked,
    /// For a stream, which the sidecar assembles: a partner that hangs is then noticed after `timeouts.firstToken`.
    Stream,
}

/// What the operator knows about a ModelRoute. Written by the operator alone.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ModelRouteStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not: `Accepted`, `ResolvedRefs`, `Programmed`, `Drilled` where the route was drilled, and the summary `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many sidecars have the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<Sidecars>,
    /// What the last drill showed; written by `chaperone drill --report-status` and not by the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<LastDrill>,
}

/// What a drill has shown: every kind of fault played once against the route.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastDrill {
    /// When it ended. RFC 3339, as `2026-11-24T08:00:00Z`.
    #[schemars(schema_with = "date_time")]
    pub time: Time,
    /// Whether every play passed.
    pub passed: bool,
    /// What went wrong, one line for each play that did. Example: `abort: nobody served the request: 503 breaker_open`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub failures: Vec<String>,
}
