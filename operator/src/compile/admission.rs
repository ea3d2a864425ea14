//! Which namespaces an object's owner admits.

use std::collections::BTreeMap;

use chaperone_crds::field::{AllowedNamespaces, NamespaceSelector, NamespacesFrom};
use chaperone_protocol::name::ObjectName;

use crate::world::Labels;

/// An object's `allowedNamespaces`, beside what it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission<'w>(&'w AllowedNamespaces);

impl<'w> Admission<'w> {
    pub(super) fn new(allowed: &'w AllowedNamespaces) -> Self {
        Self(allowed)
    }

    /// Whether an object that stands in `own` admits namespace `other`. A namespace that nobody knows has no labels.
    pub(super) fn admits(
        self,
        own: &ObjectName,
        other: &ObjectName,
        namespaces: &BTreeMap<ObjectName, Labels>,
    ) -> bool {
        if own == other {
            return true;
        }
        let AllowedNamespaces { from, selector } = self.0;
        match (from, selector) {
            (NamespacesFrom::Same, _) | (NamespacesFrom::Selector, None) => false,
            (NamespacesFrom::All, _) => true,
            (NamespacesFrom::Selector, Some(selector)) => {
                namespaces.get(other).is_some_and(|labels| selects(selector, labels))
            }
        }
    }
}

fn selects(selector: &NamespaceSelector, labels: &Labels) -> bool {
    let NamespaceSelector { match_labels } = selector;
    // CEL refuses an empty selector; should one get here, it must not mean everybody.
    !match_labels.is_empty() && match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &AllowedNamespaces, other: &str) -> bool {
        let name = |text: &str| text.parse::<ObjectName>().unwrap();
        let labels = |value: &str| BTreeMap::from([("ai".to_owned(), value.to_owned())]);
        let namespaces = BTreeMap::from([(name("team-a"), labels("yes")), (name("team-b"), labels("no"))]);
        Admission::new(allowed).admits(&name("platform"), &name(other), &namespaces)
    }

    fn allowed(from: NamespacesFrom, label: Option<&str>) -> AllowedNamespaces {
        let selector = label.map(|value| NamespaceSelector {
            match_labels: BTreeMap::from([("ai".to_owned(), value.to_owned())]),
        });
        AllowedNamespaces { from, selector }
    }

    #[test]
    fn the_own_namespace_is_always_admitted() {
        assert!(admits(&allowed(NamespacesFrom::Same, None), "platform"));
        assert!(admits(&allowed(NamespacesFrom::Selector, Some("yes")), "platform"));
    }

    #[test]
    fn others_need_the_owners_consent() {
        assert!(!admits(&allowed(NamespacesFrom::Same, None), "team-a"));
        assert!(admits(&allowed(NamespacesFrom::All, None), "team-a"));
        assert!(admits(&allowed(NamespacesFrom::Selector, Some("yes")), "team-a"));
        assert!(!admits(&allowed(NamespacesFrom::Selector, Some("yes")), "team-b"));
        assert!(!admits(&allowed(NamespacesFrom::Selector, Some("yes")), "unknown"));
        assert!(!admits(&allowed(NamespacesFrom::Selector, None), "team-a"));
    }
}
