//! Partner: a provider that may be called, and on which terms.
//!
//! Its parts stand in `partner/`: `model.rs` what it can do, `transport.rs` how it is reached, `protection.rs` how failures
//! are contained, `mock.rs` the built-in one. Whether what it names exists is for the operator's compile to say, since objects may be applied in any order.

#![expect(clippy::struct_excessive_bools, reason = "two permissions, each written by name in YAML")]
#![expect(clippy::duplicated_attributes, reason = "each printcolumn has a type of its own")]
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

mod mock;
mod model;
mod protection;
mod transport;

pub use mock::{Mock, MockReply};
pub use model::{Model, Price};
pub use protection::{Breaker, CancelBilling, Queue, RateLimit, Retry};
pub use transport::{ApiVersion, HealthCheck, HttpVersion, Timeouts, Tls};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Sidecars};
use crate::explain::explain_values;
use crate::field::pii::PartnerPii;
use crate::field::{AllowedNamespaces, DataClass, MODEL_NAME, SecretKeyRef, TargetRef};

/// Judges only what the other rules of an endpoint let pass, so that one mistake gives one message. A regular expression
/// and not `url(..)`, since parsers of URLs differ in what they take for the host of `https:///v1`.
pub(crate) const HAS_A_HOST: &str = r"!self.matches('^https?://[^@]*$') || self.matches('^https?://([-A-Za-z0-9._]+|\\[[0-9A-Fa-f:.]+\\])(:[1-9][0-9]{0,4})?([/?#].*)?$')";

/// Which provider to call, how it is reached, what its models can do and cost, and who may use it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "chaperone.dev",
    version = "v1alpha1",
    kind = "Partner",
    namespaced,
    status = "PartnerStatus",
    derive = "PartialEq",
    shortname = "pt",
    category = "chaperone",
    selectable = ".spec.adapter",
    printcolumn(name = "Adapter", type_ = "string", json_path = ".spec.adapter"),
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
    doc = "A model provider that applications may be served by. Routes name it; the operator sends it to the sidecars that need it."
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.adapter == 'Mock') != has(self.endpoint)")
        .message("`endpoint` is needed by every adapter but Mock, which has none: add it, or remove it"),
    validation = Rule::new("!has(self.endpoint) || !self.endpoint.startsWith('http://') || self.allowPlaintext")
        .message("an http:// endpoint sends prompts and keys unencrypted: use https://, or set `allowPlaintext: true`"),
    validation = Rule::new("!has(self.tls) || (has(self.endpoint) && self.endpoint.startsWith('https://'))")
        .message("`tls` needs an https:// endpoint: change the endpoint, or remove `tls`"),
    validation = Rule::new("self.adapter != 'Mock' || (!has(self.apiKeySecretRef) && !has(self.healthCheck) && !self.allowPlaintext && !self.allowPrivate && self.http == 'Http1')")
        .message("adapter Mock calls nobody: remove `apiKeySecretRef`, `healthCheck`, `allowPlaintext`, `allowPrivate` and `http`"),
    validation = Rule::new("!has(self.mock) || self.adapter == 'Mock'")
        .message("`mock` goes only with adapter Mock: remove it, or change the adapter"),
    validation = Rule::new("!has(self.apiVersion) || self.adapter == 'Anthropic'")
        .message("`apiVersion` goes only with adapter Anthropic: remove it, or change the adapter"),
    validation = Rule::new("!has(self.defaultModel) || self.models.exists(m, m.name == self.defaultModel)")
        .message("`defaultModel` must name one of `models`: correct it, or add the model"),
)]
pub struct PartnerSpec {
    /// Whose protocol the partner speaks. Example: `OpenAI`, also for vLLM, Mistral, Groq and everything compatible.
    pub adapter: Adapter,
    /// Base URL of the partner's API, to which the adapter joins its paths; needed unless the adapter is Mock. Example: `https://api.partner-alpha.com/v1`, to which OpenAI's adapter adds `/chat/completions`. Userinfo, a query or a fragment is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^[!#-;=?-Z_a-z~\[\]]+$"))]
    #[x_kube(
        validation = Rule::new("self.startsWith('https://') || self.startsWith('http://')")
            .message("must begin with https://, or with http:// together with `allowPlaintext: true`"),
        validation = Rule::new("!self.contains('@')")
            .message("must not carry userinfo (`@`): put the key into a Secret and name it by `apiKeySecretRef`"),
        validation = Rule::new("!self.contains('?') && !self.contains('#')")
            .message("must not have a query or a fragment: remove what follows `?` or `#`"),
        validation = Rule::new(HAS_A_HOST)
            .message("must be a URL with a host, as in https://api.example.com/v1"),
    )]
    pub endpoint: Option<String>,
    /// Whether an `http://` endpoint may be used; default false. Set it only for a model server on a network that you trust: prompts travel unencrypted.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Whether loopback and private addresses may be dialled, as an in-cluster model server needs; default false. Link-local and metadata addresses are refused in any case.
    #[serde(default)]
    pub allow_private: bool,
    /// Where the partner's API key is; default: none is sent, which suits an in-cluster model server. Example: `{name: partner-alpha, key: key}`. A Secret that is missing makes `ResolvedRefs` False and the partner refuses requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretKeyRef>,
    /// Version of Anthropic's API in which translated requests are sent; without it `2026-10-21`. What an Anthropic client sends itself keeps its own version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<ApiVersion>,
    /// How the partner's certificate is checked and which one is shown to it; default: the public roots, and none. Needs an `https://` endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Version of the partner's contract, as its owner calls it; it is recorded with each request. Example: `v2.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub schema_version: Option<String>,
    /// Which data the partner may see; default `[Public, Internal]`. A route is refused this partner if the route's `dataClass` is not among them.
    #[serde(default = "default_data_classes")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub data_classes: Vec<DataClass>,
    /// The models that may be asked for, 1 to 128. A model that is not listed is never called.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub models: Vec<Model>,
    /// The model to use where a route names none; default: the only model. Example: `gpt-4o-mini`. It must be one of `models`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = MODEL_NAME))]
    pub default_model: Option<String>,
    /// How long each part of an attempt may take. Every limit has a default of its own.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How much may be sent in any 60 seconds; default: not limited. Example: `{requestsPerMinute: 1000}`. Each sidecar holds the limit by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// How often a request is tried. Every value has a default of its own.
    #[serde(default)]
    pub retry: Retry,
    /// When the partner is left alone. Every value has a default of its own.
    #[serde(default)]
    pub breaker: Breaker,
    /// How requests wait for the partner's rate. Every value has a default of its own.
    #[serde(default)]
    pub queue: Queue,
    /// What the partner bills for an answer that was cancelled before it told its usage; default `Unknown`.
    #[serde(default)]
    pub cancel_billing: CancelBilling,
    /// Which personal data is redacted before it reaches this partner, whatever the route; default: what the route says, and filter `Lenient` with action `Mask` at least. The stricter of Partner and route stands, field by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pii: Option<PartnerPii>,
    /// Whom to ask in turn when this partner fails, for routes that have no `fallbackChain` of their own; default none, at most 16. Example: `[{partner: partner-beta, model: claude-haiku}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub fallbacks: Vec<TargetRef>,
    /// From which namespaces routes and fallbacks may use the partner; default `{from: Same}`. A reference from elsewhere gets `RefNotPermitted`.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// Which version of HTTP is spoken to the partner; default `Http1`.
    #[serde(default)]
    pub http: HttpVersion,
    /// How the operator probes the partner; default: it does not, and condition `Healthy` is Unknown. The probe never decides over traffic, it only reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// What adapter Mock plays; default: it echoes the last user message at once. Refused with every other adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mock: Option<Mock>,
}

/// Whose protocol a partner speaks.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[schemars(transform = explain_values)]
pub enum Adapter {
    /// OpenAI, and every server that is compatible with it.
    OpenAI,
    /// Anthropic.
    Anthropic,
    /// Built in: answers without a network, for trying out, for drills and for tests.
    Mock,
}

fn default_data_classes() -> Vec<DataClass> {
    vec![DataClass::Public, DataClass::Internal]
}

/// What the operator knows about a Partner. Written by the operator alone.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct PartnerStatus {
    /// The generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not: `Accepted`, `ResolvedRefs`, `Programmed`, `Healthy`, `Admitting` and the summary `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many sidecars have the partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<Sidecars>,
    /// How sidecars get on with the partner, as far as they have said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breakers: Option<Breakers>,
    /// `resourceVersion` of the Secret whose key is in use; the key itself is never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub secret_resource_version: Option<String>,
}

/// How many sidecars keep requests from a partner. What declared faults have taught does not count.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Breakers {
    /// Connected sidecars that have the partner.
    pub total: i32,
    /// Sidecars whose breaker lets nobody through.
    pub refusing: i32,
    /// Sidecars whose breaker lets one request through at a time, to see whether the partner has recovered.
    pub probing: i32,
    /// Sidecars that leave the partner's credential alone for up to 5 min, since the partner refused it or its credit is spent.
    pub resting: i32,
}
