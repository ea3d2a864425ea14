//! A Partner's models -> what a request must know about them.

use std::collections::BTreeMap;

use chaperone_crds::field::Usd;
use chaperone_crds::partner as written;
use chaperone_protocol::adapter::{Adapter, Capability};
use chaperone_protocol::limits;
use chaperone_protocol::name::ModelName;
use chaperone_protocol::pair::{self, ClientApi};
use chaperone_protocol::snapshot::Model;
use chaperone_protocol::units::{MicroUsd, PerMillionTokens, Price};

use super::convert::{capability, tokens};
use crate::compile::finding::{Notes, Problem, Reason};

pub(super) fn all(
    written: &[written::Model],
    adapter: Adapter,
    notes: &mut Notes<'_>,
) -> BTreeMap<ModelName, Model> {
    if written.is_empty() || written.len() > limits::MODELS {
        let message = format!("has {} models; 1 to {} are allowed", written.len(), limits::MODELS);
        let remedy = "declare at least one model, and spread many over several Partners";
        notes.add("spec.models", Problem::new(Reason::LimitExceeded, message, remedy));
    }
    let mut models = BTreeMap::new();
    for (index, written) in written.iter().enumerate() {
        let path = format!("spec.models[{index}]");
        let name = written.name.parse::<ModelName>().map_err(|error| {
            Problem::new(Reason::InvalidValue, error, "write the model's name as the partner calls it")
        });
        let Some(name) = notes.keep(format!("{path}.name"), name) else { continue };
        let model = one(written, &path, adapter, notes);
        if models.insert(name.clone(), model).is_some() {
            let problem = Problem::new(
                Reason::InvalidValue,
                format!("model {name} is declared twice"),
                "remove one of the two",
            );
            notes.add(format!("{path}.name"), problem);
        }
    }
    models
}

fn one(written: &written::Model, path: &str, adapter: Adapter, notes: &mut Notes<'_>) -> Model {
    let written::Model { name, context_tokens, max_output_tokens, capabilities, price, first_token } =
        written;
    let model = Model {
        context_tokens: tokens(*context_tokens, format!("{path}.contextTokens"), notes),
        max_output_tokens: tokens(*max_output_tokens, format!("{path}.maxOutputTokens"), notes),
        capabilities: capabilities.iter().map(|written| capability(*written)).collect(),
        price: price.as_ref().map(price_of),
        first_token: first_token.as_ref().map(|written| written.as_duration()),
    };
    check_reasoning(&model, name, path, notes);
    check_embeddings(&model, path, adapter, notes);
    model
}

fn price_of(written: &written::Price) -> Price {
    let written::Price {
        input_per_million_tokens,
        cached_input_per_million_tokens,
        output_per_million_tokens,
        per_request,
    } = written;
    let micro = |usd: &Option<Usd>| usd.as_ref().map(|usd| MicroUsd(usd.micro_usd()));
    let input = micro(input_per_million_tokens).unwrap_or_default();
    Price {
        input: PerMillionTokens(input),
        cached_input: PerMillionTokens(micro(cached_input_per_million_tokens).unwrap_or(input)),
        output: PerMillionTokens(micro(output_per_million_tokens).unwrap_or_default()),
        per_request: micro(per_request).unwrap_or_default(),
    }
}

fn check_reasoning(model: &Model, name: &str, path: &str, notes: &mut Notes<'_>) {
    if model.can(Capability::Reasoning) && model.first_token.is_none() {
        notes.add(
            format!("{path}.firstToken"),
            Problem::new(
                Reason::ReasoningFirstToken,
                format!("model {name} thinks before it speaks, but has no `firstToken` of its own"),
                "set `firstToken` of the model to how long it may think, as in 60s",
            ),
        );
    }
}

fn check_embeddings(model: &Model, path: &str, adapter: Adapter, notes: &mut Notes<'_>) {
    if model.can(Capability::Embeddings) && pair::path(ClientApi::Embeddings, adapter).is_none() {
        notes.add(
            format!("{path}.capabilities"),
            Problem::new(
                Reason::CapabilityUnserved,
                format!("adapter {} has no {}", adapter.as_str(), ClientApi::Embeddings.path()),
                "remove Embeddings from the model's capabilities",
            ),
        );
    }
}
