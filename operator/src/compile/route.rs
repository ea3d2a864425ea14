//! A ModelRoute's spec -> its rules, with targets resolved. Which scope sees it is decided later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chaperone_crds::ModelRouteSpec;
use chaperone_crds::field::TargetRef;
use chaperone_crds::model_route as written;
use chaperone_protocol::adapter::DataClass;
use chaperone_protocol::limits;
use chaperone_protocol::name::Alias;
use chaperone_protocol::snapshot::pii::Pii;
use chaperone_protocol::snapshot::{MaxTokens, WholeAnswers};
use jiff::Timestamp;

use super::admission::Admission;
use super::chain::{self, Demands, Link, Placed, TargetKey, look_up};
use super::fault::{self, ReadyFault};
use super::finding::{Findings, Kind, Notes, Problem, Reason};
use super::partner::{Partners, capability, data_class, duplicate, milliseconds, seconds, tokens};
use super::pii;
use super::reference::{self, Unresolved};
use crate::world::{Object, ObjectKey, World};

/// All routes of a World.
pub(super) type Routes<'w> = BTreeMap<&'w ObjectKey, CompiledRoute<'w>>;

/// A ModelRoute, compiled by itself.
#[derive(Debug)]
pub(super) struct CompiledRoute<'w> {
    pub(super) created: Option<Timestamp>,
    pub(super) admission: Admission<'w>,
    /// `None` only if the schema was bypassed: nobody can ask for it then.
    pub(super) alias: Option<Alias>,
    /// Its rules, or the text by which it is refused.
    pub(super) outcome: Result<ReadyRoute, String>,
}

/// A route without a mistake.
#[derive(Debug)]
pub(super) struct ReadyRoute {
    pub(super) targets: Vec<Link>,
    pub(super) data_class: DataClass,
    pub(super) max_tokens: MaxTokens,
    pub(super) deadline_ms: u64,
    pub(super) whole_answers: WholeAnswers,
    pub(super) faults: Vec<ReadyFault>,
    /// What is redacted, for each of [`ReadyRoute::partners`].
    pub(super) pii: BTreeMap<ObjectKey, Pii>,
}

impl ReadyRoute {
    /// Every partner that may serve it, once each.
    pub(super) fn partners(&self) -> impl Iterator<Item = &ObjectKey> {
        let all: BTreeSet<_> = self.targets.iter().flat_map(Link::partners).collect();
        all.into_iter()
    }
}

/// Compiles every route by itself.
pub(super) fn all<'w>(world: &'w World, partners: &Partners<'_>, findings: &mut Findings) -> Routes<'w> {
    let compile = |(key, object): (&'w ObjectKey, &'w Object<ModelRouteSpec>)| {
        let mut notes = Notes::of(Kind::ModelRoute, key, findings);
        let alias = object.spec.alias.parse::<Alias>().map_err(|error| {
            Problem::new(Reason::InvalidValue, error, "write what applications send as `model`")
        });
        let alias = notes.keep("spec.alias", alias);
        let context = Context { key, partners, world };
        let ready = context.ready(&object.spec, &mut notes);
        let compiled = CompiledRoute {
            created: object.created,
            admission: Admission::new(&object.spec.allowed_namespaces),
            alias,
            outcome: notes.finish(ready),
        };
        (key, compiled)
    };
    world.routes.iter().map(compile).collect()
}

/// What a route is compiled against.
struct Context<'c> {
    key: &'c ObjectKey,
    partners: &'c Partners<'c>,
    world: &'c World,
}

impl Context<'_> {
    fn ready(&self, spec: &ModelRouteSpec, notes: &mut Notes<'_>) -> Option<ReadyRoute> {
        // Destructured without `..`, so that a new field fails to compile here instead of being dropped.
        let ModelRouteSpec {
            alias: _,
            targets,
            fallback_chain,
            data_class: class,
            pii_filter,
            pii,
            requires,
            max_tokens,
            deadline,
            whole_answers,
            faults,
            allowed_namespaces: _,
        } = spec;
        let max_tokens = bounds(max_tokens.as_ref(), notes);
        let placed = self.targets(targets, notes);
        let chain = fallback_chain.as_deref().map(|chain| self.chain(chain, &placed, notes));
        let inherited = if chain.is_none() { self.inherited(&placed, notes) } else { Vec::new() };
        let demands = Demands {
            requires: &requires.iter().map(|written| capability(*written)).collect(),
            data_class: data_class(*class),
            cap: max_tokens.cap,
        };
        let fallbacks = chain.as_deref().unwrap_or(&inherited);
        let first: Vec<_> = placed.iter().map(|(placed, _)| placed.clone()).collect();
        chain::check(&first, fallbacks, &demands, self.partners, notes);
        self.check_deadline(&first, deadline.as_duration(), notes);
        let targets: Vec<_> = placed
            .iter()
            .map(|(placed, weight)| self.link(&placed.target, *weight, chain.as_deref()))
            .collect();
        let side = pii::of_route(*pii_filter, pii.as_ref(), (self.key, self.world), notes);
        let pii = self.pii(first.iter().chain(fallbacks), &side, demands.data_class, notes);
        Some(ReadyRoute {
            faults: fault::all(faults, &targets, &self.key.namespace, notes),
            targets,
            data_class: demands.data_class,
            max_tokens,
            deadline_ms: milliseconds(deadline),
            whole_answers: match whole_answers {
                written::WholeAnswers::AsAsked => WholeAnswers::AsAsked,
                written::WholeAnswers::Stream => WholeAnswers::Stream,
            },
            pii,
        })
    }

    /// Resolves `spec.targets`.
    fn targets(&self, written: &[written::WeightedTarget], notes: &mut Notes<'_>) -> Vec<(Placed, u32)> {
        bound("spec.targets", written.len(), limits::TARGETS, notes);
        if !written.iter().any(|target| target.weight > 0) {
            let message = "has no target with a weight above 0";
            notes.add("spec.targets", Problem::new(Reason::InvalidValue, message, "give a target a weight"));
        }
        let mut seen = BTreeSet::new();
        let mut placed = Vec::new();
        for (index, written) in written.iter().enumerate() {
            let written::WeightedTarget { partner, namespace, model, weight } = written;
            let reference =
                TargetRef { partner: partner.clone(), namespace: namespace.clone(), model: model.clone() };
            let path = format!("spec.targets[{index}]");
            let weight = u32::try_from(*weight)
                .map_err(|_| Problem::new(Reason::InvalidValue, "a weight is negative", "write 0 or more"));
            let weight = notes.keep(format!("{path}.weight"), weight);
            let target = self.resolve(&reference, &path, &mut seen, notes);
            if let (Some(target), Some(weight)) = (target, weight) {
                placed.push((Placed { path, target }, weight));
            }
        }
        placed
    }

    /// Resolves `spec.fallbackChain`.
    fn chain(&self, written: &[TargetRef], targets: &[(Placed, u32)], notes: &mut Notes<'_>) -> Vec<Placed> {
        bound("spec.fallbackChain", written.len(), limits::FALLBACKS, notes);
        let mut seen = BTreeSet::new();
        // With several targets, a fallback may be one of them: it stands in for the others.
        if let [(only, _)] = targets {
            seen.insert(only.target.clone());
        }
        let mut placed = Vec::new();
        for (index, written) in written.iter().enumerate() {
            let path = format!("spec.fallbackChain[{index}]");
            if let Some(target) = self.resolve(written, &path, &mut seen, notes) {
                placed.push(Placed { path, target });
            }
        }
        placed
    }

    fn resolve(
        &self,
        written: &TargetRef,
        path: &str,
        seen: &mut BTreeSet<TargetKey>,
        notes: &mut Notes<'_>,
    ) -> Option<TargetKey> {
        match reference::resolve(written, &self.key.namespace, self.partners, self.world) {
            Ok(target) if seen.insert(target.clone()) => Some(target),
            Ok(target) => {
                notes.add(path, duplicate(&target));
                None
            }
            Err(Unresolved { field, problem }) => {
                notes.add(format!("{path}{field}"), problem);
                None
            }
        }
    }

    /// What the targets' Partners fall back to, since the route says nothing of its own.
    fn inherited(&self, targets: &[(Placed, u32)], notes: &mut Notes<'_>) -> Vec<Placed> {
        let mut inherited = Vec::new();
        for (placed, _) in targets {
            let Some(partner) = self.partners.get(&placed.target.partner) else { continue };
            if let Some(broken) = &partner.broken_fallbacks {
                let message =
                    format!("the fallbacks of partner {} are refused: {broken}", placed.target.partner);
                let remedy = "repair the Partner, or give the route a `fallbackChain` of its own";
                notes.add(&placed.path, Problem::new(Reason::PartnerRefused, message, remedy));
            }
            inherited.extend(
                partner
                    .fallbacks
                    .iter()
                    .filter(|fallback| fallback.target != placed.target)
                    .map(|fallback| Placed { path: placed.path.clone(), target: fallback.target.clone() }),
            );
        }
        inherited
    }

    fn link(&self, target: &TargetKey, weight: u32, chain: Option<&[Placed]>) -> Link {
        let fallbacks: Vec<_> = match chain {
            Some(chain) => chain.iter().map(|placed| &placed.target).collect(),
            None => self
                .partners
                .get(&target.partner)
                .map(|partner| partner.fallbacks.iter().map(|fallback| &fallback.target).collect())
                .unwrap_or_default(),
        };
        let fallbacks = fallbacks.into_iter().filter(|fallback| *fallback != target).cloned().collect();
        Link { target: target.clone(), weight, fallbacks }
    }

    /// What is redacted for each partner that may be asked.
    fn pii<'p>(
        &self,
        targets: impl Iterator<Item = &'p Placed>,
        route: &pii::Side,
        class: DataClass,
        notes: &mut Notes<'_>,
    ) -> BTreeMap<ObjectKey, Pii> {
        let mut policies = BTreeMap::new();
        for Placed { path, target } in targets {
            let Some(partner) = self.partners.get(&target.partner) else { continue };
            if policies.contains_key(&target.partner) {
                continue;
            }
            let pii = pii::combine(&partner.pii, route, class);
            pii::check(&pii, (&target.partner, &partner.pii), class, path, notes);
            pii::check_reader(&pii, &target.partner, (self.key, route), path, notes);
            policies.insert(target.partner.clone(), pii);
        }
        policies
    }

    /// A limit of a target that the route's deadline cuts off first is a limit that nobody gets.
    fn check_deadline(&self, targets: &[Placed], deadline: Duration, notes: &mut Notes<'_>) {
        for placed in targets {
            let Some((_, wire, model)) = look_up(&placed.target, self.partners) else { continue };
            let first_token = model.first_token.unwrap_or(wire.timeouts.first_token);
            for (name, limit) in [("firstToken", first_token), ("whole", wire.timeouts.whole)] {
                if limit < deadline {
                    continue;
                }
                let message = format!(
                    "deadline {} is not above `{name}` ({}) of partner {}, so no fallback can follow it",
                    seconds(deadline),
                    seconds(limit),
                    placed.target.partner
                );
                let remedy = format!("raise `deadline`, or lower `{name}`");
                notes.add("spec.deadline", Problem::new(Reason::TimeoutOrder, message, remedy));
            }
        }
    }
}

fn bounds(written: Option<&written::MaxTokens>, notes: &mut Notes<'_>) -> MaxTokens {
    let Some(written::MaxTokens { default, cap }) = written else { return MaxTokens::default() };
    MaxTokens {
        default: tokens(*default, "spec.maxTokens.default", notes),
        cap: tokens(*cap, "spec.maxTokens.cap", notes),
    }
}

fn bound(path: &str, length: usize, limit: usize, notes: &mut Notes<'_>) {
    if length > limit {
        let message = format!("has {length} entries; at most {limit} are allowed");
        notes.add(path, Problem::new(Reason::LimitExceeded, message, "remove some"));
    }
}
