//! One client request, from its head to the last streamed byte: THE screenful.

mod abandoned;
mod attempt;
mod body;
mod deadline;
mod entry;
mod identify;
mod intake;
mod plan;
mod prepare;
mod redaction;
mod relay;
mod select;
mod send;
mod staged;
mod upstream;
mod verdict;

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::reason::Reason;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;

use self::attempt::{Call, Outcome};
pub(crate) use self::body::ClientBody;
pub(crate) use self::identify::Tenant;
use self::redaction::Redactions;
pub(crate) use self::relay::answer_locally;
pub(crate) use self::select::route as route_of;
use crate::api;
use crate::clock;
use crate::defect::caught;
use crate::live::World;
use crate::record::{Ids, Record};
use crate::refusal::Refusal;
use crate::sidecar::Shared;

/// Serves a request for a model.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    api: ClientApi,
    request: Request<Incoming>,
) -> Response<ClientBody> {
    let mut record =
        Record::begin(shared, api.path(), Ids::of(request.headers(), shared.live.world().as_deref()));
    let (head, mut body) = request.into_parts();
    let outcome = caught(pin!(run(shared, api, &mut record, (&head.headers, &mut body)))).await;
    let outcome = outcome.unwrap_or_else(|defect| Err(defect.into()));
    if outcome.is_err() {
        intake::discard(&head.headers, &mut body, shared.body_limit).await;
    }
    match outcome {
        Ok(Outcome::Partner(committed, permit)) => relay::answer(shared, *committed, permit, record),
        Ok(Outcome::Local(local, adjusted)) => relay::answer_locally(&local, &adjusted, record),
        Err(refusal) => api::refuse(record, api.dialect(), &refusal),
    }
}

async fn run(
    shared: &Arc<Shared>,
    api: ClientApi,
    record: &mut Record,
    (headers, body): (&HeaderMap, &mut Incoming),
) -> Result<Outcome, Refusal> {
    let world = admit(shared)?;
    identify::anybody(world.snapshot.tenants())?; // A caller without quota must not cost memory.
    let prompt = intake::prompt(shared, api, headers, body).await?;
    record.read(&prompt);
    let tenant = identify::tenant(&world.snapshot, headers, prompt.tenant())?;
    record.identified(world.snapshot.scope(), &tenant.id, tenant.label());
    let route = select::route(&world.snapshot, prompt.alias())?;
    record.matched(route, world.snapshot.version().short());
    let deadline = record.began() + deadline::of(route.deadline, headers, prompt.mode())?;
    let fault = shared.dice.draw(&route.faults, record.request_id(), clock::wall());
    let newer = OnceLock::new();
    let (world, prompt, tenant) = (&world, &prompt, &tenant);
    let redactions = Redactions::default();
    let call = Call { shared, world, route, prompt, tenant, headers, fault, deadline, newer, redactions };
    // On the heap: what an attempt holds must not make every idle connection larger.
    Box::pin(attempt::first_committed(&call, record)).await
}

/// The world in force, unless the process is ending or has no configuration yet.
pub(crate) fn admit(shared: &Shared) -> Result<Arc<World>, Refusal> {
    if shared.is_draining() {
        let mut refusal = Refusal::new(Reason::Draining, "this sidecar is ending; ask again");
        refusal.retry_after = Some(std::time::Duration::from_secs(1));
        return Err(refusal);
    }
    shared
        .live
        .world()
        .ok_or_else(|| Refusal::new(Reason::NoConfig, "no configuration has arrived yet; ask again"))
}

/// Whether the caller is somebody's tenant, and which aliases it may use: for `GET /v1/models`.
pub(crate) fn caller(world: &World, headers: &HeaderMap) -> Result<Tenant, Refusal> {
    identify::anybody(world.snapshot.tenants())?;
    identify::tenant(&world.snapshot, headers, None)
}
