//! Tool-call arguments: pieces of JSON text. Structure passes, strings are redacted one by one.

use std::sync::Arc;

use super::StreamRedactor;
use crate::engine::{Refused, replacement};
use crate::find::{NearMisses, Query, find_raw};
use crate::names::NameFinder;
use crate::policy::{Action, Policy};
use crate::pseudonym::Vault;
use crate::splice::{Counts, escape};
use crate::view::Escapes;

/// Longest key that serves as a cue, and longest number that is judged.
const MAX_SHORT: usize = 128;
/// A number of fewer digits names nobody.
const LEAST_DIGITS: usize = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Structure,
    Number,
    Text,
    Escape,
}

/// Redacts the arguments of one tool call.
pub struct ArgumentRedactor<'n> {
    strings: StreamRedactor<'n>,
    state: State,
    /// The last string, as far as it may be a key.
    last: Vec<u8>,
    number: Vec<u8>,
}

impl<'n> ArgumentRedactor<'n> {
    /// A call whose arguments have not begun.
    #[must_use]
    pub fn new(policy: Arc<Policy>, names: Option<&'n dyn NameFinder>) -> Self {
        let strings = StreamRedactor::with(policy, names, Escapes::Json);
        Self { strings, state: State::Structure, last: Vec::new(), number: Vec::new() }
    }

    /// Takes a piece of JSON text and returns what is decided.
    ///
    /// # Errors
    /// Text that cannot be scanned, or that the policy blocks.
    pub fn push(&mut self, chunk: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let mut released = Vec::new();
        let mut from = 0;
        for (at, byte) in chunk.iter().enumerate() {
            match self.state {
                State::Text if *byte == b'"' => {
                    self.text(&chunk[from..at], &mut released, vault)?;
                    released.extend(self.strings.flush(vault)?);
                    released.push(b'"');
                    self.state = State::Structure;
                }
                State::Text if *byte == b'\\' => self.state = State::Escape,
                State::Text => {}
                State::Escape => self.state = State::Text,
                State::Structure | State::Number => {
                    self.structure(*byte, &mut released, vault)?;
                    from = at + 1;
                }
            }
        }
        if matches!(self.state, State::Text | State::Escape) {
            self.text(&chunk[from..], &mut released, vault)?;
        }
        Ok(released)
    }

    /// The arguments are complete.
    ///
    /// # Errors
    /// As [`ArgumentRedactor::push`].
    pub fn flush(&mut self, vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        let mut released = self.strings.flush(vault)?;
        self.end_number(&mut released, vault)?;
        Ok(released)
    }

    /// Takes the rest of the arguments, or all of them.
    ///
    /// # Errors
    /// As [`ArgumentRedactor::push`].
    pub fn finish(&mut self, rest: &[u8], vault: &mut Vault) -> Result<Vec<u8>, Refused> {
        Ok([self.push(rest, vault)?, self.flush(vault)?].concat())
    }

    /// Findings in strings so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        self.strings.counts()
    }

    fn text(&mut self, text: &[u8], released: &mut Vec<u8>, vault: &mut Vault) -> Result<(), Refused> {
        let room = MAX_SHORT.saturating_sub(self.last.len());
        self.last.extend(text.iter().take(room));
        released.extend(self.strings.push(text, vault)?);
        Ok(())
    }

    fn structure(&mut self, byte: u8, released: &mut Vec<u8>, vault: &mut Vault) -> Result<(), Refused> {
        let digit = byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let number = byte.is_ascii_digit() || byte == b'-';
        if (self.state == State::Number && digit && self.number.len() < MAX_SHORT)
            || (self.state == State::Structure && number)
        {
            self.state = State::Number;
            self.number.push(byte);
            return Ok(());
        }
        self.end_number(released, vault)?;
        self.state = State::Structure;
        match byte {
            b'"' => {
                self.state = State::Text;
                self.last.clear();
            }
            b':' => self.strings.key = String::from_utf8_lossy(&self.last).into_owned(),
            _ => {}
        }
        released.push(byte);
        Ok(())
    }

    /// A number that is personal data becomes a string, so that the JSON stays valid.
    fn end_number(&mut self, released: &mut Vec<u8>, vault: &mut Vault) -> Result<(), Refused> {
        let number = std::mem::take(&mut self.number);
        let policy = Arc::clone(&self.strings.policy);
        let mut found = None;
        if number.iter().filter(|byte| byte.is_ascii_digit()).count() >= LEAST_DIGITS {
            let query =
                Query { policy: &policy, names: None, key: &self.strings.key, near_misses: NearMisses::Skip };
            found = find_raw(&number, Escapes::None, &query)?.spans.into_iter().next();
        }
        let value = String::from_utf8_lossy(&number).into_owned();
        let Some(span) = found.filter(|_| !vault.spares(&value)) else {
            released.extend(number);
            return Ok(());
        };
        let action = policy.action(span.entity);
        *self.strings.counts.entry((span.entity, action)).or_default() += 1;
        if action == Action::Block {
            return Err(Refused::Blocked(Counts::from([((span.entity, action), 1)])));
        }
        let new = replacement(&policy, vault, &span, action, &value);
        released.extend([b"\"", escape(new.as_bytes()).as_slice(), b"\""].concat());
        Ok(())
    }
}
