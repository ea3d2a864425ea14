//! `evaluate-ner DATA [--weights FILE]`: precision, recall and F1 on a labelled file or folder, for biases 0 to 4.

use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use chaperone_redact::NameKind;
use chaperone_redact::ner::Tagger;
use chaperone_redact::ner::train::evaluate::{Coverage, Score, Set};

const KINDS: [NameKind; 3] = [NameKind::Person, NameKind::Location, NameKind::Organization];
const BIASES: [f32; 5] = [0.0, 1.0, 2.0, 3.0, 4.0];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let other;
    let (data, tagger) = match arguments[..] {
        [data] => (data, Tagger::embedded()?),
        [data, "--weights", file] => {
            other = Tagger::parse(std::fs::read(file)?.leak())?;
            (data, &other)
        }
        _ => bail!("usage: evaluate-ner DATA [--weights FILE]"),
    };
    let sets = Set::read_all(Path::new(data))?;
    let mut out = stdout().lock();
    for bias in BIASES {
        writeln!(
            out,
            "b = {bias}{:44}  micro P / R / F1       PER                LOC                ORG",
            ""
        )?;
        for set in &sets {
            row(&mut out, &set.path.display().to_string(), &set.score(tagger, bias))?;
        }
        row(&mut out, "all, gold tokens", &total(&sets, tagger, bias, |set| !set.is_running_text()))?;
        let shared = |set: &Set| !set.is_running_text() && set.is_share_alike();
        row(&mut out, "share-alike part, gold tokens", &total(&sets, tagger, bias, shared))?;
        row(&mut out, "all, running text", &total(&sets, tagger, bias, Set::is_running_text))?;
        coverage(&mut out, tagger, bias, sets.iter().collect())?;
        coverage(&mut out, tagger, bias, sets.iter().filter(|set| set.is_share_alike()).collect())?;
    }
    speed(&mut out, tagger, &sets)
}

fn total(sets: &[Set], tagger: &Tagger, bias: f32, wanted: impl Fn(&Set) -> bool) -> Score {
    let mut sum = Score::default();
    sets.iter().filter(|set| wanted(set)).for_each(|set| sum += set.score(tagger, bias));
    sum
}

fn row(out: &mut impl Write, name: &str, score: &Score) -> Result<()> {
    let tail: String = name.chars().rev().take(44).collect::<Vec<_>>().into_iter().rev().collect();
    write!(out, "{tail:44}")?;
    for counts in std::iter::once(score.micro()).chain(KINDS.map(|entity| score.of(entity))) {
        write!(out, "  {:5.1} {:5.1} {:5.1}", counts.precision(), counts.recall(), counts.f1())?;
    }
    writeln!(out)?;
    Ok(())
}

/// Tokens of persons masked under any label, and tokens masked that belong to no name.
fn coverage(out: &mut impl Write, tagger: &Tagger, bias: f32, sets: Vec<&Set>) -> Result<()> {
    let mut sum = Coverage::default();
    let sets: Vec<&Set> = sets.into_iter().filter(|set| !set.is_running_text()).collect();
    sets.iter().for_each(|set| sum += set.coverage(tagger, bias));
    let (masked, wrong) = (sum.persons_masked(), sum.wrongly_masked());
    writeln!(
        out,
        "coverage, {} files: person tokens masked, wrongly masked | {masked:.1} / {wrong:.1}",
        sets.len()
    )?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measures speed, once")]
fn speed(out: &mut impl Write, tagger: &Tagger, sets: &[Set]) -> Result<()> {
    let text: String = sets.iter().map(Set::text).collect();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        std::hint::black_box(tagger.spans(&text, 0.0));
        best = best.min(start.elapsed().as_secs_f64());
    }
    writeln!(out, "speed: {:.1} MB/s (best of 5, {} bytes)", text.len() as f64 / best / 1e6, text.len())?;
    Ok(())
}
