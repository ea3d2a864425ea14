//! Labelled sentences: one `token<TAB>label` per line, an empty line after each sentence.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::super::label::{self, OUTSIDE, Place};
use super::super::token::{self, Token};
use super::own;
use crate::names::NameKind;

/// Whether data under a share-alike licence may be used: it gives the weights its licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareAlike {
    /// Use it.
    With,
    /// Leave it out.
    Without,
}

/// A name of the gold standard: byte range in [`Sentence::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoldSpan {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What it names.
    pub entity: NameKind,
}

/// One sentence: its tokens joined by blanks, cut again by the run-time tokeniser.
pub struct Sentence {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) labels: Vec<u8>,
    pub(crate) gold: Vec<GoldSpan>,
}

/// All training data of a folder.
pub struct Corpus {
    pub(crate) sentences: Vec<Sentence>,
    /// SHA-256 of each file used, by its path in the folder.
    pub(crate) inputs: BTreeMap<String, String>,
}

impl Corpus {
    /// Reads `train/`, and `train/sharealike/` if wanted; checks every file, lists too, against `SHA256SUMS`.
    pub(crate) fn read(folder: &Path, share_alike: ShareAlike) -> Result<Self> {
        let sums = sums(folder)?;
        let mut corpus = Self { sentences: Vec::new(), inputs: BTreeMap::new() };
        let mut folders = vec!["train", "gazetteers"];
        if share_alike == ShareAlike::With {
            folders.push("train/sharealike");
        }
        for part in folders {
            for file in tsv_files(&folder.join(part))? {
                let path = file.strip_prefix(folder)?.to_str().context("a path is not UTF-8")?.to_owned();
                let bytes = fs::read(&file).with_context(|| path.clone())?;
                let hash = hex(&Sha256::digest(&bytes));
                let recorded = sums.get(&path).with_context(|| format!("{path} is not in SHA256SUMS"))?;
                ensure!(*recorded == hash, "{path} differs from SHA256SUMS");
                if part != "gazetteers" {
                    corpus.sentences.extend(parse(&String::from_utf8(bytes)?).with_context(|| path.clone())?);
                }
                corpus.inputs.insert(path, hash);
            }
        }
        corpus.add_input("own/given-names.txt", own::GIVEN_NAMES);
        corpus.add_input("own/family-names.txt", own::FAMILY_NAMES);
        Ok(corpus)
    }

    /// Notes an input that lies in the repository itself.
    pub(super) fn add_input(&mut self, name: &str, text: &str) {
        self.inputs.insert(name.to_owned(), hex(&Sha256::digest(text)));
    }

    /// The licence that the inputs leave for the weights.
    pub(crate) fn licence(&self) -> &'static str {
        let shared = self.inputs.keys().any(|path| path.contains("sharealike/"));
        if shared { "CC-BY-SA-4.0" } else { "Apache-2.0" }
    }
}

/// The `*.tsv` files of a folder itself, by name.
pub(crate) fn tsv_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "tsv"));
    files.sort();
    Ok(files)
}

/// Parses labelled sentences.
pub(crate) fn parse(text: &str) -> Result<Vec<Sentence>> {
    let mut sentences = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.is_empty() {
            sentences.push(Sentence::new(&lines)?);
            lines.clear();
        } else {
            lines.push(line.split_once('\t').context("a line without a tab")?);
        }
    }
    if !lines.is_empty() {
        sentences.push(Sentence::new(&lines)?);
    }
    Ok(sentences)
}

impl Sentence {
    /// A sentence of running text.
    pub(crate) fn running(text: String, gold: Vec<GoldSpan>) -> Self {
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.trim_start().is_empty()) {
            let token = token::next(&text, at + rest.len() - rest.trim_start().len());
            at = token.end;
            tokens.push(token);
        }
        let labels = labels(&tokens, &gold);
        Self { text, tokens, labels, gold }
    }

    fn new(lines: &[(&str, &str)]) -> Result<Self> {
        let mut sentence = Self {
            text: String::new(),
            tokens: Vec::new(),
            labels: Vec::new(),
            gold: Vec::<GoldSpan>::new(),
        };
        for (word, label) in lines {
            let start = sentence.text.len();
            sentence.text.push_str(word);
            let end = sentence.text.len();
            match (label.get(..2), entity(label)) {
                (Some("B-"), Some(entity)) => sentence.gold.push(GoldSpan { start, end, entity }),
                (Some("I-"), Some(_)) => sentence.gold.last_mut().context("I- without B-")?.end = end,
                _ if *label == "O" => {}
                _ => bail!("unknown label"),
            }
            sentence.text.push(' ');
        }
        // Cut word by word: a boundary of the gold standard is always one of ours.
        let mut at = 0;
        for (word, _) in lines {
            let end = at + word.len();
            while at < end {
                let token = token::next(sentence.text.get(..end).unwrap_or_default(), at);
                at = token.end;
                sentence.tokens.push(token);
            }
            at = end + 1;
        }
        sentence.labels = labels(&sentence.tokens, &sentence.gold);
        Ok(sentence)
    }

    /// The same sentence in another case; nothing if that moves a byte.
    pub(crate) fn recased(&self, recase: fn(&str) -> String) -> Option<Self> {
        let text = recase(&self.text);
        let fits = text.len() == self.text.len()
            && self.tokens.iter().all(|token| text.get(token.start..token.end).is_some());
        fits.then(|| Self {
            text,
            tokens: self.tokens.clone(),
            labels: self.labels.clone(),
            gold: self.gold.clone(),
        })
    }
}

fn entity(label: &str) -> Option<NameKind> {
    match label.get(2..)? {
        "PER" => Some(NameKind::Person),
        "LOC" => Some(NameKind::Location),
        "ORG" => Some(NameKind::Organization),
        _ => None,
    }
}

fn labels(tokens: &[Token], gold: &[GoldSpan]) -> Vec<u8> {
    let mut labels = vec![OUTSIDE; tokens.len()];
    for span in gold {
        let inside = |token: &Token| token.start >= span.start && token.end <= span.end;
        let Some(first) = tokens.iter().position(inside) else { continue };
        let last = tokens.iter().rposition(inside).unwrap_or(first);
        for (index, slot) in labels.iter_mut().enumerate().take(last + 1).skip(first) {
            let place = match (index == first, index == last) {
                (true, true) => Place::Unit,
                (true, false) => Place::Begin,
                (false, true) => Place::Last,
                (false, false) => Place::Inside,
            };
            *slot = label::label(span.entity, place);
        }
    }
    labels
}

fn sums(folder: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(folder.join("SHA256SUMS")).context("SHA256SUMS")?;
    let rows = text.lines().filter_map(|line| line.split_once("  "));
    Ok(rows.map(|(hash, path)| (path.trim_start_matches("./").to_owned(), hash.to_owned())).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
