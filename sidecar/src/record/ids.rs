//! The ids that a request is known by: the app's where they are sane, else ours.

use chaperone_protocol::name::is_sane_id;

use crate::clock;
use crate::live::World;
use crate::pii::identifier;
use crate::trace::TraceContext;

/// The ids of a request.
pub(crate) struct Ids {
    pub(crate) request: String,
    pub(crate) correlation: String,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) adjusted: Vec<String>,
}

impl Ids {
    /// From the app's headers where they are sane, else minted. Personal data in them is hashed; before there is a
    /// configuration there is no key to hash with, and they are minted.
    pub(crate) fn of(headers: &http::HeaderMap, world: Option<&World>) -> Self {
        let mut adjusted = Vec::new();
        let mut take = |name: &str| {
            let value = headers.get(name)?;
            let sane = value.to_str().ok().filter(|id| is_sane_id(id));
            let id = sane.and_then(|id| identifier::local(id, &world?.pseudonyms));
            match &id {
                None => adjusted.push(format!("{name}=minted")),
                Some(id) if Some(id.as_str()) != sane => adjusted.push(format!("{name}=hashed")),
                Some(_) => {}
            }
            id
        };
        let request = take("x-request-id");
        let correlation = take("x-correlation-id");
        let request = request.unwrap_or_else(|| format!("req_{}", clock::random_hex::<12>()));
        let correlation = correlation.unwrap_or_else(|| request.clone());
        Self { request, correlation, trace: TraceContext::of(headers), adjusted }
    }
}
