//! The World in, snapshots and findings out: pure, total, deterministic.
//!
//! Partners first, then routes and quotas, each on its own, so that a broken object can only touch what names it.
//! Scopes last: they choose and rename, and decide nothing about a single object.

mod admission;
mod chain;
mod contents;
mod cycle;
mod endpoint;
mod fault;
mod finding;
mod partner;
mod pii;
mod reference;
mod route;
mod scope;
mod tenant_quota;
mod tenants;

use std::collections::BTreeMap;

use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::{Document, WirePartner};

pub use self::contents::Contents;
pub use self::finding::{Finding, Kind, ObjectRef, Reason, Severity};
use crate::world::{ObjectKey, World};

/// What the compiler made of a World.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// One snapshot for each scope of the World, valid: `Snapshot::try_from` takes it.
    pub snapshots: BTreeMap<Scope, Document>,
    /// Which objects are in each of them.
    pub contents: BTreeMap<Scope, Contents>,
    /// Every partner that can be used, whether or not a route does: these are probed.
    pub partners: BTreeMap<ObjectKey, WirePartner>,
    /// All that is wrong, sorted by object and path, without repeats.
    pub findings: Vec<Finding>,
}

/// The parts of a World, each compiled by itself.
struct Parts<'w> {
    world: &'w World,
    partners: partner::Partners<'w>,
    routes: route::Routes<'w>,
    quotas: tenant_quota::Quotas<'w>,
}

/// Compiles a World. Never fails: what is wrong is a finding, and what cannot be used is refused by name.
#[must_use]
pub fn compile(world: &World) -> Compiled {
    let mut findings = finding::Findings::default();
    let mut partners = partner::all(world, &mut findings);
    partner::link(&mut partners, world, &mut findings);
    cycle::find(&partners, &mut findings);
    let routes = route::all(world, &partners, &mut findings);
    let quotas = tenant_quota::all(world, &mut findings);
    let parts = Parts { world, partners, routes, quotas };
    let (mut snapshots, mut contents) = (BTreeMap::new(), BTreeMap::new());
    for scope in &world.scopes {
        let (document, inside) = scope::document(scope, &parts, &mut findings);
        snapshots.insert(scope.clone(), document);
        contents.insert(scope.clone(), inside);
    }
    let usable = |(key, partner): (&ObjectKey, &partner::CompiledPartner<'_>)| {
        Some((key.clone(), partner.wire.as_ref().ok()?.clone()))
    };
    let partners = parts.partners.iter().map(|(key, partner)| (*key, partner)).filter_map(usable).collect();
    Compiled { snapshots, contents, partners, findings: findings.into_sorted() }
}
