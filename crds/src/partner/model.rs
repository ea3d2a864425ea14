//! What a partner's model can do and what it costs.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::field::{Capability, DurationString, MODEL_NAME, Usd, duration_within};

/// One model of a partner.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// Name of the model, as the partner calls it. Example: `gpt-4o-mini`.
    #[schemars(length(min = 1, max = 128), regex(pattern = MODEL_NAME))]
    pub name: String,
    /// How many tokens prompt and answer may have together; default: unknown, and then not checked. Example: `128000`. A fallback with less than its target is a finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub context_tokens: Option<i64>,
    /// How many tokens an answer may have at most; default: unknown, and then only the route and the quota bound it. Example: `16384`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_output_tokens: Option<i64>,
    /// What the model can do; default nothing but whole text answers. A target that lacks what a request needs is skipped for that request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 11))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub capabilities: Vec<Capability>,
    /// What the model costs, in US dollars; default: unknown, and the cost of a request is then not recorded. Zero is a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How long this model may take to its first token, in place of `timeouts.firstToken`; from 1ms to 1h. Example: `60s`, for a model that thinks before it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub first_token: Option<DurationString>,
}

/// What a model costs: US dollars as decimal strings with at most 6 decimals.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.inputPerMillionTokens) || has(self.outputPerMillionTokens) || has(self.perRequest)")
        .message("name at least one of `inputPerMillionTokens`, `outputPerMillionTokens` and `perRequest`; \"0\" is a price"),
    validation = Rule::new("!has(self.cachedInputPerMillionTokens) || has(self.inputPerMillionTokens)")
        .message("`cachedInputPerMillionTokens` needs `inputPerMillionTokens` beside it"),
)]
pub struct Price {
    /// US dollars per million tokens of the prompt; default 0 where another price stands beside it. Example: `"0.15"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_per_million_tokens: Option<Usd>,
    /// US dollars per million tokens of the prompt that the partner had cached; default: as `inputPerMillionTokens`. Example: `"0.075"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million_tokens: Option<Usd>,
    /// US dollars per million tokens of the answer, reasoning included; default 0 where another price stands beside it. Example: `"0.60"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_per_million_tokens: Option<Usd>,
    /// US dollars per request, besides its tokens; default 0. Example: `"0.01"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Usd>,
}
