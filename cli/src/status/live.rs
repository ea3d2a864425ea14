//! Which of a route's targets serve now: those whose partner sidecars do not keep away from. Pure.

use std::collections::BTreeMap;

use chaperone_crds::field::TargetRef;
use chaperone_crds::partner::Breakers;
use chaperone_crds::{ModelRouteSpec, PartnerSpec};
use serde::Serialize;

/// Partners by namespace and name. One that is not here is taken to be well.
pub(super) type Partners = BTreeMap<(String, String), (PartnerSpec, Breakers)>;

/// A target that traffic goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    /// The declared target, as `partner/model`.
    pub(super) target: String,
    /// Its share of the traffic.
    pub(super) percent: u32,
    /// Sidecars that keep away from it, of all that have its partner.
    pub(super) away: i32,
    pub(super) sidecars: i32,
    /// Who serves instead on those that do. `None`: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instead: Option<String>,
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
            let (away, sidecars) = first.away();
            let inherited = first.partner.map(|(spec, _)| (spec.fallbacks.as_slice(), first.namespace));
            let chain = match &route.fallback_chain {
                Some(chain) => Some((chain.as_slice(), namespace)),
                None => inherited,
            };
            let (chain, home) = chain.unwrap_or((&[], namespace));
            let fallbacks = chain.iter().map(|target| Seen::of(target, home, partners));
            let instead = fallbacks.filter(|_| away > 0).find(|it| !it.is_shunned()).map(|it| it.name());
            let percent = u32::try_from(i64::from(target.weight) * 100 / sum.max(1)).unwrap_or_default();
            Live { target: first.name(), percent, away, sidecars, instead }
        })
        .collect()
}

/// A target with what is known of its partner.
struct Seen<'a> {
    reference: &'a TargetRef,
    namespace: &'a str,
    home: &'a str,
    partner: Option<&'a (PartnerSpec, Breakers)>,
}

impl<'a> Seen<'a> {
    fn of(reference: &'a TargetRef, home: &'a str, partners: &'a Partners) -> Self {
        let namespace = reference.namespace.as_deref().unwrap_or(home);
        let partner = partners.get(&(namespace.to_owned(), reference.partner.clone()));
        Self { reference, namespace, home, partner }
    }

    /// How many sidecars keep away from it, of how many.
    fn away(&self) -> (i32, i32) {
        let Breakers { total, refusing, probing, resting } =
            self.partner.map(|(_, breakers)| *breakers).unwrap_or_default();
        (refusing.saturating_add(probing).max(resting).min(total), total)
    }

    fn is_shunned(&self) -> bool {
        let (away, total) = self.away();
        total > 0 && away == total
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
