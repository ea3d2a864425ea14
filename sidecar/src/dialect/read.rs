//! A client's body, member by member and each with its path: what nobody took is what nobody knows.
//!
//! Absent and `null` are one. Bounds of depth and size were checked before a body comes here.

use std::fmt;

use chaperone_protocol::limits;
use chaperone_protocol::reason::Reason;
use chaperone_protocol::units::Tokens;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::neutral::Raw;
use crate::refusal::Refusal;

/// A refusal of what stands at `path`.
pub(crate) fn invalid(path: &str, problem: &str) -> Refusal {
    Refusal::new(Reason::InvalidRequest, format!("{path}: {problem}"))
}

/// What kind of JSON a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    pub(crate) path: String,
    raw: &'a RawValue,
}

/// An object whose members are taken one by one.
pub(crate) struct Object<'a> {
    path: String,
    members: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads a whole body.
    pub(crate) fn body(body: &'a [u8]) -> Result<Self, Refusal> {
        let raw: &RawValue = serde_json::from_slice(body)
            .map_err(|_| Refusal::new(Reason::InvalidRequest, "the body is not valid JSON"))?;
        Value { path: String::new(), raw }.object()
    }

    /// The path of the member `key`.
    pub(crate) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a member out.
    pub(crate) fn take(&mut self, key: &str) -> Result<Option<Value<'a>>, Refusal> {
        let Some(position) = self.members.iter().position(|(name, _)| name == key) else { return Ok(None) };
        let (_, raw) = self.members.remove(position);
        let path = self.at(key);
        if self.members.iter().any(|(name, _)| name == key) {
            return Err(invalid(&path, "occurs twice; leave one out"));
        }
        let value = Value { path, raw };
        Ok(if value.kind() == Kind::Null { None } else { Some(value) })
    }

    /// Takes a member that must be there.
    pub(crate) fn need(&mut self, key: &str) -> Result<Value<'a>, Refusal> {
        self.take(key)?.ok_or_else(|| invalid(&self.at(key), "is missing"))
    }

    /// Takes a string.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, Refusal> {
        self.take(key)?.map(|value| value.text()).transpose()
    }

    /// Takes a string that must be there.
    pub(crate) fn need_text(&mut self, key: &str) -> Result<String, Refusal> {
        self.need(key)?.text()
    }

    /// Takes a number, as its author wrote it.
    pub(crate) fn number(&mut self, key: &str) -> Result<Option<Raw>, Refusal> {
        self.take(key)?.map(|value| value.number()).transpose()
    }

    /// Takes a boolean.
    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>, Refusal> {
        self.take(key)?.map(|value| value.boolean()).transpose()
    }

    /// Takes a number of tokens, which is above zero.
    pub(crate) fn tokens(&mut self, key: &str) -> Result<Option<Tokens>, Refusal> {
        self.take(key)?.map(|value| value.tokens()).transpose()
    }

    /// Takes an array; absent is empty.
    pub(crate) fn items(&mut self, key: &str) -> Result<Vec<Value<'a>>, Refusal> {
        self.take(key)?.map_or(Ok(Vec::new()), |value| value.items())
    }

    /// What nobody took and is not `null`.
    pub(crate) fn rest(self) -> impl Iterator<Item = Value<'a>> {
        let path = self.path;
        self.members
            .into_iter()
            .map(move |(name, raw)| Value {
                path: if path.is_empty() { name } else { format!("{path}.{name}") },
                raw,
            })
            .filter(|value| value.kind() != Kind::Null)
    }
}

impl<'a> Value<'a> {
    /// What it is, by its first byte.
    pub(crate) fn kind(&self) -> Kind {
        match self.raw.get().as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// As its author wrote it.
    pub(crate) fn raw(&self) -> Raw {
        self.raw.to_owned()
    }

    pub(crate) fn text(&self) -> Result<String, Refusal> {
        serde_json::from_str(self.raw.get()).map_err(|_| invalid(&self.path, "must be a string"))
    }

    pub(crate) fn boolean(&self) -> Result<bool, Refusal> {
        serde_json::from_str(self.raw.get()).map_err(|_| invalid(&self.path, "must be true or false"))
    }

    pub(crate) fn number(&self) -> Result<Raw, Refusal> {
        if self.kind() == Kind::Number {
            Ok(self.raw())
        } else {
            Err(invalid(&self.path, "must be a number"))
        }
    }

    pub(crate) fn tokens(&self) -> Result<Tokens, Refusal> {
        serde_json::from_str::<u64>(self.raw.get())
            .ok()
            .filter(|tokens| (1..=limits::JSON_INTEGER).contains(tokens))
            .map(Tokens)
            .ok_or_else(|| invalid(&self.path, "must be a positive integer"))
    }

    pub(crate) fn items(&self) -> Result<Vec<Self>, Refusal> {
        let items: Vec<&'a RawValue> =
            serde_json::from_str(self.raw.get()).map_err(|_| invalid(&self.path, "must be an array"))?;
        let at = |(index, raw)| Value { path: format!("{}[{index}]", self.path), raw };
        Ok(items.into_iter().enumerate().map(at).collect())
    }

    pub(crate) fn object(&self) -> Result<Object<'a>, Refusal> {
        let Members(members) =
            serde_json::from_str(self.raw.get()).map_err(|_| match self.path.as_str() {
                "" => Refusal::new(Reason::InvalidRequest, "the body must be a JSON object"),
                path => invalid(path, "must be an object"),
            })?;
        Ok(Object { path: self.path.clone(), members })
    }

    /// An object, as its author wrote it.
    pub(crate) fn raw_object(&self) -> Result<Raw, Refusal> {
        if self.kind() == Kind::Object {
            Ok(self.raw())
        } else {
            Err(invalid(&self.path, "must be an object"))
        }
    }
}

/// `text` as a JSON object, as its author wrote it; nothing at all means an empty one.
pub(crate) fn arguments(text: &str) -> Option<Raw> {
    let text = text.trim();
    let text = if text.is_empty() { "{}" } else { text };
    let raw: Raw = serde_json::from_str(text).ok()?;
    raw.get().starts_with('{').then_some(raw)
}

/// Members in their order, so that one that occurs twice is seen.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Walk).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_source_text() {
        let mut object = Object::body(br#"{"temperature": 0.70}"#).ok().unwrap();
        assert_eq!(object.number("temperature").unwrap().unwrap().get(), "0.70");
    }

    #[test]
    fn null_is_absent_and_twice_is_refused() {
        let mut object = Object::body(br#"{"a": null, "b": 1, "\u0062": 2}"#).ok().unwrap();
        assert!(object.take("a").unwrap().is_none());
        assert_eq!(object.take("b").err().unwrap().message, "b: occurs twice; leave one out");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let mut object = Object::body(br#"{"messages": [{"content": 7}], "n": -1}"#).ok().unwrap();
        let mut first = object.items("messages").unwrap()[0].object().ok().unwrap();
        let refusal = first.text("content").unwrap_err();
        assert_eq!(refusal.message, "messages[0].content: must be a string");
        assert_eq!(object.tokens("n").unwrap_err().message, "n: must be a positive integer");
        assert_eq!(Object::body(b"[]").err().unwrap().message, "the body must be a JSON object");
    }

    #[test]
    fn arguments_are_an_object_or_nothing() {
        assert_eq!(arguments("").unwrap().get(), "{}");
        assert_eq!(arguments(r#" {"b":1.0, "a":2} "#).unwrap().get(), r#"{"b":1.0, "a":2}"#);
        assert!(arguments("[1]").is_none());
        assert!(arguments("{\"cut").is_none());
    }
}
