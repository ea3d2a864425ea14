//! Partners that fall back to each other.
//!
//! A request never follows a partner's list further than one step, so a cycle traps nobody and routes go on; but it
//! shows that somebody expects a chain that does not exist, and it must be repaired.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::finding::{Findings, Kind, Notes, Problem, Reason};
use super::partner::{CompiledPartner, Partners};
use crate::world::ObjectKey;

/// Notes every partner that stands on a cycle, with the shortest way round.
pub(super) fn find(partners: &Partners<'_>, findings: &mut Findings) {
    for key in partners.keys() {
        let Some(round) = shortest_round(key, partners) else { continue };
        let names: Vec<_> = round.iter().map(ToString::to_string).collect();
        let index = partners.get(key).and_then(|partner| position(partner, round.get(1)?)).unwrap_or(0);
        Notes::of(Kind::Partner, key, findings).add(
            format!("spec.fallbacks[{index}]"),
            Problem::new(
                Reason::FallbackCycle,
                format!("fallbacks form a cycle: {}", names.join(" -> ")),
                "remove one of these fallbacks, or give the route a `fallbackChain` of its own",
            ),
        );
    }
}

fn position(partner: &CompiledPartner<'_>, next: &ObjectKey) -> Option<usize> {
    partner.fallbacks.iter().find(|fallback| fallback.target.partner == *next).map(|fallback| fallback.index)
}

/// From `start` back to `start`, both ends included. A fallback to another model of one's own is no cycle.
fn shortest_round(start: &ObjectKey, partners: &Partners<'_>) -> Option<Vec<ObjectKey>> {
    let mut came_from: BTreeMap<&ObjectKey, &ObjectKey> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    let mut visited = BTreeSet::new();
    while let Some(here) = waiting.pop_front() {
        if !visited.insert(here) {
            continue;
        }
        for next in partners.get(here)?.fallbacks.iter().map(|fallback| &fallback.target.partner) {
            if next == start && (here != start || partners.get(start)?.has_one_model()) {
                return Some(retrace(start, here, &came_from));
            }
            if next != start && !visited.contains(next) && !came_from.contains_key(next) {
                came_from.insert(next, here);
                waiting.push_back(next);
            }
        }
    }
    None
}

fn retrace(
    start: &ObjectKey,
    last: &ObjectKey,
    came_from: &BTreeMap<&ObjectKey, &ObjectKey>,
) -> Vec<ObjectKey> {
    let mut round = vec![start.clone()];
    let mut here = last;
    while here != start {
        round.push(here.clone());
        let Some(previous) = came_from.get(here) else { break };
        here = previous;
    }
    round.push(start.clone());
    round.reverse();
    round
}
