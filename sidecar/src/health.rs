//! Probes partners that declare a `healthCheck`, and shows the outcome as a metric. A probe never moves traffic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::name::PartnerName;
use chaperone_protocol::snapshot::Partner;
use http::{HeaderMap, Method, Request};
use tokio::time::{Instant, timeout};

use crate::adapter;
use crate::clock;
use crate::live::World;
use crate::outbound::{Link, Segments};
use crate::sidecar::Shared;

/// How often the list of partners is looked at.
const TURN: Duration = Duration::from_secs(1);

/// Probes until it is dropped.
pub(crate) async fn run(shared: &Arc<Shared>) {
    let mut due: BTreeMap<PartnerName, Instant> = BTreeMap::new();
    loop {
        if let Some(world) = shared.live.world() {
            due.retain(|name, _| world.snapshot.partner(name.as_str()).is_some());
            for partner in world.snapshot.partners() {
                let Some(check) = &partner.health_check else { continue };
                let now = clock::now();
                if due.get(&partner.name).is_some_and(|at| *at > now) {
                    continue;
                }
                due.insert(partner.name.clone(), now + check.interval);
                let healthy = probe(&world, partner).await;
                shared
                    .metrics
                    .gauges
                    .partner_healthy
                    .with_label_values(&[partner.name.as_str()])
                    .set(i64::from(healthy));
            }
        }
        tokio::time::sleep(TURN).await;
    }
}

/// Whether the partner answers its health path with a 2xx within the limits of connecting and of a first token.
async fn probe(world: &World, partner: &Partner) -> bool {
    let Some(link) = world.outbound.link(&partner.name) else { return false };
    let Some(request) = request(world, partner, link) else { return false };
    let limit = partner.timeouts.connect + partner.timeouts.first_token;
    matches!(timeout(limit, link.probe(request)).await, Ok(Ok(response)) if response.status().is_success())
}

fn request(world: &World, partner: &Partner, link: &Link) -> Option<Request<Segments>> {
    let check = partner.health_check.as_ref()?;
    let path = format!("{}{}", partner.endpoint.as_ref()?.path(), check.path);
    let mut headers = HeaderMap::new();
    if let Some(name) = &partner.credential {
        let (name, value) = adapter::credential(partner.adapter, world.keys.get(name)?.expose()).ok()?;
        headers.insert(name, value);
    }
    let (body, _unsent) = Segments::new(Vec::new());
    let mut request = Request::new(body);
    *request.method_mut() = Method::GET;
    *request.uri_mut() = link.uri(&path)?;
    *request.headers_mut() = headers;
    Some(request)
}
