//! Measures a tagger against labelled text: exact spans, per label and together.

use std::fs;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::super::scan::collect;
use super::super::{Tagger, decode};
use super::corpus::{self, GoldSpan, Sentence};
use crate::names::{NameKind, NameSpan};

/// Counts of spans: right, found, in the gold standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    right: u32,
    found: u32,
    gold: u32,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.found += other.found;
        self.gold += other.gold;
    }
}

impl Counts {
    /// Percent of the found names that are right.
    #[must_use]
    pub fn precision(&self) -> f64 {
        100.0 * f64::from(self.right) / f64::from(self.found.max(1))
    }

    /// Percent of the names that were found.
    #[must_use]
    pub fn recall(&self) -> f64 {
        100.0 * f64::from(self.right) / f64::from(self.gold.max(1))
    }

    /// Harmonic mean of both, in percent.
    #[must_use]
    pub fn f1(&self) -> f64 {
        200.0 * f64::from(self.right) / f64::from((self.found + self.gold).max(1))
    }
}

/// Counts for each entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score([Counts; 3]);

impl AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += other;
        }
    }
}

impl Score {
    /// All entities together.
    #[must_use]
    pub fn micro(&self) -> Counts {
        let mut sum = Counts::default();
        self.0.iter().for_each(|counts| sum += *counts);
        sum
    }

    /// One entity.
    #[must_use]
    pub fn of(&self, entity: NameKind) -> Counts {
        self.0[entity as usize]
    }

    fn count(&mut self, found: &[GoldSpan], gold: &[GoldSpan]) {
        for span in found {
            let counts = &mut self.0[span.entity as usize];
            counts.found += 1;
            counts.right += u32::from(gold.contains(span));
        }
        gold.iter().for_each(|span| self.0[span.entity as usize].gold += 1);
    }
}

/// What masking does to tokens, whatever the label: the figures that a recall bias is chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    tokens: u32,
    person_tokens: u32,
    person_masked: u32,
    wrongly_masked: u32,
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        let Self { tokens, person_tokens, person_masked, wrongly_masked } = other;
        self.tokens += tokens;
        self.person_tokens += person_tokens;
        self.person_masked += person_masked;
        self.wrongly_masked += wrongly_masked;
    }
}

impl Coverage {
    /// Percent of the tokens of persons that were masked under any label.
    #[must_use]
    pub fn persons_masked(&self) -> f64 {
        100.0 * f64::from(self.person_masked) / f64::from(self.person_tokens.max(1))
    }

    /// Percent of all tokens that were masked and belong to no name.
    #[must_use]
    pub fn wrongly_masked(&self) -> f64 {
        100.0 * f64::from(self.wrongly_masked) / f64::from(self.tokens.max(1))
    }

    fn count(&mut self, sentence: &Sentence, found: &[GoldSpan]) {
        for token in &sentence.tokens {
            let within = |span: &&GoldSpan| token.start >= span.start && token.end <= span.end;
            let masked = u32::from(found.iter().any(|span| within(&span)));
            let gold = sentence.gold.iter().find(within);
            let person = u32::from(gold.is_some_and(|span| span.entity == NameKind::Person));
            self.tokens += 1;
            self.person_tokens += person;
            self.person_masked += person & masked;
            self.wrongly_masked += masked & u32::from(gold.is_none());
        }
    }
}

/// One labelled file.
pub struct Set {
    /// Its path.
    pub path: PathBuf,
    content: Content,
}

enum Content {
    Tokens(Vec<Sentence>),
    Running(Vec<Record>),
}

/// One line of running text.
#[derive(Deserialize)]
struct Record {
    text: String,
    spans: Vec<RecordSpan>,
}

/// Offsets in code points.
#[derive(Deserialize)]
struct RecordSpan {
    start: usize,
    end: usize,
    entity: String,
}

impl Set {
    /// All `.tsv` and `.jsonl` files of a folder and the folders in it, or the one file.
    ///
    /// # Errors
    /// A file cannot be read or is malformed.
    pub fn read_all(path: &Path) -> Result<Vec<Self>> {
        if !path.is_dir() {
            return Ok(Self::read(path)?.into_iter().collect());
        }
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        entries.sort();
        let sets = entries.iter().map(|entry| Self::read_all(entry)).collect::<Result<Vec<_>>>()?;
        Ok(sets.into_iter().flatten().collect())
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        let kind = path.extension().and_then(|extension| extension.to_str());
        if !matches!(kind, Some("tsv" | "jsonl")) {
            return Ok(None);
        }
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).with_context(name)?;
        let content = if kind == Some("tsv") {
            Content::Tokens(corpus::parse(&text).with_context(name)?)
        } else {
            let records = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
            Content::Running(records.with_context(name)?)
        };
        Ok(Some(Self { path: path.to_owned(), content }))
    }

    /// Whether this is text as users write it, rather than tokens of the gold standard.
    #[must_use]
    pub fn is_running_text(&self) -> bool {
        matches!(self.content, Content::Running(_))
    }

    /// Tags the whole set and compares.
    #[must_use]
    pub fn score(&self, tagger: &Tagger, recall_bias: f32) -> Score {
        let mut score = Score::default();
        match &self.content {
            Content::Tokens(sentences) => {
                sentences.iter().for_each(|sentence| {
                    score.count(&tag(tagger, sentence, recall_bias), &sentence.gold);
                });
            }
            Content::Running(records) => records.iter().for_each(|record| {
                let found: Vec<GoldSpan> =
                    tagger.spans(&record.text, recall_bias).iter().map(GoldSpan::from).collect();
                score.count(&found, &record.gold());
            }),
        }
        score
    }

    /// What masking does to the tokens of the gold standard; nothing for running text.
    #[must_use]
    pub fn coverage(&self, tagger: &Tagger, recall_bias: f32) -> Coverage {
        let mut coverage = Coverage::default();
        if let Content::Tokens(sentences) = &self.content {
            for sentence in sentences {
                coverage.count(sentence, &tag(tagger, sentence, recall_bias));
            }
        }
        coverage
    }

    /// Whether it lies in a folder for data under a share-alike licence.
    #[must_use]
    pub fn is_share_alike(&self) -> bool {
        self.path.components().any(|part| part.as_os_str() == "sharealike")
    }

    /// The texts of the set, for a measurement of speed.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.content {
            Content::Tokens(sentences) => sentences.iter().map(|sentence| sentence.text.as_str()).collect(),
            Content::Running(records) => records.iter().map(|record| record.text.clone() + "\n").collect(),
        }
    }
}

impl From<&NameSpan> for GoldSpan {
    fn from(span: &NameSpan) -> Self {
        Self { start: span.start, end: span.end, entity: span.kind }
    }
}

impl Record {
    fn gold(&self) -> Vec<GoldSpan> {
        let ends = self.text.char_indices().map(|(byte, _)| byte).chain([self.text.len()]);
        let bytes: Vec<usize> = ends.collect();
        let byte = |point: usize| bytes.get(point).copied().unwrap_or(usize::MAX);
        let spans = self.spans.iter().filter_map(|span| {
            let entity = match span.entity.as_str() {
                "PERSON" => NameKind::Person,
                "LOCATION" => NameKind::Location,
                "ORGANIZATION" => NameKind::Organization,
                _ => return None,
            };
            Some(GoldSpan { start: byte(span.start), end: byte(span.end), entity })
        });
        spans.collect()
    }
}

fn tag(tagger: &Tagger, sentence: &Sentence, bias: f32) -> Vec<GoldSpan> {
    let (mut words, mut tags, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    decode::read(&sentence.text, &sentence.tokens, &tagger.model.gazetteer, &mut words);
    decode::tag(&tagger.model, &words, bias, &mut tags);
    collect(&sentence.tokens, &tags, &mut spans);
    spans.iter().map(GoldSpan::from).collect()
}
