//! One scope's snapshot: which routes it sees, under which names, and whom it may charge.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chaperone_protocol::name::{Alias, ObjectName, PartnerName};
use chaperone_protocol::snapshot::{Fault, Scope, Snapshot};
use chaperone_protocol::wire::{
    Document, PROTOCOL, REDACTION, WirePartner, WireRoute, WireTarget, WireTenants, WireWeightedTarget,
};

use super::Parts;
use super::chain::{Link, TargetKey};
use super::contents::Contents;
use super::fault::ReadyFault;
use super::finding::{Findings, Kind, Notes, Problem, Reason};
use super::route::{CompiledRoute, ReadyRoute};
use super::tenants;
use crate::world::ObjectKey;

/// A route that a scope sees, in that scope's words.
struct Seen<'p> {
    key: &'p ObjectKey,
    alias: &'p Alias,
    outcome: Result<Named<'p>, String>,
}

/// A route with its partners, under the names that a scope has for them.
struct Named<'p> {
    route: WireRoute,
    partners: Vec<(PartnerName, &'p WirePartner)>,
}

/// Compiles the snapshot of `scope`, and says what is in it.
pub(super) fn document(scope: &Scope, parts: &Parts<'_>, findings: &mut Findings) -> (Document, Contents) {
    let namespace = &scope.namespace;
    let seen: Vec<Seen<'_>> = winners(namespace, parts, findings)
        .into_iter()
        .map(|(key, route)| see(key, route, namespace, parts, findings))
        .collect();
    let feed_ca = parts.world.feed_ca.as_deref();
    let with = |seen: &[Seen<'_>], tenants: &WireTenants| Document {
        feed_ca: feed_ca.map(str::to_owned),
        ..assemble(scope, seen, tenants)
    };
    let tenants = tenants::of(scope, parts, |tenants| fits(&with(&[], tenants)), findings);
    let kept =
        longest_prefix(seen.len(), |length| fits(&with(seen.get(..length).unwrap_or(&seen), &tenants)));
    for left_out in seen.iter().skip(kept) {
        let message = format!("namespace {namespace} sees more than one snapshot may hold");
        let remedy = "remove routes, or narrow `allowedNamespaces`";
        Notes::of(Kind::ModelRoute, left_out.key, findings)
            .add("spec.alias", Problem::new(Reason::LimitExceeded, message, remedy));
    }
    let kept = seen.get(..kept).unwrap_or(&seen);
    let document = with(kept, &tenants);
    let usable = kept.iter().filter(|seen| seen.outcome.is_ok());
    let routes = usable.map(|seen| (seen.alias.clone(), seen.key.clone())).collect();
    let contents = Contents::of(scope, &document, routes);
    (document, contents)
}

/// Among the routes that `namespace` sees, the one that holds each alias, in order of rank.
fn winners<'p>(
    namespace: &ObjectName,
    parts: &'p Parts<'_>,
    findings: &mut Findings,
) -> Vec<(&'p ObjectKey, &'p CompiledRoute<'p>)> {
    let mut visible: Vec<_> = parts
        .routes
        .iter()
        .filter(|(key, route)| route.admission.admits(&key.namespace, namespace, &parts.world.namespaces))
        .map(|(key, route)| (*key, route))
        .collect();
    visible.sort_by(|one, other| rank(namespace, (one.0, one.1.created), (other.0, other.1.created)));
    let mut holders: BTreeMap<&Alias, &ObjectKey> = BTreeMap::new();
    visible.retain(|(key, route)| {
        let Some(alias) = &route.alias else { return false };
        match holders.get(alias) {
            None => {
                holders.insert(alias, key);
                true
            }
            Some(holder) => {
                note_clash(key, holder, namespace, alias, findings);
                false
            }
        }
    });
    visible
}

/// The own namespace first, then the older object, then namespace and name.
pub(super) fn rank<T: Ord>(namespace: &ObjectName, one: (&ObjectKey, T), other: (&ObjectKey, T)) -> Ordering {
    let rank = |(key, created): (&ObjectKey, T)| (key.namespace != *namespace, created, key.clone());
    rank(one).cmp(&rank(other))
}

fn note_clash(
    loser: &ObjectKey,
    holder: &ObjectKey,
    namespace: &ObjectName,
    alias: &Alias,
    findings: &mut Findings,
) {
    let reason = if loser.namespace == holder.namespace { Reason::AliasClash } else { Reason::AliasShadowed };
    let message =
        format!(r#"alias "{alias}" in namespace {namespace} already belongs to ModelRoute {holder}"#);
    let problem = Problem::new(reason, message, "choose another alias, or remove one of the two");
    Notes::of(Kind::ModelRoute, loser, findings).add("spec.alias", problem);
}

fn see<'p>(
    key: &'p ObjectKey,
    route: &'p CompiledRoute<'p>,
    namespace: &ObjectName,
    parts: &'p Parts<'_>,
    findings: &mut Findings,
) -> Seen<'p> {
    let alias = route.alias.as_ref().expect("winners have an alias");
    let outcome = match &route.outcome {
        Err(refusal) => Err(refusal.clone()),
        Ok(ready) => check_partners(key, ready, namespace, parts, findings).map(|()| {
            let partners = ready
                .partners()
                .filter_map(|partner| {
                    let wire = parts.partners.get(partner)?.wire.as_ref().ok()?;
                    Some((name_in(namespace, partner), wire))
                })
                .collect();
            Named { route: wire_route(ready, namespace), partners }
        }),
    };
    Seen { key, alias, outcome }
}

/// A snapshot gives the partner's key to this namespace, so the partner's owner must admit it, not only the route's.
fn check_partners(
    key: &ObjectKey,
    ready: &ReadyRoute,
    namespace: &ObjectName,
    parts: &Parts<'_>,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut notes = Notes::of(Kind::ModelRoute, key, findings);
    for partner in ready.partners() {
        let admits = parts.partners.get(partner).is_some_and(|found| {
            found.admission.admits(&partner.namespace, namespace, &parts.world.namespaces)
        });
        if !admits {
            let message = format!("the route admits namespace {namespace}, which partner {partner} does not");
            let remedy = "widen `allowedNamespaces` of the Partner, or narrow that of the route";
            notes.add("spec.allowedNamespaces", Problem::new(Reason::NamespaceNotAllowed, message, remedy));
        }
    }
    notes.finish(Some(()))
}

/// How `namespace` calls a partner.
fn name_in(namespace: &ObjectName, partner: &ObjectKey) -> PartnerName {
    let name = if partner.namespace == *namespace { partner.name.to_string() } else { partner.to_string() };
    name.parse().expect("made of object names, which a partner's name admits")
}

fn wire_route(ready: &ReadyRoute, namespace: &ObjectName) -> WireRoute {
    let ReadyRoute { targets, data_class, max_tokens, deadline_ms, whole_answers, faults, pii } = ready;
    let wire = |target: &TargetKey| WireTarget {
        partner: name_in(namespace, &target.partner),
        model: target.model.clone(),
    };
    let targets = targets
        .iter()
        .map(|Link { target, weight, fallbacks }| WireWeightedTarget {
            target: wire(target),
            weight: *weight,
            fallbacks: fallbacks.iter().map(wire).collect(),
        })
        .collect();
    WireRoute {
        targets,
        data_class: *data_class,
        max_tokens: *max_tokens,
        deadline_ms: *deadline_ms,
        whole_answers: *whole_answers,
        faults: faults
            .iter()
            .map(|ReadyFault { fault, partner }| Fault {
                partner: partner.as_ref().map(|partner| name_in(namespace, partner)),
                ..fault.clone()
            })
            .collect(),
        pii: pii.iter().map(|(partner, pii)| (name_in(namespace, partner), pii.clone())).collect(),
    }
}

/// The document of these routes, without what is the same for every scope.
fn assemble(scope: &Scope, seen: &[Seen<'_>], tenants: &WireTenants) -> Document {
    let mut document = Document {
        protocol: PROTOCOL,
        requires: BTreeSet::from([REDACTION.to_owned()]),
        scope: scope.clone(),
        partners: BTreeMap::new(),
        routes: BTreeMap::new(),
        refused: BTreeMap::new(),
        tenants: tenants.clone(),
        feed_ca: None,
    };
    for Seen { alias, outcome, .. } in seen {
        match outcome {
            Ok(Named { route, partners }) => {
                document.routes.insert((*alias).clone(), route.clone());
                document.partners.extend(partners.iter().map(|(name, wire)| (name.clone(), (*wire).clone())));
            }
            Err(refusal) => {
                document.refused.insert((*alias).clone(), refusal.clone());
            }
        }
    }
    document
}

/// Asks the sidecar's own reader, so that a limit is never read in two ways.
pub(super) fn fits(document: &Document) -> bool {
    Snapshot::from_bytes(&document.to_bytes()).is_ok()
}

/// The largest `length` up to `whole` that fits, if a prefix of a fitting one fits too.
pub(super) fn longest_prefix(whole: usize, fits: impl Fn(usize) -> bool) -> usize {
    if fits(whole) {
        return whole;
    }
    let (mut fitting, mut failing) = (0, whole);
    while fitting + 1 < failing {
        let middle = fitting.midpoint(failing);
        if fits(middle) {
            fitting = middle;
        } else {
            failing = middle;
        }
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_that_fits_is_kept() {
        for whole in 0..20 {
            for bound in 0..25 {
                assert_eq!(longest_prefix(whole, |length| length <= bound), whole.min(bound));
            }
        }
    }
}
