//! A route: the rules of one alias, with its targets resolved.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::partner::{Model, Partner};
use super::pii::Pii;
use crate::adapter::DataClass;
use crate::name::{Alias, ModelName, PartnerName};
use crate::units::Tokens;

/// What happens to a request that names an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What the app sends as `model`.
    pub alias: Alias,
    /// Candidates for the first attempt. Never empty; the weights sum to more than zero.
    pub targets: Vec<WeightedTarget>,
    /// How confidential its data is.
    pub data_class: DataClass,
    /// Bounds of an answer's length.
    pub max_tokens: MaxTokens,
    /// From accepting a request to its commit point.
    pub deadline: Duration,
    /// Whether whole answers are asked for as streams.
    pub whole_answers: WholeAnswers,
    /// What is redacted, by partner; [`Pii::default`] where one is missing.
    pub pii: BTreeMap<PartnerName, Pii>,
    /// Failures that are played on purpose.
    pub faults: Vec<Fault>,
}

impl Route {
    /// The owner of what is learnt of partners on this route: breakers, runs, retry tokens. `None`: all routes share it.
    ///
    /// A route that declares faults learns for itself alone, so that a drill never refuses another route's request.
    #[must_use]
    pub fn isolation(&self) -> Option<&Alias> {
        (!self.faults.is_empty()).then_some(&self.alias)
    }

    /// Every target that it may ask, as often as it stands there.
    pub fn every_target(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().flat_map(|weighted| std::iter::once(&weighted.target).chain(&weighted.fallbacks))
    }
}

/// A target with its share of the traffic, and what to try after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedTarget {
    /// Where the first attempt goes.
    pub target: Target,
    /// Its share: weight ÷ sum of weights.
    pub weight: u32,
    /// Tried in order when it fails. Finite, without repeats and without `target` itself.
    pub fallbacks: Vec<Target>,
}

/// A model of a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whom to call.
    pub partner: Arc<Partner>,
    /// Which of its models to ask.
    pub model_name: ModelName,
    /// What is known about that model.
    pub model: Model,
}

/// Bounds of an answer's length, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MaxTokens {
    /// What is asked for where the app asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Tokens>,
    /// What is asked for at most, whatever the app asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Tokens>,
}

/// How partners are asked when the app wants a whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WholeAnswers {
    /// As the app asks.
    #[default]
    AsAsked,
    /// For a stream, which the sidecar assembles.
    Stream,
}
