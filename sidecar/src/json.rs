//! One validating pass over a JSON text, which notes the byte ranges that somebody asked for, and edits by byte range.
//!
//! Nothing is built from the text and nothing in it is changed, so bytes that nobody edits leave as they came. The pass
//! is as strict as the strictest partner: a text that two parsers could read differently would be a way around policy.
//! What is asked for is a table of [`Rule`]s; `prompt.rs` has the one for requests.

mod part;
mod scan;
mod text;

use std::ops::Range;

use bytes::Bytes;
use thiserror::Error;

pub(crate) use self::part::{cut_parts, parts};
pub(crate) use self::scan::skim;
pub(crate) use self::text::{quote, unescape};

/// Where in a document the scanner stands. Its meaning is the table's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) usize);

/// How many places a table may tell apart.
pub(crate) const PLACES: usize = 16;

/// The document itself.
pub(crate) const ROOT: Place = Place(0);

/// Everywhere that no rule leads to.
pub(crate) const ELSEWHERE: Place = Place(PLACES - 1);

/// What is wanted of one member.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want {
    /// That it stands there at most once.
    Once,
    /// Also its byte range.
    Range,
    /// Also its byte range, wherever its value is one of these strings.
    Among(&'static [&'static str]),
    /// That it is absent.
    Absent,
}

/// A member of an object that somebody reads or edits. It may stand there at most once, whatever its spelling.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// In which objects.
    pub(crate) at: Place,
    /// Its key, decoded.
    pub(crate) key: &'static str,
    /// The place of its value.
    pub(crate) then: Place,
    /// What is wanted of it.
    pub(crate) want: Want,
}

/// What to look for in a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Map {
    /// At most 64 rules.
    pub(crate) rules: &'static [Rule],
    /// For an array at the first place, the place of its elements.
    pub(crate) elements: &'static [(Place, Place)],
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    Array,
    Object,
}

/// A member that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// In which kind of object.
    pub(crate) at: Place,
    /// Its key, as the rule has it.
    pub(crate) name: &'static str,
    /// The key with its quotes.
    pub(crate) key: Range<usize>,
    /// The value, with the quotes of a string.
    pub(crate) value: Range<usize>,
    /// What the value is.
    pub(crate) kind: Kind,
    /// The indexes of the arrays around it, outermost first.
    pub(crate) trail: Vec<usize>,
}

/// What a pass has found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Skim {
    pub(crate) members: Vec<Member>,
    /// How many values were seen at each place.
    pub(crate) counts: [usize; PLACES],
}

impl Skim {
    /// The member of that name in the object at `at`, where there is one such object.
    pub(crate) fn get(&self, at: Place, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.at == at && member.name == name)
    }

    /// The members of that name in all objects at `at`, in the order of the document.
    pub(crate) fn all(&self, at: Place, name: &'static str) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.at == at && member.name == name)
    }
}

/// Why a text is not JSON that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Problem {
    #[error("is not UTF-8")]
    Utf8,
    #[error("begins with a byte order mark")]
    ByteOrderMark,
    #[error("ends too early")]
    End,
    #[error("has a character where JSON allows none of its kind")]
    Unexpected,
    #[error("goes on after the end of its value")]
    Trailing,
    #[error("has a control character in a string")]
    Control,
    #[error("has an escape that JSON does not know")]
    Escape,
    #[error("has half of a surrogate pair")]
    Surrogate,
    #[error("has a number that is not a number of JSON")]
    Number,
    #[error("has a number that no 64-bit float can hold")]
    Infinite,
    #[error("is nested too deeply")]
    Depth,
    #[error("has too many keys")]
    Keys,
    #[error("has `{0}` more than once")]
    Duplicate(&'static str),
    #[error("must not have `{0}`: addresses come from the partner's configuration alone")]
    Forbidden(&'static str),
}

/// A [`Problem`] and where it is. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body {problem} (at byte {at})")]
pub(crate) struct InvalidJson {
    pub(crate) problem: Problem,
    pub(crate) at: usize,
}

/// A range of a body and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    pub(crate) text: Bytes,
}

impl Edit {
    /// Replaces a range; an empty one is a place to insert.
    pub(crate) fn new(range: Range<usize>, text: impl Into<Bytes>) -> Self {
        Self { range, text: text.into() }
    }

    /// Adds a member, in source form, as the first of the object that begins at `open`.
    pub(crate) fn insert(body: &[u8], open: usize, member: &str) -> Self {
        let rest = body.get(open + 1..).unwrap_or_default();
        let is_empty = rest.iter().find(|byte| !is_blank(**byte)) == Some(&b'}');
        let comma = if is_empty { "" } else { "," };
        Self::new(open + 1..open + 1, format!("{member}{comma}"))
    }

    /// Takes a member away, with one of the commas beside it.
    pub(crate) fn cut(body: &[u8], member: &Member) -> Self {
        let (start, end) = (member.key.start, member.value.end);
        let before = body.get(..start).and_then(|head| head.iter().rposition(|byte| !is_blank(*byte)));
        if let Some(comma) = before.filter(|at| body.get(*at) == Some(&b',')) {
            return Self::new(comma..end, Bytes::new());
        }
        let rest = body.get(end..).unwrap_or_default();
        let after = rest.iter().position(|byte| !is_blank(*byte)).filter(|at| rest.get(*at) == Some(&b','));
        Self::new(start..after.map_or(end, |at| end + at + 1), Bytes::new())
    }
}

/// `body` with `edits`, as slices of it and what stands between them.
///
/// Edits may come in any order and must not overlap; one that overlaps its forerunner is left out of the result in
/// debug and release builds alike, so no byte can appear twice.
pub(crate) fn splice(body: &Bytes, mut edits: Vec<Edit>) -> Vec<Bytes> {
    edits.sort_by_key(|edit| edit.range.start);
    let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
    let mut done = 0;
    for Edit { range, text } in edits {
        if range.start < done || range.end < range.start || range.end > body.len() {
            debug_assert!(false, "edits overlap");
            continue;
        }
        push(&mut pieces, body.slice(done..range.start));
        push(&mut pieces, text);
        done = range.end;
    }
    push(&mut pieces, body.slice(done..));
    pieces
}

fn push(pieces: &mut Vec<Bytes>, piece: Bytes) {
    if !piece.is_empty() {
        pieces.push(piece);
    }
}

/// White space of JSON.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests;
