//! Which objects are in a snapshot, and which of them a path in it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use chaperone_protocol::name::{Alias, PartnerName, QuotaName, TenantId};
use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::{Document, WireRoute, WireTenants};

use super::finding::{Kind, ObjectRef};
use crate::world::ObjectKey;

/// The objects of one snapshot, by the names that they have in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    routes: BTreeMap<Alias, ObjectKey>,
    partners: BTreeMap<PartnerName, ObjectKey>,
    /// By whom they let be charged.
    tenants: BTreeMap<TenantId, ObjectKey>,
    /// The one for everybody else.
    default: Option<ObjectKey>,
}

impl Contents {
    pub(super) fn of(scope: &Scope, document: &Document, routes: BTreeMap<Alias, ObjectKey>) -> Self {
        let home = |name: &str| match name.split_once('/') {
            Some((namespace, name)) => {
                Some(ObjectKey { namespace: namespace.parse().ok()?, name: name.parse().ok()? })
            }
            None => Some(ObjectKey { namespace: scope.namespace.clone(), name: name.parse().ok()? }),
        };
        let partners = document.partners.keys().filter_map(|name| Some((name.clone(), home(name.as_str())?)));
        let quota = |quota: &QuotaName| home(quota.as_str());
        let named = &document.tenants.named;
        let tenants = named.iter().filter_map(|(name, policy)| Some((name.clone(), quota(&policy.quota)?)));
        Self {
            routes,
            partners: partners.collect(),
            tenants: tenants.collect(),
            default: document.tenants.default.as_ref().and_then(|policy| quota(&policy.quota)),
        }
    }

    /// The partners, as the snapshot calls them.
    #[must_use]
    pub fn partners(&self) -> &BTreeMap<PartnerName, ObjectKey> {
        &self.partners
    }

    /// Every object, once.
    #[must_use]
    pub fn objects(&self) -> BTreeSet<ObjectRef> {
        let of = |kind| move |key: &ObjectKey| ObjectRef { kind, key: key.clone() };
        let routes = self.routes.values().map(of(Kind::ModelRoute));
        let partners = self.partners.values().map(of(Kind::Partner));
        routes.chain(partners).chain(self.quotas().map(of(Kind::TenantQuota))).collect()
    }

    fn quotas(&self) -> impl Iterator<Item = &ObjectKey> {
        self.tenants.values().chain(&self.default)
    }

    /// What of `document`, whose contents these are, is of `object`, and what that stands on: a reader that refuses the
    /// object has judged nothing else. `None`: it has none.
    #[must_use]
    pub fn part(&self, object: &ObjectRef, document: Document) -> Option<Document> {
        let Document { protocol, requires, scope, mut partners, mut routes, mut tenants, .. } = document;
        let is = |kind, key: Option<&ObjectKey>| object.kind == kind && key == Some(&object.key);
        routes.retain(|alias, _| is(Kind::ModelRoute, self.routes.get(alias)));
        let asked: BTreeSet<_> = routes.values().flat_map(asked).collect();
        partners.retain(|name, _| asked.contains(name) || is(Kind::Partner, self.partners.get(name)));
        tenants.named.retain(|tenant, _| is(Kind::TenantQuota, self.tenants.get(tenant)));
        tenants.default = tenants.default.filter(|_| is(Kind::TenantQuota, self.default.as_ref()));
        tenants.withheld.clear();
        let is_empty = partners.is_empty() && routes.is_empty() && tenants == WireTenants::default();
        let refused = BTreeMap::new();
        let part = Document { protocol, requires, scope, partners, routes, refused, tenants, feed_ca: None };
        (!is_empty).then_some(part)
    }

    /// The object that stands at `path` of the snapshot, if it is one alone.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<ObjectRef> {
        let found = |kind, key: &ObjectKey| ObjectRef { kind, key: key.clone() };
        if let Some(rest) = path.strip_prefix("routes.") {
            return longest(&self.routes, rest, Alias::as_str).map(|key| found(Kind::ModelRoute, key));
        }
        if let Some(rest) = path.strip_prefix("partners.") {
            return longest(&self.partners, rest, PartnerName::as_str).map(|key| found(Kind::Partner, key));
        }
        let of_tenant = path.strip_prefix("tenants.named.");
        let of_tenant = of_tenant.and_then(|rest| longest(&self.tenants, rest, TenantId::as_str));
        let of_default = self.default.as_ref().filter(|_| path.starts_with("tenants.default"));
        let only = || {
            let all: BTreeSet<_> = self.quotas().filter(|_| path.starts_with("tenants")).collect();
            all.first().copied().filter(|_| all.len() == 1)
        };
        of_tenant.or(of_default).or_else(only).map(|key| found(Kind::TenantQuota, key))
    }
}

/// Every partner that may serve a route.
fn asked(route: &WireRoute) -> impl Iterator<Item = PartnerName> {
    let targets = route.targets.iter().flat_map(|first| iter::once(&first.target).chain(&first.fallbacks));
    targets.map(|target| target.partner.clone())
}

/// Names have dots, so that `routes.gpt-4.1.targets` may begin with two of them: the longer one is meant.
fn longest<'m, N>(
    names: &'m BTreeMap<N, ObjectKey>,
    rest: &str,
    text: impl Fn(&N) -> &str,
) -> Option<&'m ObjectKey> {
    let ends = |name: &N| {
        let after = rest.strip_prefix(text(name))?;
        (after.is_empty() || after.starts_with(['.', '['])).then(|| text(name).len())
    };
    names
        .iter()
        .filter_map(|(name, key)| Some((ends(name)?, key)))
        .max_by_key(|(length, _)| *length)
        .map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        let (namespace, name) = text.split_once('/').unwrap();
        ObjectKey { namespace: namespace.parse().unwrap(), name: name.parse().unwrap() }
    }

    #[test]
    fn a_path_belongs_to_the_object_with_the_longest_name() {
        let contents = Contents {
            routes: [("gpt-4", "shop/old"), ("gpt-4.1", "shop/new")]
                .map(|(alias, object)| (alias.parse().unwrap(), key(object)))
                .into(),
            partners: [("platform/alpha", "platform/alpha")]
                .map(|(name, object)| (name.parse().unwrap(), key(object)))
                .into(),
            tenants: [("acme".parse().unwrap(), key("shop/tier"))].into(),
            default: None,
        };
        let at = |path: &str| contents.at(path).map(|object| object.to_string());
        assert_eq!(at("routes.gpt-4.1.targets[0].weight").unwrap(), "ModelRoute shop/new");
        assert_eq!(at("routes.gpt-4.targets").unwrap(), "ModelRoute shop/old");
        assert_eq!(at("partners.platform/alpha").unwrap(), "Partner platform/alpha");
        assert_eq!(at("tenants.named").unwrap(), "TenantQuota shop/tier");
        assert_eq!(at("routes.gpt-5"), None);
        assert_eq!(at(""), None);
    }

    #[test]
    fn a_path_that_several_quotas_share_belongs_to_none() {
        let contents = Contents {
            tenants: [("acme", "shop/a"), ("acme.eu", "shop/b")]
                .map(|(tenant, object)| (tenant.parse().unwrap(), key(object)))
                .into(),
            default: Some(key("shop/c")),
            ..Contents::default()
        };
        assert_eq!(contents.at("tenants.named"), None);
        let at = |path: &str| contents.at(path).map(|object| object.to_string()).unwrap();
        assert_eq!(at("tenants.named.acme.quota"), "TenantQuota shop/a");
        assert_eq!(at("tenants.named.acme.eu.maxTokensPerRequest"), "TenantQuota shop/b");
        assert_eq!(at("tenants.default.quota"), "TenantQuota shop/c");
    }
}
