//! Puts values back where a response names their placeholders.
//!
//! Held back is only what can still become a live placeholder. Models bend them a little: case,
//! `\_`, a space or dash for the underscore, emphasis and invisible marks inside. Nothing is guessed
//! beyond that, and nothing is restored inside a URL, where it would leave with the next click.

use crate::pseudonym::Vault;
use crate::splice::escape;

/// Where restored text lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Plain text.
    Text,
    /// JSON text, such as tool-call arguments: only inside its strings, and escaped.
    Json,
}

/// Most marks that may stand inside a placeholder without belonging to it.
const MAX_MARKS: usize = 8;
/// What ends a URL or a link's target.
const URL_ENDS: &[u8] = b" \t\r\n\"'<>`)";

struct Live {
    label: Vec<u8>,
    tag: Vec<u8>,
    value: Vec<u8>,
}

/// Restores one channel.
pub struct StreamRestorer {
    live: Vec<Live>,
    landing: Landing,
    held: Vec<u8>,
    /// The last bytes that left, to know words, strings and URLs.
    tail: Vec<u8>,
    place: Place,
    restored: u32,
    kept_in_urls: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    url: bool,
    string: Quote,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quote {
    #[default]
    Outside,
    Inside,
    Escape,
}

enum Match {
    No,
    /// It may become one with more text.
    Open,
    Whole(usize),
}

impl StreamRestorer {
    /// A channel that knows the placeholders minted so far.
    #[must_use]
    pub fn new(vault: &Vault, landing: Landing) -> Self {
        let live = vault.live().filter_map(|(placeholder, value)| {
            let (label, tag) = placeholder.rsplit_once('_')?;
            let value = match landing {
                Landing::Text => value.as_bytes().to_vec(),
                Landing::Json => escape(value.as_bytes()),
            };
            Some(Live { label: label.into(), tag: tag.into(), value })
        });
        let (held, tail) = (Vec::new(), Vec::new());
        Self {
            live: live.collect(),
            landing,
            held,
            tail,
            place: Place::default(),
            restored: 0,
            kept_in_urls: 0,
        }
    }

    /// Takes a chunk and returns what is decided.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(chunk);
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

    fn run(&mut self, input: Input) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(held.len());
        let mut at = 0;
        while at < held.len() {
            match self.look(&held[at..], input) {
                (Match::Open, _) => break,
                (Match::Whole(len), live) if !self.place.url => {
                    out.extend_from_slice(&self.live[live].value);
                    self.restored += 1;
                    at += len;
                    self.tail.push(b'x');
                }
                (Match::Whole(len), _) => {
                    self.kept_in_urls += 1;
                    held[at..at + len].iter().for_each(|byte| self.pass(*byte, &mut out));
                    at += len;
                }
                (Match::No, _) => {
                    self.pass(held[at], &mut out);
                    at += 1;
                }
            }
        }
        self.held = held.get(at..).unwrap_or_default().to_vec();
        out
    }

    /// Whether a live placeholder begins here.
    fn look(&self, text: &[u8], input: Input) -> (Match, usize) {
        let in_word = self.tail.last().is_some_and(u8::is_ascii_alphanumeric);
        let outside = self.landing == Landing::Json && self.place.string != Quote::Inside;
        if in_word || outside || !text[0].is_ascii_alphabetic() {
            return (Match::No, 0);
        }
        let mut open = false;
        for (index, live) in self.live.iter().enumerate() {
            match matches(text, live, input) {
                Match::Whole(len) => return (Match::Whole(len), index),
                Match::Open => open = true,
                Match::No => {}
            }
        }
        (if open { Match::Open } else { Match::No }, 0)
    }

    fn pass(&mut self, byte: u8, out: &mut Vec<u8>) {
        out.push(byte);
        self.tail.push(byte);
        let extra = self.tail.len().saturating_sub(8);
        self.tail.drain(..extra);
        self.place.string = match (self.place.string, byte) {
            (Quote::Outside, b'"') | (Quote::Escape, _) => Quote::Inside,
            (Quote::Inside, b'"') => Quote::Outside,
            (Quote::Inside, b'\\') => Quote::Escape,
            (same, _) => same,
        };
        let lower = self.tail.to_ascii_lowercase();
        let begins = [
            b"//".as_slice(),
            b"](",
            b"www.",
            b"href=",
            b"src=",
            b"href=\"",
            b"src=\"",
            b"href=\\\"",
            b"src=\\\"",
            b"href='",
            b"src='",
        ];
        if begins.iter().any(|start| lower.ends_with(start)) {
            self.place.url = true;
        } else if URL_ENDS.contains(&byte) {
            self.place.url = false;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    More,
    End,
}

/// Compares `text` with one placeholder, through the changes that models make.
fn matches(text: &[u8], live: &Live, input: Input) -> Match {
    let unfinished = || if input == Input::More { Match::Open } else { Match::No };
    let mut at = 0;
    let mut marks = 0;
    let placeholder = live.label.iter().chain(b"_").chain(&live.tag);
    for wanted in placeholder {
        while let Some(len) = mark(&text[at..]) {
            marks += 1;
            at += len;
            if marks > MAX_MARKS {
                return Match::No;
            }
        }
        let Some(byte) = text.get(at) else { return unfinished() };
        let step = match wanted {
            b'_' => separator(&text[at..]),
            _ => usize::from(byte.eq_ignore_ascii_case(wanted)),
        };
        if step == 0 {
            let cut = partial_sequence(&text[at..]) && input == Input::More;
            return if cut { Match::Open } else { Match::No };
        }
        at += step;
    }
    // A capital or a digit goes on to be another tag; small letters are an ending, and stay.
    match text.get(at) {
        None => {
            if input == Input::More {
                Match::Open
            } else {
                Match::Whole(at)
            }
        }
        Some(next) if next.is_ascii_digit() || next.is_ascii_uppercase() => Match::No,
        Some(_) => Match::Whole(at),
    }
}

/// Emphasis, escapes and zero-width characters; their length.
fn mark(text: &[u8]) -> Option<usize> {
    match text {
        [b'*' | b'`' | b'\\', ..] => Some(1),
        [0xE2, 0x80, 0x8B..=0x8D, ..] | [0xE2, 0x81, 0xA0, ..] | [0xEF, 0xBB, 0xBF, ..] => Some(3),
        [0xC2, 0xAD, ..] => Some(2),
        _ => None,
    }
}

/// Underscore, space or dash; its length, or zero.
fn separator(text: &[u8]) -> usize {
    match text {
        [b'_' | b' ' | b'-', ..] => 1,
        [0xC2, 0xA0, ..] => 2,
        [0xE2, 0x80, 0x90..=0x95, ..] | [0xE2, 0x80, 0xAF, ..] | [0xE2, 0x88, 0x92, ..] => 3,
        _ => 0,
    }
}

/// A character that the chunk's end has cut.
fn partial_sequence(text: &[u8]) -> bool {
    text.len() < 3 && matches!(text.first(), Some(0xE2 | 0xEF | 0xC2)) && std::str::from_utf8(text).is_err()
}
