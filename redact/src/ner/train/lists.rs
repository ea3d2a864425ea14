//! Makes the name lists of a weight file from the tables of the data folder and from lists of our own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::super::gazetteer::{self, Gazetteer, PHRASE_START};
use super::super::hash;
use super::super::label::OUTSIDE;
use super::super::token;
use super::super::word::Word;
use super::corpus::Corpus;
use super::own::{self, Pools};

// The flags of an entry; the model learns what each is worth.
const GIVEN: u64 = 1;
const FAMILY: u64 = 1 << 1;
const FAMILY_FREQUENT: u64 = 1 << 2;
const CITY: u64 = 1 << 3;
const CITY_PART: u64 = 1 << 4;
const COUNTRY: u64 = 1 << 5;
const DIVISION: u64 = 1 << 6;
/// Often written in lower case, and no name then.
const COMMON: u64 = 1 << 7;
// Bit 8 is taken: PHRASE_START. Names of other countries are often words elsewhere.
const GIVEN_ABROAD: u64 = 1 << 9;
const FAMILY_ABROAD: u64 = 1 << 10;

/// Rarer family names are mostly noise, and cost space.
const FAMILY_BEARERS: u64 = 500;
const FREQUENT_BEARERS: u64 = 10_000;

/// So often a word must stand in lower case, and be no name, to be common.
const COMMON_COUNT: u32 = 3;

#[derive(Default)]
struct Lists(BTreeMap<u64, u64>);

impl Lists {
    fn add(&mut self, hash: u64, flags: u64) {
        // Keyed as stored: two names with one key share an entry.
        *self.0.entry(gazetteer::entry(hash, 0)).or_default() |= flags;
    }

    /// Adds a whole name, and its words where it has several.
    fn add_name(&mut self, name: &str, whole: u64, part: u64) {
        let words = words(name);
        if let (Some(hash), true) = (name_hashes(&words), words.len() < 4) {
            self.add(hash, whole);
        }
        if words.len() < 2 {
            return;
        }
        if let Some(first) = name_hashes(&words[..1]) {
            self.add(first, PHRASE_START);
        }
        for hash in words.iter().filter(|word| word.len() > 2).filter_map(|word| name_hashes(&[word])) {
            self.add(hash, part);
        }
    }
}

/// Sorted entries.
pub(crate) fn entries(folder: &Path, corpus: &Corpus) -> Result<Vec<u64>> {
    let mut lists = Lists::default();
    let folder = folder.join("gazetteers");
    for row in rows(&folder.join("family-names-us.tsv"))? {
        let bearers: u64 = row.get(1).context("a family name without a count")?.parse()?;
        if bearers >= FAMILY_BEARERS {
            let frequent = if bearers >= FREQUENT_BEARERS { FAMILY_FREQUENT } else { 0 };
            lists.add_name(&row[0], FAMILY | frequent, 0);
        }
    }
    for row in rows(&folder.join("given-names-nyc.tsv"))? {
        lists.add_name(&row[0], GIVEN, 0);
    }
    for name in own::GIVEN_NAMES.lines() {
        lists.add_name(name, GIVEN_ABROAD, 0);
    }
    for name in own::FAMILY_NAMES.lines() {
        lists.add_name(name, FAMILY_ABROAD, 0);
    }
    for row in rows(&folder.join("cities-world.tsv"))? {
        lists.add_name(&row[0], CITY, CITY_PART);
        if let [_, country, division, ..] = &row[..] {
            lists.add_name(country.split(',').next().unwrap_or(country), COUNTRY, CITY_PART);
            lists.add_name(division, DIVISION, CITY_PART);
        }
    }
    for hash in common(corpus) {
        lists.add(hash, COMMON);
    }
    lists.0.retain(|_, flags| *flags != 0);
    Ok(lists.0.iter().map(|(hash, flags)| hash | flags).collect())
}

/// Names to fill our own sentences with: half of the persons' come from the United States.
pub(crate) fn pools(folder: &Path) -> Result<Pools> {
    let folder = folder.join("gazetteers");
    let first = |file: &str, most: usize| -> Result<Vec<String>> {
        Ok(rows(&folder.join(file))?.into_iter().take(most).map(|mut row| row.swap_remove(0)).collect())
    };
    let mut given: Vec<String> =
        first("given-names-nyc.tsv", usize::MAX)?.iter().map(|name| capitalised(name)).collect();
    let mut family: Vec<String> =
        first("family-names-us.tsv", 8_000)?.iter().map(|name| capitalised(name)).collect();
    given.extend(sample(own::GIVEN_NAMES, given.len()));
    family.extend(sample(own::FAMILY_NAMES, family.len()));
    let cities = rows(&folder.join("cities-world.tsv"))?;
    let mut countries: Vec<String> = cities.iter().filter_map(|row| row.get(1).cloned()).collect();
    countries.sort();
    countries.dedup();
    let cities = cities.into_iter().map(|mut row| row.swap_remove(0)).collect();
    Ok(Pools { given, family, cities, countries })
}

/// Every n-th line, so that about `count` remain.
fn sample(list: &str, count: usize) -> impl Iterator<Item = String> + '_ {
    let step = (list.lines().count() / count.max(1)).max(1);
    list.lines().step_by(step).map(str::to_owned)
}

/// The lists write some names in capitals.
fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect()
    })
}

/// Hash of a listed name, of one word or of several; nothing if it has more than three words.
fn name_hashes(tokens: &[&str]) -> Option<u64> {
    let hashes: Vec<u64> = tokens.iter().map(|token| Word::new(token, &Gazetteer::EMPTY).lower).collect();
    match hashes[..] {
        [one] => Some(one),
        [one, two] => Some(hash::pair(one, two)),
        [one, two, three] => Some(hash::pair(hash::pair(one, two), three)),
        _ => None,
    }
}

fn common(corpus: &Corpus) -> impl Iterator<Item = u64> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for sentence in &corpus.sentences {
        for (token, _) in sentence.tokens.iter().zip(&sentence.labels).filter(|(_, label)| **label == OUTSIDE)
        {
            let text = sentence.text.get(token.start..token.end).unwrap_or_default();
            if text.starts_with(char::is_lowercase) {
                *counts.entry(Word::new(text, &Gazetteer::EMPTY).lower).or_default() += 1;
            }
        }
    }
    counts.into_iter().filter(|(_, count)| *count >= COMMON_COUNT).map(|(hash, _)| hash)
}

fn rows(file: &Path) -> Result<Vec<Vec<String>>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

fn words(name: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = name.get(at..).filter(|rest| !rest.is_empty()) {
        let blank = rest.len() - rest.trim_start().len();
        if blank > 0 {
            at += blank;
            continue;
        }
        let token = token::next(name, at);
        words.push(name.get(token.start..token.end).unwrap_or_default());
        at = token.end;
    }
    words
}
