//! What must hold between the targets of a route and their fallbacks, once all of them are resolved.

use std::collections::BTreeSet;

use chaperone_protocol::adapter::{Capability, DataClass};
use chaperone_protocol::name::ModelName;
use chaperone_protocol::pair::{self, ClientApi};
use chaperone_protocol::snapshot::Model;
use chaperone_protocol::units::Tokens;
use chaperone_protocol::wire::WirePartner;

use super::finding::{Notes, Problem, Reason};
use super::partner::{CompiledPartner, Partners};
use crate::world::ObjectKey;

/// A model of a partner, wherever the partner stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TargetKey {
    pub(super) partner: ObjectKey,
    pub(super) model: ModelName,
}

impl std::fmt::Display for TargetKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of partner {}", self.model, self.partner)
    }
}

/// A target with its share of the traffic and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) target: TargetKey,
    pub(super) weight: u32,
    pub(super) fallbacks: Vec<TargetKey>,
}

impl Link {
    /// Whom it asks, as often as they stand there.
    pub(super) fn partners(&self) -> impl Iterator<Item = &ObjectKey> {
        std::iter::once(&self.target).chain(&self.fallbacks).map(|target| &target.partner)
    }
}

/// Where a target is written in its route, for the path of a finding.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) path: String,
    pub(super) target: TargetKey,
}

/// What a route asks of everything that may serve it.
pub(super) struct Demands<'r> {
    pub(super) requires: &'r BTreeSet<Capability>,
    pub(super) data_class: DataClass,
    pub(super) cap: Option<Tokens>,
}

/// Checks all targets and all fallbacks of a route.
pub(super) fn check(
    targets: &[Placed],
    fallbacks: &[Placed],
    demands: &Demands<'_>,
    partners: &Partners<'_>,
    notes: &mut Notes<'_>,
) {
    for placed in targets.iter().chain(fallbacks) {
        let Some((partner, wire, model)) = look_up(&placed.target, partners) else { continue };
        check_data_class(placed, partner, demands, notes);
        check_capabilities(placed, wire, model, demands, notes);
    }
    check_context(targets, fallbacks, partners, notes);
    check_output(fallbacks, demands, partners, notes);
    check_embeddings(targets, fallbacks, demands, notes);
}

/// Partner and model of a target; `None` where the partner is refused, which is a finding already.
pub(super) fn look_up<'p>(
    target: &TargetKey,
    partners: &'p Partners<'_>,
) -> Option<(&'p CompiledPartner<'p>, &'p WirePartner, &'p Model)> {
    let partner = partners.get(&target.partner)?;
    let wire = partner.wire.as_ref().ok()?;
    Some((partner, wire, wire.models.get(&target.model)?))
}

fn check_data_class(
    placed: &Placed,
    partner: &CompiledPartner<'_>,
    demands: &Demands<'_>,
    notes: &mut Notes<'_>,
) {
    if partner.data_classes.contains(&demands.data_class) {
        return;
    }
    let message = format!(
        "partner {} does not take {:?} data; it takes {:?}",
        placed.target.partner,
        demands.data_class,
        Vec::from_iter(&partner.data_classes)
    );
    let remedy = "choose another partner, or add the class to its `dataClasses` if its contract allows it";
    notes.add(&placed.path, Problem::new(Reason::DataClass, message, remedy));
}

fn check_capabilities(
    placed: &Placed,
    wire: &WirePartner,
    model: &Model,
    demands: &Demands<'_>,
    notes: &mut Notes<'_>,
) {
    for capability in demands.requires.iter().filter(|capability| !model.can(**capability)) {
        let message =
            format!("the route requires {}, which model {} lacks", capability.as_str(), placed.target);
        let remedy = "choose another model, declare the capability if the model has it, or require less";
        notes.add(&placed.path, Problem::new(Reason::MissingCapability, message, remedy));
    }
    let needs_embeddings = demands.requires.contains(&Capability::Embeddings);
    if needs_embeddings && pair::path(ClientApi::Embeddings, wire.adapter).is_none() {
        let message = format!("adapter {} has no {}", wire.adapter.as_str(), ClientApi::Embeddings.path());
        let remedy = "choose a partner whose adapter has embeddings";
        notes.add(&placed.path, Problem::new(Reason::PairAbsent, message, remedy));
    }
}

/// A prompt that fits a target must fit whatever stands in for it.
fn check_context(targets: &[Placed], fallbacks: &[Placed], partners: &Partners<'_>, notes: &mut Notes<'_>) {
    let context = |placed: &Placed| look_up(&placed.target, partners)?.2.context_tokens;
    let Some(smallest) = targets.iter().filter_map(context).min() else { return };
    for placed in fallbacks {
        let Some(own) = context(placed).filter(|own| *own < smallest) else { continue };
        let message = format!(
            "fallback {} has a context of {} tokens, the smallest target has {}",
            placed.target, own.0, smallest.0
        );
        let remedy = "choose a fallback whose `contextTokens` is as large";
        notes.add(&placed.path, Problem::new(Reason::SmallerContext, message, remedy));
    }
}

fn check_output(fallbacks: &[Placed], demands: &Demands<'_>, partners: &Partners<'_>, notes: &mut Notes<'_>) {
    let Some(cap) = demands.cap else { return };
    for placed in fallbacks {
        let own = look_up(&placed.target, partners).and_then(|found| found.2.max_output_tokens);
        let Some(own) = own.filter(|own| *own < cap) else { continue };
        let message = format!(
            "fallback {} answers with at most {} tokens, `maxTokens.cap` is {}",
            placed.target, own.0, cap.0
        );
        let remedy = "lower `maxTokens.cap`, or choose a fallback whose `maxOutputTokens` reaches it";
        notes.add(&placed.path, Problem::new(Reason::SmallerOutput, message, remedy));
    }
}

/// Vectors of two models do not compare, so an index that was built from both finds nothing.
fn check_embeddings(targets: &[Placed], fallbacks: &[Placed], demands: &Demands<'_>, notes: &mut Notes<'_>) {
    if !demands.requires.contains(&Capability::Embeddings) {
        return;
    }
    let Some(first) = targets.first() else { return };
    for other in targets.iter().chain(fallbacks) {
        if other.target.model != first.target.model {
            let message = format!(
                "the route requires Embeddings and names models {} and {}, whose vectors do not compare",
                first.target.model, other.target.model
            );
            let remedy = "name one model in all targets and fallbacks";
            notes.add(&other.path, Problem::new(Reason::MixedEmbeddings, message, remedy));
        }
    }
}
