//! Alias -> route.

use std::sync::Arc;

use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Lookup, Route, Snapshot};

use crate::refusal::Refusal;

/// The route of an alias. Says how many aliases there are, not which: the caller may be a stranger to them.
pub(crate) fn route<'a>(snapshot: &'a Snapshot, alias: &str) -> Result<&'a Arc<Route>, Refusal> {
    match snapshot.route(alias) {
        Lookup::Route(route) => Ok(route),
        Lookup::Refused(_) => Err(Refusal::new(
            Reason::RouteInvalid,
            "this model's route has an error in its configuration; see the conditions of its ModelRoute",
        )),
        Lookup::Unknown => {
            let count = snapshot.routes().len();
            let message = format!("no such model; this caller may use {count}, listed by GET /v1/models");
            Err(Refusal::new(Reason::UnknownAlias, message))
        }
    }
}
