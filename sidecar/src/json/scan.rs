//! The pass itself: recursive descent, bounded in depth and in keys, each byte looked at a constant number of times.

use std::ops::Range;

use chaperone_protocol::limits;

use super::{ELSEWHERE, InvalidJson, Kind, Map, Member, PLACES, Place, Problem, ROOT, Rule, Skim, Want};
use super::{is_blank, unescape};

/// Digits beyond which a number without exponent may not fit a 64-bit float.
const SAFE_DIGITS: usize = 300;

/// Validates `body` and notes what `map` asks for.
///
/// # Errors
/// The first problem and the offset where it shows.
pub(crate) fn skim(body: &[u8], map: &Map) -> Result<Skim, InvalidJson> {
    debug_assert!(map.rules.len() <= 64, "an object's members are tracked in 64 bits");
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(InvalidJson { problem: Problem::ByteOrderMark, at: 0 });
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| InvalidJson { problem: Problem::Utf8, at: error.valid_up_to() })?;
    let mut scanner = Scanner { text, at: 0, keys: 0, map, trail: Vec::new(), skim: Skim::default() };
    scanner.document().map_err(|problem| InvalidJson { problem, at: scanner.at })?;
    Ok(scanner.skim)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    keys: usize,
    map: &'a Map,
    trail: Vec<usize>,
    skim: Skim,
}

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Result<(), Problem> {
        self.blanks();
        self.value(ROOT, 0)?;
        self.blanks();
        if self.at < self.text.len() { Err(Problem::Trailing) } else { Ok(()) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    /// Takes `byte`, or says what is wrong.
    fn take(&mut self, byte: u8) -> Result<(), Problem> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(Problem::Unexpected),
            None => Err(Problem::End),
        }
    }

    fn value(&mut self, place: Place, depth: usize) -> Result<Kind, Problem> {
        if let Some(count) = self.skim.counts.get_mut(place.0) {
            *count += 1;
        }
        match self.peek().ok_or(Problem::End)? {
            b'"' => self.string().map(|_| Kind::String),
            b'{' => self.object(place, depth + 1).map(|()| Kind::Object),
            b'[' => self.array(place, depth + 1).map(|()| Kind::Array),
            b't' => self.word("true").map(|()| Kind::True),
            b'f' => self.word("false").map(|()| Kind::False),
            b'n' => self.word("null").map(|()| Kind::Null),
            b'-' | b'0'..=b'9' => self.number().map(|()| Kind::Number),
            _ => Err(Problem::Unexpected),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Problem> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Problem::Unexpected);
        }
        self.at += word.len();
        Ok(())
    }

    fn object(&mut self, place: Place, depth: usize) -> Result<(), Problem> {
        if depth > limits::JSON_DEPTH {
            return Err(Problem::Depth);
        }
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut seen = 0_u64;
        loop {
            self.member(place, depth, &mut seen)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.take(b'}'),
            }
            self.blanks();
        }
    }

    fn member(&mut self, place: Place, depth: usize, seen: &mut u64) -> Result<(), Problem> {
        if self.peek() != Some(b'"') {
            return Err(if self.peek().is_none() { Problem::End } else { Problem::Unexpected });
        }
        let start = self.at;
        let inside = self.string()?;
        let key = start..self.at;
        self.keys += 1;
        if self.keys > limits::JSON_KEYS {
            return Err(Problem::Keys);
        }
        let rule = self.rule(place, inside, seen)?;
        self.blanks();
        self.take(b':')?;
        self.blanks();
        let start = self.at;
        let kind = self.value(rule.map_or(ELSEWHERE, |rule| rule.then), depth)?;
        if let Some(rule) = rule {
            self.note(rule, key, start..self.at, kind);
        }
        Ok(())
    }

    /// The rule for a key, unless the key may not stand there, or not again.
    fn rule(
        &self,
        place: Place,
        key: Range<usize>,
        seen: &mut u64,
    ) -> Result<Option<&'static Rule>, Problem> {
        if place == ELSEWHERE {
            return Ok(None);
        }
        let key = unescape(self.text.get(key).unwrap_or_default());
        let found =
            self.map.rules.iter().enumerate().find(|(_, rule)| rule.at == place && rule.key == key.as_ref());
        let Some((index, rule)) = found else { return Ok(None) };
        if matches!(rule.want, Want::Absent) {
            return Err(Problem::Forbidden(rule.key));
        }
        if *seen & (1 << index) != 0 {
            return Err(Problem::Duplicate(rule.key));
        }
        *seen |= 1 << index;
        Ok(Some(rule))
    }

    fn note(&mut self, rule: &'static Rule, key: Range<usize>, value: Range<usize>, kind: Kind) {
        let is_wanted = match rule.want {
            Want::Range => true,
            Want::Among(words) => kind == Kind::String && self.is_among(words, &value),
            Want::Once | Want::Absent => false,
        };
        if is_wanted {
            let trail = self.trail.clone();
            self.skim.members.push(Member { at: rule.at, name: rule.key, key, value, kind, trail });
        }
    }

    fn is_among(&self, words: &[&str], value: &Range<usize>) -> bool {
        let inside = self.text.get(value.start + 1..value.end - 1).unwrap_or_default();
        words.contains(&unescape(inside).as_ref())
    }

    fn array(&mut self, place: Place, depth: usize) -> Result<(), Problem> {
        if depth > limits::JSON_DEPTH {
            return Err(Problem::Depth);
        }
        self.at += 1;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let inner = self.map.elements.iter().find(|(outer, _)| *outer == place);
        let inner = inner.map_or(ELSEWHERE, |(_, inner)| *inner);
        self.trail.push(0);
        loop {
            self.value(inner, depth)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => break,
            }
            self.blanks();
            if let Some(index) = self.trail.last_mut() {
                *index += 1;
            }
        }
        self.trail.pop();
        self.take(b']')
    }

    /// Takes a string; its inside is returned, without the quotes.
    fn string(&mut self) -> Result<Range<usize>, Problem> {
        self.at += 1;
        let start = self.at;
        loop {
            let rest = self.rest();
            let run = memchr::memchr2(b'"', b'\\', rest).ok_or(Problem::End)?;
            let plain = rest.get(..run).unwrap_or_default();
            if plain.iter().any(|byte| *byte < 0x20) {
                return Err(Problem::Control);
            }
            self.at += run;
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Ok(start..self.at - 1);
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), Problem> {
        self.at += 1;
        let escape = self.peek().ok_or(Problem::End)?;
        self.at += 1;
        match escape {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.unit()? {
                0xD800..=0xDBFF => {
                    let follows = self.rest().starts_with(b"\\u");
                    self.at += if follows { 2 } else { 0 };
                    if follows && (0xDC00..=0xDFFF).contains(&self.unit()?) {
                        Ok(())
                    } else {
                        Err(Problem::Surrogate)
                    }
                }
                0xDC00..=0xDFFF => Err(Problem::Surrogate),
                _ => Ok(()),
            },
            _ => Err(Problem::Escape),
        }
    }

    /// The four hex digits of an escape.
    fn unit(&mut self) -> Result<u32, Problem> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Problem::Escape)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Problem::Escape);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Problem::Escape)
    }

    fn number(&mut self) -> Result<(), Problem> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut is_plain = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_plain = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        if is_plain && self.at - start <= SAFE_DIGITS {
            return Ok(());
        }
        let number = self.text.get(start..self.at).unwrap_or_default();
        // Some parsers turn it into infinity, others refuse it: nobody may see it.
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(()),
            _ => Err(Problem::Infinite),
        }
    }

    fn digits(&mut self) -> Result<(), Problem> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Problem::Number) } else { Ok(()) }
    }
}

const _: () = assert!(ELSEWHERE.0 < PLACES, "every place has a counter");
