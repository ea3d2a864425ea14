//! Puts values back where a response names their placeholders.
//!
//! Held back is only what can still become a live placeholder. Models bend them a little: [`needle`]
//! says how much is accepted. Nothing is guessed beyond that, and nothing is restored inside a URL,
//! where it would leave with the next click: [`place`] knows where that is.

mod bare;
mod needle;
mod place;

use crate::pseudonym::Vault;
use crate::splice::escape;
use needle::{Found, Needles};
use place::Place;

/// Where restored text lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Plain text.
    Text,
    /// JSON text, such as tool-call arguments: only inside its strings, and escaped.
    Json,
}

/// Whether placeholders inside URLs and link targets are restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urls {
    /// They stay: a prompt of a stranger could make the client load an address with the value in it.
    #[default]
    Keep,
    /// They are restored too.
    Restore,
}

/// Whether more text may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    More,
    End,
}

/// Released text that is kept to look back at. Longer than a label and a link's beginning.
const KEEP: usize = 96;

/// Restores one channel.
pub struct StreamRestorer {
    needles: Needles,
    /// What each needle stands for, escaped for where it lands.
    values: Vec<Vec<u8>>,
    landing: Landing,
    urls: Urls,
    /// The last text that left, and what is held.
    text: Vec<u8>,
    /// Where in `text` the held part begins.
    at: usize,
    /// Where in `text` the last escape of JSON ended: its letters belong to no word.
    boundary: usize,
    place: Place,
    restored: u32,
    kept_in_urls: u32,
    kept_outside_strings: u32,
    foreign: u32,
}

impl StreamRestorer {
    /// A channel that knows the placeholders minted so far.
    #[must_use]
    pub fn new(vault: &Vault, landing: Landing) -> Self {
        let live: Vec<_> = vault.live().collect();
        let values = live.iter().map(|live| match landing {
            Landing::Text => live.value.as_bytes().to_vec(),
            Landing::Json => escape(live.value.as_bytes()),
        });
        Self {
            needles: Needles::new(&live, landing),
            values: values.collect(),
            landing,
            urls: Urls::Keep,
            text: Vec::new(),
            at: 0,
            boundary: 0,
            place: Place::default(),
            restored: 0,
            kept_in_urls: 0,
            kept_outside_strings: 0,
            foreign: 0,
        }
    }

    /// The same, with another rule for URLs.
    #[must_use]
    pub fn with_urls(mut self, urls: Urls) -> Self {
        self.urls = urls;
        self
    }

    /// Takes a chunk, which may end anywhere, and returns what is decided.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.text.extend_from_slice(chunk);
        self.run(Input::More)
    }

    /// The channel is at its end.
    pub fn flush(&mut self) -> Vec<u8> {
        self.run(Input::End)
    }

    /// Placeholders that were replaced.
    #[must_use]
    pub const fn restored(&self) -> u32 {
        self.restored
    }

    /// Placeholders that stayed because they stand in a URL.
    #[must_use]
    pub const fn kept_in_urls(&self) -> u32 {
        self.kept_in_urls
    }

    /// Placeholders that stayed because they stand where JSON has no string.
    #[must_use]
    pub const fn kept_outside_strings(&self) -> u32 {
        self.kept_outside_strings
    }

    /// Words that look like our placeholders and were not minted for this request.
    #[must_use]
    pub const fn foreign(&self) -> u32 {
        self.foreign
    }

    fn run(&mut self, input: Input) -> Vec<u8> {
        let text = std::mem::take(&mut self.text);
        let mut out = Vec::with_capacity(text.len() - self.at);
        let mut released = self.at;
        while self.at < text.len() {
            let plain = self.needles.plain(&text[self.at..]);
            self.at += plain;
            if self.at == text.len() {
                break;
            }
            match self.look(&text, input) {
                Found::Open => break,
                Found::No => {
                    let Some(len) = self.pass(&text, input) else { break };
                    self.at += len;
                }
                Found::Whole { len, needle } => {
                    if self.may_restore() {
                        out.extend_from_slice(&text[released..self.at]);
                        out.extend_from_slice(&self.values[needle]);
                        self.restored += 1;
                        released = self.at + len;
                    }
                    self.at += len;
                }
            }
        }
        out.extend_from_slice(&text[released..self.at]);
        self.text = text;
        let drop = self.at.saturating_sub(KEEP);
        self.text.drain(..drop);
        self.at -= drop;
        self.boundary = self.boundary.saturating_sub(drop);
        out
    }

    /// Whether a live placeholder begins here.
    fn look(&self, text: &[u8], input: Input) -> Found {
        let before = &text[self.at.saturating_sub(KEEP)..self.at];
        let in_word = self.at > self.boundary && before.last().is_some_and(u8::is_ascii_alphanumeric);
        if in_word {
            return Found::No;
        }
        match self.needles.find(&text[self.at..], input) {
            Found::No => self.needles.find_bare(before, &text[self.at..], input),
            found => found,
        }
    }

    fn may_restore(&mut self) -> bool {
        if self.landing == Landing::Json && !self.place.in_string() {
            self.kept_outside_strings += 1;
            return false;
        }
        if self.urls == Urls::Keep && self.place.in_url() {
            self.kept_in_urls += 1;
            return false;
        }
        true
    }

    /// Steps over a byte or an escape and notes what it means; `None` if more must be known first.
    fn pass(&mut self, text: &[u8], input: Input) -> Option<usize> {
        let before = &text[self.at.saturating_sub(KEEP)..self.at];
        let rest = &text[self.at..];
        if rest[0] == b'_' {
            match self.needles.foreign(before, rest, input) {
                Found::Open => return None,
                Found::Whole { .. } => self.foreign += 1,
                Found::No => {}
            }
        }
        let escapes = self.landing == Landing::Json && self.place.in_string();
        if !(escapes && rest[0] == b'\\') {
            self.place.pass(before, rest[0], self.landing);
            return Some(1);
        }
        let len = if rest.get(1) == Some(&b'u') { 6 } else { 2 };
        if rest.len() < len && input == Input::More {
            return None;
        }
        let len = len.min(rest.len());
        self.boundary = self.at + len;
        self.place.pass_escape(before, &rest[..len]);
        Some(len)
    }
}
