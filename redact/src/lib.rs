//! Finds and replaces personal data in text, JSON and streams.
//!
//! Pure: no I/O, no clock, no randomness. It promises that bytes outside of findings never change,
//! that what cannot be scanned is refused, and that the work is linear in the input. It does not
//! promise to find every name, and it does not read images.
//!
//! Start at [`find()`] for text, [`redact_json`] for bodies, [`StreamRedactor`] and
//! [`StreamRestorer`] for streams.

mod context;
mod document;
mod engine;
mod entity;
mod explain;
mod find;
mod finding;
mod letters;
mod merge;
mod names;
pub mod ner;
mod policy;
mod pseudonym;
mod recognizer;
mod scan;
mod splice;
mod stream;
mod view;

pub use document::{FieldTable, MAX_DEPTH};
pub use engine::{Engine, Progress, Refused, Rules, redact_json, redact_text};
pub use entity::{Entity, EntitySet, InvalidEntity, MAX_CUSTOM};
pub use explain::{CodePoints, code_points, decoded};
pub use find::{Findings, NearMisses, Query, Unscannable, find};
pub use finding::{Evidence, NearMiss, Score, Span, Why};
pub use names::{NameFinder, NameKind, NameSpan, Unanalyzed};
pub use policy::{
    Action, CustomSpec, Filter, InvalidPolicy, NonText, Policy, PolicySpec, PseudonymFormat, PseudonymSpec,
};
pub use pseudonym::{HINT, PseudonymKey, Vault};
pub use splice::{Counts, Redacted, Slice};
pub use stream::{ArgumentRedactor, Landing, MAX_HELD, StreamRedactor, StreamRestorer, Urls};
pub use view::InvalidText;
