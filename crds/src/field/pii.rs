//! What is redacted, and how: the block that Partners and ModelRoutes share.
//!
//! Nothing here has a default in the schema: what one side leaves out is the other side's to say, and the stricter of
//! both stands. How they combine is `operator::compile`'s business.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

mod ner;

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use self::ner::{Ner, NerBackend, Presidio};
use crate::explain::explain_values;

/// The values of [`Entity`] but for `All`, as a list of CEL.
const ENTITIES: &str = "['CreditCard','Iban','Ssn','Phone','Email','Ip','MacAddress','DateOfBirth','Passport','DriverLicense','BankAccount','NationalId','Secret','CryptoWallet','Person','Location','Organization','Address']";

fn all_stands_alone() -> Rule {
    Rule::new("!self.exists(e, e == 'All') || self.size() == 1")
        .message("`All` names everything: write it alone")
}

fn actions_name_entities() -> Rule {
    Rule::new(format!(
        "!has(self.actions) || self.actions.all(k, k in {ENTITIES} || (has(self.custom) && self.custom.exists(c, c.name == k)))"
    ))
    .message("`actions` names no entity of ours and no `custom` pattern of this block: correct the key")
}

fn is_a_name_of_its_own() -> Rule {
    Rule::new(format!("self != 'All' && self != 'Custom' && !(self in {ENTITIES})"))
        .message("is the name of a built-in entity: choose another")
}

/// The block of a Partner has a filter; a ModelRoute's stands beside its block. All else is the same.
macro_rules! block {
    ($(#[$doc:meta])* $name:ident { $($filter:tt)* }) => {
        $(#[$doc])*
        #[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[x_kube(
            validation = actions_name_entities(),
            validation = Rule::new("!has(self.mask) || self.mask.keepLast == 0 || !has(self.entities) || self.entities.exists(e, e in ['All','CreditCard','Phone','Iban','BankAccount'])")
                .message("`mask.keepLast` keeps the end of a CreditCard, Phone, Iban or BankAccount, and `entities` has none of them: add one, or remove it"),
        )]
        pub struct $name {
        $($filter)*
            /// What is looked for, 1 to 19 kinds; without it the default set of the filter, and `[All]` means everything. Example: `[Email, Phone, Ssn]`. Partner and route add up.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 19))]
            #[x_kube(merge_strategy = ListMerge::Set, validation = all_stands_alone())]
            pub entities: Option<Vec<Entity>>,
            /// What happens to findings; without it on either side: `Mask`. The stricter of Partner and route stands: `Block`, then `Label`, `Mask`, `Hash`, `Pseudonym`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub action: Option<PiiAction>,
            /// What happens to findings of single entities, instead of `action`; at most 50. Example: `{Secret: Block, Person: Pseudonym}`. Names of `custom` patterns of this block may stand here too.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "actions")]
            pub actions: Option<BTreeMap<String, PiiAction>>,
            /// Where pseudonyms are replaced back in answers. Without it `{responses: true, toolArguments: true, urls: false}`; where both sides have a `pii`, both must allow.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub restore: Option<Restore>,
            /// Which tagger finds names; without it `{backend: Embedded}`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub ner: Option<Ner>,
            /// How `Mask` masks.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mask: Option<Mask>,
            /// How `Pseudonym` makes its placeholders.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub pseudonym: Option<Pseudonym>,
            /// Values that are never redacted, at most 64, compared without regard to case. Example: `["help@ourco.test"]`. Where both sides have a `pii`, both must list the value.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
            #[x_kube(merge_strategy = ListMerge::Set)]
            pub allow: Option<Vec<String>>,
            /// Patterns of your own, at most 32 of Partner and route together; they count whatever `entities` says. Example: `[{name: EmployeeId, pattern: 'E-[0-9]{6}', context: [badge], score: "0.6"}]`.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 32))]
            #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
            pub custom: Option<Vec<CustomPattern>>,
            /// What is redacted in what the partner returns; without it answers are not scanned.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub responses: Option<Responses>,
            /// Whether images, audio and files may pass, which nobody reads for personal data; without it on either side `Allow`. `Block` refuses such a request with `pii_blocked`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub non_text: Option<NonText>,
        }

        impl $name {
            /// All that Partners and ModelRoutes both may write.
            #[must_use]
            pub fn block(&self) -> Block<'_> {
                Block {
                    entities: self.entities.as_deref(),
                    action: self.action,
                    actions: self.actions.as_ref(),
                    restore: self.restore.unwrap_or_default(),
                    ner: self.ner.as_ref(),
                    mask: self.mask,
                    pseudonym: self.pseudonym.unwrap_or_default(),
                    allow: self.allow.as_deref().unwrap_or_default(),
                    custom: self.custom.as_deref().unwrap_or_default(),
                    responses: self.responses.as_ref(),
                    non_text: self.non_text,
                }
            }
        }
    };
}

block! {
    /// Which personal data is redacted before it reaches a partner, and what stands there instead.
    PartnerPii {
        /// How much is looked for and how sure we must be; the stricter of Partner and route stands. Without it on either side: the least that the route's `dataClass` brings, and `Lenient` at least.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub filter: Option<PiiFilter>,
    }
}

block! {
    /// Which personal data is redacted in requests of a route, and what stands there instead.
    RoutePii {}
}

/// What one side has written, whichever it is.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// `entities`
    pub entities: Option<&'a [Entity]>,
    /// `action`
    pub action: Option<PiiAction>,
    /// `actions`
    pub actions: Option<&'a BTreeMap<String, PiiAction>>,
    /// `restore`
    pub restore: Restore,
    /// `ner`
    pub ner: Option<&'a Ner>,
    /// `mask`
    pub mask: Option<Mask>,
    /// `pseudonym`
    pub pseudonym: Pseudonym,
    /// `allow`
    pub allow: &'a [String],
    /// `custom`
    pub custom: &'a [CustomPattern],
    /// `responses`
    pub responses: Option<&'a Responses>,
    /// `nonText`
    pub non_text: Option<NonText>,
}

fn actions(generator: &mut SchemaGenerator) -> Schema {
    let action = generator.subschema_for::<PiiAction>();
    json_schema!({ "type": "object", "maxProperties": 50, "additionalProperties": action })
}

/// How much is looked for, and how sure we must be.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(inline, transform = explain_values)]
pub enum PiiFilter {
    /// Nothing is redacted; never on Confidential or Restricted data. Written in quotes, since YAML takes a bare Off for false.
    Off,
    /// Structured data that is almost certainly personal: cards, accounts, numbers of persons, secrets, wallets, e-mail, telephone.
    Lenient,
    /// Also addresses of hosts, dates of birth, ids, names of persons and postal addresses.
    Balanced,
    /// Also places; when in doubt it redacts.
    Strict,
}

/// A kind of personal data.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(inline, transform = explain_values)]
pub enum Entity {
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
    /// Credential: API key, token, password, private key.
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
    /// Everything above.
    All,
}

/// What happens to a finding.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(inline, transform = explain_values)]
pub enum PiiAction {
    /// A placeholder such as `PERSON_7Q4FX`, which answers are restored from.
    Pseudonym,
    /// 16 hex digits of a keyed hash: equal values stay equal.
    Hash,
    /// `****`.
    Mask,
    /// `[EMAIL]`.
    Label,
    /// The request is refused with `pii_blocked`.
    Block,
}

/// Where pseudonyms are replaced back.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restore {
    /// In the text of answers; without it true. False leaves the placeholders to the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses: Option<bool>,
    /// In the arguments of tool calls; without it true. False gives tools the placeholders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_arguments: Option<bool>,
    /// Inside URLs and link targets; without it false. True lets a prompt of a stranger send a value out with the next link that is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urls: Option<bool>,
}

/// How `Mask` masks.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mask {
    /// How many characters stay at the end of a CreditCard, Phone, Iban or BankAccount, 0 to 4; the least of Partner and route stands. Example: `4` gives `****1111`.
    #[schemars(range(min = 0, max = 4))]
    pub keep_last: i32,
}

/// How `Pseudonym` makes its placeholders.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pseudonym {
    /// How long one value keeps one placeholder; without it `Partner`. The narrower of Partner and route stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<PseudonymScope>,
    /// How placeholders are written; without it `Tag`. `Surrogate` stands where Partner or route writes it and neither writes `Tag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<PseudonymFormat>,
    /// Whether a later part of exactly one name that came before, such as `Lee` after `Ann Lee`, has the whole name's placeholder, which answers put back as the whole name; without it false. It is done where Partner or route wants it and neither writes false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_names: Option<bool>,
    /// Whether the model is asked, in one line at the end of the instructions, to keep placeholders as they are; without it false. It is done where Partner or route wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<bool>,
}

/// How long one value keeps one placeholder.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(inline, transform = explain_values)]
pub enum PseudonymScope {
    /// For all requests to one partner: caches of prompts keep hitting.
    Partner,
    /// For the requests that carry the same `x-chaperone-conversation`; for one request where it is missing.
    Conversation,
    /// For one request.
    Request,
}

/// How placeholders are written.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(inline, transform = explain_values)]
pub enum PseudonymFormat {
    /// `EMAIL_7Q4FX`, which survives most that models do to text.
    Tag,
    /// A valid value that is nobody's, for tools that validate their input: an Email at `example.com`, a Phone, CreditCard, Ip or MacAddress from the ranges for fiction, tests and documentation. Other entities have tags.
    Surrogate,
}

/// A pattern of your own.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomPattern {
    /// What it finds, as a name that begins with a capital. Example: `EmployeeId`, which becomes the label `EMPLOYEE_ID`.
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    #[x_kube(validation = is_a_name_of_its_own())]
    pub name: String,
    /// A regular expression over ASCII, without look-around, that matches at least one character. Example: `E-[0-9]{6}`. One that is none, or compiles to more than 64 kB, refuses the object.
    #[schemars(length(min = 1, max = 512))]
    pub pattern: String,
    /// Words that raise the score by 0.35 where they stand near, at most 16. Example: `[badge]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub context: Option<Vec<String>>,
    /// How sure a match is without such a word, from 0 to 1; without it `1`. Example: `"0.6"`. It counts from 0.75 on with `Lenient`, 0.5 with `Balanced`, 0.3 with `Strict`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), regex(pattern = r"^(0(\.[0-9]{1,2})?|1(\.0{1,2})?)$"))]
    pub score: Option<String>,
}

/// What is redacted in what a partner returns.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.action) || self.action != 'Pseudonym'")
    .message("nothing restores a placeholder in an answer: choose Hash, Mask, Label or Block"))]
pub struct Responses {
    /// What is looked for, 1 to 19 kinds; Partner and route add up. Example: `[Secret]`.
    #[schemars(length(min = 1, max = 19))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = all_stands_alone())]
    pub entities: Vec<Entity>,
    /// What happens to findings; without it on either side `Mask`. `Block` ends the answer with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PiiAction>,
}

/// Whether data other than text may pass.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(inline, transform = explain_values)]
pub enum NonText {
    /// It passes unread.
    Allow,
    /// The request is refused.
    Block,
}
