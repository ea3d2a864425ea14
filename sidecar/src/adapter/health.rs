//! One look at whether a partner is there. When to look is the business of `crate::health`.

use chaperone_protocol::adapter::Adapter;
use chaperone_protocol::keys::Keys;
use chaperone_protocol::snapshot::Partner;
use http::{HeaderMap, HeaderValue, Method, Request};
use tokio::time::timeout;

use super::credential;
use crate::live::World;
use crate::outbound::{Link, Segments};

/// Whether the partner answers its health path with a 2xx within the limits of connecting and of a first token. One
/// that declares no such path is not asked, and neither is a Mock, which is always there.
pub(crate) async fn health_check(world: &World, partner: &Partner) -> bool {
    if partner.adapter == Adapter::Mock {
        return true;
    }
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
        let (name, value) = credential(partner.adapter, keys.get(name)?.expose()).ok()?;
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
