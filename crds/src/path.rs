//! Paths into an object, as an API server writes them: `spec.models[0].name`.

use std::fmt;

/// One step into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment<'key> {
    /// A member of an object.
    Member(&'key str),
    /// An item of a list.
    Item(usize),
}

impl fmt::Display for Segment<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(key) if is_plain(key) => formatter.write_str(key),
            Self::Member(key) => write!(formatter, "[{key}]"),
            Self::Item(index) => write!(formatter, "[{index}]"),
        }
    }
}

/// Whether a key can stand behind a dot without being mistaken for a path.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The path of what is one step inside `parent`.
pub(crate) fn join(parent: &str, segment: Segment<'_>) -> String {
    let segment = segment.to_string();
    let dot = if parent.is_empty() || segment.starts_with('[') { "" } else { "." };
    format!("{parent}{dot}{segment}")
}

/// [`join`] with the name of a member.
pub(crate) fn member(parent: &str, key: &str) -> String {
    join(parent, Segment::Member(key))
}

/// [`join`] with the index of an item.
pub(crate) fn item(parent: &str, index: usize) -> String {
    join(parent, Segment::Item(index))
}
