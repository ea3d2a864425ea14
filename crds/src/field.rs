//! Shapes that several kinds share: references, namespaces, data classes, and the strings that carry a unit.
//!
//! A unit string is parsed once, when an object is read; what it means is then a method away.
//! Which values a single field takes stands beside that field, as a CEL rule.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

pub mod pii;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kube::KubeSchema;
use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::explain::explain_values;

/// Name of an object: an RFC 1123 subdomain.
pub(crate) const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Name of a namespace: an RFC 1123 label.
pub(crate) const NAMESPACE: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Key of a Secret or ConfigMap.
pub(crate) const DATA_KEY: &str = "^[-._a-zA-Z0-9]+$";
/// An alias or a model's name: visible ASCII, as it stands in a request's `model`.
pub(crate) const MODEL_NAME: &str = "^[!-~]+$";

/// A rule that holds a duration within `least` and `most`, both included.
pub(crate) fn duration_within(least: &str, most: &str) -> Rule {
    Rule::new(format!("duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"))
        .message(format!("must be from {least} to {most}").as_str())
}

/// A length of time as users write it: an integer and one unit, as `250ms`, `5s`, `2m`, `1h`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationString {
    text: String,
    value: Duration,
}

/// Why a string is not a [`DurationString`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("is not a duration; write an integer of at most 6 digits and a unit, as in 250ms, 5s, 2m or 1h")]
pub struct InvalidDuration;

impl DurationString {
    const PATTERN: &str = "^[0-9]{1,6}(ms|s|m|h)$";
    const LONGEST: usize = "999999ms".len();

    /// How long it is.
    #[must_use]
    pub fn as_duration(&self) -> Duration {
        self.value
    }

    /// As the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A whole number of seconds; for defaults that stand in the schema.
    pub(crate) fn seconds(seconds: u32) -> Self {
        Self { text: format!("{seconds}s"), value: Duration::from_secs(seconds.into()) }
    }

    /// The same in milliseconds.
    pub(crate) fn milliseconds(milliseconds: u32) -> Self {
        Self { text: format!("{milliseconds}ms"), value: Duration::from_millis(milliseconds.into()) }
    }
}

impl FromStr for DurationString {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if digits == 0 || digits > 6 {
            return Err(InvalidDuration);
        }
        let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
        let value = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number * 60),
            "h" => Duration::from_secs(number * 3600),
            _ => return Err(InvalidDuration),
        };
        Ok(Self { text: text.to_owned(), value })
    }
}

/// An amount of US dollars as users write it: a decimal string with at most 6 decimals, as `"0.15"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usd {
    text: String,
    micro: u64,
}

/// Why a string is not [`Usd`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "is not an amount of US dollars; write at most 9 digits, and at most 6 decimals after a point, as in \"0.15\""
)]
pub struct InvalidUsd;

impl Usd {
    const PATTERN: &str = "^[0-9]{1,9}(\\.[0-9]{1,6})?$";
    const LONGEST: usize = "999999999.999999".len();

    /// Millionths of a US dollar: exact, since nothing finer can be written.
    #[must_use]
    pub fn micro_usd(&self) -> u64 {
        self.micro
    }

    /// As the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Usd {
    type Err = InvalidUsd;

    fn from_str(text: &str) -> Result<Self, InvalidUsd> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 9) || !is_number(decimals, 6) {
            return Err(InvalidUsd);
        }
        let whole: u64 = whole.parse().map_err(|_| InvalidUsd)?;
        let millionths: u64 = format!("{decimals:0<6}").parse().map_err(|_| InvalidUsd)?;
        Ok(Self { text: text.to_owned(), micro: whole * 1_000_000 + millionths })
    }
}

/// What every unit string is to serde and to the schema: a string with a pattern.
macro_rules! unit_string {
    ($name:ident, $invalid:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|invalid: $invalid| {
                    serde::de::Error::custom(format_args!("{text:?} {invalid}"))
                })
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": Self::PATTERN, "maxLength": Self::LONGEST })
            }
        }
    };
}

unit_string!(DurationString, InvalidDuration);
unit_string!(Usd, InvalidUsd);

/// One key of a Secret in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret, which carries the label `chaperone.dev/credential: "true"`. Example: `partner-alpha`. A Secret that is missing or not labelled makes `ResolvedRefs` False and the partner refuses requests.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Key inside the Secret. Example: `key`. A missing key makes `ResolvedRefs` False and the partner refuses requests.
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub key: String,
}

/// One key of a ConfigMap in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap, which carries the label `chaperone.dev/credential: "true"`. Example: `corp-ca`. A ConfigMap that is missing or not labelled makes `ResolvedRefs` False and the partner refuses requests.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
    /// Key inside the ConfigMap. Example: `ca.crt`. A missing key makes `ResolvedRefs` False and the partner refuses requests.
    #[schemars(length(min = 1, max = 253), regex(pattern = DATA_KEY))]
    pub key: String,
}

/// A Secret in the same namespace, as a whole.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Name of the Secret, which carries the label `chaperone.dev/credential: "true"`. Example: `mtls`. A Secret that is missing or not labelled makes `ResolvedRefs` False and the partner refuses requests.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub name: String,
}

/// A model of a Partner.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetRef {
    /// Name of the Partner. Example: `partner-beta`. A Partner that does not exist, or does not admit this namespace, makes `ResolvedRefs` False.
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub partner: String,
    /// Namespace of the Partner; default: the namespace of this object. Example: `ai-platform`. The Partner must admit this namespace by its `allowedNamespaces`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE))]
    pub namespace: Option<String>,
    /// Which of the Partner's models to ask; default: its only model, or its `defaultModel`. Example: `claude-haiku`. A model that the Partner does not list makes `ResolvedRefs` False.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = MODEL_NAME))]
    pub model: Option<String>,
}

/// Which namespaces may use an object.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(self.from == 'Selector') == has(self.selector)")
    .message("`selector` goes with `from: Selector`: set both, or neither"))]
pub struct AllowedNamespaces {
    /// Which namespaces may use this object; default `Same`.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces that may use this object. Needed with `from: Selector`, refused without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// How [`AllowedNamespaces`] chooses.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[schemars(transform = explain_values)]
pub enum NamespacesFrom {
    /// Only the namespace of the object itself.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// The own namespace, and those whose labels `selector` matches.
    Selector,
}

/// Chooses namespaces by their labels.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSelector {
    /// Labels that a namespace must all carry, with these values; 1 to 16 of them. Example: `{ai: "yes"}`. An empty map is refused: write `from: All` to mean every namespace.
    #[schemars(schema_with = "match_labels")]
    pub match_labels: BTreeMap<String, String>,
}

fn match_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 16,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        },
        "x-kubernetes-validations": [{
            "rule": r"self.all(key, key.size() <= 317 && key.matches('^([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
            "message": "a key here is none that a label can have: write a name, or a domain and a name, as in example.com/team",
        }],
    })
}

/// How confidential data is. Ordered: `Public` < `Internal` < `Confidential` < `Restricted`.
#[derive(
    JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default,
)]
#[schemars(transform = explain_values)]
pub enum DataClass {
    /// May be read by anybody.
    Public,
    /// Stays in the company.
    #[default]
    Internal,
    /// Stays with those who need it.
    Confidential,
    /// Protected by law or contract.
    Restricted,
}

/// Something that a model can do and a request may need.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(transform = explain_values)]
pub enum Capability {
    /// Answers token by token.
    Streaming,
    /// Calls tools.
    Tools,
    /// Calls several tools in one turn.
    ParallelTools,
    /// Reads images.
    Vision,
    /// Answers in the shape of a JSON Schema.
    JsonSchema,
    /// Reads PDF and other documents.
    Documents,
    /// Hears audio.
    Audio,
    /// Thinks before it speaks.
    Reasoning,
    /// Can be told which tool to call.
    ForcedToolChoice,
    /// Goes on from the beginning of an answer that the app wrote.
    Prefill,
    /// Turns text into vectors.
    Embeddings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_in_each_unit() {
        let read = |text: &str| text.parse::<DurationString>().map(|it| it.as_duration());
        assert_eq!(read("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(read("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(read("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(read("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(read("999999h"), Ok(Duration::from_secs(999_999 * 3600)));
        for bad in ["", "5", "s", "1000000s", "-1s", "1.5s", "5 s", "5s ", "1m30s", "5µs", "5S"] {
            assert_eq!(read(bad), Err(InvalidDuration), "{bad:?}");
        }
    }

    #[test]
    fn money_is_exact_to_the_millionth() {
        let read = |text: &str| text.parse::<Usd>().map(|it| it.micro_usd());
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("0.15"), Ok(150_000));
        assert_eq!(read("2500.00"), Ok(2_500_000_000));
        assert_eq!(read("0.000001"), Ok(1));
        assert_eq!(read("999999999.999999"), Ok(999_999_999_999_999));
        for bad in ["", ".5", "5.", "-1", "+1", "1e3", "0.0000001", "1000000000", "1,5", "1.2.3", " 1"] {
            assert_eq!(read(bad), Err(InvalidUsd), "{bad:?}");
        }
    }

    #[test]
    fn a_unit_string_is_written_as_it_was_read() {
        for text in ["120s", "2m", "0001ms"] {
            assert_eq!(text.parse::<DurationString>().unwrap().to_string(), text);
        }
        let usd: Usd = serde_json::from_str("\"2500.00\"").unwrap();
        assert_eq!(serde_json::to_string(&usd).unwrap(), "\"2500.00\"");
    }
}
