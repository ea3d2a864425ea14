//! Probes partners that declare a `healthCheck`, and shows the outcome as a metric. A probe never moves traffic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::name::PartnerName;
use chaperone_protocol::snapshot::Partner;
use http::{HeaderMap, HeaderValue, Method, Request};
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
            due.retain(|name, _| {
                let is_probed =
                    world.snapshot.partner(name.as_str()).is_some_and(|it| it.health_check.is_some());
                if !is_probed {
                    // A removed partner is neither healthy nor not. It may never have had a series.
                    let _ = shared.metrics.gauges.partner_healthy.remove_label_values(&[name.as_str()]);
                }
                is_probed
            });
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
    let (body, _unsent) = Segments::new(Vec::new());
    let mut request = Request::new(body);
    *request.method_mut() = Method::GET;
    *request.uri_mut() = link.uri(&path)?;
    *request.headers_mut() = headers(partner, &world.keys)?;
    Some(request)
}

fn headers(partner: &Partner, keys: &Keys) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    if partner.adapter == Adapter::Anthropic {
        // Its API answers 400 without one, even for the list of models.
        headers.insert("anthropic-version", HeaderValue::from_static(partner.api_version.as_str()));
    }
    if let Some(name) = &partner.credential {
        let (name, value) = adapter::credential(partner.adapter, keys.get(name)?.expose()).ok()?;
        headers.insert(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use chaperone_protocol::snapshot::Snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_probe_of_anthropic_names_the_version() {
        let document = json!({
            "protocol": 1,
            "scope": {"namespace": "shop", "serviceAccount": "checkout"},
            "partners": {"team/claude": {
                "adapter": "Anthropic", "endpoint": "https://api.example", "models": {"m": {}},
            }},
        });
        let snapshot = Snapshot::from_bytes(document.to_string().as_bytes()).unwrap();
        let partner = snapshot.partner("team/claude").unwrap();
        assert_eq!(
            headers(partner, &Keys::default()).unwrap()["anthropic-version"],
            partner.api_version.as_str()
        );
    }
}
