//! From what a user wrote, `{partner, namespace?, model?}`, to one model of one partner.

use chaperone_crds::field::TargetRef;
use chaperone_protocol::name::{ModelName, ObjectName};

use super::chain::TargetKey;
use super::finding::{Problem, Reason};
use super::partner::{CompiledPartner, Partners};
use crate::world::{ObjectKey, World};

/// Why a reference means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unresolved {
    /// Which field of the reference is wrong, as the end of a path.
    pub(super) field: &'static str,
    pub(super) problem: Problem,
}

/// Which model of which partner `reference` means, written in an object of namespace `from`.
///
/// The namespace defaults to `from`, the model to the partner's only or default one.
pub(super) fn resolve(
    reference: &TargetRef,
    from: &ObjectName,
    partners: &Partners<'_>,
    world: &World,
) -> Result<TargetKey, Unresolved> {
    let TargetRef { partner, namespace, model } = reference;
    let in_partner = |problem| Unresolved { field: ".partner", problem };
    let key = key_of(partner, namespace.as_deref(), from).map_err(in_partner)?;
    let found = partners.get(&key).ok_or_else(|| in_partner(absent(&key, partners, world)))?;
    if !found.admission.admits(&key.namespace, from, &world.namespaces) {
        return Err(in_partner(not_allowed(&key, from)));
    }
    let wire = found.wire.as_ref().map_err(|refusal| in_partner(refused(&key, refusal)))?;
    let model = match model {
        Some(name) => known_model(name, &key, wire.models.keys())
            .map_err(|problem| Unresolved { field: ".model", problem })?,
        // The model is missing, so the finding is about the reference as a whole.
        None => default_model(found, &key).map_err(|problem| Unresolved { field: "", problem })?,
    };
    Ok(TargetKey { partner: key, model })
}

/// The Partner that a name means in `from`.
pub(super) fn key_of(
    partner: &str,
    namespace: Option<&str>,
    from: &ObjectName,
) -> Result<ObjectKey, Problem> {
    let parse = |text: &str| {
        text.parse::<ObjectName>().map_err(|error| {
            Problem::new(Reason::InvalidValue, format!("{text:?} {error}"), "name a Partner of the cluster")
        })
    };
    let namespace = namespace.map_or_else(|| Ok(from.clone()), parse)?;
    Ok(ObjectKey { namespace, name: parse(partner)? })
}

fn absent(key: &ObjectKey, partners: &Partners<'_>, world: &World) -> Problem {
    if world.refused_partners.contains(key) {
        let message = format!("partner {key} is itself refused");
        return Problem::new(Reason::PartnerRefused, message, "repair the Partner first");
    }
    if world.watched.as_ref().is_some_and(|watched| !watched.contains(key.namespace.as_str())) {
        let message =
            format!("names partner {key}, and namespace {} is not watched by the operator", key.namespace);
        let remedy =
            "have the namespace added to the chart's `watchNamespaces`, or name a Partner of one that is";
        return Problem::new(Reason::UnknownPartner, message, remedy);
    }
    let elsewhere = partners.keys().find(|other| other.name == key.name);
    let remedy = match elsewhere {
        Some(other) => format!("create it, or name `namespace: {}`, where there is one", other.namespace),
        None => "create it, or remove the reference".to_owned(),
    };
    let message =
        format!("names partner {:?}, which namespace {} does not have", key.name.as_str(), key.namespace);
    Problem::new(Reason::UnknownPartner, message, remedy)
}

fn refused(key: &ObjectKey, refusal: &str) -> Problem {
    let message = format!("partner {key} is itself refused: {refusal}");
    Problem::new(Reason::PartnerRefused, message, "repair the Partner first")
}

fn not_allowed(key: &ObjectKey, from: &ObjectName) -> Problem {
    Problem::new(
        Reason::NamespaceNotAllowed,
        format!("partner {key} does not admit namespace {from}"),
        "ask its owner to admit the namespace in `allowedNamespaces`",
    )
}

fn known_model<'m>(
    name: &str,
    key: &ObjectKey,
    known: impl Iterator<Item = &'m ModelName> + Clone,
) -> Result<ModelName, Problem> {
    known.clone().find(|model| model.as_str() == name).cloned().ok_or_else(|| {
        let known: Vec<_> = known.map(ModelName::as_str).collect();
        Problem::new(
            Reason::UnknownModel,
            format!("names model {name:?}, which partner {key} does not have"),
            format!("choose one of its models ({}), or declare it there", known.join(", ")),
        )
    })
}

fn default_model(found: &CompiledPartner<'_>, key: &ObjectKey) -> Result<ModelName, Problem> {
    found.default_model().cloned().ok_or_else(|| {
        Problem::new(
            Reason::NoDefaultModel,
            format!("names no model, and partner {key} has several and no `defaultModel`"),
            "name a model here, or set `defaultModel` there",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_of_a_namespace_that_is_not_watched_is_not_to_be_created() {
        let watching = |names: Option<[&str; 1]>| World {
            watched: names.map(|names| names.map(str::to_owned).into()),
            ..World::default()
        };
        let key = ObjectKey { namespace: "vendors".parse().unwrap(), name: "alpha".parse().unwrap() };
        let said = |names| absent(&key, &Partners::default(), &watching(names)).message;
        assert!(said(Some(["shop"])).contains("namespace vendors is not watched"));
        for names in [None, Some(["vendors"])] {
            assert!(said(names).contains("does not have"), "{names:?}");
        }
    }
}
