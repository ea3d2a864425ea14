//! What Partner, route and data class say about personal data -> one policy: the stricter, field by field.
//!
//! What one side wrote is read once ([`Side`], in `pii/side.rs`); [`combine`] is the table of the rules, a row a line.

mod side;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chaperone_protocol::adapter::DataClass;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::pii::{
    Action, Analyzer, CustomPattern, Entity, Filter, Ner, NonText, Pii, PseudonymFormat, PseudonymScope,
    ResponsePii, Restored,
};

use self::side::Written;
pub(super) use self::side::{Side, of_partner, of_route};
use super::finding::{Notes, Problem, Reason};
use crate::world::ObjectKey;

/// The policy for requests of a route to one partner.
///
/// `class` is the route's: it brings a least filter, and forbids `Off` where data is confidential.
pub(super) fn combine(partner: &Side, route: &Side, class: DataClass) -> Pii {
    let filter = filter(partner, route, class);
    let entities = entities(partner, route, filter);
    let sides: Vec<&Written> = [partner, route].into_iter().filter_map(|side| side.block.as_ref()).collect();
    let restored = |place| sides.iter().all(|side| side.restore.contains(&place));
    let responses = responses(&sides);
    let actions = actions(&entities, &sides);
    Pii {
        filter,
        format: format(&actions, &sides),
        parts_of_names: sides.iter().filter_map(|side| side.parts_of_names).max().unwrap_or_default(),
        actions,
        restore: [Restored::Text, Restored::ToolArguments, Restored::Urls]
            .into_iter()
            .filter(|place| if sides.is_empty() { *place != Restored::Urls } else { restored(*place) })
            .collect(),
        ner: ner([partner, route], &entities, responses.as_ref()),
        keep_last: sides.iter().filter_map(|side| side.keep_last).min().unwrap_or(0),
        scope: sides.iter().filter_map(|side| side.scope).max().unwrap_or(PseudonymScope::Partner),
        hint: sides.iter().any(|side| side.hint),
        allow: common(sides.iter().map(|side| &side.allow)),
        custom: custom(&sides),
        responses,
        non_text: sides.iter().filter_map(|side| side.non_text).max().unwrap_or(NonText::Allow),
        entities: Some(entities),
    }
}

/// The least filter of a class; `None` where `Off` may stand if somebody wrote it.
fn least(class: DataClass) -> Option<Filter> {
    match class {
        DataClass::Public | DataClass::Internal => None,
        DataClass::Confidential => Some(Filter::Balanced),
        DataClass::Restricted => Some(Filter::Strict),
    }
}

fn filter(partner: &Side, route: &Side, class: DataClass) -> Filter {
    let written = partner.filter.max(route.filter);
    // `None` is below `Some`. Nobody having said anything means Lenient, not Off.
    written.max(least(class)).unwrap_or(Filter::Lenient)
}

/// Both sides' sets together; a side that has a filter and no list brings the default set of the combined filter.
fn entities(partner: &Side, route: &Side, filter: Filter) -> BTreeSet<Entity> {
    let sets = [partner, route].map(|side| {
        let named = side.block.as_ref().and_then(|block| block.entities.clone());
        named.or_else(|| side.filter.map(|_| filter::default_entities(filter)))
    });
    let [one, other] = sets;
    match (one, other) {
        (None, None) => filter::default_entities(filter),
        (one, other) => one.into_iter().chain(other).flatten().collect(),
    }
}

/// The stricter of what was written for each entity. Mask needs no entry.
fn actions(entities: &BTreeSet<Entity>, sides: &[&Written]) -> BTreeMap<Entity, Action> {
    let strictest = |entity: &Entity| {
        let written = sides.iter().filter_map(|side| side.actions.get(entity).copied().or(side.action)).max();
        Some((*entity, written.filter(|action| *action != Action::default())?))
    };
    entities.iter().filter_map(strictest).collect()
}

/// Tags, unless surrogates are asked for and something that is replaced by pseudonyms has some.
fn format(actions: &BTreeMap<Entity, Action>, sides: &[&Written]) -> PseudonymFormat {
    let mut replaced = actions.iter().filter(|(_, action)| **action == Action::Pseudonym);
    let written = sides.iter().filter_map(|side| side.format).max();
    written.filter(|_| replaced.any(|(entity, _)| side::has_surrogates(*entity))).unwrap_or_default()
}

/// Both sides' patterns. What the other side wrote for everything counts for them too.
fn custom(sides: &[&Written]) -> Vec<CustomPattern> {
    let mut all = BTreeSet::new();
    for (at, side) in sides.iter().enumerate() {
        let others = || sides.iter().enumerate().filter(|(other, _)| *other != at);
        for (pattern, own) in &side.custom {
            let own = own.or(side.action);
            let action = others().filter_map(|(_, side)| side.action).chain(own).max().unwrap_or_default();
            all.insert(CustomPattern { action, ..pattern.clone() });
        }
    }
    all.into_iter().collect()
}

/// Off only if nobody who may say so wants names; analyzers add up, since each only adds to what is found. They read
/// requests alone, so that names in answers are no reason to ask one.
fn ner(sides: [&Side; 2], entities: &BTreeSet<Entity>, responses: Option<&ResponsePii>) -> Ner {
    let in_requests = filter::wants_names(entities.iter());
    let in_answers = responses.is_some_and(|answers| filter::wants_names(answers.entities.iter()));
    let sides = sides.map(Side::ner);
    let analyzers: BTreeSet<_> = sides.iter().flatten().flat_map(|ner| ner.analyzers()).cloned().collect();
    if in_requests && !analyzers.is_empty() {
        Ner::Presidio(analyzers.into_iter().collect())
    } else if sides == [Some(&Ner::Off); 2] || !(in_requests || in_answers) {
        Ner::Off
    } else {
        Ner::Embedded
    }
}

fn responses(sides: &[&Written]) -> Option<ResponsePii> {
    let written: Vec<_> = sides.iter().filter_map(|side| side.responses.as_ref()).collect();
    if written.is_empty() {
        return None;
    }
    let entities = written.iter().flat_map(|(entities, _)| entities).copied().collect();
    let action = written.iter().filter_map(|(_, action)| *action).max().unwrap_or_default();
    Some(ResponsePii { entities, action })
}

fn common<'s>(mut sets: impl Iterator<Item = &'s BTreeSet<String>>) -> BTreeSet<String> {
    let first = sets.next().cloned().unwrap_or_default();
    sets.fold(first, |common, set| &common & set)
}

/// What the user should know about a combination, at the place where the route names the partner.
pub(super) fn check(
    pii: &Pii,
    (partner, written): (&ObjectKey, &Side),
    class: DataClass,
    path: &str,
    notes: &mut Notes<'_>,
) {
    if pii.filter == Filter::Off {
        let message = format!("nothing is redacted in requests to partner {partner}");
        let remedy =
            "leave it so only if the partner may see personal data; else write `piiFilter: Lenient` or more";
        notes.add_usable(path, Problem::new(Reason::NothingRedacted, message, remedy));
    }
    if written.filter == Some(Filter::Off) && least(class).is_some() {
        let message = format!(
            "partner {partner} has filter Off, which {class:?} data does not admit; {:?} is used",
            pii.filter
        );
        let remedy = "choose another filter in the Partner, or lower `dataClass`";
        notes.add_usable(path, Problem::new(Reason::FilterRaised, message, remedy));
    }
    if pii.custom.len() > limits::PII_CUSTOM {
        let message = format!(
            "route and partner {partner} have {} custom patterns; at most {} are allowed",
            pii.custom.len(),
            limits::PII_CUSTOM
        );
        notes.add("spec.pii.custom", Problem::new(Reason::LimitExceeded, message, "remove some"));
    }
}

/// Refuses a Partner of another namespace whose analyzer would read the requests of `route` unasked: the route must name
/// it too. Certificates of ours may differ, since each side's are of its own namespace.
pub(super) fn check_reader(
    pii: &Pii,
    partner: &ObjectKey,
    (route, own): (&ObjectKey, &Side),
    path: &str,
    notes: &mut Notes<'_>,
) {
    if partner.namespace == route.namespace {
        return;
    }
    let who = |it: &Analyzer| (it.endpoint.clone(), it.tls.ca.clone(), it.tls.server_name.clone());
    let own: BTreeSet<_> = own.ner().into_iter().flat_map(Ner::analyzers).map(who).collect();
    for stranger in pii.ner.analyzers().iter().filter(|analyzer| !own.contains(&who(analyzer))) {
        let message = format!(
            "partner {partner} has its analyzer {} read the requests of this namespace as they were written",
            stranger.endpoint
        );
        let remedy =
            "name the same analyzer and authority in `pii.ner` of the route, or have the Partner name none";
        notes.add(path, Problem::new(Reason::AnalyzerNotShared, message, remedy));
    }
}

/// What filters bring, in the engine's own words.
mod filter {
    use std::collections::BTreeSet;

    use chaperone_protocol::snapshot::pii::{Entity, Filter};
    use chaperone_redact as redact;

    fn engine(filter: Filter) -> redact::Filter {
        match filter {
            Filter::Off => redact::Filter::Off,
            Filter::Lenient => redact::Filter::Lenient,
            Filter::Balanced => redact::Filter::Balanced,
            Filter::Strict => redact::Filter::Strict,
        }
    }

    fn known(entity: Entity) -> redact::Entity {
        entity.as_str().parse().expect("a test holds the two lists together")
    }

    pub(super) fn default_entities(filter: Filter) -> BTreeSet<Entity> {
        let set = engine(filter).default_entities();
        Entity::ALL.iter().copied().filter(|entity| set.contains(known(*entity))).collect()
    }

    pub(super) fn wants_names<'e>(entities: impl Iterator<Item = &'e Entity>) -> bool {
        entities.map(|entity| known(*entity)).collect::<redact::EntitySet>().wants_names()
    }

    #[test]
    fn the_engine_knows_the_same_entities() {
        let ours: Vec<_> = Entity::ALL.iter().map(|entity| known(*entity)).collect();
        assert_eq!(ours, redact::Entity::BUILT_IN);
    }
}
