//! What one object wrote about personal data, read and judged by itself.

mod analyzer;

use std::collections::{BTreeMap, BTreeSet};

use chaperone_crds::field::pii as written;
use chaperone_protocol::limits;
use chaperone_protocol::snapshot::pii::{
    Action, CustomPattern, Entity, Filter, Ner, NonText, PartsOfNames, PseudonymFormat, PseudonymScope,
    Restored,
};
use chaperone_redact as redact;

use crate::compile::finding::{Notes, Problem, Reason};
use crate::world::{ObjectKey, World};

/// A match without a context word counts by itself, unless the user says otherwise.
const SURE: u8 = 100;

/// What a Partner, or a route, wrote.
#[derive(Debug, Clone, Default)]
pub(in crate::compile) struct Side {
    pub(super) filter: Option<Filter>,
    /// `None`: it has no `pii` at all, and counts for nothing.
    pub(super) block: Option<Written>,
}

/// A `pii` block. What was not written stays `None`, so that no default beats the other side's choice.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) entities: Option<BTreeSet<Entity>>,
    pub(super) action: Option<Action>,
    pub(super) actions: BTreeMap<Entity, Action>,
    pub(super) restore: BTreeSet<Restored>,
    pub(super) ner: Option<Ner>,
    pub(super) keep_last: Option<u8>,
    pub(super) scope: Option<PseudonymScope>,
    pub(super) format: Option<PseudonymFormat>,
    pub(super) parts_of_names: Option<PartsOfNames>,
    pub(super) hint: bool,
    pub(super) allow: BTreeSet<String>,
    /// Each with the action that was written for it by name.
    pub(super) custom: Vec<(CustomPattern, Option<Action>)>,
    pub(super) responses: Option<(BTreeSet<Entity>, Option<Action>)>,
    pub(super) non_text: Option<NonText>,
}

impl Side {
    /// Who finds names; `None`: it does not say.
    pub(super) fn ner(&self) -> Option<&Ner> {
        self.block.as_ref()?.ner.as_ref()
    }
}

/// What a Partner wrote.
pub(in crate::compile) fn of_partner(
    pii: Option<&written::PartnerPii>,
    owner: (&ObjectKey, &World),
    notes: &mut Notes<'_>,
) -> Side {
    Side {
        filter: pii.and_then(|pii| pii.filter).map(filter),
        block: pii.map(|pii| read(&pii.block(), owner, notes)),
    }
}

/// What a route wrote.
pub(in crate::compile) fn of_route(
    written: Option<written::PiiFilter>,
    pii: Option<&written::RoutePii>,
    owner: (&ObjectKey, &World),
    notes: &mut Notes<'_>,
) -> Side {
    Side { filter: written.map(filter), block: pii.map(|pii| read(&pii.block(), owner, notes)) }
}

fn read(block: &written::Block<'_>, owner: (&ObjectKey, &World), notes: &mut Notes<'_>) -> Written {
    // Destructured without `..`, so that a new field fails to compile here instead of being dropped.
    let written::Block {
        entities: named,
        action: of_all,
        actions,
        restore,
        ner,
        mask,
        pseudonym,
        allow,
        custom,
        responses,
        non_text,
    } = *block;
    let written::Restore { responses: text, tool_arguments, urls } = restore;
    let restored = [
        (Restored::Text, text.unwrap_or(true)),
        (Restored::ToolArguments, tool_arguments.unwrap_or(true)),
        (Restored::Urls, urls.unwrap_or(false)),
    ];
    let written::Pseudonym { scope: lasts, format, link_names, hint } = pseudonym;
    let actions: BTreeMap<&str, Action> =
        actions.into_iter().flatten().map(|(name, written)| (name.as_str(), action(*written))).collect();
    bound("spec.pii.allow", allow.len(), limits::PII_ALLOW, notes);
    Written {
        entities: named.map(entities),
        action: of_all.map(action),
        actions: by_entity(&actions, custom, notes),
        restore: restored.into_iter().filter(|(_, is_on)| *is_on).map(|(place, _)| place).collect(),
        ner: ner.and_then(|written| analyzer::ner(written, owner, notes)),
        keep_last: mask.and_then(|mask| keep_last(mask, notes)),
        scope: lasts.map(scope),
        format: format.and_then(|written| pseudonym_format(written, named, notes)),
        parts_of_names: link_names.map(|link| if link { PartsOfNames::Linked } else { PartsOfNames::Apart }),
        hint: hint.unwrap_or(false),
        allow: allow.iter().cloned().collect(),
        custom: patterns(custom, &actions, notes),
        responses: responses.and_then(|responses| answers(responses, notes)),
        non_text: non_text.map(|written| match written {
            written::NonText::Allow => NonText::Allow,
            written::NonText::Block => NonText::Block,
        }),
    }
}

fn by_entity(
    actions: &BTreeMap<&str, Action>,
    custom: &[written::CustomPattern],
    notes: &mut Notes<'_>,
) -> BTreeMap<Entity, Action> {
    let mut by_entity = BTreeMap::new();
    for (name, action) in actions {
        match Entity::ALL.iter().find(|entity| entity.as_str() == *name) {
            Some(entity) => {
                by_entity.insert(*entity, *action);
            }
            None if custom.iter().any(|pattern| pattern.name == *name) => {}
            None => notes.add(
                format!("spec.pii.actions.{name}"),
                invalid(
                    "names neither an entity nor a custom pattern",
                    "write a name such as Email, or that of a pattern",
                ),
            ),
        }
    }
    by_entity
}

fn keep_last(mask: written::Mask, notes: &mut Notes<'_>) -> Option<u8> {
    let kept = u8::try_from(mask.keep_last).ok().filter(|kept| *kept <= limits::PII_KEEP_LAST);
    let problem = || {
        let message = format!("{} is out of range", mask.keep_last);
        invalid(message, format!("write 0 to {}", limits::PII_KEEP_LAST))
    };
    notes.keep("spec.pii.mask.keepLast", kept.ok_or_else(problem))
}

/// Surrogates that nothing would have are a mistake.
fn pseudonym_format(
    written: written::PseudonymFormat,
    named: Option<&[written::Entity]>,
    notes: &mut Notes<'_>,
) -> Option<PseudonymFormat> {
    let format = match written {
        written::PseudonymFormat::Tag => PseudonymFormat::Tag,
        written::PseudonymFormat::Surrogate => PseudonymFormat::Surrogate,
    };
    let is_useless = format == PseudonymFormat::Surrogate
        && named.is_some_and(|named| !entities(named).into_iter().any(has_surrogates));
    let problem = || {
        invalid(
            "none of `entities` has surrogates",
            "write Tag, or name Email, Phone, CreditCard, Ip or MacAddress",
        )
    };
    notes.keep("spec.pii.pseudonym.format", if is_useless { Err(problem()) } else { Ok(format) })
}

/// Whether values of `entity` can be replaced by values that are nobody's.
pub(super) fn has_surrogates(entity: Entity) -> bool {
    entity.as_str().parse().is_ok_and(redact::PseudonymFormat::has_surrogates)
}

fn patterns(
    custom: &[written::CustomPattern],
    actions: &BTreeMap<&str, Action>,
    notes: &mut Notes<'_>,
) -> Vec<(CustomPattern, Option<Action>)> {
    bound("spec.pii.custom", custom.len(), limits::PII_CUSTOM, notes);
    let mut patterns = Vec::new();
    for (at, written) in custom.iter().enumerate().take(limits::PII_CUSTOM) {
        let written::CustomPattern { name, pattern, context, score } = written;
        let path = format!("spec.pii.custom[{at}]");
        let score = score.as_deref().map_or(Some(SURE), percent);
        let problem = || invalid("is not a score", "write a number from 0 to 1, as in \"0.6\"");
        let score_percent = notes.keep(format!("{path}.score"), score.ok_or_else(problem));
        let compiled = compile(name, pattern);
        let remedy = "simplify the pattern, or split it";
        let refused = compiled.map_err(|problem| Problem::new(Reason::InvalidPattern, problem, remedy));
        let compiled = notes.keep(format!("{path}.pattern"), refused);
        if let (Some(score_percent), Some(())) = (score_percent, compiled) {
            let context = context.iter().flatten().cloned().collect();
            let action = actions.get(name.as_str()).copied();
            let (name, pattern) = (name.clone(), pattern.clone());
            let pattern = CustomPattern { name, pattern, context, score_percent, action: Action::default() };
            patterns.push((pattern, action));
        }
    }
    patterns
}

/// Asks the engine itself, so that a sidecar never meets a pattern that it does not run.
fn compile(name: &str, pattern: &str) -> Result<(), String> {
    if pattern.len() > limits::PII_PATTERN_BYTES {
        return Err(format!("has more than {} bytes", limits::PII_PATTERN_BYTES));
    }
    let custom = redact::CustomSpec {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        context: Vec::new(),
        score: redact::Score::percent(SURE),
    };
    let spec = redact::PolicySpec { custom: vec![custom], ..redact::PolicySpec::default() };
    let problems = redact::Policy::compile(&spec).err().unwrap_or_default();
    problems.into_iter().next().map_or(Ok(()), |invalid| Err(invalid.problem))
}

/// A score from 0 to 1 with at most two decimals, in percent.
fn percent(score: &str) -> Option<u8> {
    let (whole, decimals) = score.split_once('.').unwrap_or((score, "0"));
    let is_number = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
    if !is_number(decimals) {
        return None;
    }
    let hundredths: u8 = format!("{decimals:0<2}").parse().ok()?;
    match (whole, hundredths) {
        ("0", hundredths) => Some(hundredths),
        ("1", 0) => Some(SURE),
        _ => None,
    }
}

fn answers(
    written: &written::Responses,
    notes: &mut Notes<'_>,
) -> Option<(BTreeSet<Entity>, Option<Action>)> {
    let written::Responses { entities: named, action: written } = written;
    let action = written.map(action);
    if action == Some(Action::Pseudonym) {
        let problem = invalid("nothing restores a placeholder in an answer", "choose another action");
        notes.add("spec.pii.responses.action", problem);
        return None;
    }
    Some((entities(named), action))
}

fn entities(named: &[written::Entity]) -> BTreeSet<Entity> {
    if named.contains(&written::Entity::All) {
        return Entity::ALL.iter().copied().collect();
    }
    named.iter().filter_map(|written| entity(*written)).collect()
}

fn entity(written: written::Entity) -> Option<Entity> {
    Some(match written {
        written::Entity::CreditCard => Entity::CreditCard,
        written::Entity::Iban => Entity::Iban,
        written::Entity::Ssn => Entity::Ssn,
        written::Entity::Phone => Entity::Phone,
        written::Entity::Email => Entity::Email,
        written::Entity::Ip => Entity::Ip,
        written::Entity::MacAddress => Entity::MacAddress,
        written::Entity::DateOfBirth => Entity::DateOfBirth,
        written::Entity::Passport => Entity::Passport,
        written::Entity::DriverLicense => Entity::DriverLicense,
        written::Entity::BankAccount => Entity::BankAccount,
        written::Entity::NationalId => Entity::NationalId,
        written::Entity::Secret => Entity::Secret,
        written::Entity::CryptoWallet => Entity::CryptoWallet,
        written::Entity::Person => Entity::Person,
        written::Entity::Location => Entity::Location,
        written::Entity::Organization => Entity::Organization,
        written::Entity::Address => Entity::Address,
        written::Entity::All => return None,
    })
}

fn filter(written: written::PiiFilter) -> Filter {
    match written {
        written::PiiFilter::Off => Filter::Off,
        written::PiiFilter::Lenient => Filter::Lenient,
        written::PiiFilter::Balanced => Filter::Balanced,
        written::PiiFilter::Strict => Filter::Strict,
    }
}

fn action(written: written::PiiAction) -> Action {
    match written {
        written::PiiAction::Pseudonym => Action::Pseudonym,
        written::PiiAction::Hash => Action::Hash,
        written::PiiAction::Mask => Action::Mask,
        written::PiiAction::Label => Action::Label,
        written::PiiAction::Block => Action::Block,
    }
}

fn scope(written: written::PseudonymScope) -> PseudonymScope {
    match written {
        written::PseudonymScope::Partner => PseudonymScope::Partner,
        written::PseudonymScope::Conversation => PseudonymScope::Conversation,
        written::PseudonymScope::Request => PseudonymScope::Request,
    }
}

fn bound(path: &str, length: usize, limit: usize, notes: &mut Notes<'_>) {
    if length > limit {
        let message = format!("has {length} entries; at most {limit} are allowed");
        notes.add(path, Problem::new(Reason::LimitExceeded, message, "remove some"));
    }
}

fn invalid(message: impl std::fmt::Display, remedy: impl std::fmt::Display) -> Problem {
    Problem::new(Reason::InvalidValue, message, remedy)
}
