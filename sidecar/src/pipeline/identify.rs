//! Caller -> tenant. The set that a caller may choose from comes from TenantQuotas; what it sends only chooses.

use chaperone_protocol::name::TenantId;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::snapshot::{Snapshot, TenantPolicy, Tenants};
use http::HeaderMap;

use crate::refusal::Refusal;

/// Whose budget a request runs on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) policy: TenantPolicy,
    is_named: bool,
}

impl Tenant {
    /// Its metric label: an id that no TenantQuota names is the app's invention, and must not make a series.
    pub(crate) fn label(&self) -> &str {
        if self.is_named { self.id.as_str() } else { "_default" }
    }
}

/// Refuses where no tenant is served at all.
pub(crate) fn anybody(tenants: &Tenants) -> Result<(), Refusal> {
    if tenants.is_empty() {
        let message = "no TenantQuota covers this ServiceAccount; ask the platform team for one";
        return Err(Refusal::new(Reason::NoQuota, message));
    }
    Ok(())
}

/// The tenant that the request chooses, or the only one there is.
pub(crate) fn tenant(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    in_body: Option<&str>,
) -> Result<Tenant, Refusal> {
    let tenants = snapshot.tenants();
    match chosen(headers, in_body)? {
        Some(id) => allowed(tenants, id),
        None => only(tenants, snapshot.scope().namespace.as_str()),
    }
}

fn chosen<'a>(headers: &'a HeaderMap, in_body: Option<&'a str>) -> Result<Option<&'a str>, Refusal> {
    let ambiguous = |message| Refusal::new(Reason::TenantAmbiguous, message);
    let mut values = headers.get_all("x-tenant-id").iter();
    let header = values.next();
    if values.next().is_some() {
        return Err(ambiguous("x-tenant-id is sent more than once; send it once"));
    }
    let header = match header {
        Some(value) => Some(value.to_str().map_err(|_| forbidden())?),
        None => None,
    };
    match (header, in_body) {
        (Some(header), Some(body)) if header != body => {
            Err(ambiguous("x-tenant-id and metadata.tenantId differ; send one of them"))
        }
        (header, body) => Ok(header.or(body)),
    }
}

fn allowed(tenants: &Tenants, id: &str) -> Result<Tenant, Refusal> {
    let id: TenantId = id.parse().map_err(|_| forbidden())?;
    let policy = tenants.policy(&id).ok_or_else(forbidden)?.clone();
    Ok(Tenant { is_named: tenants.named.contains_key(&id), policy, id })
}

fn only(tenants: &Tenants, namespace: &str) -> Result<Tenant, Refusal> {
    let mut named = tenants.named.iter();
    match (named.next(), named.next(), &tenants.default) {
        (Some((id, policy)), None, _) => {
            Ok(Tenant { id: id.clone(), policy: policy.clone(), is_named: true })
        }
        (Some(_), Some(_), _) => {
            let message = "several tenants may be charged here; name one in x-tenant-id";
            Err(Refusal::new(Reason::TenantRequired, message))
        }
        // Every namespace has a budget of its own under `*`, called like the namespace.
        (None, _, Some(_)) => allowed(tenants, namespace),
        (None, _, None) => Err(forbidden()),
    }
}

fn forbidden() -> Refusal {
    let message = "this ServiceAccount may not act for that tenant; a TenantQuota must name it";
    Refusal::new(Reason::TenantForbidden, message)
}

#[cfg(test)]
mod tests {
    use chaperone_protocol::wire::{Document, PROTOCOL, WireTenants};

    use super::*;

    fn snapshot(named: &[&str], default: Option<()>) -> Snapshot {
        let policy = || TenantPolicy { quota: "team-a/quota".parse().unwrap(), max_tokens_per_request: None };
        let tenants = WireTenants {
            named: named.iter().map(|id| (id.parse().unwrap(), policy())).collect(),
            default: default.map(|()| policy()),
            withheld: Default::default(),
        };
        let scope = chaperone_protocol::snapshot::Scope {
            namespace: "shop".parse().unwrap(),
            service_account: "checkout".parse().unwrap(),
        };
        let document = Document {
            protocol: PROTOCOL,
            requires: Default::default(),
            scope,
            partners: Default::default(),
            routes: Default::default(),
            refused: Default::default(),
            tenants,
            feed_ca: None,
        };
        Snapshot::try_from(document).unwrap()
    }

    fn ask(snapshot: &Snapshot, headers: &[&str], body: Option<&str>) -> Result<(String, String), Reason> {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append("x-tenant-id", value.parse().unwrap());
        }
        anybody(snapshot.tenants()).map_err(|refusal| refusal.reason)?;
        let tenant = tenant(snapshot, &map, body).map_err(|refusal| refusal.reason)?;
        Ok((tenant.id.to_string(), tenant.label().to_owned()))
    }

    #[test]
    fn the_first_rule_that_matches_names_the_tenant() {
        let pair = |id: &str, label: &str| Ok((id.to_owned(), label.to_owned()));
        let one = snapshot(&["acme"], None);
        let two = snapshot(&["acme", "globex"], Some(()));
        assert_eq!(ask(&snapshot(&[], None), &[], None), Err(Reason::NoQuota));
        assert_eq!(ask(&one, &[], None), pair("acme", "acme"));
        assert_eq!(ask(&one, &["globex"], None), Err(Reason::TenantForbidden));
        assert_eq!(ask(&one, &["acme", "acme"], None), Err(Reason::TenantAmbiguous));
        assert_eq!(ask(&two, &["globex"], Some("acme")), Err(Reason::TenantAmbiguous));
        assert_eq!(ask(&two, &["globex"], Some("globex")), pair("globex", "globex"));
        assert_eq!(ask(&two, &[], None), Err(Reason::TenantRequired));
        assert_eq!(ask(&two, &[], Some("other")), pair("other", "_default"));
        assert_eq!(ask(&snapshot(&[], Some(())), &[], None), pair("shop", "_default"));
        assert_eq!(ask(&snapshot(&[], Some(())), &["no spaces"], None), Err(Reason::TenantForbidden));
    }
}
