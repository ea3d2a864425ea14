//! Which strings of a body carry content: a walk over JSON bytes that builds no tree.
//!
//! It yields byte ranges of strings, each with its key and what to do with it. A string under a
//! field that no table knows is prose: a new field of a provider leaks nothing. What JSON does not
//! allow is refused, because a partner might read it in another way than we do.

mod fields;

use std::ops::Range;

pub(crate) use fields::Class;
pub use fields::FieldTable;
use fields::{Place, Step};

use crate::find::Unscannable;

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;

/// A string or a long number of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The inside of the string, without its quotes; the digits of a number.
    pub(crate) range: Range<usize>,
    /// Raw bytes of the key that it stands under, empty if there is none.
    pub(crate) key: Range<usize>,
    pub(crate) class: Class,
    pub(crate) kind: LeafKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafKind {
    String,
    Number,
    Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

struct Level {
    container: Container,
    place: Place,
    key: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    FirstKeyOrEnd,
    Key,
    FirstValueOrEnd,
    CommaOrEnd,
    Nothing,
}

/// The walk. It can stop after any leaf and go on later.
pub(crate) struct Walker<B> {
    body: B,
    at: usize,
    levels: Vec<Level>,
    place: Place,
    key: Range<usize>,
    expect: Expect,
}

impl<B: AsRef<[u8]>> Walker<B> {
    pub(crate) fn new(body: B, table: FieldTable) -> Self {
        Self { body, at: 0, levels: Vec::new(), place: Place::root(table), key: 0..0, expect: Expect::Value }
    }

    /// The bytes that are walked.
    pub(crate) fn body(&self) -> &[u8] {
        self.body.as_ref()
    }

    /// Ends the walk and gives the bytes back.
    pub(crate) fn into_body(self) -> B {
        self.body
    }

    /// How far the walk has come.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// The next leaf; `None` at the end of a valid document.
    pub(crate) fn next(&mut self) -> Result<Option<Leaf>, Unscannable> {
        loop {
            self.skip_space();
            if self.expect == Expect::Nothing {
                let done = self.at == self.body().len();
                return if done { Ok(None) } else { Err(self.broken()) };
            }
            let byte = *self.body().get(self.at).ok_or(Unscannable::NotJson(self.at))?;
            let leaf = match (self.expect, byte) {
                (Expect::FirstKeyOrEnd, b'}') | (Expect::FirstValueOrEnd, b']') => self.close(byte)?,
                (Expect::FirstKeyOrEnd | Expect::Key, b'"') => self.read_key()?,
                (Expect::CommaOrEnd, b',') => self.comma(),
                (Expect::CommaOrEnd, b'}' | b']') => self.close(byte)?,
                (Expect::Value | Expect::FirstValueOrEnd, _) => self.value(byte)?,
                _ => return Err(self.broken()),
            };
            if leaf.is_some() {
                return Ok(leaf);
            }
        }
    }

    fn broken(&self) -> Unscannable {
        Unscannable::NotJson(self.at)
    }

    fn skip_space(&mut self) {
        let space =
            self.body()[self.at..].iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
        self.at += space.count();
    }

    fn value(&mut self, byte: u8) -> Result<Option<Leaf>, Unscannable> {
        match byte {
            b'{' => self.open(Container::Object).map(|()| None),
            b'[' => self.open(Container::Array).map(|()| None),
            b'"' => {
                let range = self.string()?;
                Ok(self.leaf(range, LeafKind::String))
            }
            b'-' | b'0'..=b'9' => {
                let range = self.number()?;
                let digits = self.body()[range.clone()].iter().filter(|byte| byte.is_ascii_digit()).count();
                let leaf = self.leaf(range, LeafKind::Number);
                Ok(leaf.filter(|leaf| digits >= 7 && leaf.class == Class::Nested))
            }
            _ => self.word().map(|()| None),
        }
    }

    fn leaf(&mut self, range: Range<usize>, kind: LeafKind) -> Option<Leaf> {
        self.after_value();
        let class = self.place.class();
        (class != Class::Skip).then(|| Leaf { range, key: self.key.clone(), class, kind })
    }

    fn after_value(&mut self) {
        self.expect = if self.levels.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn open(&mut self, container: Container) -> Result<(), Unscannable> {
        if self.levels.len() >= MAX_DEPTH {
            return Err(Unscannable::TooDeep);
        }
        self.at += 1;
        self.levels.push(Level { container, place: self.place, key: self.key.clone() });
        self.expect = match container {
            Container::Object => Expect::FirstKeyOrEnd,
            Container::Array => {
                self.place = self.place.step(Step::Element);
                Expect::FirstValueOrEnd
            }
        };
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<Option<Leaf>, Unscannable> {
        let level = self.levels.pop().ok_or(Unscannable::NotJson(self.at))?;
        let fits = match level.container {
            Container::Object => byte == b'}',
            Container::Array => byte == b']',
        };
        if !fits {
            return Err(self.broken());
        }
        self.at += 1;
        self.place = level.place;
        self.key = level.key;
        self.after_value();
        Ok(None)
    }

    fn comma(&mut self) -> Option<Leaf> {
        self.at += 1;
        let object = self.levels.last().is_some_and(|level| level.container == Container::Object);
        self.expect = if object { Expect::Key } else { Expect::Value };
        None
    }

    fn read_key(&mut self) -> Result<Option<Leaf>, Unscannable> {
        let range = self.string()?;
        self.skip_space();
        if self.body().get(self.at) != Some(&b':') {
            return Err(self.broken());
        }
        self.at += 1;
        let parent = self.levels.last().map_or(self.place, |level| level.place);
        let outer = self.levels.last().map_or(0..0, |level| level.key.clone());
        self.place = parent.step(Step::Key(&self.body()[range.clone()]));
        self.key = range.clone();
        self.expect = Expect::Value;
        let class = parent.key_class();
        Ok((class != Class::Skip).then_some(Leaf { range, key: outer, class, kind: LeafKind::Key }))
    }

    /// Reads a string; its range is the inside.
    fn string(&mut self) -> Result<Range<usize>, Unscannable> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.body().get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(0x20..) => at += 1,
                Some(_) | None => return Err(Unscannable::NotJson(at)),
            }
        }
        self.at = at + 1;
        Ok(start..at)
    }

    fn number(&mut self) -> Result<Range<usize>, Unscannable> {
        let start = self.at;
        let len = self.body()[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
            .count();
        self.at += len;
        if is_number(&self.body()[start..self.at]) {
            Ok(start..self.at)
        } else {
            Err(Unscannable::NotJson(start))
        }
    }

    fn word(&mut self) -> Result<(), Unscannable> {
        let rest = &self.body()[self.at..];
        let word = [b"true".as_slice(), b"false", b"null"].into_iter().find(|word| rest.starts_with(word));
        self.at += word.ok_or(Unscannable::NotJson(self.at))?.len();
        self.after_value();
        Ok(())
    }
}

/// The grammar of RFC 8259 §6.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) else {
        return rest.is_empty();
    };
    let exponent = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(body: &str, table: FieldTable) -> Result<Vec<(String, Class)>, Unscannable> {
        let mut walker = Walker::new(body.as_bytes(), table);
        let mut all = Vec::new();
        while let Some(leaf) = walker.next()? {
            all.push((body.get(leaf.range).unwrap().to_owned(), leaf.class));
        }
        Ok(all)
    }

    #[test]
    fn an_unknown_string_field_is_prose() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"new_field":{"x":["y"]}}"#;
        let found = leaves(body, FieldTable::OpenAiChat).unwrap();
        let prose: Vec<&str> = found.iter().map(|leaf| &*leaf.0).collect();
        assert_eq!(prose, ["hi", "x", "y"]);
    }

    #[test]
    fn tool_schemas_keep_names_and_enums() {
        let body = r#"{"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":
            {"type":"object","properties":{"type":{"type":"string","enum":["e"],"default":"v"}}}}}]}"#;
        let found = leaves(body, FieldTable::OpenAiChat).unwrap();
        assert_eq!(found, [("d".to_owned(), Class::Prose), ("v".to_owned(), Class::Prose)]);
    }

    #[test]
    fn arguments_are_nested_json_and_user_is_an_identifier() {
        let body = r#"{"user":"u","messages":[{"tool_calls":[{"id":"i","function":{"name":"n","arguments":"{}"}}]}]}"#;
        let found = leaves(body, FieldTable::OpenAiChat).unwrap();
        assert_eq!(found, [("u".to_owned(), Class::Identifier), ("{}".to_owned(), Class::Nested)]);
    }

    #[test]
    fn f45_what_json_does_not_allow_is_refused() {
        for body in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "[01]",
            "[1.]",
            "[1e]",
            "nul",
            "\"a",
            "[1] 2",
            "{]",
            "\"\u{1}\"",
            "[1}",
        ] {
            assert!(matches!(leaves(body, FieldTable::Unknown), Err(Unscannable::NotJson(_))), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(leaves(&deep, FieldTable::Unknown), Err(Unscannable::TooDeep));
    }
}
