//! Probes partners that declare a `healthCheck`, and shows the outcome as a metric. A probe never moves traffic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_protocol::name::PartnerName;
use tokio::time::Instant;

use crate::adapter;
use crate::clock;
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
                let healthy = adapter::health_check(&world, partner).await;
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
