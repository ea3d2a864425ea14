//! Which objects are in a snapshot, and which of them a path in it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_protocol::name::{Alias, PartnerName, QuotaName};
use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::Document;

use super::finding::{Kind, ObjectRef};
use crate::world::ObjectKey;

/// The objects of one snapshot, by the names that they have in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    routes: BTreeMap<Alias, ObjectKey>,
    partners: BTreeMap<PartnerName, ObjectKey>,
    quotas: BTreeSet<ObjectKey>,
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
        let policies = document.tenants.named.values().chain(&document.tenants.default);
        let quotas: BTreeSet<&QuotaName> = policies.map(|policy| &policy.quota).collect();
        Self {
            routes,
            partners: partners.collect(),
            quotas: quotas.into_iter().filter_map(|quota| home(quota.as_str())).collect(),
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
        routes.chain(partners).chain(self.quotas.iter().map(of(Kind::TenantQuota))).collect()
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
        let mut quotas = self.quotas.iter().filter(|_| path.starts_with("tenants"));
        quotas.next().filter(|_| quotas.next().is_none()).map(|key| found(Kind::TenantQuota, key))
    }
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
            quotas: [key("shop/tier")].into(),
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
        let contents = Contents { quotas: [key("shop/a"), key("shop/b")].into(), ..Contents::default() };
        assert_eq!(contents.at("tenants.named"), None);
    }
}
