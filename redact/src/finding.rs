//! What was found: a range, an entity, a score and the evidence; never the text.

use std::fmt;
use std::ops::Range;

use crate::context::CueGroup;
use crate::entity::Entity;

/// The rule of names that somebody else has found.
pub(crate) const ANALYZER: &str = "analyzer";

/// How sure a finding is, in percent. Integers compare and hash; thresholds stay exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u8);

impl Score {
    /// A score in percent; more than 100 counts as 100.
    #[must_use]
    pub const fn percent(value: u8) -> Self {
        Self(if value > 100 { 100 } else { value })
    }

    /// The score from 0 to 1.
    #[must_use]
    pub fn as_f32(self) -> f32 {
        f32::from(self.0) / 100.0
    }

    pub(crate) const fn plus(self, percent: u8) -> Self {
        Self::percent(self.0.saturating_add(percent))
    }

    pub(crate) const fn minus(self, percent: u8) -> Self {
        Self(self.0.saturating_sub(percent))
    }

    /// The nearest score to a probability; what is no number becomes zero.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
    pub(crate) fn from_probability(value: f32) -> Self {
        Self((value.clamp(0.0, 1.0) * 100.0).round() as u8)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// What a finding rests on; the stronger kind names a union of overlapping findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The tagger or a rule about words says so.
    Words,
    /// The form fits.
    Form,
    /// The form fits and a cue stands nearby.
    FormInContext,
    /// A check digit, a checksum or a prefix that nothing else has.
    Checksum,
}

/// One rule of a recognizer: what it finds and how sure it is, alone and beside a cue.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Short stable name, for `--explain`.
    pub(crate) id: &'static str,
    /// What the rule finds.
    pub(crate) entity: Entity,
    /// Score without a cue.
    pub(crate) base: Score,
    /// Score beside a cue.
    pub(crate) cued: Score,
    /// What was checked beyond the form, in words; empty if nothing was.
    pub(crate) validator: &'static str,
    pub(crate) evidence: Evidence,
    /// Cues that count for this rule.
    pub(crate) cues: &'static [CueGroup],
    /// Whether words such as "order" or "version" right before it lower the score.
    pub(crate) doubt: Doubt,
}

impl Rule {
    /// A rule by its form alone; the methods below add to it.
    pub(crate) const fn new(id: &'static str, entity: Entity, base: u8, cued: u8) -> Self {
        Self {
            id,
            entity,
            base: Score::percent(base),
            cued: Score::percent(cued),
            validator: "",
            evidence: Evidence::Form,
            cues: &[],
            doubt: Doubt::Lowered,
        }
    }

    /// The same, with a check that makes the form conclusive.
    pub(crate) const fn checked(mut self, validator: &'static str) -> Self {
        self.validator = validator;
        self.evidence = Evidence::Checksum;
        self
    }

    pub(crate) const fn beside(mut self, cues: &'static [CueGroup]) -> Self {
        self.cues = cues;
        self
    }

    /// The same, whatever word stands before it.
    pub(crate) const fn unmoved(mut self) -> Self {
        self.doubt = Doubt::Unmoved;
        self
    }
}

/// Whether a negative cue matters to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// "order 4111…" is worth less than "4111…".
    Lowered,
    /// The form alone is conclusive.
    Unmoved,
}

/// A candidate that a recognizer proposes, before context has judged it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) range: Range<usize>,
    pub(crate) rule: &'static Rule,
}

/// One piece of personal data in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// What it is.
    pub entity: Entity,
    /// How sure.
    pub score: Score,
    /// What the finding rests on.
    pub evidence: Evidence,
    /// The rule that made it.
    pub rule: &'static str,
    /// What the rule checked, in words; empty if only the form.
    pub validator: &'static str,
    /// The cue that raised the score.
    pub cue: Option<&'static str>,
    /// Bytes between cue and span; settles which of two labels is right.
    pub(crate) cue_distance: usize,
    /// Where the cue stands in the view; `None` for none, and for the key.
    pub(crate) cue_at: Option<usize>,
}

impl Span {
    /// A finding that no cue supports.
    pub(crate) const fn plain(
        range: Range<usize>,
        entity: Entity,
        score: Score,
        evidence: Evidence,
        rule: &'static str,
    ) -> Self {
        let (validator, cue) = ("", None);
        Self { range, entity, score, evidence, rule, validator, cue, cue_distance: usize::MAX, cue_at: None }
    }
}

/// Something that looked like personal data and was left alone.
#[derive(Clone, Debug, PartialEq)]
pub struct NearMiss {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// What it would have been.
    pub entity: Entity,
    /// The rule that looked at it.
    pub rule: &'static str,
    /// Why it was left alone.
    pub why: Why,
}

/// Why a candidate was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A check failed; the words say which.
    Check(&'static str),
    /// The score stayed below the filter's threshold.
    BelowThreshold {
        /// What it reached.
        score: Score,
        /// What it needed.
        threshold: Score,
        /// The word that lowered it.
        negative: Option<&'static str>,
    },
}
