//! Which of a route's targets serve now: those whose partner sidecars do not keep away from. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_crds::field::TargetRef;
use chaperone_crds::partner::Breakers;
use chaperone_crds::{ModelRouteSpec, PartnerSpec};
use serde::Serialize;

/// Partners by namespace and name. One that is not here is taken to be well, unless nobody could look.
#[derive(Debug, Default)]
pub(super) struct Partners {
    pub(super) known: BTreeMap<(String, String), (PartnerSpec, Breakers)>,
    /// Namespaces that could not be looked at.
    pub(super) unseen: BTreeSet<String>,
}

/// A target that traffic goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    /// The declared target, as `partner/model`.
    pub(super) target: String,
    /// Its share of the traffic.
    pub(super) percent: u32,
    /// Sidecars that keep away from it, of all that have its partner. `None`: its namespace could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub(super) kept: Option<Kept>,
    /// Who serves instead on those that do: the first that is not known to be kept away from. `None`: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instead: Option<String>,
}

/// How many sidecars keep away from a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Kept {
    pub(super) away: i32,
    pub(super) sidecars: i32,
}

/// Targets with a share, each with who stands in for it where it is kept away from.
pub(super) fn targets(route: &ModelRouteSpec, namespace: &str, partners: &Partners) -> Vec<Live> {
    let sum: i64 = route.targets.iter().map(|target| i64::from(target.weight)).sum();
    let served = route.targets.iter().filter(|target| target.weight > 0);
    served
        .map(|target| {
            let reference = TargetRef {
                partner: target.partner.clone(),
                namespace: target.namespace.clone(),
                model: target.model.clone(),
            };
            let first = Seen::of(&reference, namespace, partners);
            let kept = first.kept();
            let inherited = first.partner.map(|(spec, _)| (spec.fallbacks.as_slice(), first.namespace));
            let chain = match &route.fallback_chain {
                Some(chain) => Some((chain.as_slice(), namespace)),
                None => inherited,
            };
            let (chain, home) = chain.unwrap_or((&[], namespace));
            let fallbacks = chain.iter().map(|target| Seen::of(target, home, partners));
            let is_avoided = kept.is_some_and(|it| it.away > 0);
            let instead = fallbacks.filter(|_| is_avoided).find(|it| !it.is_shunned()).map(|it| it.name());
            let percent = u32::try_from(i64::from(target.weight) * 100 / sum.max(1)).unwrap_or_default();
            Live { target: first.name(), percent, kept, instead }
        })
        .collect()
}

/// The namespaces that a route's targets, and their fallbacks as far as partners are known, are in.
pub(super) fn namespaces(route: &ModelRouteSpec, namespace: &str, partners: &Partners) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for target in &route.targets {
        let home = target.namespace.as_deref().unwrap_or(namespace);
        named.insert(home.to_owned());
        let partner = partners.known.get(&(home.to_owned(), target.partner.clone()));
        let inherited = partner.filter(|_| route.fallback_chain.is_none());
        let inherited = inherited.into_iter().flat_map(|(spec, _)| &spec.fallbacks);
        named.extend(inherited.filter_map(|it| it.namespace.clone()));
    }
    named.extend(route.fallback_chain.iter().flatten().filter_map(|it| it.namespace.clone()));
    named
}

/// A target with what is known of its partner.
struct Seen<'a> {
    reference: &'a TargetRef,
    namespace: &'a str,
    home: &'a str,
    partner: Option<&'a (PartnerSpec, Breakers)>,
    is_seen: bool,
}

impl<'a> Seen<'a> {
    fn of(reference: &'a TargetRef, home: &'a str, partners: &'a Partners) -> Self {
        let namespace = reference.namespace.as_deref().unwrap_or(home);
        let partner = partners.known.get(&(namespace.to_owned(), reference.partner.clone()));
        Self { reference, namespace, home, partner, is_seen: !partners.unseen.contains(namespace) }
    }

    /// How many sidecars keep away from it, if anybody could look.
    fn kept(&self) -> Option<Kept> {
        let Breakers { total, refusing, probing, resting } =
            self.partner.map(|(_, breakers)| *breakers).unwrap_or_default();
        let away = refusing.saturating_add(probing).max(resting).min(total);
        self.is_seen.then_some(Kept { away, sidecars: total })
    }

    fn is_shunned(&self) -> bool {
        self.kept().is_some_and(|Kept { away, sidecars }| sidecars > 0 && away == sidecars)
    }

    /// `partner/model`, with the namespace where it is another.
    fn name(&self) -> String {
        let spec = self.partner.map(|(spec, _)| spec);
        let only = spec.and_then(|spec| match spec.models.as_slice() {
            [only] => Some(&only.name),
            _ => spec.default_model.as_ref(),
        });
        let model = self.reference.model.as_ref().or(only).map_or("?", String::as_str);
        let elsewhere =
            if self.namespace == self.home { String::new() } else { format!("{}/", self.namespace) };
        format!("{elsewhere}{}/{model}", self.reference.partner)
    }
}
