//! Redaction policies of a snapshot, compiled: one for each pair of route and partner, shared where they are equal.
//!
//! What is looked for is `chaperone-redact`'s business; here a snapshot's words become the engine's.

pub(crate) mod hint;
pub(crate) mod identifier;
mod rewrite;
mod texts;
pub(crate) mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;

use chaperone_protocol::name::{Alias, PartnerName};
use chaperone_protocol::pair::ClientApi;
use chaperone_protocol::snapshot::Snapshot;
use chaperone_protocol::snapshot::pii::{
    Action, CustomPattern, Entity, Filter, Ner, NonText, PartsOfNames, Pii, PseudonymFormat, PseudonymScope,
    Restored,
};
use chaperone_redact as redact;
use chaperone_redact::ner::Tagger;

pub(crate) use self::rewrite::Rewrite;
pub(crate) use self::texts::{Channel, Field, Scrubber, Tally, Unfit};

/// A policy, ready to run.
#[derive(Debug)]
pub(crate) struct PairPolicy {
    /// For requests.
    pub(crate) requests: redact::Policy,
    /// For answers, where they are scanned.
    pub(crate) answers: Option<Arc<redact::Policy>>,
    pub(crate) written: Pii,
}

impl PairPolicy {
    /// `None` if the engine refuses the policy: nothing may be sent under it then.
    pub(crate) fn of(pii: &Pii) -> Option<Self> {
        // Weights that do not load find no names, and text must not pass as if they had.
        if pii.ner != Ner::Off {
            Tagger::embedded().ok()?;
        }
        let requests = redact::Policy::compile(&requests(pii)).ok()?;
        let answers = match answers(pii) {
            None => None,
            Some(spec) => Some(Arc::new(redact::Policy::compile(&spec).ok()?)),
        };
        Some(Self { requests, answers, written: pii.clone() })
    }

    /// The tagger, where names are looked for.
    pub(crate) fn names(&self) -> Option<&'static dyn redact::NameFinder> {
        match self.written.ner {
            Ner::Off => None,
            #[cfg(test)]
            Ner::Embedded | Ner::Presidio(_) if crate::defect::process::tagger().is_some() => {
                crate::defect::process::tagger()
            }
            Ner::Embedded | Ner::Presidio(_) => {
                Tagger::embedded().ok().map(|tagger| tagger as &dyn redact::NameFinder)
            }
        }
    }

    /// Whether a finding may become a placeholder.
    pub(crate) fn mints(&self) -> bool {
        let custom = self.written.custom.iter().map(|pattern| &pattern.action);
        self.written.actions.values().chain(custom).any(|action| *action == Action::Pseudonym)
    }

    /// Whether pseudonyms are put back at `place`.
    pub(crate) fn restores(&self, place: Restored) -> bool {
        self.written.restore.contains(&place)
    }
}

/// All policies of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    by_pair: BTreeMap<(Alias, PartnerName), Option<Arc<PairPolicy>>>,
}

impl Policies {
    /// Compiles each policy once, however many pairs have it.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut compiled: BTreeMap<String, Option<Arc<PairPolicy>>> = BTreeMap::new();
        let mut by_pair = BTreeMap::new();
        for route in snapshot.routes() {
            for target in route.every_target() {
                let partner = &target.partner.name;
                let pii = route.pii.get(partner).cloned().unwrap_or_default();
                let written = serde_json::to_string(&pii).unwrap_or_default();
                let policy = compiled.entry(written).or_insert_with(|| PairPolicy::of(&pii).map(Arc::new));
                by_pair.insert((route.alias.clone(), partner.clone()), policy.clone());
            }
        }
        Self { by_pair }
    }

    /// The policy for requests of `alias` to `partner`; `None`: they must not be sent.
    pub(crate) fn get(&self, alias: &Alias, partner: &PartnerName) -> Option<&Arc<PairPolicy>> {
        self.by_pair.get(&(alias.clone(), partner.clone()))?.as_ref()
    }
}

/// Which strings of a request carry content.
pub(crate) fn field_table(api: ClientApi) -> redact::FieldTable {
    match api {
        ClientApi::ChatCompletions => redact::FieldTable::OpenAiChat,
        ClientApi::Completions => redact::FieldTable::OpenAiCompletions,
        ClientApi::Embeddings => redact::FieldTable::OpenAiEmbeddings,
        ClientApi::Messages | ClientApi::CountTokens => redact::FieldTable::AnthropicMessages,
        ClientApi::Infer => redact::FieldTable::Infer,
    }
}

fn requests(pii: &Pii) -> redact::PolicySpec {
    let of_entities = pii.actions.iter().map(|(known, wanted)| (entity(*known), action(*wanted)));
    let of_patterns = (0..).zip(&pii.custom).map(|(at, it)| (redact::Entity::Custom(at), action(it.action)));
    redact::PolicySpec {
        filter: filter(pii.filter),
        entities: pii.entities.as_ref().map(|set| set.iter().map(|known| entity(*known)).collect()),
        action: redact::Action::Mask,
        actions: of_entities.chain(of_patterns).collect(),
        keep_last: pii.keep_last.into(),
        allow: pii.allow.iter().cloned().collect(),
        custom: pii.custom.iter().map(pattern).collect(),
        non_text: non_text(pii.non_text),
        pseudonym: redact::PseudonymSpec {
            format: match pii.format {
                PseudonymFormat::Tag => redact::PseudonymFormat::Tag,
                PseudonymFormat::Surrogate => redact::PseudonymFormat::Surrogate,
            },
            link_names: pii.parts_of_names == PartsOfNames::Linked,
            ..redact::PseudonymSpec::default()
        },
    }
}

/// Answers are scanned for what their own list names, as sure as requests; the users' own patterns are about requests.
fn answers(pii: &Pii) -> Option<redact::PolicySpec> {
    let answers = pii.responses.as_ref()?;
    Some(redact::PolicySpec {
        non_text: non_text(pii.non_text),
        filter: filter(pii.filter),
        entities: Some(answers.entities.iter().map(|known| entity(*known)).collect()),
        action: action(answers.action),
        keep_last: pii.keep_last.into(),
        allow: pii.allow.iter().cloned().collect(),
        ..redact::PolicySpec::default()
    })
}

fn non_text(non_text: NonText) -> redact::NonText {
    match non_text {
        NonText::Allow => redact::NonText::Allow,
        NonText::Block => redact::NonText::Block,
    }
}

fn filter(filter: Filter) -> redact::Filter {
    match filter {
        Filter::Off => redact::Filter::Off,
        Filter::Lenient => redact::Filter::Lenient,
        Filter::Balanced => redact::Filter::Balanced,
        Filter::Strict => redact::Filter::Strict,
    }
}

fn action(action: Action) -> redact::Action {
    match action {
        Action::Pseudonym => redact::Action::Pseudonym,
        Action::Hash => redact::Action::Hash,
        Action::Mask => redact::Action::Mask,
        Action::Label => redact::Action::Label,
        Action::Block => redact::Action::Block,
    }
}

fn entity(entity: Entity) -> redact::Entity {
    entity.as_str().parse().expect("a test holds the two lists together")
}

fn pattern(written: &CustomPattern) -> redact::CustomSpec {
    let CustomPattern { name, pattern, context, score_percent, action: _ } = written;
    redact::CustomSpec {
        name: name.clone(),
        pattern: pattern.clone(),
        context: context.iter().cloned().collect(),
        score: redact::Score::percent(*score_percent),
    }
}

/// The name of an action, as manifests and metrics have it.
pub(crate) fn action_name(action: redact::Action) -> &'static str {
    match action {
        redact::Action::Mask => "mask",
        redact::Action::Label => "label",
        redact::Action::Hash => "hash",
        redact::Action::Block => "block",
        redact::Action::Pseudonym => "pseudonym",
    }
}

/// What separates the pseudonyms of one partner.
pub(crate) fn scope_text<'s>(
    scope: PseudonymScope,
    conversation: Option<&'s str>,
    request: &'s str,
) -> &'s str {
    match scope {
        PseudonymScope::Partner => "",
        PseudonymScope::Conversation => conversation.unwrap_or(request),
        PseudonymScope::Request => request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_knows_every_entity_and_runs_every_default() {
        let ours: Vec<_> = Entity::ALL.iter().map(|known| entity(*known)).collect();
        assert_eq!(ours, redact::Entity::BUILT_IN);
        let policy = PairPolicy::of(&Pii::default()).unwrap();
        assert_eq!(policy.requests.entities(), redact::Filter::Lenient.default_entities());
    }

    #[test]
    fn a_policy_that_the_engine_refuses_sends_nothing() {
        let custom = CustomPattern {
            name: "Ahead".to_owned(),
            pattern: "(?=a)b".to_owned(),
            context: [].into(),
            score_percent: 100,
            action: Action::Mask,
        };
        assert!(PairPolicy::of(&Pii { custom: vec![custom], ..Pii::default() }).is_none());
    }
}
