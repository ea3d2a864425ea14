//! What is redacted in requests of one route to one partner, and in the answers: the stricter of what both say.
//!
//! A route without an entry for a partner has the default policy, [`Pii::default`]: redaction is on unless somebody
//! switched it off. Custom patterns were compiled under size limits when the policy was made.

mod analyzer;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::analyzer::Analyzer;
use crate::invalid::Problems;
use crate::limits;

/// The policy of a (route, partner) pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pii {
    /// How much is looked for, and how sure we must be.
    pub filter: Filter,
    /// What is looked for; `None`: the filter's default set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entities: Option<BTreeSet<Entity>>,
    /// What happens to findings; [`Action::Mask`] where an entity is missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<Entity, Action>,
    /// Where pseudonyms are replaced back.
    #[serde(default = "text_and_arguments")]
    pub restore: BTreeSet<Restored>,
    /// Which tagger finds names.
    #[serde(default)]
    pub ner: Ner,
    /// Characters that Mask keeps at the end of a card, a telephone, an IBAN or an account.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keep_last: u8,
    /// How long one value keeps one placeholder.
    #[serde(default)]
    pub scope: PseudonymScope,
    /// How placeholders are written.
    #[serde(default, skip_serializing_if = "PseudonymFormat::is_tag")]
    pub format: PseudonymFormat,
    /// Which placeholder a part of a name has.
    #[serde(default, skip_serializing_if = "PartsOfNames::are_apart")]
    pub parts_of_names: PartsOfNames,
    /// Whether the model is asked to keep placeholders as they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hint: bool,
    /// Values that are never redacted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allow: BTreeSet<String>,
    /// Patterns of the users' own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom: Vec<CustomPattern>,
    /// What is redacted in answers; `None`: they are not scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponsePii>,
    /// Whether images, audio and files may pass.
    #[serde(default)]
    pub non_text: NonText,
}

impl Default for Pii {
    fn default() -> Self {
        Self {
            filter: Filter::Lenient,
            entities: None,
            actions: BTreeMap::new(),
            restore: text_and_arguments(),
            ner: Ner::default(),
            keep_last: 0,
            scope: PseudonymScope::default(),
            format: PseudonymFormat::default(),
            parts_of_names: PartsOfNames::default(),
            hint: false,
            allow: BTreeSet::new(),
            custom: Vec::new(),
            responses: None,
            non_text: NonText::default(),
        }
    }
}

fn text_and_arguments() -> BTreeSet<Restored> {
    BTreeSet::from([Restored::Text, Restored::ToolArguments])
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Pii {
    /// Notes what is beyond a bound.
    pub(crate) fn check(&self, path: &str, problems: &mut Problems) {
        problems.bound(format!("{path}.allow"), self.allow.len(), limits::PII_ALLOW);
        problems.bound(format!("{path}.custom"), self.custom.len(), limits::PII_CUSTOM);
        if self.keep_last > limits::PII_KEEP_LAST {
            problems.add(
                format!("{path}.keepLast"),
                format!("is {}; at most {} are allowed", self.keep_last, limits::PII_KEEP_LAST),
            );
        }
        if let Ner::Presidio(analyzers) = &self.ner {
            if analyzers.is_empty() {
                problems.add(format!("{path}.ner"), "names no analyzer");
            }
            problems.bound(format!("{path}.ner"), analyzers.len(), limits::PII_ANALYZERS);
        }
        for (at, analyzer) in self.ner.analyzers().iter().enumerate() {
            analyzer.check(&format!("{path}.ner[{at}]"), problems);
        }
        for (at, custom) in self.custom.iter().enumerate() {
            let path = format!("{path}.custom[{at}]");
            problems.bound(format!("{path}.pattern"), custom.pattern.len(), limits::PII_PATTERN_BYTES);
            problems.bound(format!("{path}.context"), custom.context.len(), limits::PII_CONTEXT);
            if custom.score_percent > 100 {
                problems.add(format!("{path}.scorePercent"), "is above 100");
            }
        }
        if self.responses.as_ref().is_some_and(|answers| answers.action == Action::Pseudonym) {
            problems.add(format!("{path}.responses.action"), "is Pseudonym, which nothing would restore");
        }
    }
}

/// How much is looked for. Ordered: the greater is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Filter {
    /// Nothing.
    Off,
    /// Structured data that is almost certainly personal.
    Lenient,
    /// The usual choice.
    Balanced,
    /// When in doubt, redact.
    Strict,
}

/// What happens to a finding. Ordered: the greater is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Action {
    /// A placeholder that answers are restored from.
    Pseudonym,
    /// 16 hex digits of a keyed hash.
    Hash,
    /// `****`.
    #[default]
    Mask,
    /// `[EMAIL]`.
    Label,
    /// The request is refused.
    Block,
}

macro_rules! entities {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A kind of personal data, by the name that manifests use. What it looks like is `chaperone-redact`'s business.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Entity { $($(#[$doc])* $name,)* }

        impl Entity {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name, as in manifests.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

entities! {
    /// Payment card number.
    CreditCard,
    /// International bank account number.
    Iban,
    /// United States social security number.
    Ssn,
    /// Telephone number.
    Phone,
    /// E-mail address.
    Email,
    /// IPv4 or IPv6 address.
    Ip,
    /// Hardware address of a network interface.
    MacAddress,
    /// A date that is said to be somebody's birthday.
    DateOfBirth,
    /// Passport number.
    Passport,
    /// Driving licence number.
    DriverLicense,
    /// Bank account or routing number.
    BankAccount,
    /// National identity or tax number.
    NationalId,
    /// Credential.
    Secret,
    /// Address of a cryptocurrency wallet.
    CryptoWallet,
    /// Name of a person.
    Person,
    /// Name of a place.
    Location,
    /// Name of an organization.
    Organization,
    /// Postal address.
    Address,
}

/// A place in an answer where pseudonyms are replaced back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Restored {
    /// The text.
    Text,
    /// Arguments of tool calls.
    ToolArguments,
    /// URLs and link targets within those.
    Urls,
}

/// Who finds names. Ordered: the greater is the stricter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Ner {
    /// Nobody.
    Off,
    /// The tagger inside the sidecar.
    #[default]
    Embedded,
    /// That tagger, and each of these analyzers besides. A reader that knows none refuses the document.
    Presidio(Vec<Analyzer>),
}

impl Ner {
    /// Who is asked besides the tagger.
    #[must_use]
    pub fn analyzers(&self) -> &[Analyzer] {
        match self {
            Self::Off | Self::Embedded => &[],
            Self::Presidio(analyzers) => analyzers,
        }
    }
}

/// How long one value keeps one placeholder. Ordered: the greater is the narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum PseudonymScope {
    /// For all requests to one partner.
    #[default]
    Partner,
    /// For the requests of one conversation.
    Conversation,
    /// For one request.
    Request,
}

/// How placeholders are written. Ordered: the greater is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum PseudonymFormat {
    /// As values that are nobody's, for the entities that have some; the others as tags.
    Surrogate,
    /// As `EMAIL_7Q4FX`.
    #[default]
    Tag,
}

impl PseudonymFormat {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn is_tag(&self) -> bool {
        *self == Self::Tag
    }
}

/// Which placeholder a later part of exactly one known name has. Ordered: the greater is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum PartsOfNames {
    /// The whole name's: the partner learns whom it means.
    Linked,
    /// One of its own.
    #[default]
    Apart,
}

impl PartsOfNames {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn are_apart(&self) -> bool {
        *self == Self::Apart
    }
}

/// A pattern of the users' own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomPattern {
    /// Its name, as `EmployeeId`.
    pub name: String,
    /// A regular expression that was compiled once before.
    pub pattern: String,
    /// Words that raise the score.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub context: BTreeSet<String>,
    /// How sure a match is without such a word.
    pub score_percent: u8,
    /// What happens to a match.
    #[serde(default)]
    pub action: Action,
}

/// What is redacted in answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponsePii {
    /// What is looked for.
    pub entities: BTreeSet<Entity>,
    /// What happens to findings; never [`Action::Pseudonym`].
    pub action: Action,
}

/// Whether data other than text may pass. Ordered: the greater is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum NonText {
    /// It passes unread.
    #[default]
    Allow,
    /// The request is refused.
    Block,
}

#[cfg(test)]
mod tests;
