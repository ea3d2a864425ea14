//! The boundary to the name tagger: whoever finds names, the engine only knows this trait.

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A person.
    Person,
    /// A place.
    Location,
    /// An organization.
    Organization,
}

/// A name in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NameSpan {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What kind of name.
    pub kind: NameKind,
    /// Its probability.
    pub score: f32,
}

/// Finds names in running text. A redaction may go on in another thread than it began in.
pub trait NameFinder: Sync {
    /// Appends the names of `text`; `recall_bias` nats are taken from "no name".
    fn find(&self, text: &str, recall_bias: f32, out: &mut Vec<NameSpan>);

    /// Appends the names that somebody else has found in a whole value beforehand, and that count whatever stands
    /// around them. Called once for each value in which names are looked for, with its normalised text.
    ///
    /// # Errors
    /// Somebody should have looked at the value and has not: it must not be sent.
    fn known(&self, _value: &str, _out: &mut Vec<NameSpan>) -> Result<(), Unanalyzed> {
        Ok(())
    }
}

/// A value that nobody has looked at who should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value was not analyzed")]
pub struct Unanalyzed;
