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
use crate::view::unescape;

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
    pub(crate) text: Text,
}

/// What a string is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// ASCII without escapes: it reads as it is written.
    Plain,
    /// Anything.
    Mixed,
}

/// Where a walk stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// At a leaf.
    Leaf(Leaf),
    /// Somewhere; go on.
    Pause,
    /// At the end of a valid document.
    End,
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
    Colon,
    FirstValueOrEnd,
    CommaOrEnd,
    Nothing,
}

/// No number that anybody means is longer.
const MAX_NUMBER: usize = 4096;
/// Bytes of a key that serve as cues.
const KEY: usize = 128;

/// A string whose end is not reached.
#[derive(Clone, Copy, Debug)]
struct Unfinished {
    start: usize,
    at: usize,
    text: Text,
}

/// The walk. It can stop anywhere and go on later.
pub(crate) struct Walker<B> {
    body: B,
    at: usize,
    unfinished: Option<Unfinished>,
    levels: Vec<Level>,
    place: Place,
    key: Range<usize>,
    expect: Expect,
}

impl<B: AsRef<[u8]>> Walker<B> {
    pub(crate) fn new(body: B, table: FieldTable) -> Self {
        let place = Place::root(table);
        Self { body, at: 0, unfinished: None, levels: Vec::new(), place, key: 0..0, expect: Expect::Value }
    }

    /// Back to the start.
    pub(crate) fn again(self, table: FieldTable) -> Self {
        Self::new(self.body, table)
    }

    /// The beginning of a key, as far as it serves as a cue.
    pub(crate) fn key(&self, leaf: &Leaf) -> String {
        let key = &self.body()[leaf.key.clone()];
        String::from_utf8_lossy(&key[..key.len().min(KEY)]).into_owned()
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
    pub(crate) fn position(&self) -> usize {
        self.unfinished.map_or(self.at, |string| string.at)
    }

    /// Goes on to the next leaf, for at most about `budget` bytes.
    ///
    /// # Errors
    /// What JSON does not allow, and nesting beyond [`MAX_DEPTH`].
    pub(crate) fn step(&mut self, budget: usize) -> Result<Walk, Unscannable> {
        let until = self.position().saturating_add(budget);
        loop {
            self.skip_space(until);
            if self.position() >= until {
                return Ok(Walk::Pause);
            }
            if self.expect == Expect::Nothing {
                let done = self.at == self.body().len();
                return if done { Ok(Walk::End) } else { Err(self.broken()) };
            }
            let byte = *self.body().get(self.at).ok_or(Unscannable::NotJson(self.at))?;
            let leaf = match (self.expect, byte) {
                (Expect::FirstKeyOrEnd, b'}') | (Expect::FirstValueOrEnd, b']') => self.close(byte)?,
                (Expect::FirstKeyOrEnd | Expect::Key, b'"') => {
                    let Some((range, text)) = self.string(until)? else { return Ok(Walk::Pause) };
                    self.read_key(range, text)
                }
                (Expect::Colon, b':') => self.colon(),
                (Expect::CommaOrEnd, b',') => self.comma(),
                (Expect::CommaOrEnd, b'}' | b']') => self.close(byte)?,
                (Expect::Value | Expect::FirstValueOrEnd, b'"') => {
                    let Some((range, text)) = self.string(until)? else { return Ok(Walk::Pause) };
                    self.leaf(range, LeafKind::String, text)
                }
                (Expect::Value | Expect::FirstValueOrEnd, _) => self.value(byte)?,
                _ => return Err(self.broken()),
            };
            if let Some(leaf) = leaf {
                return Ok(Walk::Leaf(leaf));
            }
        }
    }

    fn broken(&self) -> Unscannable {
        Unscannable::NotJson(self.at)
    }

    fn skip_space(&mut self, until: usize) {
        // Within a string every byte counts.
        if self.unfinished.is_none() {
            let rest = &self.body()[self.at..self.body().len().min(until)];
            let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
            self.at += space.count();
        }
    }

    fn value(&mut self, byte: u8) -> Result<Option<Leaf>, Unscannable> {
        match byte {
            b'{' => self.open(Container::Object).map(|()| None),
            b'[' => self.open(Container::Array).map(|()| None),
            b'-' | b'0'..=b'9' => {
                let range = self.number()?;
                let digits = self.body()[range.clone()].iter().filter(|byte| byte.is_ascii_digit()).count();
                let leaf = self.leaf(range, LeafKind::Number, Text::Plain);
                Ok(leaf.filter(|_| digits >= 7))
            }
            _ => self.word().map(|()| None),
        }
    }

    fn leaf(&mut self, range: Range<usize>, kind: LeafKind, text: Text) -> Option<Leaf> {
        self.after_value();
        let class = if kind == LeafKind::Number { self.place.number_class() } else { self.place.class() };
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
        let class = match class {
            Class::Opaque if self.body()[range.clone()].iter().all(is_base64) => Class::Skip,
            Class::Opaque => Class::Prose,
            class => class,
        };
        (class != Class::Skip).then(|| Leaf { range, key: self.key.clone(), class, kind, text })
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

    fn read_key(&mut self, range: Range<usize>, text: Text) -> Option<Leaf> {
        let parent = self.levels.last().map_or(self.place, |level| level.place);
        let outer = self.levels.last().map_or(0..0, |level| level.key.clone());
        let key = &self.body()[range.clone()];
        let class = parent.key_class(key);
        self.place = parent.step(Step::Key(key));
        self.key = range.clone();
        self.expect = Expect::Colon;
        (class != Class::Skip).then_some(Leaf { range, key: outer, class, kind: LeafKind::Key, text })
    }

    fn colon(&mut self) -> Option<Leaf> {
        self.at += 1;
        self.expect = Expect::Value;
        None
    }

    /// Reads a string, or the part of it before `until`; its range is the inside.
    fn string(&mut self, until: usize) -> Result<Option<(Range<usize>, Text)>, Unscannable> {
        let start = self.at + 1;
        let mut string = self.unfinished.take().unwrap_or(Unfinished { start, at: start, text: Text::Plain });
        loop {
            let body = self.body();
            let run = &body[string.at.min(body.len())..body.len().min(until.max(string.at))];
            let plain = run.iter().take_while(|byte| STRING[usize::from(**byte)] == Letter::Plain).count();
            string.at += plain;
            match body.get(string.at).map(|byte| STRING[usize::from(*byte)]) {
                _ if string.at >= until => {
                    self.unfinished = Some(string);
                    return Ok(None);
                }
                Some(Letter::Quote) => break,
                Some(Letter::Escape) => {
                    let (_, len) = unescape(&body[string.at..]).ok_or(Unscannable::NotJson(string.at))?;
                    string.at += len;
                }
                Some(Letter::Wide) => string.at += 1,
                Some(Letter::Control | Letter::Plain) | None => return Err(Unscannable::NotJson(string.at)),
            }
            string.text = Text::Mixed;
        }
        self.at = string.at + 1;
        Ok(Some((string.start..string.at, string.text)))
    }

    fn number(&mut self) -> Result<Range<usize>, Unscannable> {
        let start = self.at;
        let len = self.body()[start..]
            .iter()
            .take(MAX_NUMBER)
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

/// What a byte is within a string: RFC 8259 §7.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letter {
    Plain,
    Wide,
    Quote,
    Escape,
    Control,
}

const STRING: [Letter; 256] = {
    let mut table = [Letter::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte {
            0..0x20 => Letter::Control,
            0x22 => Letter::Quote,
            0x5C => Letter::Escape,
            0x80.. => Letter::Wide,
            _ => Letter::Plain,
        };
        byte += 1;
    }
    table
};

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
        loop {
            // One byte at a time, as the most impatient caller would.
            match walker.step(1)? {
                Walk::Leaf(leaf) => all.push((body.get(leaf.range).unwrap().to_owned(), leaf.class)),
                Walk::Pause => {}
                Walk::End => return Ok(all),
            }
        }
    }

    #[test]
    fn an_unknown_string_field_is_prose() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"new_field":{"x":["y"]}}"#;
        let found = leaves(body, FieldTable::OpenAiChat).unwrap();
        let prose: Vec<&str> = found.iter().map(|leaf| &*leaf.0).collect();
        assert_eq!(prose, ["hi", "new_field", "x", "y"]);
    }

    #[test]
    fn tool_schemas_keep_names_and_enums() {
        let body = r#"{"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":
            {"type":"object","properties":{"type":{"type":"string","enum":["e"],"default":"v"}}}}}]}"#;
        let found = leaves(body, FieldTable::OpenAiChat).unwrap();
        let found: Vec<_> = found.iter().map(|(text, class)| (&**text, *class)).collect();
        assert_eq!(found, [("description", Class::Prose), ("d", Class::Prose), ("v", Class::Prose)]);
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
