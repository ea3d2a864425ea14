//! What to look for, how sure to be, what to do: compiled once, used for every request.

use std::collections::{BTreeMap, BTreeSet};

use regex_automata::meta;
use regex_automata::util::syntax;

use crate::entity::{Entity, EntitySet, MAX_CUSTOM};
use crate::finding::Score;
use crate::pseudonym::{Form, Kind, Link};
use crate::view::{Escapes, View};

/// How much to look for and how sure to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// Nothing is looked for.
    Off,
    /// Structured data that is almost certainly personal.
    Lenient,
    /// The usual choice.
    #[default]
    Balanced,
    /// When in doubt, redact.
    Strict,
}

impl Filter {
    /// The entities that the filter looks for when nobody names any.
    #[must_use]
    pub fn default_entities(self) -> EntitySet {
        use Entity::{
            Address, BankAccount, CreditCard, CryptoWallet, DateOfBirth, DriverLicense, Email, Iban, Ip,
            Location, MacAddress, NationalId, Passport, Person, Phone, Secret, Ssn,
        };
        let lenient: EntitySet =
            [CreditCard, Iban, Ssn, Secret, CryptoWallet, Email, Phone].into_iter().collect();
        let more =
            [Ip, MacAddress, DateOfBirth, Passport, DriverLicense, BankAccount, NationalId, Person, Address];
        match self {
            Self::Off => EntitySet::EMPTY,
            Self::Lenient => lenient,
            Self::Balanced => lenient.union(more.into_iter().collect()),
            Self::Strict => Self::Balanced.default_entities().with(Location),
        }
    }

    /// The least score that counts, inclusive. Names are decided by [`Filter::recall_bias`].
    #[must_use]
    pub const fn threshold(self) -> Score {
        match self {
            Self::Off => Score::percent(100),
            Self::Lenient => Score::percent(75),
            Self::Balanced => Score::percent(50),
            Self::Strict => Score::percent(30),
        }
    }

    /// Nats that the tagger takes from "no name".
    #[must_use]
    pub const fn recall_bias(self) -> f32 {
        match self {
            Self::Off | Self::Lenient => 0.0,
            Self::Balanced => 1.0,
            Self::Strict => 3.0,
        }
    }
}

/// What happens to a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// `****`, with the last characters kept where the policy says so.
    #[default]
    Mask,
    /// `[EMAIL]`.
    Label,
    /// Sixteen hex digits of a keyed hash.
    Hash,
    /// The request is refused.
    Block,
    /// A placeholder that is replaced back in the response.
    Pseudonym,
}

/// Whether images, audio and files may pass unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonText {
    /// They pass.
    #[default]
    Allow,
    /// The request is refused.
    Block,
}

/// A pattern of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomSpec {
    /// Its name, such as `EmployeeId`; the label is derived from it.
    pub name: String,
    /// A regular expression over bytes, without look-around.
    pub pattern: String,
    /// Words nearby that raise the score by 35 points.
    pub context: Vec<String>,
    /// Score of a match without context.
    pub score: Score,
}

/// How placeholders of Pseudonym are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PseudonymFormat {
    /// `EMAIL_7Q4FX`: survives most that models do to text.
    #[default]
    Tag,
    /// A valid value from a reserved range, for tools that validate their input: e-mail addresses at
    /// `example.com`, telephone numbers and cards from the ranges for fiction and tests, IP and MAC
    /// addresses for documentation. Entities without such a range have tags.
    Surrogate,
}

impl PseudonymFormat {
    /// Whether any range is reserved for surrogates of `entity`.
    #[must_use]
    pub fn has_surrogates(entity: Entity) -> bool {
        Kind::of(entity).is_some()
    }
}

/// How Pseudonym makes its placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PseudonymSpec {
    /// How they are written.
    pub format: PseudonymFormat,
    /// How those of single entities are written.
    pub formats: BTreeMap<Entity, PseudonymFormat>,
    /// Whether a later part of exactly one known full name has the name's placeholder; it is restored as the
    /// full name.
    pub link_names: bool,
}

/// A policy as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySpec {
    /// How much to look for.
    pub filter: Filter,
    /// What to look for; `None` means the filter's default set.
    pub entities: Option<Vec<Entity>>,
    /// What to do with findings.
    pub action: Action,
    /// What to do with findings of single entities.
    pub actions: BTreeMap<Entity, Action>,
    /// Characters that Mask keeps at the end of cards, phones, IBANs and accounts.
    pub keep_last: usize,
    /// Values that are never redacted.
    pub allow: Vec<String>,
    /// Patterns of the user's own.
    pub custom: Vec<CustomSpec>,
    /// What to do with images, audio and files.
    pub non_text: NonText,
    /// How Pseudonym makes its placeholders.
    pub pseudonym: PseudonymSpec,
}

/// Why a policy was refused: the field and the problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct InvalidPolicy {
    /// The field, such as `custom[2].pattern`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A custom pattern, ready to run.
#[derive(Debug)]
pub(crate) struct Custom {
    pub(crate) regex: meta::Regex,
    pub(crate) context: Vec<String>,
    pub(crate) score: Score,
    label: String,
}

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    pub(crate) filter: Filter,
    pub(crate) entities: EntitySet,
    actions: BTreeMap<Entity, Action>,
    default_action: Action,
    pub(crate) keep_last: usize,
    allow: BTreeSet<Vec<u8>>,
    pub(crate) custom: Vec<Custom>,
    pub(crate) non_text: NonText,
    pseudonym: PseudonymSpec,
}

/// Largest automaton of a custom pattern, in bytes.
const PATTERN_BYTES: usize = 64 * 1024;
/// Most values that an allow list may have.
const MAX_ALLOW: usize = 1024;
/// More kept characters would reveal most of a number.
const MAX_KEEP_LAST: usize = 4;

impl Policy {
    /// Compiles a policy.
    ///
    /// # Errors
    /// Every problem that the policy has, not only the first.
    pub fn compile(spec: &PolicySpec) -> Result<Self, Vec<InvalidPolicy>> {
        crate::context::warm();
        let mut problems = Vec::new();
        let mut refuse = |path: String, problem: String| problems.push(InvalidPolicy { path, problem });
        if spec.custom.len() > usize::from(MAX_CUSTOM) {
            refuse(
                "custom".into(),
                format!("has {} patterns; at most {MAX_CUSTOM} are allowed", spec.custom.len()),
            );
        }
        if spec.allow.len() > MAX_ALLOW {
            refuse(
                "allow".into(),
                format!("has {} values; at most {MAX_ALLOW} are allowed", spec.allow.len()),
            );
        }
        if spec.keep_last > MAX_KEEP_LAST {
            refuse(
                "mask.keepLast".into(),
                format!("is {}; at most {MAX_KEEP_LAST} characters may stay", spec.keep_last),
            );
        }
        let mut custom = Vec::new();
        for (at, row) in spec.custom.iter().enumerate().take(usize::from(MAX_CUSTOM)) {
            match compile_custom(row) {
                Ok(pattern) => custom.push(pattern),
                Err(problem) => refuse(format!("custom[{at}].pattern"), problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let named = spec.entities.as_ref().map(|named| named.iter().copied().collect());
        let custom_set: EntitySet = (0..MAX_CUSTOM).take(custom.len()).map(Entity::Custom).collect();
        let entities = named.unwrap_or_else(|| spec.filter.default_entities()).union(custom_set);
        let policy = Self {
            filter: spec.filter,
            entities: if spec.filter == Filter::Off { EntitySet::EMPTY } else { entities },
            actions: spec.actions.clone(),
            default_action: spec.action,
            keep_last: spec.keep_last,
            allow: spec.allow.iter().map(|value| normalised(value.as_bytes())).collect(),
            custom,
            non_text: spec.non_text,
            pseudonym: spec.pseudonym.clone(),
        };
        let problems = policy.pseudonym_problems();
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// A surrogate that nothing would have is a mistake that its author should know of.
    fn pseudonym_problems(&self) -> Vec<InvalidPolicy> {
        let surrogate = PseudonymFormat::Surrogate;
        let named = self.pseudonym.formats.iter().filter(|(_, format)| **format == surrogate);
        let mut problems: Vec<InvalidPolicy> = named
            .filter(|(entity, _)| Kind::of(**entity).is_none())
            .map(|(entity, _)| InvalidPolicy {
                path: format!("pseudonym.formats.{}", entity.name()),
                problem: "no range is reserved for surrogates of this entity; write Tag".into(),
            })
            .collect();
        let used = |entity: &Entity| {
            self.entities.contains(*entity)
                && self.action(*entity) == Action::Pseudonym
                && Kind::of(*entity).is_some()
        };
        let looks = !self.entities.is_empty();
        if looks && self.pseudonym.format == surrogate && !Entity::BUILT_IN.iter().any(used) {
            problems.push(InvalidPolicy {
                path: "pseudonym.format".into(),
                problem: "no entity of this policy that Pseudonym replaces has surrogates: Email, Phone, CreditCard, \
                    Ip and MacAddress do; write Tag, or give one of them the action Pseudonym"
                    .into(),
            });
        }
        problems
    }

    /// How the placeholder of a finding is written.
    pub(crate) fn form(&self, entity: Entity) -> Form {
        let format = self.pseudonym.formats.get(&entity).copied().unwrap_or(self.pseudonym.format);
        let surrogate = if format == PseudonymFormat::Surrogate { Kind::of(entity) } else { None };
        let linked = self.pseudonym.link_names && entity == Entity::Person;
        Form { surrogate, link: if linked { Link::Parts } else { Link::None } }
    }

    /// What happens to findings of `entity`.
    #[must_use]
    pub fn action(&self, entity: Entity) -> Action {
        self.actions.get(&entity).copied().unwrap_or(self.default_action)
    }

    /// Whether a finding may become a placeholder.
    pub(crate) fn mints(&self) -> bool {
        self.default_action == Action::Pseudonym
            || self.actions.values().any(|action| *action == Action::Pseudonym)
    }

    /// The label of `entity`, with the user's names for custom patterns.
    #[must_use]
    pub fn label(&self, entity: Entity) -> &str {
        match entity {
            Entity::Custom(at) => self.custom.get(usize::from(at)).map_or(entity.label(), |row| &row.label),
            _ => entity.label(),
        }
    }

    /// What is looked for.
    #[must_use]
    pub const fn entities(&self) -> EntitySet {
        self.entities
    }

    pub(crate) fn allows(&self, value: &[u8]) -> bool {
        !self.allow.is_empty() && self.allow.contains(&normalised(value))
    }
}

/// The form in which two spellings of one value are equal: the view's, in lower case.
pub(crate) fn normalised(value: &[u8]) -> Vec<u8> {
    let view = View::new(value, Escapes::None);
    let text = view.as_ref().map_or(value, |view| view.bytes(value));
    String::from_utf8_lossy(text).trim().to_lowercase().into_bytes()
}

fn compile_custom(spec: &CustomSpec) -> Result<Custom, String> {
    let config = meta::Config::new()
        .nfa_size_limit(Some(PATTERN_BYTES))
        .onepass_size_limit(Some(PATTERN_BYTES))
        .hybrid_cache_capacity(4 * PATTERN_BYTES);
    let regex = meta::Builder::new()
        .configure(config)
        // Unicode classes switch the fast automaton off; the view has ASCII digits and spaces.
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(&spec.pattern)
        .map_err(|error| {
            // The last line says what is wrong; those before it show where, for a terminal.
            let syntax = error.syntax_error().map(ToString::to_string);
            let why = syntax.as_deref().and_then(|text| text.lines().last()?.strip_prefix("error: "));
            match why {
                Some(why) => format!("is not a pattern that we run: {why}"),
                None => "compiles to more than 64 kB".to_owned(),
            }
        })?;
    if regex.find(b"").is_some() {
        return Err(
            "matches the empty text, so it would match everywhere; require at least one character".into()
        );
    }
    let context = spec.context.iter().map(|word| word.to_lowercase()).collect();
    Ok(Custom { regex, context, score: spec.score, label: label_of(&spec.name) })
}

/// `EmployeeId` becomes `EMPLOYEE_ID`.
fn label_of(name: &str) -> String {
    let words = crate::context::key_words(name);
    words.chars().map(|letter| if letter == ' ' { '_' } else { letter.to_ascii_uppercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(pattern: &str) -> PolicySpec {
        let row = CustomSpec {
            name: "EmployeeId".into(),
            pattern: pattern.into(),
            context: vec![],
            score: Score::percent(60),
        };
        PolicySpec { custom: vec![row], ..PolicySpec::default() }
    }

    #[test]
    fn f55_a_bad_pattern_is_refused_with_path_and_reason() {
        for pattern in ["(a", "(?=a)b", "x*", "(a{100}){100}{100}", r"(\w{1,500}){1,500}"] {
            let problems = Policy::compile(&custom(pattern)).unwrap_err();
            assert_eq!(problems[0].path, "custom[0].pattern", "{pattern}");
        }
        let many = PolicySpec { custom: vec![custom("a").custom[0].clone(); 33], ..PolicySpec::default() };
        assert_eq!(Policy::compile(&many).unwrap_err()[0].path, "custom");
    }

    #[test]
    fn a_custom_pattern_has_the_users_label() {
        let policy = Policy::compile(&custom("E-[0-9]{6}")).unwrap();
        assert_eq!(policy.label(Entity::Custom(0)), "EMPLOYEE_ID");
        assert!(policy.entities().contains(Entity::Custom(0)));
    }

    #[test]
    fn surrogates_without_a_reserved_range_are_refused() {
        let with =
            |pseudonym: PseudonymSpec, action| PolicySpec { pseudonym, action, ..PolicySpec::default() };
        let format = PseudonymFormat::Surrogate;
        let named =
            PseudonymSpec { formats: BTreeMap::from([(Entity::Person, format)]), ..PseudonymSpec::default() };
        let problems = Policy::compile(&with(named, Action::Pseudonym)).unwrap_err();
        assert_eq!(problems[0].path, "pseudonym.formats.Person");
        let unused = PseudonymSpec { format, ..PseudonymSpec::default() };
        assert_eq!(
            Policy::compile(&with(unused.clone(), Action::Mask)).unwrap_err()[0].path,
            "pseudonym.format"
        );
        assert!(Policy::compile(&with(unused, Action::Pseudonym)).is_ok());
    }

    #[test]
    fn keeping_many_characters_is_refused() {
        let spec = PolicySpec { keep_last: 5, ..PolicySpec::default() };
        assert_eq!(Policy::compile(&spec).unwrap_err()[0].path, "mask.keepLast");
    }
}
