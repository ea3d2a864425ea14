//! What the repository itself adds to the data folder: name lists of many countries, and sentences of our own.
//!
//! The sentences are prompts, tickets, forms and logs as users of a gateway write them, with slots for names; and
//! labels, headings, products and code that hold capital letters but no name.

use super::corpus::{GoldSpan, Sentence};
use super::random::Random;
use crate::names::NameKind;

/// Given names of some forty countries, from Faker (MIT, see NOTICE).
pub(super) const GIVEN_NAMES: &str = include_str!("../../../training/given-names.txt");
/// Family names of the same.
pub(super) const FAMILY_NAMES: &str = include_str!("../../../training/family-names.txt");
/// `# comment`, `= a line without names`, or a line with slots such as `{FULL}`.
pub(super) const SENTENCES: &str = include_str!("../../../training/sentences.txt");

/// So often a line with slots is filled.
const FILLED: usize = 8;
/// So often a line without names is repeated.
const REPEATED: usize = 2;
const SEED: u64 = 20_261_127;

const COMPANIES: [&str; 40] = [
    "Inc.",
    "Inc",
    "Ltd",
    "Ltd.",
    "GmbH",
    "AG",
    "LLC",
    "Corp",
    "S.A.",
    "PLC",
    "Group",
    "Holdings",
    "Bank",
    "Partners",
    "Industries",
    "Logistics",
    "Software",
    "Insurance",
    "Clinic",
    "Hotels",
    "Media",
    "Energy",
    "Foods",
    "Consulting",
    "Airlines",
    "& Co",
    "KG",
    "& Co. KG",
    "GmbH & Co. KG",
    "e.V.",
    "SARL",
    "SAS",
    "S.L.",
    "S.p.A.",
    "B.V.",
    "N.V.",
    "AB",
    "ApS",
    "s.r.o.",
    "Sp. z o.o.",
];

/// Names to fill slots with.
pub(super) struct Pools {
    pub(super) given: Vec<String>,
    pub(super) family: Vec<String>,
    pub(super) cities: Vec<String>,
    pub(super) countries: Vec<String>,
}

/// All sentences, filled; the same every time.
pub(super) fn sentences(pools: &Pools) -> Vec<Sentence> {
    let mut random = Random::new(SEED);
    let mut sentences = Vec::new();
    for line in SENTENCES.lines().filter(|line| !line.starts_with('#')) {
        let (line, times) = match line.strip_prefix("= ") {
            Some(line) => (line, REPEATED),
            None => (line, FILLED),
        };
        sentences.extend((0..times).map(|_| fill(line, pools, &mut random)));
    }
    sentences
}

fn fill(line: &str, pools: &Pools, random: &mut Random) -> Sentence {
    let (mut text, mut gold) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let slot = after.split_once('}').and_then(|(slot, after)| Some((name(slot, pools, random)?, after)));
        let Some(((name, entity), after)) = slot else {
            text.push('{');
            rest = after;
            continue;
        };
        let start = text.len();
        text.push_str(&name);
        gold.push(GoldSpan { start, end: text.len(), entity });
        rest = after;
    }
    text.push_str(rest);
    Sentence::running(text, gold)
}

/// A name for a slot; nothing if this is no slot.
fn name(slot: &str, pools: &Pools, random: &mut Random) -> Option<(String, NameKind)> {
    let given = random.pick(&pools.given);
    let family = random.pick(&pools.family);
    let city = random.pick(&pools.cities);
    Some(match slot {
        "GIVEN" => (given, NameKind::Person),
        "FAMILY" => (family, NameKind::Person),
        "FULL" => (full(&given, &family, pools, random), NameKind::Person),
        "UPPER" => (format!("{given} {family}").to_uppercase(), NameKind::Person),
        "SURNAMEFIRST" => (format!("{family}, {given}"), NameKind::Person),
        "lower" if random.percent(50) => (given.to_lowercase(), NameKind::Person),
        "lower" => (format!("{given} {family}").to_lowercase(), NameKind::Person),
        "CITY" => (city, NameKind::Location),
        "lowercity" => (city.to_lowercase(), NameKind::Location),
        "COUNTRY" => (random.pick(&pools.countries), NameKind::Location),
        "ORG" => (organisation(&family, &city, pools, random), NameKind::Organization),
        _ => return None,
    })
}

fn full(given: &str, family: &str, pools: &Pools, random: &mut Random) -> String {
    match random.below(10) {
        0 => format!("{given} {}. {family}", given.chars().next().unwrap_or('A')),
        1 => format!("{given} {} {family}", random.pick(&pools.given)),
        2 => format!("{given} {family}-{}", random.pick(&pools.family)),
        _ => format!("{given} {family}"),
    }
}

fn organisation(family: &str, city: &str, pools: &Pools, random: &mut Random) -> String {
    match random.below(12) {
        5 => format!("{family}, {} and {}", random.pick(&pools.family), random.pick(&pools.family)),
        6 => format!("{family}-{}", random.pick(&pools.family)),
        7 => format!("{family} {} {}", random.pick(&pools.family), COMPANIES[random.below(COMPANIES.len())]),
        0 => format!("University of {city}"),
        1 => format!("{city} General Hospital"),
        2 => format!("Bank of {city}"),
        3 => format!("{family} & {}", random.pick(&pools.family)),
        4 => format!("{family} and Sons"),
        _ => format!("{family} {}", COMPANIES[random.below(COMPANIES.len())]),
    }
}
