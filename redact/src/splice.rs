//! Spans become edits, edits become slices; bytes that nobody edited are never copied.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::entity::Entity;
use crate::finding::{NearMiss, Span};
use crate::policy::Action;

/// How many findings of each kind met which action.
pub type Counts = BTreeMap<(Entity, Action), u32>;

/// New bytes for a finding.
#[derive(Clone, PartialEq)]
pub(crate) struct Edit {
    /// Its range is that of the bytes that are replaced.
    pub(crate) span: Span,
    pub(crate) replacement: Vec<u8>,
}

/// A body that may be sent: every finding of its policy is replaced. Only this crate makes one.
pub struct Redacted<B> {
    body: B,
    /// Disjoint, in order.
    edits: Vec<Edit>,
    counts: Counts,
    misses: Vec<NearMiss>,
}

impl<B> std::fmt::Debug for Redacted<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redacted({} edits)", self.edits.len())
    }
}

/// A piece of the redacted body.
#[derive(Clone, PartialEq, Eq)]
pub enum Slice<'s> {
    /// This range of the body, as it is.
    Raw(Range<usize>),
    /// These bytes instead.
    New(&'s [u8]),
}

impl<B: AsRef<[u8]>> Redacted<B> {
    pub(crate) fn new(body: B, mut edits: Vec<Edit>, counts: Counts) -> Self {
        edits.sort_by_key(|edit| edit.span.range.start);
        Self { body, edits, counts, misses: Vec::new() }
    }

    pub(crate) fn with_near_misses(mut self, misses: Vec<NearMiss>) -> Self {
        self.misses = misses;
        self
    }

    /// What was found, in order; ranges are bytes of the body that are replaced.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.edits.iter().map(|edit| &edit.span)
    }

    /// What was left alone, if the engine was asked to explain; ranges are bytes of the body.
    #[must_use]
    pub fn near_misses(&self) -> &[NearMiss] {
        &self.misses
    }

    /// The pieces in order, for a vectored write.
    pub fn slices(&self) -> impl Iterator<Item = Slice<'_>> {
        let starts = std::iter::once(0).chain(self.edits.iter().map(|edit| edit.span.range.end));
        let ends = self
            .edits
            .iter()
            .map(|edit| edit.span.range.start)
            .chain(std::iter::once(self.body.as_ref().len()));
        let new =
            self.edits.iter().map(|edit| Some(edit.replacement.as_slice())).chain(std::iter::once(None));
        starts.zip(ends).zip(new).flat_map(|((start, end), new)| {
            let raw = (start < end).then_some(Slice::Raw(start..end));
            raw.into_iter().chain(new.map(Slice::New))
        })
    }

    /// What was replaced, in order, and what stands there instead: to be joined with edits of the caller's own.
    pub fn replaced(&self) -> impl Iterator<Item = (Range<usize>, &[u8])> {
        self.edits.iter().map(|edit| (edit.span.range.clone(), edit.replacement.as_slice()))
    }

    /// The redacted body in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let body = self.body.as_ref();
        let mut whole = Vec::with_capacity(body.len());
        for slice in self.slices() {
            match slice {
                Slice::Raw(range) => whole.extend_from_slice(&body[range]),
                Slice::New(bytes) => whole.extend_from_slice(bytes),
            }
        }
        whole
    }

    /// The body that the raw ranges refer to. It is not redacted: send slices, not this.
    pub const fn raw_body(&self) -> &B {
        &self.body
    }

    /// Findings by kind and action.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether nothing was replaced.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.edits.is_empty()
    }
}

/// `text` as the inside of a JSON string.
pub(crate) fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len() + 2);
    for byte in text {
        match byte {
            b'"' | b'\\' => escaped.extend_from_slice(&[b'\\', *byte]),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            0..0x20 => escaped.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => escaped.push(*byte),
        }
    }
    escaped
}
